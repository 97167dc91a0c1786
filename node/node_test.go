package node_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"syncline/node"
	"syncline/node/nodetest"
)

// within bounds a test that waits for something that must happen.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func open(t testing.TB, cfg node.Config) *node.Node {
	t.Helper()
	n, err := node.Open(within(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func space(t testing.TB, n *node.Node) *node.Space {
	t.Helper()
	s, err := n.Space("")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pair returns two joined devices.
func pair(t testing.TB, hub *nodetest.Hub) (a, b *node.Node) {
	t.Helper()
	a = open(t, node.Config{Name: "laptop", Network: hub.New()})
	b = open(t, node.Config{Name: "desktop", Network: hub.New()})
	join(t, a, b)
	return a, b
}

func join(t testing.TB, inviter, joiner *node.Node) {
	t.Helper()
	ctx := within(t)
	inv, err := inviter.Invite(ctx, nil, node.InviteOptions{AutoAccept: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := joiner.Join(ctx, inv.Ticket); err != nil {
		t.Fatal(err)
	}
}

// await waits until path holds value. Where deletes are forgotten while it reads from the beginning, it begins anew.
func await(t testing.TB, s *node.Space, path, value string) {
	t.Helper()
	ctx := within(t)
	for {
		for ev, err := range s.Watch(ctx, path, "") {
			if errors.Is(err, node.ErrCursorExpired) {
				break
			}
			if err != nil {
				t.Fatalf("%s did not become %q: %v", path, value, err)
			}
			if e := ev.Change.Entry; e != nil && e.Path == path && string(e.Shown().Data) == value {
				return
			}
		}
	}
}

func TestWriteReachesTheOtherDevice(t *testing.T) {
	a, b := pair(t, new(nodetest.Hub))
	if _, err := space(t, a).Put(within(t), "hello", node.Text("world")); err != nil {
		t.Fatal(err)
	}
	await(t, space(t, b), "hello", "world")
	if _, err := space(t, b).WaitSync(within(t), node.SyncOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestWritesMadeApartShowAsTheSameConflictOnBothDevices(t *testing.T) {
	hub := new(nodetest.Hub)
	a, b := pair(t, hub)
	sa, sb := space(t, a), space(t, b)
	ctx := within(t)
	hub.Cut(a.ID())
	for s, v := range map[*node.Space]string{sa: "from a", sb: "from b"} {
		if _, err := s.Put(ctx, "theme", node.Text(v)); err != nil {
			t.Fatal(err)
		}
	}
	hub.Heal()
	for _, s := range []*node.Space{sa, sb} {
		if _, err := s.WaitSync(ctx, node.SyncOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	ca, err := sa.Conflict(ctx, "theme")
	if err != nil {
		t.Fatal(err)
	}
	cb, err := sb.Conflict(ctx, "theme")
	if err != nil {
		t.Fatal(err)
	}
	if ca.Version != cb.Version || len(ca.Values) != 2 || ca.Reason != node.UpdateUpdate {
		t.Fatalf("conflicts differ: %+v and %+v", ca, cb)
	}
	if _, err := sb.Resolve(ctx, "theme", node.Resolution{Keep: cb.Values[1].ID}); err != nil {
		t.Fatal(err)
	}
	await(t, sa, "theme", string(cb.Values[1].Data))
	if _, err := sa.Conflict(ctx, "theme"); !errors.Is(err, node.ErrNoConflict) {
		t.Fatalf("after the resolution: %v, want ErrNoConflict", err)
	}
}

func TestDataOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	n := open(t, node.Config{Dir: dir, Name: "laptop"})
	ctx := within(t)
	if _, err := space(t, n).Put(ctx, "a/b", node.Text("1")); err != nil {
		t.Fatal(err)
	}
	id := n.ID()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	n = open(t, node.Config{Dir: dir})
	if n.ID() != id || n.Name() != "laptop" {
		t.Errorf("the device is %s %q after a restart, want %s %q", n.ID().Short(), n.Name(), id.Short(), "laptop")
	}
	e, err := space(t, n).Get(ctx, "a/b")
	if err != nil || string(e.Shown().Data) != "1" {
		t.Errorf("got %v, %v after a restart", e, err)
	}
}
