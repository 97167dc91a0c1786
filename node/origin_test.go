package node_test

import (
	"slices"
	"strings"
	"testing"

	"syncline/node"
	"syncline/node/nodetest"
)

// TestUndoTellsWhoWroteWhatItBringsBack: on every device that has the history, the values that compete again name their writers and, for a
// person, what they were made from, also when they are decided and taken back twice. A policy is not given that: it would do at once again
// what was taken back.
func TestUndoTellsWhoWroteWhatItBringsBack(t *testing.T) {
	hub, ctx := new(nodetest.Hub), within(t)
	a := open(t, node.Config{Name: "laptop", Network: hub.New()})
	b := open(t, node.Config{Name: "phone", Network: hub.New()})
	join(t, a, b)
	sa, sb := space(t, a), space(t, b)
	put(t, ctx, a, "note", node.Text("1\n2\n"))
	meet(t, ctx, a, b)
	drift(t, ctx, hub, a, b, "note", contents("0\n1\n2\n"), contents("1\n2\n3\n"))
	before, err := sa.Conflict(ctx, "note")
	if err != nil {
		t.Fatal(err)
	}
	meet(t, ctx, a, b) // the values are there one by one, and in each history
	for range 2 {
		if _, err := sa.Resolve(ctx, "note", node.Resolution{Keep: before.Values[0].ID}); err != nil {
			t.Fatal(err)
		}
		meet(t, ctx, a, b)
		if _, err := sa.Undo(ctx, ""); err != nil {
			t.Fatal(err)
		}
		meet(t, ctx, a, b)
		for name, s := range map[string]*node.Space{"laptop": sa, "phone": sb} {
			c, err := s.Conflict(ctx, "note")
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Values) != 2 || c.Base == nil || c.Base.ID != before.Base.ID {
				t.Errorf("on %s: %d values with the base %v, %q", name, len(c.Values), c.Base, c.BaseReason)
			}
			for _, v := range c.Values {
				i := slices.IndexFunc(before.Values, func(w node.Value) bool { return string(w.Data) == string(v.Data) })
				if w := before.Values[i]; v.Device.Name != "laptop" || v.Origin == nil || v.Origin.ID != w.ID || v.Origin.Device != w.Device || !v.Origin.Time.Equal(w.Time) {
					t.Errorf("on %s: %q comes from %+v, want %+v", name, v.Data, v.Origin, w)
				}
			}
			for listed, err := range s.Conflicts(ctx, "") {
				if err != nil || listed.Values[0].Origin == nil {
					t.Errorf("the list on %s: %+v, %v", name, listed.Values, err)
				}
			}
		}
	}
	if err := sa.SetPolicy(ctx, "note", node.PolicyMergeText); err != nil {
		t.Fatal(err)
	}
	awaitReason(t, ctx, sa, "note", "does not say what it was made from")
	if r, err := sa.Resolve(ctx, "note", node.Resolution{Policy: node.PolicyMergeText}); err != nil || string(r.Shown().Data) != "0\n1\n2\n3\n" {
		t.Errorf("merged on request: %q, %v", r.Shown().Data, err)
	}
}

// TestOnlyWhatWasDecidedAgainstIsBroughtBack: a value that merely equals an older one has no origin, and one that was made from the decision
// leaves those beside it without a base.
func TestOnlyWhatWasDecidedAgainstIsBroughtBack(t *testing.T) {
	hub, ctx := new(nodetest.Hub), within(t)
	a := open(t, node.Config{Name: "laptop", Network: hub.New()})
	b := open(t, node.Config{Name: "phone", Network: hub.New()})
	join(t, a, b)
	sa, sb := space(t, a), space(t, b)
	put(t, ctx, a, "note", node.Text("old"))
	meet(t, ctx, a, b)
	drift(t, ctx, hub, a, b, "note", contents("one", "old"), contents("two"))
	meet(t, ctx, a, b)
	c, err := sa.Conflict(ctx, "note")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range c.Values {
		if v.Origin != nil {
			t.Errorf("%q comes from %+v", v.Data, v.Origin)
		}
	}
	r, err := sa.Resolve(ctx, "note", node.Resolution{Keep: c.Values[0].ID})
	if err != nil {
		t.Fatal(err)
	}
	meet(t, ctx, a, b)
	hub.Cut(a.ID())
	if _, err := sb.Put(ctx, "note", node.Text("made from the decision")); err != nil {
		t.Fatal(err)
	}
	if _, err := sa.Undo(ctx, r.Undo); err != nil {
		t.Fatal(err)
	}
	hub.Heal()
	meet(t, ctx, a, b)
	c, err = sa.Conflict(ctx, "note")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Values) != 3 || c.Base != nil || !strings.Contains(c.BaseReason, "does not say") {
		t.Errorf("%d values with the base %v, %q", len(c.Values), c.Base, c.BaseReason)
	}
	for _, v := range c.Values {
		if brought := v.Device.Name == "laptop"; brought != (v.Origin != nil) {
			t.Errorf("%q of %s comes from %+v", v.Data, v.Device.Name, v.Origin)
		}
	}
}
