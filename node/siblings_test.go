package node

import (
	"fmt"
	"testing"

	"syncline/crdt"
)

// crowdRig returns a replica that holds n values of "busy", none of which replaced another.
func crowdRig(t *testing.T, name string, n int) *rig {
	r := newRig(t, name)
	r.put("first", "brings the binding")
	tx := r.st.Begin()
	var reg crdt.Register
	for i := range n {
		reg.Live = append(reg.Live, crdt.Value{Dot: crdt.Dot{Replica: r.id, Counter: uint64(2 + i)}, Time: crdt.At(r.now.Wall - int64(i*7919%n)),
			Type: MediaTypeText, Data: fmt.Appendf(nil, "value %d", i), Descent: crdt.Descent{Since: uint64(2 + i)}})
	}
	if err := tx.SetRegister("busy", reg); err != nil {
		t.Fatal(err)
	}
	if err := tx.Raise(0, crdt.VectorOf([]crdt.Dot{{Replica: r.id, Counter: uint64(1 + n)}}), crdt.Vector{}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestMoreValuesThanAnOperationNamesAreSettled: a path has more values than a decoded operation may name. They travel, one more is put beside
// them, all of them are settled by one write, and both travel back by session: what names so much is not gossiped.
func TestMoreValuesThanAnOperationNamesAreSettled(t *testing.T) {
	const n = crdt.OpDotsMax + 5000
	a, b := crowdRig(t, "a", n), newRig(t, "b")
	live := func(r *rig) int {
		t.Helper()
		reg, err := r.st.Get("busy")
		if err != nil {
			t.Fatal(err)
		}
		return len(reg.Live)
	}
	meet := func(what string, want int) {
		t.Helper()
		if ca, cb := exchange(a, b); len(ca)+len(cb) > 0 {
			t.Fatalf("%s: alarms %v and %v", what, ca, cb)
		}
		if live(a) != want || live(b) != want || a.st.Head().Digest != b.st.Head().Digest {
			t.Fatalf("%s: %d and %d values, want %d", what, live(a), live(b), want)
		}
	}
	write := func(what string, op WriteOp) {
		t.Helper()
		out := b.step(Write{Tag: 1, Ops: []WriteOp{op}})
		for _, o := range out {
			switch o := o.(type) {
			case Publish:
				t.Errorf("%s: an operation of %d bytes is gossiped", what, len(o.Op))
			case Reply:
				if o.Err != nil {
					t.Fatalf("%s: %v", what, o.Err)
				}
				if undo := o.Results[0].Undo; undo != "" {
					t.Errorf("%s: %s is to take it back, with a write for each value", what, undo)
				}
			}
		}
	}
	meet("first meeting", n)
	write("one more", WriteOp{Path: "busy", Content: Text("beside"), Sibling: true})
	meet("one more", n+1)
	write("settled", WriteOp{Path: "busy", Content: Text("settled"), Resolve: true})
	meet("settled", 1)
	if got := a.shown("busy"); got != "settled" {
		t.Errorf("busy = %q", got)
	}
	if err := a.st.Check(); err != nil {
		t.Error(err)
	}
}

// TestAnOversizedOperationOfAFrameIsRefused, before it is made, and so is the rest of its frame.
func TestAnOversizedOperationOfAFrameIsRefused(t *testing.T) {
	a, b := newRig(t, "a"), newRig(t, "b")
	good := a.put("x", "1")
	op, err := crdt.DecodeOp(good)
	if err != nil {
		t.Fatal(err)
	}
	op.Entries[0].Data = make([]byte, GossipOpBytesMax)
	wantAlarms(t, b.step(from(a, op.Encode(), []byte{1}, good)), AlarmBadFrame)
	if b.st.Context().Len() > 0 {
		t.Error("something of the frame was applied")
	}
	wantAlarms(t, b.step(from(a, good)))
	if got := b.shown("x"); got != "1" {
		t.Errorf("x = %q", got)
	}
}
