package node_test

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-datastore"

	"syncline/node"
	"syncline/node/nodetest"
	"syncline/store"
	"syncline/store/mem"
)

// A weakDisk loses, whenever it is opened, what it has not confirmed.
type weakDisk struct {
	mem.Datastore
	mu     sync.Mutex // guards opened
	opened int
	token  store.MemoryToken
}

func (d *weakDisk) open(string) (datastore.Batching, store.BootToken, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened++
	d.Crash(0)
	return d, &d.token, nil
}

// putUntilItWorks writes to the default space of a node, and returns that space. It fails if it is refused for another reason than a store
// that cannot be written or is being opened anew.
func putUntilItWorks(t *testing.T, n *node.Node, path, value string) *node.Space {
	t.Helper()
	ctx := within(t)
	for {
		s := space(t, n)
		_, err := s.Put(ctx, path, node.Text(value))
		if err == nil {
			return s
		}
		if !errors.Is(err, node.ErrStore) && !errors.Is(err, node.ErrDiskFull) && !errors.Is(err, node.ErrSpaceLeft) {
			t.Fatalf("%s: %v", path, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestAFailedSyncIsOverByItself: the store is opened anew, as after a crash. What was not confirmed is lost on all devices, or comes back from the
// one that had heard of it; what is written from then on goes by another replica id, and to the devices that were connected all the while.
func TestAFailedSyncIsOverByItself(t *testing.T) {
	var hub nodetest.Hub
	disk := &weakDisk{}
	a := open(t, node.Config{Dir: t.TempDir(), Name: "laptop", Network: hub.New(), Backend: disk.open})
	b := open(t, node.Config{Name: "desktop", Network: hub.New()})
	join(t, a, b)
	old, sb := space(t, a), space(t, b)
	mustPut(t, old, "a", "1")
	await(t, sb, "a", "1")
	disk.Inject(mem.SyncFails)
	if _, err := old.Put(within(t), "a", node.Text("2")); !errors.Is(err, node.ErrStore) || !errors.Is(err, syscall.EIO) {
		t.Errorf("a write that was not confirmed: %v", err)
	}
	disk.Inject(nil)
	s := putUntilItWorks(t, a, "b", "3")
	if _, err := old.Get(within(t), "a"); !errors.Is(err, node.ErrSpaceLeft) || s == old {
		t.Errorf("the handle from before: %v", err)
	}
	await(t, sb, "b", "3")
	mustPut(t, sb, "c", "4")
	await(t, s, "c", "4")
	if _, err := s.WaitSync(within(t), node.SyncOptions{}); err != nil {
		t.Error(err)
	}
	here, err := s.Get(within(t), "a")
	there, err2 := sb.Get(within(t), "a")
	if got := string(here.Shown().Data); err != nil || err2 != nil || got != string(there.Shown().Data) || got != "1" && got != "2" {
		t.Errorf("a is %q, %v and %q, %v", got, err, there.Shown().Data, err2)
	}
	st, err := s.Status(within(t))
	if err != nil || len(st.Warnings)+len(st.Alarms) > 0 || len(st.Devices) != 1 || st.Devices[0].State != node.StateInSync {
		t.Errorf("status: %+v, %v", st, err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	last, err := store.Open(context.Background(), disk, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := last.Check(); err != nil {
		t.Error(err)
	}
	if n := last.Context().Len(); n != 3 { // of the desktop, and two of the laptop
		t.Errorf("%d replicas have written", n)
	}
}

// TestAStoreIsOpenedAnewAgainAndAgain: also if the disk fails once more, or does not open at first. Invites stay.
func TestAStoreIsOpenedAnewAgainAndAgain(t *testing.T) { synctest.Test(t, opensAgainAndAgain) }

func opensAgainAndAgain(t *testing.T) {
	var hub nodetest.Hub
	disk := &weakDisk{}
	n := open(t, node.Config{Dir: t.TempDir(), Network: hub.New(), Backend: disk.open})
	inv, err := n.Invite(within(t), nil, node.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, space(t, n), "a", "0")
	for i, fails := range []func(mem.Op, int) error{mem.SyncFails, mem.FailFrom(0, syscall.EIO)} {
		s := space(t, n)
		disk.Inject(mem.SyncFails)
		if _, err := s.Put(within(t), "a", node.Text("lost")); !errors.Is(err, node.ErrStore) {
			t.Fatalf("%d: %v", i, err)
		}
		disk.Inject(fails)
		for disk.times() < 3*(i+1) {
			if _, err := space(t, n).Put(within(t), "a", node.Text("lost")); err == nil {
				t.Fatalf("%d: a write that nothing confirmed succeeded", i)
			}
			time.Sleep(time.Millisecond)
		}
		disk.Inject(nil)
		putUntilItWorks(t, n, "a", "1")
	}
	if open, err := n.Invites(within(t)); err != nil || len(open) != 1 || open[0].ID != inv.ID {
		t.Errorf("invites: %v, %v", open, err)
	}
}

func (d *weakDisk) times() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.opened
}

// TestASpaceWithAFailedStoreCloses: a node ends whatever its disk does.
func TestASpaceWithAFailedStoreCloses(t *testing.T) {
	disk := &weakDisk{}
	dir := t.TempDir()
	n := open(t, node.Config{Dir: dir, Backend: disk.open})
	mustPut(t, space(t, n), "a", "1")
	disk.Inject(mem.SyncFails)
	if _, err := space(t, n).Put(within(t), "a", node.Text("2")); err == nil {
		t.Fatal("a write that was not confirmed succeeded")
	}
	n.Close()
	disk.Inject(nil)
	n = open(t, node.Config{Dir: dir, Backend: disk.open})
	if e, err := space(t, n).Get(within(t), "a"); err != nil || string(e.Shown().Data) != "1" {
		t.Errorf("a = %q, %v", e.Shown().Data, err)
	}
}
