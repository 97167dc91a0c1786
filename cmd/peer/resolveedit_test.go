package main

import "testing"

func mark(t *testing.T, values, names []string, base *string) markedText {
	t.Helper()
	m, err := marked(t.Context(), values, names, base)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Only the parts in which two values differ are marked; more values are marked as a whole.
func TestValuesAreMarkedWhereTheyDiffer(t *testing.T) {
	names := []string{"[1] laptop, now", "[2] phone, now", "[3] nas, now"}
	two := mark(t, []string{"a\nb\nc", "a\nB\nc"}, names[:2], nil)
	if want := "a\n<<<<<<< [1] laptop, now\nb\n=======\nB\n>>>>>>> [2] phone, now\nc\n"; two.text != want || !two.unended {
		t.Errorf("got %q, want %q", two.text, want)
	}
	three := mark(t, []string{"a\n", "b\n", "c"}, names, nil)
	want := "<<<<<<< [1] laptop, now\na\n======= [2] phone, now\nb\n======= [3] nas, now\nc\n>>>>>>> [3] nas, now\n"
	if three.text != want || three.unended {
		t.Errorf("got %q, want %q", three.text, want)
	}
	base := "a\nb\nd"
	known := mark(t, []string{"a\nx\nd\n", "A\ny\nd\ne\n"}, names[:2], &base)
	want = "<<<<<<< [1] laptop, now\na\nx\n||||||| what they were made from\na\nb\n=======\nA\ny\n>>>>>>> [2] phone, now\nd\ne\n"
	if known.text != want || known.unended {
		t.Errorf("got %q, want %q", known.text, want)
	}
	apart := mark(t, []string{"a\nb\nD", "A\nb\nd", "a\nb\nd\ne"}, names, &base)
	if want := "A\nb\nD\ne\n"; apart.text != want || !apart.unended {
		t.Errorf("got %q, want %q", apart.text, want)
	}
	for text, left := range map[string]bool{two.text: true, "a\n=======\nB\n": false, "x\n>>>>>>> [2] phone, now": true, "": false} {
		if (two.left(text) != "") != left {
			t.Errorf("%q: left %q", text, two.left(text))
		}
	}
}
