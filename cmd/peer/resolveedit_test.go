package main

import "testing"

// Only the parts in which two values differ are marked; more values are marked as a whole.
func TestValuesAreMarkedWhereTheyDiffer(t *testing.T) {
	names := []string{"[1] laptop, now", "[2] phone, now", "[3] nas, now"}
	two := marked([]string{"a\nb\nc", "a\nB\nc"}, names[:2])
	if want := "a\n<<<<<<< [1] laptop, now\nb\n=======\nB\n>>>>>>> [2] phone, now\nc\n"; two.text != want || !two.unended {
		t.Errorf("got %q, want %q", two.text, want)
	}
	three := marked([]string{"a\n", "b\n", "c"}, names)
	want := "<<<<<<< [1] laptop, now\na\n======= [2] phone, now\nb\n======= [3] nas, now\nc\n>>>>>>> [3] nas, now\n"
	if three.text != want || three.unended {
		t.Errorf("got %q, want %q", three.text, want)
	}
	for text, left := range map[string]bool{two.text: true, "a\n=======\nB\n": false, "x\n>>>>>>> [2] phone, now": true, "": false} {
		if (two.left(text) != "") != left {
			t.Errorf("%q: left %q", text, two.left(text))
		}
	}
}
