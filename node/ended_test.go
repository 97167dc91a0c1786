package node_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"

	"syncline/crdt"
	"syncline/node"
	"syncline/node/nodetest"
)

func last[T any](seq iter.Seq2[T, error]) (err error) {
	for _, e := range seq {
		err = e
	}
	return err
}

// calls returns every method of a space that returns an error, as a call that would succeed while it is open.
func calls(ctx context.Context, s *node.Space) map[string]func() error {
	put := func(tx *node.Tx) error { tx.Put("a", node.Text("1")); return nil }
	return map[string]func() error{
		"Get":       func() error { _, err := s.Get(ctx, "a"); return err },
		"Put":       func() error { _, err := s.Put(ctx, "a", node.Text("1")); return err },
		"Delete":    func() error { _, err := s.Delete(ctx, "a"); return err },
		"Tx":        func() error { _, err := s.Tx(ctx, put); return err },
		"List":      func() error { return last(s.List(ctx, "", node.ListOptions{})) },
		"Conflicts": func() error { return last(s.Conflicts(ctx, "")) },
		"Conflict":  func() error { _, err := s.Conflict(ctx, "a"); return err },
		"Resolve":   func() error { _, err := s.Resolve(ctx, "a", node.Resolution{KeepAll: true}); return err },
		"Changes":   func() error { _, err := s.Changes(ctx, node.ChangesOptions{}); return err },
		"Watch":     func() error { return last(s.Watch(ctx, "", "")) },
		"History":   func() error { return last(s.History(ctx, "a", node.HistoryOptions{})) },
		"Revision":  func() error { _, err := s.Revision(ctx, "a", "h.1"); return err },
		"Restore":   func() error { _, err := s.Restore(ctx, "a", "h.1"); return err },
		"Policies":  func() error { _, _, err := s.Policies(ctx); return err },
		"SetPolicy": func() error { return s.SetPolicy(ctx, "a", node.PolicyNewest) },
		"Status":    func() error { _, err := s.Status(ctx); return err },
		"Devices":   func() error { _, err := s.Devices(ctx); return err },
		"Datastore": func() error { _, err := s.Datastore(node.DatastoreOptions{}); return err },
		"WaitSync":  func() error { _, err := s.WaitSync(ctx, node.SyncOptions{}); return err },
		"Import": func() error {
			_, err := s.Import(ctx, one(node.ImportLine{Path: "a", Values: []node.Content{node.Text("2")}}))
			return err
		},
		"DeletePrefix": func() error { _, err := s.DeletePrefix(ctx, "a"); return err },
		"View":         func() error { v := node.Of[string](s, ""); last2(v.All(ctx)); return v.Err() },
	}
}

func one[T any](v T) iter.Seq2[T, error] { return func(yield func(T, error) bool) { yield(v, nil) } }

func last2[K, V any](seq iter.Seq2[K, V]) {
	for range seq {
	}
}

// Every method says plainly that the node is closed, instead of blaming the store or answering with nothing.
func TestAClosedNodeSaysSo(t *testing.T) {
	ctx := within(t)
	n := open(t, node.Config{Network: new(nodetest.Hub).New()})
	s := space(t, n)
	mustPut(t, s, "a", "1")
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	all := calls(ctx, s)
	all["Node.Invite"] = func() error { _, err := n.Invite(ctx, nil, node.InviteOptions{}); return err }
	all["Node.Invites"] = func() error { _, err := n.Invites(ctx); return err }
	all["Node.Join"] = func() error { _, err := n.Join(ctx, "peer:x"); return err }
	all["Node.AddAddress"] = func() error { return n.AddAddress(ctx, "x", "/ip4/127.0.0.1/tcp/1") }
	all["Node.RegisterMerge"] = func() error {
		return n.RegisterMerge("mine", func(context.Context, node.Conflict) (node.Content, error) { return node.Content{}, nil })
	}
	for name, call := range all {
		if err := call(); !errors.Is(err, node.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
}

// After a Join the handle of the space that was dropped says what happened; the policies of one that is used keep it.
func TestAJoinEndsTheHandleOfADroppedSpace(t *testing.T) {
	ctx, hub := within(t), new(nodetest.Hub)
	a := open(t, node.Config{Name: "laptop", Network: hub.New()})
	b := open(t, node.Config{Name: "desktop", Network: hub.New()})
	old := space(t, b)
	join(t, a, b)
	for name, call := range calls(ctx, old) {
		if err := call(); !errors.Is(err, node.ErrSpaceLeft) {
			t.Errorf("%s: %v, want ErrSpaceLeft", name, err)
		}
	}
	mustPut(t, space(t, b), "a", "1")

	c := open(t, node.Config{Name: "phone", Network: hub.New()})
	used := space(t, c)
	if err := used.SetPolicy(ctx, "cart/**", node.PolicyUnion); err != nil {
		t.Fatal(err)
	}
	join(t, a, c)
	if rules, _, err := used.Policies(ctx); err != nil || len(rules) != 1 {
		t.Errorf("policies before a join: %v, %v", rules, err)
	}
}

// A reader that never comes back, or that closes the node in its loop, does not keep it open.
func TestAnOpenIterationDoesNotHoldUpClose(t *testing.T) {
	for _, store := range []string{"pebble:", "leveldb:", "mem:"} {
		n := open(t, node.Config{Dir: t.TempDir(), RuntimeDir: t.TempDir(), Store: store})
		s, ctx := space(t, n), within(t)
		for i := range 10 {
			mustPut(t, s, fmt.Sprint("k/", i), "x")
		}
		next, stop := iter.Pull2(s.List(ctx, "", node.ListOptions{}))
		next()
		var seen int
		var err error
		for _, err = range s.List(ctx, "", node.ListOptions{}) {
			if seen++; seen == 1 {
				if e := n.Close(); e != nil {
					t.Error(e)
				}
			}
		}
		if seen != 2 || !errors.Is(err, node.ErrClosed) {
			t.Errorf("%s: the loop that closed the node went on for %d steps, and ended with %v", store, seen, err)
		}
		if _, err, ok := next(); !ok || !errors.Is(err, node.ErrClosed) {
			t.Errorf("%s: the reader that came back too late: %v", store, err)
		}
		if _, _, ok := next(); ok {
			t.Errorf("%s: an ended reader goes on", store)
		}
		stop()
	}
}

// Whoever calls Close may rely on it, whoever else does at the same time.
func TestEveryCloseWaits(t *testing.T) {
	dir := t.TempDir()
	for range 5 {
		n, err := node.Open(within(t), node.Config{Dir: dir, RuntimeDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				if err := n.Close(); err != nil {
					t.Error(err)
				}
				if _, err := space(t, n).Get(t.Context(), "a"); !errors.Is(err, node.ErrClosed) {
					t.Errorf("after Close: %v", err)
				}
			})
		}
		wait.Wait()
	}
}

// What is given wrongly is refused, before anything is written and without a crash.
func TestWhatCannotBeMeantIsRefused(t *testing.T) {
	ctx := within(t)
	n := open(t, node.Config{})
	s := space(t, n)
	mustPut(t, s, "a", "1")
	for name, call := range map[string]func() error{
		"IfVersion of nothing": func() error { _, err := s.Put(ctx, "a", node.Text("2"), node.IfVersion("")); return err },
		"IfVersion in a Tx": func() error {
			_, err := s.Tx(ctx, func(tx *node.Tx) error { tx.Put("a", node.Text("2"), node.IfVersion("")); return nil })
			return err
		},
		"a kind there is not": func() error { _, err := s.Put(ctx, "a", node.Text("2"), node.As(crdt.Kind(99))); return err },
		"no function":         func() error { _, err := s.Tx(ctx, nil); return err },
		"no merge":            func() error { return n.RegisterMerge("mine", nil) },
		"a zero entry":        func() error { return node.Entry{}.Decode(new(int)) },
	} {
		if err := call(); !errors.Is(err, node.ErrBadRequest) {
			t.Errorf("%s: %v, want ErrBadRequest", name, err)
		}
	}
	if e, err := s.Get(ctx, "a"); err != nil || string(e.Shown().Data) != "1" {
		t.Errorf("what was refused left %+v, %v", e, err)
	}
	if v := (node.Entry{}).Shown(); v.ID != "" {
		t.Errorf("a zero entry shows %+v", v)
	}
	if _, err := s.Put(ctx, "a", node.Text("2"), nil); err != nil {
		t.Errorf("an option that is nil: %v", err)
	}
}

// A function that is given to Resolve can fail in no other way than merges do.
func TestAFailingResolutionIsAFailedMerge(t *testing.T) {
	hub, ctx := new(nodetest.Hub), within(t)
	a, b := pair(t, hub)
	rivals(t, ctx, hub, a, b, "a", node.Text("1"), node.Text("2"))
	broken := errors.New("broken")
	for name, f := range map[string]func(node.Conflict) (node.Content, error){
		"fails":  func(node.Conflict) (node.Content, error) { return node.Content{}, broken },
		"panics": func(node.Conflict) (node.Content, error) { panic("no") },
	} {
		_, err := space(t, a).Resolve(ctx, "a", node.Resolution{Merge: f})
		if !errors.Is(err, node.ErrMergeFailed) || node.ProblemOf(err).Path != "a" || name == "fails" && !errors.Is(err, broken) {
			t.Errorf("a function that %s: %v, want ErrMergeFailed", name, err)
		}
	}
}

// Which backend a directory belongs to is no damage: the answer says how to open it.
func TestAnotherBackendIsNoDamage(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, node.Config{Dir: dir, RuntimeDir: t.TempDir()}).Close(); err != nil {
		t.Fatal(err)
	}
	for store, want := range map[string]error{"leveldb:": node.ErrStoreOther, "badger:": node.ErrBadRequest, "pebble:fast": node.ErrBadRequest} {
		_, err := node.Open(within(t), node.Config{Dir: dir, Store: store})
		if p := node.ProblemOf(err); !errors.Is(err, want) || p.Hint == "" {
			t.Errorf("%s: %v, want %v with a hint", store, err, want)
		}
	}
}
