package sim

import (
	"testing"

	"syncline/crdt"
)

// TestPatterns: a * stays within a segment, /** covers what is below, and the longest pattern counts.
func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"cart", "cart", true},
		{"cart", "cart/a", false},
		{"cart/*", "cart/a", true},
		{"cart/*", "cart/a/b", false},
		{"cart/*", "cart", false},
		{"cart/**", "cart/a", true},
		{"cart/**", "cart/a/b", true},
		{"cart/**", "cart", false},
		{"cart/**", "carts/a", false},
		{"*/notes/**", "anna/notes/a/b", true},
		{"*/notes/**", "anna/letters/a", false},
		{"*.json", "a.json", true},
	} {
		if got := matches(c.pattern, c.path); got != c.want {
			t.Errorf("%q matches %q: %v, want %v", c.pattern, c.path, got, c.want)
		}
	}
	called := ""
	f := func(name string) MergeFunc {
		return func(v []crdt.Value) (crdt.Value, error) { called = name; return crdt.Value{}, nil }
	}
	c := Config{Merge: map[string]MergeFunc{"a/**": f("all"), "a/b/*": f("some"), "a/b/c": f("none, it is shorter")}}
	c.mergeFor("a/b/c")(nil)
	if called != "some" {
		t.Errorf("called the function for %s", called)
	}
}
