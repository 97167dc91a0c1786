package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/ipfs/go-datastore"

	"syncline/store"
	"syncline/store/mem"
)

// spoil damages the record of the values at a path.
func (r *rig) spoil(path string) {
	r.t.Helper()
	if err := r.ds.Put(context.Background(), datastore.RawKey(string(store.RecordKey(path))), []byte{1, 0xff, 0xff}); err != nil {
		r.t.Fatal(err)
	}
}

// TestDamageDoesNotKeepOthersFromBeingWritten: the log of deletes is full, and one of its deletes lies at a path that cannot be read.
func TestDamageDoesNotKeepOthersFromBeingWritten(t *testing.T) {
	a, b := newRig(t, "a"), newRig(t, "b")
	a.cfg.DeleteLog = 2
	a.put("torn", "1")
	first := b.put("torn", "2") // beside the delete that follows
	a.step(Write{Tag: 1, Ops: []WriteOp{{Path: "torn", Delete: true}}})
	a.step(Ops{Author: b.self, From: b.self, Ops: [][]byte{first}})
	a.spoil("torn")
	for i := range 6 {
		path := fmt.Sprint("path", i)
		a.put(path, "3")
		a.step(Write{Tag: 1, Ops: []WriteOp{{Path: path, Delete: true}}})
	}
	a.step(Repair{Tag: 2, Paths: []string{"torn"}, GiveUp: true})
	if n := a.st.Head().Deletes; n > 2 {
		t.Errorf("%d deletes are remembered once all can be read, of at most 2", n)
	}
}

// A refusingDisk commits nothing while it refuses.
type refusingDisk struct {
	*mem.Datastore
	refuses bool
}

func (d *refusingDisk) Batch(ctx context.Context) (datastore.Batch, error) {
	if d.refuses {
		return nil, errors.New("the disk refuses")
	}
	return d.Datastore.Batch(ctx)
}

// TestARepairIsAnsweredOnce, also if its step fails, or one after its answer.
func TestARepairIsAnsweredOnce(t *testing.T) {
	a, b := newRig(t, "a"), newRig(t, "b")
	lost := b.put("torn", "1")
	a.step(Ops{Author: b.self, From: b.self, Ops: [][]byte{lost}}, PeerUp{Peer: b.self})
	a.spoil("torn")
	disk := &refusingDisk{Datastore: a.ds}
	st, err := store.Open(context.Background(), disk, store.Options{Token: a.token})
	if err != nil {
		t.Fatal(err)
	}
	cfg := a.cfg
	cfg.Store = st
	a.st, a.Replica = st, NewReplica(cfg)
	a.step(PeerUp{Peer: b.self})
	ask := func(tag uint64) Input { return Repair{Tag: tag, Paths: []string{"torn"}, Peer: b.self} }
	fails := Write{Tag: 9, Ops: []WriteOp{{Path: "other", Content: Text("2")}}}
	answers := func(tag uint64, in ...Input) (n int) {
		disk.refuses = true
		out, err := a.Step(a.now, in...)
		if disk.refuses = false; err == nil {
			t.Error("the step did not fail")
		}
		for _, o := range out {
			if x, ok := o.(Reply); ok && x.Tag == tag {
				n++
			}
		}
		return n
	}
	if n := answers(2, ask(2), fails); n != 1 {
		t.Errorf("a repair whose step fails is answered %d times", n)
	}
	a.step(ask(3))
	id := slices.Max(a.sessionIDs())
	if n := answers(3, SessionEnd{ID: id}, fails); n != 1 {
		t.Errorf("a repair whose session ends in a step that fails is answered %d times", n)
	}
	a.step(ask(4))
	if n := answers(4, fails); n != 1 {
		t.Errorf("a repair under way is answered %d times when a step fails", n)
	}
	if n := answers(4, fails); n != 0 {
		t.Errorf("a repair is answered %d times after its answer", n)
	}
}

// The bindings that came with the first path of a repair are still those when the second has come.
func TestARepairOfTwoPathsKeepsItsBindings(t *testing.T) {
	a, b := sickbed(t)
	b.put("p1", "1")
	b.put("p2", "1")
	exchange(a, b)
	b.put("p1", "2")
	b.put("p2", "2") // so both answers are joined, not put back
	a.spoilKey("/o/10")
	a.open("a")
	a.spoil("p1")
	a.spoil("p2")
	if got := meet(a, b).repair("p1", "p2"); len(got.Mended) != 2 {
		t.Fatalf("%+v", got)
	}
	a.open("a")
	if err := a.st.Check(); err != nil {
		t.Fatal(err)
	}
}

// TestADamagedBindingStopsNobody: what the device of that replica gossips is not believed, and no step fails for it. A session brings it.
func TestADamagedBindingStopsNobody(t *testing.T) {
	for _, record := range [][]byte{{1, 0xff, 0xff}, {0xff}} {
		a, b := newRig(t, "a"), newRig(t, "b")
		b.step(from(a, a.put("x", "1")))
		if err := b.ds.Put(context.Background(), datastore.RawKey("/o/10"), record); err != nil {
			t.Fatal(err)
		}
		b.open("b")
		wantAlarms(t, b.step(from(a, a.put("x", "2"))), AlarmCorrupt)
		if exchange(a, b); b.shown("x") != "2" {
			t.Errorf("x = %q after a session", b.shown("x"))
		}
	}
}
