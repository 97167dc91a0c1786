package node_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-datastore"

	"syncline/crdt"
	"syncline/node"
	"syncline/node/nodetest"
)

// rivals lets each device write its own value at path while they are cut off, and waits until both have met.
func rivals(t *testing.T, ctx context.Context, hub *nodetest.Hub, a, b *node.Node, path string, va, vb node.Content) {
	t.Helper()
	hub.Cut(a.ID())
	for n, v := range map[*node.Node]node.Content{a: va, b: vb} {
		if _, err := space(t, n).Put(ctx, path, v); err != nil {
			t.Fatal(err)
		}
	}
	hub.Heal()
	meet(t, ctx, a, b)
}

func meet(t *testing.T, ctx context.Context, nodes ...*node.Node) {
	t.Helper()
	for _, n := range nodes {
		if _, err := space(t, n).WaitSync(ctx, node.SyncOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// A view is the value everywhere: get, list, feed, datastore, counts; the values it is made of stay.
func TestAViewIsTheValueEverywhere(t *testing.T) {
	hub, ctx := new(nodetest.Hub), within(t)
	a, b := pair(t, hub)
	if err := space(t, a).SetPolicy(ctx, "cart/**", node.PolicyUnion); err != nil {
		t.Fatal(err)
	}
	rivals(t, ctx, hub, a, b, "cart/1", node.JSON([]string{"milk"}), node.JSON([]string{"bread"}))
	want := `["bread","milk"]`
	var versions []node.Version
	for _, n := range []*node.Node{a, b} {
		s := space(t, n)
		e, err := s.Get(ctx, "cart/1")
		if err != nil || string(e.Shown().Data) != want || len(e.Values) != 2 || e.Conflict != 0 || e.Settled != 2 || e.Policy != node.PolicyUnion {
			t.Errorf("%s: get %+v, %v", n.Name(), e, err)
		}
		versions = append(versions, e.Version)
		for e, err := range s.List(ctx, "", node.ListOptions{}) {
			if err != nil || string(e.Shown().Data) != want {
				t.Errorf("%s: list %+v, %v", n.Name(), e, err)
			}
		}
		for range s.Conflicts(ctx, "") {
			t.Errorf("%s: a conflict is listed", n.Name())
		}
		if _, err := s.Conflict(ctx, "cart/1"); !errors.Is(err, node.ErrNoConflict) {
			t.Errorf("%s: conflict: %v", n.Name(), err)
		}
		if h := s.Head(); h.Conflicts != 0 {
			t.Errorf("%s: %d conflicts counted", n.Name(), h.Conflicts)
		}
		page, err := s.Changes(ctx, node.ChangesOptions{})
		if err != nil || len(page.Changes) != 1 || page.Changes[0].Type != node.ChangeResolved || page.Changes[0].Policy != node.PolicyUnion {
			t.Errorf("%s: feed %+v, %v", n.Name(), page.Changes, err)
		}
		ds, err := s.Datastore(node.DatastoreOptions{Multi: true})
		if err != nil {
			t.Fatal(err)
		}
		if v, err := ds.Get(ctx, datastore.NewKey("/cart/1")); err != nil || string(v) != want {
			t.Errorf("%s: datastore %q, %v", n.Name(), v, err)
		}
	}
	if versions[0] != versions[1] {
		t.Errorf("versions %v differ", versions)
	}
}

// Whoever writes was shown what all values come to, so that the write replaces them all.
func TestAWriteOverAViewReplacesAllItsValues(t *testing.T) {
	hub, ctx := new(nodetest.Hub), within(t)
	a, b := pair(t, hub)
	s := space(t, a)
	if err := s.SetPolicy(ctx, "score", node.PolicyMax); err != nil {
		t.Fatal(err)
	}
	rivals(t, ctx, hub, a, b, "score", node.Text("9"), node.Text("10"))
	e, err := s.Get(ctx, "score")
	if err != nil || string(e.Shown().Data) != "10" {
		t.Fatalf("got %+v, %v", e, err)
	}
	if _, err := s.Put(ctx, "score", node.Text("3"), node.IfVersion(e.Version)); err != nil {
		t.Fatal(err)
	}
	if e, err = s.Get(ctx, "score"); err != nil || string(e.Shown().Data) != "3" || len(e.Values) != 1 {
		t.Errorf("got %+v, %v, want 3 alone", e, err)
	}
	rivals(t, ctx, hub, a, b, "score", node.Text("1"), node.Text("2"))
	if res, err := s.Put(ctx, "score", node.Text("0")); err != nil || res.Remaining != 0 {
		t.Errorf("a plain write leaves %d values, %v", res.Remaining, err)
	}
}

// What an import leaves alone is what a plain read shows, also where that is not the newest value.
func TestAnImportUnderAViewComparesWithWhatIsShown(t *testing.T) {
	ctx := within(t)
	n := open(t, node.Config{})
	s := space(t, n)
	if err := s.SetPolicy(ctx, "**", node.PolicyMax); err != nil {
		t.Fatal(err)
	}
	conflict(t, ctx, n, "n", node.Text("9"), node.Text("10"))
	one := func(v string) node.ImportResult {
		res, err := s.Import(ctx, func(yield func(node.ImportLine, error) bool) {
			yield(node.ImportLine{Path: "n", Values: []node.Content{node.Text(v)}}, nil)
		})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	newest, err := s.Get(ctx, "n")
	if err != nil || string(newest.Values[0].Data) != "9" || string(newest.Shown().Data) != "10" {
		t.Fatalf("%+v, %v", newest, err)
	}
	if res := one("10"); res.Changed != 0 {
		t.Errorf("importing what is shown changed %d", res.Changed)
	}
	if res := one("9"); res.Changed != 1 {
		t.Errorf("importing the newest, which is not shown, changed %d", res.Changed)
	}
	if e, err := s.Get(ctx, "n"); err != nil || string(e.Shown().Data) != "9" || len(e.Values) != 1 {
		t.Errorf("%+v, %v", e, err)
	}
}

// A policy that comes, changes or goes is news about everything that competes: another version, and a record in the feed.
func TestAChangeOfPolicyIsToldInTheFeed(t *testing.T) {
	hub, ctx := new(nodetest.Hub), within(t)
	a, b := pair(t, hub)
	sa, sb := space(t, a), space(t, b)
	rivals(t, ctx, hub, a, b, "n", node.Text("1"), node.Text("2"))
	before, err := sb.Get(ctx, "n")
	if err != nil || before.Conflict != 2 || sb.Head().Conflicts != 1 {
		t.Fatalf("got %+v, %v, and %d conflicts", before, err, sb.Head().Conflicts)
	}
	var cursor node.Cursor = node.CursorNow
	seen := []node.Version{before.Version}
	for _, step := range []struct {
		policy   node.Policy
		shown    string
		conflict int
	}{{node.PolicyMin, "1", 0}, {node.PolicyMax, "2", 0}, {node.PolicyManual, "", 1}} {
		page, err := sb.Changes(ctx, node.ChangesOptions{Since: cursor})
		if err != nil {
			t.Fatal(err)
		}
		cursor = page.Cursor
		if err := sa.SetPolicy(ctx, "*", step.policy); err != nil {
			t.Fatal(err)
		}
		meet(t, ctx, a)
		page, err = sb.Changes(ctx, node.ChangesOptions{Since: cursor})
		if err != nil || len(page.Changes) != 1 || page.Changes[0].Path != "n" {
			t.Fatalf("%s: feed %+v, %v", step.policy, page.Changes, err)
		}
		e := page.Changes[0].Entry
		if step.shown != "" && string(e.Shown().Data) != step.shown || sb.Head().Conflicts != step.conflict || (e.Conflict > 0) != (step.conflict > 0) {
			t.Errorf("%s: entry %+v, %d conflicts", step.policy, e, sb.Head().Conflicts)
		}
		if step.policy != node.PolicyManual && slices.Contains(seen, e.Version) {
			t.Errorf("%s: the version %s names two things", step.policy, e.Version)
		}
		seen = append(seen, e.Version)
	}
}

// Values that do not fit leave the Conflict open, with the reason.
func TestAViewThatDoesNotFitLeavesTheConflictOpen(t *testing.T) {
	hub, ctx := new(nodetest.Hub), within(t)
	a, b := pair(t, hub)
	if err := space(t, a).SetPolicy(ctx, "**", node.PolicyUnion); err != nil {
		t.Fatal(err)
	}
	rivals(t, ctx, hub, a, b, "x", node.Text("a"), node.JSON([]int{1}))
	c, err := space(t, b).Conflict(ctx, "x")
	if err != nil || c.Policy != node.PolicyUnion || c.PolicyReason == "" || space(t, b).Head().Conflicts != 1 {
		t.Errorf("got %+v, %v", c, err)
	}
}

// Two devices that change one policy apart agree on the newer change; the list has a version that guards it.
func TestPoliciesAreReplicatedAndGuarded(t *testing.T) {
	hub, ctx := new(nodetest.Hub), within(t)
	a, b := pair(t, hub)
	sa, sb := space(t, a), space(t, b)
	hub.Cut(a.ID())
	for s, p := range map[*node.Space]node.Policy{sa: node.PolicyMax, sb: node.PolicyMin} {
		if err := s.SetPolicy(ctx, "a", p); err != nil {
			t.Fatal(err)
		}
	}
	hub.Heal()
	meet(t, ctx, a, b)
	ra, va, err := sa.Policies(ctx)
	rb, vb, errB := sb.Policies(ctx)
	if err != nil || errB != nil || va != vb || !slices.Equal(ra, rb) || len(ra) != 1 {
		t.Fatalf("%v %v %v, %v %v %v", ra, va, err, rb, vb, errB)
	}
	if err := sa.UnsetPolicy(ctx, "b"); !errors.Is(err, node.ErrNotFound) {
		t.Errorf("unset of nothing: %v", err)
	}
	if err := sa.UnsetPolicy(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if err := sa.SetPolicies(ctx, []node.PolicyRule{{Pattern: "c", Policy: node.PolicyMax}}, va); !errors.Is(err, node.ErrVersionMismatch) {
		t.Errorf("a list that was changed meanwhile: %v", err)
	}
	_, va, _ = sa.Policies(ctx)
	want := []node.PolicyRule{{Pattern: "c", Policy: node.PolicyMax}, {Pattern: "**", Policy: node.PolicyNewest}}
	if err := sa.SetPolicies(ctx, want, va); err != nil {
		t.Fatal(err)
	}
	if got, _, err := sa.Policies(ctx); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if err := sa.SetPolicy(ctx, "x", "latest"); !errors.Is(err, node.ErrBadRequest) {
		t.Errorf("an unknown policy: %v", err)
	}
}

// A policy outlives the process, and with it what it settles.
func TestPoliciesOutliveTheProcess(t *testing.T) {
	dir, ctx := t.TempDir(), within(t)
	n := open(t, node.Config{Dir: dir})
	if err := space(t, n).SetPolicy(ctx, "**", node.PolicyNewest); err != nil {
		t.Fatal(err)
	}
	line := node.ImportLine{Path: "a", Values: []node.Content{node.Text("1"), node.Text("2")}}
	if _, err := space(t, n).Import(ctx, func(yield func(node.ImportLine, error) bool) { yield(line, nil) }); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		e, err := space(t, n).Get(ctx, "a")
		if h := space(t, n).Head(); err != nil || e.Settled != 2 || h.Conflicts != 0 || h.Entries != 1 {
			t.Fatalf("got %+v, %v, %+v", e, err, h)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		n = open(t, node.Config{Dir: dir})
	}
}

// conflict makes a Conflict of two texts at path on one device.
func conflict(t *testing.T, ctx context.Context, n *node.Node, path string, values ...node.Content) {
	t.Helper()
	line := node.ImportLine{Path: path, Values: values}
	if _, err := space(t, n).Import(ctx, func(yield func(node.ImportLine, error) bool) { yield(line, nil) }); err != nil {
		t.Fatal(err)
	}
}

// shownAs returns all values at path, the shown one first.
func shownAs(t *testing.T, ctx context.Context, n *node.Node, path string) (values []string) {
	t.Helper()
	e, err := space(t, n).Get(ctx, path)
	if errors.Is(err, node.ErrNotFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range e.Values {
		values = append(values, string(v.Data))
	}
	return values
}

func TestAResolutionIsTakenBackOnce(t *testing.T) {
	dir, ctx := t.TempDir(), within(t)
	n := open(t, node.Config{Dir: dir, Name: "laptop"})
	conflict(t, ctx, n, "notes/todo.md", node.Text("new"), node.Text("old"))
	res, err := space(t, n).Resolve(ctx, "notes/todo.md", node.Resolution{KeepAll: true})
	if err != nil || res.Undo == "" || !slices.Equal(res.Copies, []string{"notes/todo (laptop).md"}) {
		t.Fatalf("got %+v, %v", res, err)
	}
	if got := shownAs(t, ctx, n, "notes/todo (laptop).md"); !slices.Equal(got, []string{"old"}) {
		t.Errorf("the copy holds %q", got)
	}
	if err := n.Close(); err != nil { // what can be taken back outlives the process
		t.Fatal(err)
	}
	n = open(t, node.Config{Dir: dir})
	s := space(t, n)
	if e, err := s.Undo(ctx, ""); err != nil || e.Conflict != 2 {
		t.Fatalf("undo: %+v, %v", e, err)
	}
	if got := shownAs(t, ctx, n, "notes/todo.md"); !slices.Equal(got, []string{"new", "old"}) {
		t.Errorf("after undo: %q", got)
	}
	if got := shownAs(t, ctx, n, "notes/todo (laptop).md"); got != nil {
		t.Errorf("the copy is still there: %q", got)
	}
	if _, err := s.Undo(ctx, res.Undo); !errors.Is(err, node.ErrNotFound) {
		t.Errorf("undo again: %v", err)
	}
}

func TestAResolutionThatWasWrittenOverIsNotTakenBack(t *testing.T) {
	ctx := within(t)
	n := open(t, node.Config{})
	s := space(t, n)
	conflict(t, ctx, n, "a", node.Text("1"), node.Text("2"))
	conflict(t, ctx, n, "b", node.Text("1"), node.Text("2"), node.Text("3"))
	var ids []string
	for _, path := range []string{"a", "b"} {
		res, err := s.Resolve(ctx, path, node.Resolution{Policy: node.PolicyMax})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, res.Undo)
	}
	if _, err := s.Put(ctx, "a", node.Text("later")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Undo(ctx, ids[0]); !errors.Is(err, node.ErrChangedSince) {
		t.Errorf("undo of what was written over: %v", err)
	}
	if e, err := s.Undo(ctx, ids[1]); err != nil || e.Conflict != 3 || string(e.Shown().Data) != "1" {
		t.Errorf("undo of another: %+v, %v", e, err)
	}
	if got := shownAs(t, ctx, n, "a"); !slices.Equal(got, []string{"later"}) {
		t.Errorf("a holds %q", got)
	}
}

// What a policy makes of values can be written once, where no policy holds; what cannot be made changes nothing.
func TestResolveByPolicy(t *testing.T) {
	ctx := within(t)
	n := open(t, node.Config{MergeDeadline: 50 * time.Millisecond})
	s := space(t, n)
	calls := 0
	stuck := make(chan struct{})
	t.Cleanup(func() { close(stuck) })
	for name, f := range map[string]node.MergeFunc{
		"join": func(_ context.Context, c node.Conflict) (node.Content, error) {
			all := ""
			for i, v := range c.Values {
				all += string(v.Data)
				c.Values[i].Data[0] = 'x' // what it does to its argument is its own affair
			}
			return node.Text(all), nil
		},
		"panics": func(context.Context, node.Conflict) (node.Content, error) { panic("no") },
		"fails":  func(context.Context, node.Conflict) (node.Content, error) { return node.Content{}, errors.New("no") },
		"differs": func(context.Context, node.Conflict) (node.Content, error) {
			calls++
			return node.Text(string(rune('a' + calls))), nil
		},
		"hangs": func(context.Context, node.Conflict) (node.Content, error) { <-stuck; return node.Content{}, nil },
		"large": func(context.Context, node.Conflict) (node.Content, error) {
			return node.Bytes(make([]byte, node.ValueBytesMax+1)), nil
		},
	} {
		if err := n.RegisterMerge(name, f); err != nil {
			t.Fatal(err)
		}
	}
	conflict(t, ctx, n, "a", node.Text("1"), node.Text("2"))
	for _, name := range []string{"panics", "fails", "differs", "hangs", "large", "nobody"} {
		if _, err := s.Resolve(ctx, "a", node.Resolution{Policy: node.PolicyMerge(name)}); !errors.Is(err, node.ErrMergeFailed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Resolve(ctx, "a", node.Resolution{Policy: node.PolicyHere}); !errors.Is(err, node.ErrMergeFailed) {
		t.Errorf("no policy here: %v", err)
	}
	if got := shownAs(t, ctx, n, "a"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("after failures: %q", got)
	}
	if res, err := s.Resolve(ctx, "a", node.Resolution{Policy: node.PolicyMerge("join")}); err != nil || string(res.Shown().Data) != "12" {
		t.Errorf("join: %+v, %v", res, err)
	}
	if err := n.RegisterMerge("no name", nil); err == nil {
		t.Error("a name with a space is allowed")
	}
}

// A registered function settles what competes under its policy, on whatever device knows it, as a decision that stands in history.
func TestAMergeFunctionSettlesConflictsByItself(t *testing.T) {
	hub, ctx := new(nodetest.Hub), within(t)
	a, b := pair(t, hub)
	if err := space(t, a).SetPolicy(ctx, "cart/**", node.PolicyMerge("sum")); err != nil {
		t.Fatal(err)
	}
	rivals(t, ctx, hub, a, b, "cart/1", node.Text("1"), node.Text("2"))
	if c, err := space(t, a).Conflict(ctx, "cart/1"); err != nil || c.PolicyReason == "" {
		t.Errorf("nobody knows the function: %+v, %v", c, err)
	}
	err := b.RegisterMerge("sum", func(_ context.Context, c node.Conflict) (node.Content, error) {
		sum := 0
		for _, v := range c.Values {
			n, err := strconv.Atoi(string(v.Data))
			if err != nil {
				return node.Content{}, err
			}
			sum += n
		}
		return node.Text(strconv.Itoa(sum)), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	await(t, space(t, a), "cart/1", "3")
	if h := space(t, b).Head(); h.Conflicts != 0 {
		t.Errorf("%d conflicts", h.Conflicts)
	}
	automatic := 0
	for r, err := range space(t, b).History(ctx, "cart/1", node.HistoryOptions{}) {
		if err == nil && r.Replaced != nil && r.Replaced.How == node.ReplacedByPolicy && r.Replaced.Policy == "merge:sum" {
			automatic++
		}
	}
	if automatic != 2 {
		t.Errorf("%d values in history were replaced by the policy, want 2", automatic)
	}
}

// TestAPolicySaysThatNoMergeDecidesADelete: a value that won over a delete waits for a person on every device, also where nobody
// registered the function.
func TestAPolicySaysThatNoMergeDecidesADelete(t *testing.T) {
	hub, ctx := new(nodetest.Hub), within(t)
	a, b := pair(t, hub)
	err := a.RegisterMerge("own", func(_ context.Context, c node.Conflict) (node.Content, error) { return c.Values[0].Content, nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, policy := range []node.Policy{node.PolicyMerge("own"), node.PolicyMergeText} {
		path := string(policy)
		if err := space(t, a).SetPolicy(ctx, path, policy); err != nil {
			t.Fatal(err)
		}
		mustPut(t, space(t, a), path, "1")
		meet(t, ctx, a, b)
		hub.Cut(b.ID())
		mustPut(t, space(t, a), path, "2")
		if _, err := space(t, b).Delete(ctx, path); err != nil {
			t.Fatal(err)
		}
		hub.Heal()
		meet(t, ctx, a, b)
		for _, n := range []*node.Node{a, b} {
			c, err := space(t, n).Conflict(ctx, path)
			if err != nil || c.Reason != node.DeleteUpdate || !strings.Contains(c.PolicyReason, "deleted the entry") {
				t.Errorf("%s, %s: %s, because %q, %v", n.Name(), policy, c.Reason, c.PolicyReason, err)
			}
		}
	}
}

// TestMergeValuesGivesEachContentOnce: newest first, as crdt.MergeValues does; an error is the function's own.
func TestMergeValuesGivesEachContentOnce(t *testing.T) {
	refuse := false
	f := node.MergeValues(func(values []crdt.Value) (crdt.Value, error) {
		if refuse {
			return crdt.Value{}, errors.New("no")
		}
		var all []string
		for _, v := range values {
			all = append(all, v.Type+" "+string(v.Data))
		}
		return crdt.Value{Type: "text/plain", Data: []byte(strings.Join(all, ", "))}, nil
	})
	var c node.Conflict
	for _, content := range []node.Content{{Data: []byte("2"), Type: "a/b"}, {Data: []byte("1"), Type: "a/b"}, {Data: []byte("2"), Type: "a/b"}, {Data: []byte("2"), Type: "c/d"}} {
		c.Values = append(c.Values, node.Value{Content: content})
	}
	if got, err := f(t.Context(), c); err != nil || got.Type != "text/plain" || string(got.Data) != "a/b 2, a/b 1, c/d 2" {
		t.Errorf("got %q of type %q, %v", got.Data, got.Type, err)
	}
	refuse = true
	if _, err := f(t.Context(), c); err == nil || err.Error() != "no" {
		t.Errorf("got %v, want the function's error", err)
	}
}

// What hangs or panics on one device is settled by another whose function works. Where each device has a function of its own, results meet,
// and the devices end with one of them.
func TestDevicesWithDifferentFunctions(t *testing.T) {
	hub, ctx := new(nodetest.Hub), within(t)
	a, b := pair(t, hub)
	s := space(t, a)
	for pattern, name := range map[string]string{"hangs/*": "hangs", "panics/*": "panics", "own/*": "own"} {
		if err := s.SetPolicy(ctx, pattern, node.PolicyMerge(name)); err != nil {
			t.Fatal(err)
		}
	}
	stuck := make(chan struct{})
	t.Cleanup(func() { close(stuck) })
	for _, n := range []*node.Node{a, b} {
		for name, f := range map[string]node.MergeFunc{
			"hangs":  func(context.Context, node.Conflict) (node.Content, error) { <-stuck; return node.Content{}, nil },
			"panics": func(context.Context, node.Conflict) (node.Content, error) { panic("cannot") },
		} {
			if n == b {
				f = func(context.Context, node.Conflict) (node.Content, error) { return node.Text("by b"), nil }
			}
			if err := n.RegisterMerge(name, f); err != nil {
				t.Fatal(err)
			}
		}
	}
	rivals(t, ctx, hub, a, b, "hangs/1", node.Text("1"), node.Text("2"))
	rivals(t, ctx, hub, a, b, "panics/1", node.Text("1"), node.Text("2"))
	for _, path := range []string{"hangs/1", "panics/1"} {
		await(t, s, path, "by b")
	}
	// Both write, because each learns of the function while it is alone with the conflict.
	rivals(t, ctx, hub, a, b, "own/1", node.Text("1"), node.Text("2"))
	hub.Cut(a.ID())
	for _, n := range []*node.Node{a, b} {
		err := n.RegisterMerge("own", func(context.Context, node.Conflict) (node.Content, error) { return node.Text("by " + n.Name()), nil })
		if err != nil {
			t.Fatal(err)
		}
		await(t, space(t, n), "own/1", "by "+n.Name())
	}
	hub.Heal()
	meet(t, ctx, a, b)
	for {
		ea, errA := s.Get(ctx, "own/1")
		eb, errB := space(t, b).Get(ctx, "own/1")
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if ea.Version == eb.Version && ea.Conflict == 0 && len(ea.Values) == 1 {
			break
		}
		if _, err := s.Changes(ctx, node.ChangesOptions{Since: node.CursorNow, Wait: 50 * time.Millisecond}); err != nil {
			t.Fatalf("%+v and %+v: %v", ea, eb, err)
		}
	}
}

// A function that fails leaves the Conflict open, with its reason, where the function is known.
func TestAMergeFunctionThatFailsLeavesTheReason(t *testing.T) {
	ctx := within(t)
	n := open(t, node.Config{})
	s := space(t, n)
	if err := n.RegisterMerge("no", func(context.Context, node.Conflict) (node.Content, error) { panic("cannot") }); err != nil {
		t.Fatal(err)
	}
	if err := s.SetPolicy(ctx, "**", node.PolicyMerge("no")); err != nil {
		t.Fatal(err)
	}
	conflict(t, ctx, n, "a", node.Text("1"), node.Text("2"))
	for {
		c, err := s.Conflict(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(c.PolicyReason, "panicked: cannot") {
			break
		}
		if _, err := s.Changes(ctx, node.ChangesOptions{Since: node.CursorNow, Wait: 50 * time.Millisecond}); err != nil {
			t.Fatalf("the reason does not come: %q, %v", c.PolicyReason, err)
		}
	}
}

// TestCallsThatNeverReturnAreBounded: a function that ignores its context is called no more once eight calls hang, says so, and is called
// again when they have returned.
func TestCallsThatNeverReturnAreBounded(t *testing.T) {
	const most = 8
	ctx := within(t)
	n := open(t, node.Config{MergeDeadline: 20 * time.Millisecond})
	s := space(t, n)
	var calls, running atomic.Int32
	stuck := make(chan struct{})
	hangs := func(_ context.Context, c node.Conflict) (node.Content, error) {
		calls.Add(1)
		running.Add(1)
		defer running.Add(-1)
		<-stuck
		return c.Values[0].Content, nil
	}
	if err := n.RegisterMerge("hangs", hangs); err != nil {
		t.Fatal(err)
	}
	conflict(t, ctx, n, "a", node.Text("1"), node.Text("2"))
	ask := func() error {
		_, err := s.Resolve(ctx, "a", node.Resolution{Policy: node.PolicyMerge("hangs")})
		return err
	}
	for range most {
		if err := ask(); err == nil || !strings.Contains(node.ProblemOf(err).Detail, "did not return within 20ms") {
			t.Fatalf("%v", err)
		}
	}
	for range 3 {
		if err := ask(); err == nil || !strings.Contains(node.ProblemOf(err).Detail, "is not called again: 8 calls") {
			t.Fatalf("%v", err)
		}
	}
	if got := calls.Load(); got != most {
		t.Errorf("%d calls, want %d", got, most)
	}
	close(stuck)
	for running.Load() > 0 {
		runtime.Gosched()
	}
	for err := ask(); err != nil; err = ask() { // the machine may be too busy for 20 ms
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}
