package node_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"syncline/node"
	"syncline/node/nodetest"
)

// drift lets each of two devices write values while they do not see each other, and lets them meet.
func drift(t *testing.T, ctx context.Context, hub *nodetest.Hub, a, b *node.Node, path string, va, vb []node.Content) {
	t.Helper()
	hub.Cut(a.ID())
	for n, values := range map[*node.Node][]node.Content{a: va, b: vb} {
		for _, v := range values {
			if _, err := space(t, n).Put(ctx, path, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	hub.Heal()
	meet(t, ctx, a, b)
}

func put(t *testing.T, ctx context.Context, n *node.Node, path string, v node.Content) {
	t.Helper()
	if _, err := space(t, n).Put(ctx, path, v); err != nil {
		t.Fatal(err)
	}
}

func contents(values ...string) (out []node.Content) {
	for _, v := range values {
		out = append(out, node.Text(v))
	}
	return out
}

// awaitReason waits until a policy says why it cannot settle what competes at path.
func awaitReason(t *testing.T, ctx context.Context, s *node.Space, path, part string) {
	t.Helper()
	for {
		c, err := s.Conflict(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(c.PolicyReason, part) {
			return
		}
		if _, err := s.Changes(ctx, node.ChangesOptions{Since: node.CursorNow, Wait: 50 * time.Millisecond}); err != nil {
			t.Fatalf("the reason “%s” does not come: %q, %v", part, c.PolicyReason, err)
		}
	}
}

// TestTextsMergeByThemselves: two devices edit a note several times each, apart. They come to the same text, by one write, which stands in
// both histories and feeds with the policy's name.
func TestTextsMergeByThemselves(t *testing.T) {
	hub, ctx := new(nodetest.Hub), within(t)
	a, b := pair(t, hub)
	if err := space(t, a).SetPolicy(ctx, "notes/**", node.PolicyMergeText); err != nil {
		t.Fatal(err)
	}
	put(t, ctx, a, "notes/todo", node.Text("buy milk\ncall Ana\n"))
	meet(t, ctx, a, b)
	drift(t, ctx, hub, a, b, "notes/todo", contents("buy\n", "buy milk\ncall Ana\nsleep\n"), contents("buy tea\n", "x", "buy oat milk\ncall Ana\n"))
	const want = "buy oat milk\ncall Ana\nsleep\n"
	for _, n := range []*node.Node{a, b} {
		await(t, space(t, n), "notes/todo", want)
	}
	meet(t, ctx, a, b)
	for _, n := range []*node.Node{a, b} {
		s := space(t, n)
		if e, err := s.Get(ctx, "notes/todo"); err != nil || len(e.Values) != 1 || e.Conflict != 0 {
			t.Errorf("%+v, %v", e, err)
		}
		automatic := 0
		for r, err := range s.History(ctx, "notes/todo", node.HistoryOptions{}) {
			if r.Current != (r.MergedBy == node.PolicyMergeText) {
				t.Errorf("history names %q as the policy that wrote %q", r.MergedBy, r.Data)
			}
			if err == nil && r.Replaced != nil && r.Replaced.How == node.ReplacedByPolicy && r.Replaced.Policy == "merge:text" {
				automatic++
			}
		}
		if automatic != 2 {
			t.Errorf("%d values in history were replaced by the policy, want 2", automatic)
		}
		page, err := s.Changes(ctx, node.ChangesOptions{Prefix: "notes/"})
		if err != nil || len(page.Changes) != 1 || page.Changes[0].Type != node.ChangeResolved || page.Changes[0].Policy != node.PolicyMergeText {
			t.Errorf("the feed says %+v, %v", page, err)
		}
	}
}

// TestObjectsMergeByThemselves: field by field, also where both began the entry.
func TestObjectsMergeByThemselves(t *testing.T) {
	hub, ctx := new(nodetest.Hub), within(t)
	a, b := pair(t, hub)
	if err := space(t, a).SetPolicy(ctx, "settings", node.PolicyMergeJSON); err != nil {
		t.Fatal(err)
	}
	raw := func(s string) []node.Content { return []node.Content{{Data: []byte(s), Type: node.MediaTypeJSON}} }
	meet(t, ctx, a, b)
	drift(t, ctx, hub, a, b, "settings", raw(`{"font":{"size":12}}`), raw(`{"theme":"dark"}`))
	await(t, space(t, a), "settings", `{"font":{"size":12},"theme":"dark"}`)
	await(t, space(t, b), "settings", `{"font":{"size":12},"theme":"dark"}`)
	meet(t, ctx, a, b)
	drift(t, ctx, hub, a, b, "settings", raw(`{"font":{"size":13},"theme":"dark"}`), raw(`{"font":{"size":12,"bold":true}}`))
	await(t, space(t, a), "settings", `{"font":{"bold":true,"size":13}}`)
	await(t, space(t, b), "settings", `{"font":{"bold":true,"size":13}}`)
	meet(t, ctx, a, b)
	drift(t, ctx, hub, a, b, "settings", raw(`{"font":{"bold":true,"size":14}}`), raw(`{"font":{"bold":true,"size":15}}`))
	awaitReason(t, ctx, space(t, b), "settings", "“/font/size”")
}

// TestABaseIsNamedOrTheReasonIs: what Conflict says of the base, and what a built-in merge makes of it.
func TestABaseIsNamedOrTheReasonIs(t *testing.T) {
	hub, ctx := new(nodetest.Hub), within(t)
	a := open(t, node.Config{Name: "laptop", Network: hub.New(), HistoryVersions: 3})
	b := open(t, node.Config{Name: "desktop", Network: hub.New(), HistoryVersions: -1})
	join(t, a, b)
	sa, sb := space(t, a), space(t, b)
	merge := func(s *node.Space, path string) (string, error) {
		r, err := s.Resolve(ctx, path, node.Resolution{Policy: node.PolicyMergeText})
		if err != nil {
			return "", err
		}
		return string(r.Shown().Data), nil
	}
	want := func(s *node.Space, path, base, reason string) node.Conflict {
		t.Helper()
		c, err := s.Conflict(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case reason != "" && (c.Base != nil || !strings.Contains(c.BaseReason, reason)):
			t.Errorf("%s: the base is %v, %q; want the reason %q", path, c.Base, c.BaseReason, reason)
		case reason == "" && (c.Base == nil || string(c.Base.Data) != base || c.BaseReason != ""):
			t.Errorf("%s: the base is %v, %q; want %q", path, c.Base, c.BaseReason, base)
		}
		return c
	}
	for _, path := range []string{"a", "long", "gone"} {
		put(t, ctx, a, path, node.Text("1\n2\n"))
	}
	meet(t, ctx, a, b)

	drift(t, ctx, hub, a, b, "a", contents("0\n1\n2\n"), contents("x", "1\n2\n3\n"))
	c := want(sa, "a", "1\n2\n", "")
	if c.Base.ID == "" || c.Base.Device.Name != "laptop" {
		t.Errorf("the base is %+v", c.Base)
	}
	if d := c.Diff(c.Values[0]); !strings.Contains(d, "\n+3\n") && !strings.Contains(d, "\n+0\n") || !strings.Contains(d, "--- base\n") {
		t.Errorf("the difference is %q", d)
	}
	want(sb, "a", "", "not in this device's history")
	if _, err := merge(sb, "a"); !errors.Is(err, node.ErrMergeFailed) || !strings.Contains(err.Error(), "not in this device's history") {
		t.Errorf("without the base: %v", err)
	}
	if got, err := merge(sa, "a"); err != nil || got != "0\n1\n2\n3\n" {
		t.Errorf("merged: %q, %v", got, err)
	}
	if _, err := sa.Undo(ctx, ""); err != nil {
		t.Fatal(err)
	}
	want(sa, "a", "1\n2\n", "") // that of the values which were brought back

	// Where a value was written over stays at hand, however often that was, and is not shown by the history.
	drift(t, ctx, hub, a, b, "long", contents("1", "2", "3", "4", "5"), contents("6", "7"))
	want(sa, "long", "1\n2\n", "")
	shown := 0
	for r := range sa.History(ctx, "long", node.HistoryOptions{}) {
		if string(r.Data) == "1\n2\n" {
			t.Error("the history shows what lies beyond its bound")
		}
		shown++
	}
	if shown != 5 {
		t.Errorf("the history shows %d values, want 2 and the last 3", shown)
	}
	want(sb, "long", "", "not in this device's history")

	drift(t, ctx, hub, a, b, "new", contents("1"), contents("2"))
	if c := want(sb, "new", "", ""); c.Base.ID != "" || c.Diff(c.Values[0]) == "" {
		t.Errorf("the base of what was begun apart is %+v", c.Base)
	}
	if _, err := merge(sb, "new"); !errors.Is(err, node.ErrMergeFailed) || !strings.Contains(err.Error(), "begun apart") {
		t.Errorf("begun apart: %v", err)
	}

	// A delete is no base.
	hub.Cut(a.ID())
	if _, err := sa.Delete(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	put(t, ctx, a, "gone", node.Text("again"))
	put(t, ctx, b, "gone", node.Text("changed"))
	hub.Heal()
	meet(t, ctx, a, b)
	if c, err := sa.Conflict(ctx, "gone"); err != nil || c.Base != nil {
		t.Errorf("written after a delete: %+v, %v", c, err)
	}

	conflict(t, ctx, a, "imported", contents("1", "2")...)
	want(sa, "imported", "", "does not say what it was made from")
}

// TestAMergeFunctionIsGivenTheBase: and may change its copy.
func TestAMergeFunctionIsGivenTheBase(t *testing.T) {
	hub, ctx := new(nodetest.Hub), within(t)
	a, b := pair(t, hub)
	if err := a.RegisterMerge("text", func(context.Context, node.Conflict) (node.Content, error) { return node.Content{}, nil }); !errors.Is(err, node.ErrBadRequest) {
		t.Errorf("a built-in merge was replaced: %v", err)
	}
	err := a.RegisterMerge("count", func(_ context.Context, c node.Conflict) (node.Content, error) {
		if c.Base == nil || string(c.Base.Data) != "10" {
			return node.Content{}, errors.New("no base")
		}
		c.Base.Data[0] = '9'
		return node.Text(string(c.Values[0].Data) + "+" + string(c.Values[1].Data) + "-10"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	put(t, ctx, a, "n", node.Text("10"))
	meet(t, ctx, a, b)
	drift(t, ctx, hub, a, b, "n", contents("11"), contents("12"))
	r, err := space(t, a).Resolve(ctx, "n", node.Resolution{Policy: node.PolicyMerge("count")})
	if err != nil || !strings.HasSuffix(string(r.Shown().Data), "-10") {
		t.Errorf("%+v, %v", r, err)
	}
}
