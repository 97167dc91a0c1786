package scenario

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
)

// A table is one table of the document, with the path to it.
type table struct {
	p    *parser
	path string
	m    map[string]any
}

func (t table) where(key string) string {
	switch {
	case t.path == "":
		return key
	case key == "":
		return t.path
	}
	return t.path + "." + key
}

// fail notes a mistake in the value of a key.
func (t table) fail(key, hint, format string, args ...any) {
	t.p.failAt(t.p.places.find(t.where(key)).value, hint, format, args...)
}

// only wants no other keys, and reports whether there are none.
func (t table) only(known ...string) bool {
	before := len(t.p.errs)
	for _, key := range slices.Sorted(maps.Keys(t.m)) {
		if slices.Contains(known, key) {
			continue
		}
		hint := meant(key, known)
		for _, other := range tables {
			if slices.Contains(other.keys, key) {
				hint = "it belongs into the table " + other.name
			}
		}
		t.p.failAt(t.p.places.keyOf(t.where(key)), hint, "the key %q is not known", abbreviate(key))
	}
	return len(t.p.errs) == before
}

func (t table) sub(key string) table {
	v, ok := t.m[key]
	m, isTable := v.(map[string]any)
	if ok && !isTable {
		t.fail(key, "write a table, ["+key+"]", "%s is %s", key, kindOf(v))
	}
	return table{t.p, t.where(key), m}
}

func (t table) tables(key string) []map[string]any {
	switch v := t.m[key].(type) {
	case nil:
	case []map[string]any:
		return v
	case map[string]any:
		t.fail(key, "write [["+key+"]], with two brackets on each side", "%s is one table", key)
	default:
		t.fail(key, "write tables, [["+key+"]]", "%s is %s", key, kindOf(v))
	}
	return nil
}

func (t table) text(key string) (string, bool) {
	v, ok := t.m[key]
	text, isText := v.(string)
	if ok && !isText {
		t.fail(key, "write a text, in quotes", "%s is %s", key, kindOf(v))
	}
	return text, ok && isText
}

func (t table) list(key string) []string {
	v, ok := t.m[key]
	if !ok {
		return nil
	}
	list, ok := texts(v)
	if !ok {
		t.fail(key, "write a list of texts", "%s is %s", key, kindOf(v))
	}
	return list
}

func (t table) flag(key string, otherwise bool) bool {
	v, ok := t.m[key]
	if !ok {
		return otherwise
	}
	b, ok := v.(bool)
	if !ok {
		t.fail(key, "write true or false", "%s is %s", key, kindOf(v))
	}
	return b
}

func (t table) count(key string, otherwise, most int) int {
	v, ok := t.m[key]
	if !ok {
		return otherwise
	}
	n, ok := v.(int64)
	if !ok {
		t.fail(key, "write a whole number", "%s is %s", key, kindOf(v))
	} else if n < 0 || n > int64(most) {
		t.fail(key, "", "%s is %d, not between 0 and %d", key, n, most)
		return otherwise
	}
	return int(n)
}

func (t table) seed() uint64 {
	const hint = "write a whole number from 0 on, in quotes if it is 2^63 or more"
	switch v := t.m["seed"].(type) {
	case nil:
	case int64:
		if v >= 0 {
			return uint64(v)
		}
		t.fail("seed", hint, "the seed is %d", v)
	case string:
		seed, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.fail("seed", hint, "the seed is %q", abbreviate(v))
		}
		return seed
	default:
		t.fail("seed", hint, "the seed is %s", kindOf(v))
	}
	return 0
}

// quoted reads a text that has a form of its own.
func quoted[T any](t table, key, hint string, otherwise T, read func(string) (T, error)) T {
	v, ok := t.m[key]
	if !ok {
		return otherwise
	}
	text, ok := v.(string)
	if !ok {
		t.fail(key, hint, "%s is %s", key, kindOf(v))
		return otherwise
	}
	x, err := read(text)
	switch {
	case errors.Is(err, errRange):
		t.fail(key, rangeHint, "%q is out of range", abbreviate(text))
		return otherwise
	case err != nil:
		t.fail(key, hint, "%q cannot be read", abbreviate(text))
		return otherwise
	}
	return x
}

func (t table) duration(key string, otherwise time.Duration) time.Duration {
	return quoted(t, key, durationHint, otherwise, parseDuration)
}

func (t table) share(key string) float64 { return quoted(t, key, shareHint, 0, parseShare) }

func (t table) span(key string, lo, hi time.Duration) (time.Duration, time.Duration) {
	both := quoted(t, key, spanHint, [2]time.Duration{lo, hi}, func(text string) ([2]time.Duration, error) {
		lo, hi, err := parseSpan(text)
		return [2]time.Duration{lo, hi}, err
	})
	return both[0], both[1]
}

// millis reads a duration of whole milliseconds.
func (t table) millis(key string) int64 {
	d := t.duration(key, 0)
	if d%time.Millisecond != 0 {
		t.fail(key, "", "%s is not a whole number of milliseconds", formatDuration(d))
	}
	return d.Milliseconds()
}

// mille reads a share as thousandths.
func (t table) mille(key string) int64 {
	share := t.share(key) * 1000
	n := math.Round(min(share, math.MaxInt32))
	if math.Abs(share-n) > 1e-6 {
		t.fail(key, "", "%s is not a multiple of 0.1%%", formatShare(share/1000))
	}
	return int64(n)
}

// texts returns a list of texts.
func texts(v any) ([]string, bool) {
	list, ok := v.([]any)
	var out []string
	for _, x := range list {
		text, isText := x.(string)
		ok = ok && isText
		out = append(out, text)
	}
	return out, ok
}

// kindOf tells people what kind of value stands somewhere.
func kindOf(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("the text %q", abbreviate(v))
	case int64:
		return fmt.Sprintf("the number %d", v)
	case float64:
		return fmt.Sprintf("the number %v", v)
	case bool:
		return fmt.Sprint(v)
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	case []map[string]any:
		return "a list of tables"
	}
	return "a date or time"
}

// abbreviate cuts what was found in a file down to what people need to find it again.
func abbreviate(text string) string {
	const most = 40
	r := []rune(text[:min(len(text), 4*most)])
	if len(r) <= most {
		return text
	}
	return string(r[:most-1]) + "…"
}
