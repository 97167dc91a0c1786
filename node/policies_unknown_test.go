package node

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

// TestPoliciesOfANewerVersionAreKept: this version lists them, settles nothing by them, and leaves them alone when others are changed.
func TestPoliciesOfANewerVersionAreKept(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := Open(ctx, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	s, err := n.Space("")
	if err != nil {
		t.Fatal(err)
	}
	odd := PolicyRule{Pattern: "a/*", Policy: "vote"}
	opaque := PolicyRule{Pattern: "b/*"}.Op()
	opaque.Data = []byte("of another version")
	if _, err := s.write(ctx, Write{Ops: []WriteOp{odd.Op(), opaque}}); err != nil {
		t.Fatal(err)
	}
	manual, newest := PolicyRule{"b/*", PolicyManual}, PolicyRule{"**", PolicyNewest}
	want := func(rules ...PolicyRule) Version {
		t.Helper()
		got, version, err := s.Policies(ctx)
		if err != nil || !slices.Equal(got, rules) {
			t.Fatalf("policies %v, %v; want %v", got, err, rules)
		}
		return version
	}
	want(odd, manual)
	if err := s.SetPolicy(ctx, newest.Pattern, newest.Policy); err != nil {
		t.Fatal(err)
	}
	version := want(odd, manual, newest)
	if err := s.SetPolicies(ctx, []PolicyRule{odd, manual, {"c", PolicyMax}}, version); err != nil {
		t.Fatal(err)
	}
	want(odd, manual, PolicyRule{"c", PolicyMax})
	if reg, err := s.store.Get(opaque.Path); err != nil || string(reg.Live[0].Data) != "of another version" {
		t.Errorf("the record that cannot be read became %v, %v", reg, err)
	}
	for _, rules := range [][]PolicyRule{{{"a/*", "draw"}}, {{"d", "vote"}}} {
		if err := s.SetPolicies(ctx, rules, ""); !errors.Is(err, ErrBadRequest) {
			t.Errorf("%v: %v", rules, err)
		}
	}
	if err := s.SetPolicies(ctx, nil, ""); err != nil {
		t.Fatal(err)
	}
	want()
}
