package scenario

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Units of time beyond those of Go. A year has 365 days.
const (
	day  = 24 * time.Hour
	week = 7 * day
	year = 365 * day
)

// durationHint says what a duration looks like.
const durationHint = `a duration is a number with a unit: "250ms", "3s", "1h30m", "2d", "1w" or "-100y"`

// errRange is about a duration that is well written and longer than any can be.
var errRange = errors.New("out of range")

// rangeHint says how long durations are.
var rangeHint = fmt.Sprintf("times are at most %s, and a clock is wrong by at most %s", formatDuration(spanMax), formatDuration(clockMax))

// parseDuration reads a duration: those of Go, and d, w and y for days, weeks and years of 365 days.
func parseDuration(text string) (time.Duration, error) {
	body, negative := strings.CutPrefix(text, "-")
	if !negative {
		body = strings.TrimPrefix(body, "+")
	}
	if body == "0" {
		return 0, nil
	}
	total := time.Duration(0)
	for rest := body; rest != "" || body == ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789."))
		unit := len(rest) - digits - len(strings.TrimLeft(rest[digits:], "abcdefghijklmnopqrstuvwxyzµμ"))
		d, err := parseUnit(rest[:digits], rest[digits:digits+unit])
		if err == nil && total > math.MaxInt64-d {
			err = errRange
		}
		if err != nil {
			return 0, err
		}
		total += d
		rest = rest[digits+unit:]
	}
	if negative {
		return -total, nil
	}
	return total, nil
}

func parseUnit(number, unit string) (time.Duration, error) {
	times := time.Duration(1)
	switch unit {
	case "d":
		times, unit = 24, "h"
	case "w":
		times, unit = 7*24, "h"
	case "y":
		times, unit = 365*24, "h"
	case "":
		return 0, errors.New("there is no unit")
	}
	d, err := time.ParseDuration(number + unit)
	if err == nil && d <= math.MaxInt64/times {
		return d * times, nil
	}
	if _, bad := strconv.ParseFloat(number, 64); bad != nil && !errors.Is(bad, strconv.ErrRange) {
		return 0, bad
	}
	if _, bad := time.ParseDuration("0" + unit); bad != nil {
		return 0, bad
	}
	return 0, errRange
}

// formatDuration writes a duration so that parseDuration gives it back.
func formatDuration(d time.Duration) string {
	if d < 0 {
		return "-" + formatDuration(-max(d, -math.MaxInt64))
	}
	if d >= week && d < year && d%week == 0 {
		return fmt.Sprintf("%dw", d/week)
	}
	text := ""
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{year, "y"}, {day, "d"}} {
		if d >= u.unit {
			text += fmt.Sprintf("%d%s", d/u.unit, u.name)
			d %= u.unit
		}
	}
	if d == 0 && text != "" {
		return text
	}
	rest := d.String()
	if strings.HasSuffix(rest, "m0s") {
		rest = strings.TrimSuffix(rest, "0s")
	}
	if strings.HasSuffix(rest, "h0m") {
		rest = strings.TrimSuffix(rest, "0m")
	}
	return text + rest
}

// spanHint says what a span looks like.
const spanHint = `write the least and the most with two dots between, as "2ms..40ms", or one duration`

// parseSpan reads "2ms..40ms", or one duration that is both ends.
func parseSpan(text string) (lo, hi time.Duration, err error) {
	from, to, two := strings.Cut(text, "..")
	if lo, err = parseDuration(strings.TrimSpace(from)); err != nil || !two {
		return lo, lo, err
	}
	hi, err = parseDuration(strings.TrimSpace(to))
	return lo, hi, err
}

func formatSpan(lo, hi time.Duration) string {
	if lo == hi {
		return formatDuration(lo)
	}
	return formatDuration(lo) + ".." + formatDuration(hi)
}

// shareHint says what a share looks like.
const shareHint = `a share is a number with a percent sign: "2%" or "0.5%"`

// parseShare reads "2%" as 0.02. It moves the point in the text, so that no digit is lost.
func parseShare(text string) (float64, error) {
	body, ok := strings.CutSuffix(text, "%")
	whole, part, _ := strings.Cut(strings.TrimSpace(body), ".")
	if !ok || whole+part == "" || strings.Trim(whole+part, "0123456789") != "" {
		return 0, fmt.Errorf("%q is no share", text)
	}
	whole = "00" + whole
	return strconv.ParseFloat(whole[:len(whole)-2]+"."+whole[len(whole)-2:]+part, 64)
}

// formatShare writes a share so that parseShare gives it back.
func formatShare(share float64) string {
	whole, part, _ := strings.Cut(strconv.FormatFloat(share, 'f', -1, 64), ".")
	for len(part) < 2 {
		part += "0"
	}
	whole = strings.TrimLeft(whole+part[:2], "0")
	if whole == "" {
		whole = "0"
	}
	if part = strings.TrimRight(part[2:], "0"); part != "" {
		whole += "." + part
	}
	return whole + "%"
}

// formatMille writes a number of thousandths as a share.
func formatMille(n int64) string {
	if n%10 == 0 {
		return fmt.Sprintf("%d%%", n/10)
	}
	return fmt.Sprintf("%d.%d%%", n/10, n%10)
}
