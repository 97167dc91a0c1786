package node

import (
	"testing"
	"time"

	"syncline/gossip"
	"syncline/store/mem"
)

// failing runs a step on a disk that is full.
func (r *rig) failing(now Time, in ...Input) []Output {
	r.t.Helper()
	r.ds.Inject(mem.DiskFull)
	defer r.ds.Inject(nil)
	out, err := r.Step(now, in...)
	if err == nil {
		r.t.Fatal("the step did not fail")
	}
	return out
}

// TestAFailedStepCountsNoFunctionTwice: the result of a merge function comes in a step that fails, and is tried again.
func TestAFailedStepCountsNoFunctionTwice(t *testing.T) {
	a := newRig(t, "a")
	a.running[Merge{Path: "p"}] = true
	write := Write{Tag: 7, Ops: []WriteOp{{Path: "x", Content: Text("2")}}}
	a.failing(a.now, Merged{Merge: Merge{Path: "p"}}, write)
	a.step(Merged{Merge: Merge{Path: "p"}})
	if len(a.running) != 0 {
		t.Errorf("%d functions count as running", len(a.running))
	}
}

// TestAFailedStepKeepsTheIncarnation: the clock was set back, but the write that would have begun a new incarnation failed.
func TestAFailedStepKeepsTheIncarnation(t *testing.T) {
	a := newRig(t, "a")
	for range 5 {
		a.put("x", "1")
	}
	a.opened = 5
	id, now := a.id, a.now
	now.Wall -= 10 * 24 * time.Hour.Milliseconds()
	a.failing(now, Write{Tag: 7, Ops: []WriteOp{{Path: "x", Content: Text("2")}}})
	if a.id != id || a.opened != 5 {
		t.Errorf("replica %v opened at %d, was %v at 5", a.id, a.opened, id)
	}
}

// TestAFailedStepClosesWhatItBrokeOff: a session that the step had dropped before it failed is closed like the others.
func TestAFailedStepClosesWhatItBrokeOff(t *testing.T) {
	a, b, c := newRig(t, "a"), newRig(t, "b"), newRig(t, "c")
	a.step(PeerUp{Peer: b.self}, PeerUp{Peer: c.self})
	a.now.Mono += 2 * time.Second
	a.step(Tick{})
	open := map[SessionID]bool{}
	for _, id := range a.sessionIDs() {
		open[id] = true
	}
	if len(open) != 2 {
		t.Fatalf("%d sessions, want 2", len(open))
	}
	for _, o := range a.failing(a.now, PeerDown{Peer: c.self}, Write{Tag: 9, Ops: []WriteOp{{Path: "other", Content: Text("2")}}}) {
		if o, ok := o.(CloseSession); ok {
			delete(open, o.ID)
		}
	}
	if len(a.sessions) != 0 || len(open) != 0 {
		t.Errorf("left in the replica %v, never closed %v", a.sessionIDs(), open)
	}
}

// TestAFailedStepIsNotTriedAgainAtOnce: whoever waits until a peer has caught up hears of the failure and asks for another session, which would
// fetch the same again and fail like the first, for as long as the disk is full.
func TestAFailedStepIsNotTriedAgainAtOnce(t *testing.T) {
	a, b := newRig(t, "a"), newRig(t, "b")
	out := a.step(PeerUp{b.self})
	for sessionWith(out, b) == 0 {
		a.now.Mono += time.Second
		out = a.step(Tick{})
	}
	a.failing(a.now, Write{Tag: 7, Ops: []WriteOp{{Path: "x", Content: Text("2")}}})
	if sessionWith(a.step(SyncNow{Peer: b.self}, Tick{}), b) != 0 {
		t.Error("the next session begins at once")
	}
	a.now.Mono += 2 * gossip.RetryDelay
	if sessionWith(a.step(Tick{}), b) == 0 {
		t.Error("no other session begins")
	}
}
