package node_test

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"syncline/gossip"
	"syncline/node"
	"syncline/node/nodetest"
	"syncline/store/mem"
)

// TestAFullDiskRecovers: while the disk is full, writes are refused with the reason and change nothing, reads go on, and the device
// neither loses nor claims what others write. When there is space again, all goes on without a restart.
func TestAFullDiskRecovers(t *testing.T) {
	var hub nodetest.Hub
	a, b := newPatient(t, &hub, "laptop"), newPatient(t, &hub, "desktop")
	join(t, a.n, b.n)
	b.s = space(t, b.n)
	a.put("a", "1")
	await(t, b.s, "a", "1")
	b.ds.Inject(mem.DiskFull)
	_, err := b.s.Put(within(t), "a", node.Text("2"))
	if p := node.ProblemOf(err); !errors.Is(err, node.ErrDiskFull) || !p.Retryable || p.Hint == "" {
		t.Errorf("a write on a full disk: %v", err)
	}
	if _, err := b.s.Tx(within(t), func(tx *node.Tx) error {
		tx.Put("x", node.Text("1"))
		tx.Delete("a")
		return nil
	}); !errors.Is(err, node.ErrDiskFull) {
		t.Errorf("a transaction on a full disk: %v", err)
	}
	a.put("b", "3") // gossip and sessions run into the full disk, too
	b.want(map[string]string{"a": "1", "b": "", "x": ""})
	if st, err := a.s.Status(within(t)); err != nil || len(st.Devices) != 1 || st.Devices[0].Missing.Entries == 0 {
		t.Errorf("the other device is told of as if it held all: %+v, %v", st.Devices, err)
	}
	b.ds.Inject(nil)
	await(t, b.s, "b", "3")
	b.put("a", "2")
	await(t, a.s, "a", "2")
	a.sync()
	if w := warnings(t, b); len(w) > 0 {
		t.Errorf("warnings when all is well again: %+v", w)
	}
	b.check()
}

func warnings(t *testing.T, p *patient) []node.Warning {
	st, err := p.s.Status(within(t))
	if err != nil {
		t.Fatal(err)
	}
	return st.Warnings
}

// TestAFailedSyncEndsWriting: the write that was not confirmed says so, later ones are refused with the reason and the way out, reads
// go on, and a start makes all well. With an observer nothing is opened anew.
func TestAFailedSyncEndsWriting(t *testing.T) {
	p := &patient{t: t, dir: t.TempDir(), stores: map[string]*mem.Datastore{}}
	p.n = open(t, node.Config{Dir: p.dir, Backend: p.backend, Observe: blind{}})
	p.s = space(t, p.n)
	p.put("a", "1")
	if err := p.s.SetPolicy(within(t), "**", node.PolicyMergeText); err != nil { // after a failure it looks for conflicts at once
		t.Fatal(err)
	}
	p.ds.Inject(mem.SyncFails)
	if _, err := p.s.Put(within(t), "a", node.Text("2")); !errors.Is(err, node.ErrStore) || !errors.Is(err, syscall.EIO) {
		t.Errorf("a write that was not confirmed: %v", err)
	}
	p.ds.Inject(nil) // the disk works again, but nobody knows what it lost
	_, err := p.s.Put(within(t), "b", node.Text("3"))
	if !errors.Is(err, node.ErrStore) || node.ProblemOf(err).Hint == "" {
		t.Errorf("a write after that: %v, hint %q", err, node.ProblemOf(err).Hint)
	}
	p.want(map[string]string{"b": ""})
	if _, err := p.s.Put(within(t), "/", node.Text("")); !errors.Is(err, node.ErrBadPath) { // a step that writes nothing
		t.Error(err)
	}
	if w := warnings(t, p); len(w) != 1 || w[0].Hint == "" {
		t.Errorf("warnings: %+v", w)
	}
	p.n.Close()
	again := open(t, node.Config{Dir: p.dir, Backend: p.backend})
	p.n, p.s = again, space(t, again)
	p.put("b", "3")
	p.want(map[string]string{"b": "3"})
	p.check()
}

// blind is an observer that does not look.
type blind struct{}

func (blind) Stepping(gossip.SpaceID, node.Committed, node.Time, []node.Input) {}
func (blind) Stepped(gossip.SpaceID, []node.Output, error)                     {}
func (blind) Replied(gossip.SpaceID, node.Reply)                               {}

// TestADeleteMakesRoomOnAFullDisk: it is carried out without a place in the history, says so, and reaches the other device; also one that
// came from there is. What brings a value is refused all the while, and so is a delete if the disk has not even that room.
func TestADeleteMakesRoomOnAFullDisk(t *testing.T) {
	var hub nodetest.Hub
	a, b := newPatient(t, &hub, "laptop"), newPatient(t, &hub, "desktop")
	join(t, a.n, b.n)
	b.s = space(t, b.n)
	a.put("here", "1")
	a.put("there", "2")
	a.put("more/1", "3")
	a.put("more/2", "4")
	a.sync()
	b.ds.Inject(mem.NoReserve)
	if _, err := b.s.Delete(within(t), "here"); !errors.Is(err, node.ErrDiskFull) {
		t.Errorf("a delete without any room: %v", err)
	}
	b.ds.Inject(mem.DiskFull)
	res, err := b.s.Delete(within(t), "here")
	if err != nil || !res.Unkept {
		t.Fatalf("a delete on a full disk: %+v, %v", res, err)
	}
	if _, err := b.s.Put(within(t), "here", node.Text("again")); !errors.Is(err, node.ErrDiskFull) {
		t.Errorf("a write on a full disk: %v", err)
	}
	if n, err := b.s.DeletePrefix(within(t), "more/"); err != nil || n != (node.Deleted{Entries: 2, Unkept: true}) {
		t.Errorf("several deletes on a full disk: %+v, %v", n, err)
	}
	if _, err := a.s.Delete(within(t), "there"); err != nil {
		t.Fatal(err)
	}
	for !gone(t, b.s, "there") || !gone(t, a.s, "here") || !gone(t, a.s, "more/1") {
		time.Sleep(time.Millisecond)
	}
	for r, err := range b.s.History(within(t), "here", node.HistoryOptions{}) {
		if err != nil || !r.Deleted {
			t.Errorf("the history has %q, %v", r.Data, err)
		}
	}
	if r, err := a.s.Restore(within(t), "here", lastValue(t, a.s, "here").ID); err != nil || r.Unkept {
		t.Errorf("the device with room has not kept it: %+v, %v", r, err)
	}
	b.ds.Inject(nil)
	a.sync() // what came while the disk was full was not taken, and comes again with a session
	await(t, b.s, "here", "1")
	if res, err := b.s.Delete(within(t), "here"); err != nil || res.Unkept {
		t.Errorf("a delete when there is room: %+v, %v", res, err)
	}
	a.check()
	b.check()
}

// lastValue returns the newest value in the history of a path that is no delete.
func lastValue(t *testing.T, s *node.Space, path string) node.Revision {
	t.Helper()
	for r, err := range s.History(within(t), path, node.HistoryOptions{}) {
		if err == nil && !r.Deleted {
			return r
		}
	}
	t.Fatalf("%s has no value in the history", path)
	return node.Revision{}
}
