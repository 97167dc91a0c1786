//go:build linux

package netns

import (
	"regexp"
	"strings"
	"testing"
)

// variable matches what differs from run to run, see docs/TESTING.md.
var variable = regexp.MustCompile(strings.Join([]string{
	`peer:[a-z2-7]{20,}`,          // ticket
	`\b[a-z2-7]{4}-[a-z2-7]{4}\b`, // short id of a device
	`\binv_[0-9a-f]+\b`,           // invite
	`/ip[46]/[^ ]+`,               // address
	`\bpid [0-9]+`,                // process
	`\b(?:(?:today|yesterday) )?[0-9]{1,2}:[0-9]{2}\b`, // point in time
	`\b[0-9]+ (?:s|min|h|d)\b`, `\bnow\b`,              // length of time
}, "|"))

// words knows which words of this run stand for the variable words of a document.
type words struct{ known map[string]string }

func newWords() *words { return &words{known: map[string]string{}} }

// actual replaces the variable words of a command by those of this run.
func (w *words) actual(command string) string {
	return variable.ReplaceAllStringFunc(command, func(word string) string {
		if is, ok := w.known[word]; ok {
			return is
		}
		return word
	})
}

// match compares a line that was shown with one of the document. Spaces count as one, and variable words fit any of their form;
// a word that was seen before, as an id, stays the same.
func (w *words) match(want, got string) bool {
	want, got = strings.Join(strings.Fields(want), " "), strings.Join(strings.Fields(got), " ")
	if variable.ReplaceAllString(want, "*") != variable.ReplaceAllString(got, "*") {
		return false
	}
	is := variable.FindAllString(got, -1)
	for i, word := range variable.FindAllString(want, -1) {
		if lasting(word) && w.known[word] != "" && w.known[word] != is[i] {
			return false
		}
		w.known[word] = is[i]
	}
	return true
}

// lasting reports whether a variable word names something that does not change: a ticket or an id.
func lasting(word string) bool {
	return strings.HasPrefix(word, "peer:") || strings.HasPrefix(word, "inv_") || len(word) == 9 && word[4] == '-'
}

// TestWordsMatch: what the comparison of the README with its run lets pass, and what not.
func TestWordsMatch(t *testing.T) {
	w := newWords()
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{"✓ This is laptop (mn5v-td2m).", "✓ This is laptop (abcd-2345).", true},
		{"✓ This is laptop (mn5v-td2m).", "✓ This is laptop (zzzz-2345).", false},
		{"✓ This is laptop (mn5v-td2m).", "✓ This is desktop (abcd-2345).", false},
		{"PATH    SINCE", "PATH SINCE", true},
		{"notes/todo   9 s", "notes/todo now", true},
		{"today 10:05", "yesterday 23:59", true},
		{"desktop lacks 3", "desktop lacks 4", false},
	} {
		if got := w.match(c.want, c.got); got != c.ok {
			t.Errorf("match(%q, %q) = %v", c.want, c.got, got)
		}
	}
	if got := w.actual("show mn5v-td2m"); got != "show abcd-2345" {
		t.Errorf("actual: %q", got)
	}
}
