package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"syncline/node/api/wire"
)

// count writes n in groups of three digits, as 1 842.
func count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}

// plural writes a number with its noun.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

func entries(n int) string { return plural(n, "entry", "entries") }

// size writes a number of bytes as people say it, as 3.1 MB.
func size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), -1
	for f >= 999.5 && unit < 4 {
		f /= 1000
		unit++
	}
	if f < 9.95 {
		return fmt.Sprintf("%.1f %cB", f, "kMGTP"[unit])
	}
	return fmt.Sprintf("%.0f %cB", f, "kMGTP"[unit])
}

// span writes a length of time in its largest unit, as 3 h.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(0, int(d/time.Second)))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d/time.Hour))
	}
	return fmt.Sprintf("%d d", int(d/(24*time.Hour)))
}

// ago says how long t is past.
func ago(t time.Time) string {
	switch d := time.Since(t); {
	case t.IsZero():
		return "—"
	case d < 5*time.Second:
		return "now"
	default:
		return span(d) + " ago"
	}
}

// when writes a point in time as people say it, as today 10:02.
func when(t time.Time) string {
	t, now := t.Local(), time.Now()
	switch {
	case t.IsZero():
		return "—"
	case sameDay(t, now):
		return "today " + t.Format("15:04")
	case sameDay(t, now.AddDate(0, 0, -1)):
		return "yesterday " + t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}

func sameDay(a, b time.Time) bool {
	ay, am, ad := a.Date()
	by, bm, bd := b.Date()
	return ay == by && am == bm && ad == bd
}

// stamp writes a point in time for programs; nothing if there is none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// deviceName writes a device as laptop (k7f3-q2ma).
func deviceName(d wire.Device) string {
	switch {
	case d.Name == "" && d.Short == "":
		return "an unknown device"
	case d.Name == "":
		return d.Short
	case d.Short == "":
		return visible(d.Name)
	}
	return visible(d.Name) + " (" + d.Short + ")"
}

// shortName writes a device as briefly as possible.
func shortName(d wire.Device) string {
	if d.Name != "" {
		return visible(d.Name)
	}
	if d.Short != "" {
		return d.Short
	}
	return "?"
}

// home writes a file name with ~ for the home folder.
func home(name string) string {
	h, err := os.UserHomeDir()
	if err != nil || h == "/" || h == "" {
		return name
	}
	if rest, ok := strings.CutPrefix(name, h+string(filepath.Separator)); ok {
		return "~" + string(filepath.Separator) + rest
	}
	return name
}

// visible replaces characters that could play tricks on a terminal.
func visible(s string) string { return safe(s, "") }

// pathWord returns a path as a word of a command that a person may copy.
func pathWord(path string) string { return quoteWord(visible(path)) }

// visibleText is visible for text of several lines.
func visibleText(s string) string { return safe(s, "\n\t") }

func safe(s, allowed string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(allowed, r):
			return r
		case r < 0x20:
			return 0x2400 + r // the picture of the control character
		case 0x7f <= r && r < 0xa0, r == utf8.RuneError, 0x202a <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069:
			return utf8.RuneError
		}
		return r
	}, s)
}

// previewRunes is how much of a value a line shows.
const previewRunes = 60

// preview writes the beginning of a value on one line: text in quotation marks, JSON as it is.
func preview(c wire.Content) string {
	s, ok := c.Text()
	if !ok {
		return fmt.Sprintf("(%s, %s)", size(int64(c.Size)), visible(c.ContentType))
	}
	quote := strconv.Quote
	if c.IsJSON() {
		quote = visible
	}
	if utf8.RuneCountInString(s) > previewRunes {
		return quote(string([]rune(s)[:previewRunes])) + "…"
	}
	return quote(s)
}
