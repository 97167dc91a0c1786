package node

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ipfs/go-datastore"
)

// rot makes a record one that cannot even be opened.
func (r *rig) rot(key string) {
	r.t.Helper()
	r.spoilKey(key)
	if err := r.ds.Put(context.Background(), datastore.RawKey(key), []byte{0xff}); err != nil {
		r.t.Fatal(err)
	}
}

// TestADamagedDeleteIsNotLookedForInEveryStep: nothing can be forgotten while the oldest delete cannot be read, and steps cost what they did.
func TestADamagedDeleteIsNotLookedForInEveryStep(t *testing.T) {
	a := newRig(t, "a")
	a.cfg.DeleteLog = 8
	for i := range 30 {
		path := fmt.Sprint("path", i)
		a.put(path, "1")
		a.step(Write{Tag: 1, Ops: []WriteOp{{Path: path, Delete: true}}})
		if i == 0 {
			a.spoilKey("/r/d/path0")
		}
	}
	if n := a.st.Head().Deletes; n != 30 {
		t.Fatalf("%d deletes are remembered, want all 30", n)
	}
	before := a.ds.Ops()
	const steps = 10
	for range steps {
		a.step(Tick{})
	}
	if n := a.ds.Ops() - before; n > 2*steps {
		t.Errorf("%d idle steps cost %d operations of the disk", steps, n)
	}
	before = a.ds.Ops()
	a.now.Mono += time.Minute
	a.step(Tick{})
	if a.ds.Ops() == before {
		t.Error("it is never looked at again")
	}
	a.step(Repair{Tag: 2, Paths: []string{"path0"}, GiveUp: true})
	if n := a.st.Head().Deletes; n > 8 {
		t.Errorf("%d deletes are remembered once all can be read, of at most 8", n)
	}
}

// TestGossipUnderADamagedBindingComesBySession: it is not known whose an operation is. It is not taken, fails nothing else, and is had from a
// session, which brings the binding, too.
func TestGossipUnderADamagedBindingComesBySession(t *testing.T) {
	a, b := newRig(t, "a"), newRig(t, "b")
	a.step(from(b, b.put("x", "1")))
	a.rot("/o/10")
	clear(a.devices)
	op := from(b, b.put("x", "2"))
	alarms := 0
	for _, o := range a.step(op, Write{Tag: 1, Ops: []WriteOp{{Path: "y", Content: Text("1")}}}) {
		if o, ok := o.(Alarm); ok {
			if alarms++; o.Code != AlarmCorrupt {
				t.Errorf("alarm %s: %s", o.Code, o.Text)
			}
		}
	}
	if alarms != 1 || a.shown("x") != "1" || a.shown("y") != "1" {
		t.Errorf("%d alarms, x = %q, y = %q", alarms, a.shown("x"), a.shown("y"))
	}
	exchange(a, b)
	if a.shown("x") != "2" {
		t.Errorf("after a session x = %q", a.shown("x"))
	}
}

// TestADamagedHintIsForgotten: what a device is known to hold is made anew by the next session.
func TestADamagedHintIsForgotten(t *testing.T) {
	a, b := newRig(t, "a"), newRig(t, "b")
	a.put("x", "1")
	exchange(a, b)
	a.rot("/p/" + heldKey(b.self))
	clear(a.held)
	a.step(PeerUp{Peer: b.self}, Write{Tag: 1, Ops: []WriteOp{{Path: "y", Content: Text("1")}}})
	a.step(PeerDown{Peer: b.self})
	exchange(a, b)
	if b.shown("y") != "1" {
		t.Errorf("after a session y = %q", b.shown("y"))
	}
}
