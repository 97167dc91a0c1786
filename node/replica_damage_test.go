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
