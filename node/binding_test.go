package node

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
)

// tornBindings are what a disk may make of the record of a binding: what is no record, and what is one and no binding.
var tornBindings = map[string][]byte{"no record": {9}, "no binding": {1, 0xff, 0xff}}

// tearBinding puts record in the place of the one binding that the replica has of others, and opens it anew.
func (r *rig) tearBinding(name string, record []byte) {
	r.t.Helper()
	ctx, torn := context.Background(), 0
	all, err := r.ds.Query(ctx, query.Query{})
	if err != nil {
		r.t.Fatal(err)
	}
	for e := range all.Next() {
		if own := strings.Contains(string(e.Value), string(r.self[:])); strings.HasPrefix(e.Key, "/o/") && !own {
			torn++
			if err := r.ds.Put(ctx, datastore.RawKey(e.Key), record); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	if torn != 1 {
		r.t.Fatalf("%d bindings of others", torn)
	}
	r.open(name)
}

// TestADamagedBindingFailsNoStep: an operation whose replica has one is passed over, its device is not accused, and what it wrote comes by session.
func TestADamagedBindingFailsNoStep(t *testing.T) {
	for name, record := range tornBindings {
		t.Run(name, func(t *testing.T) {
			a, b := newRig(t, "a"), newRig(t, "b")
			a.step(from(b, b.put("x", "1")))
			a.tearBinding("a", record)
			out := a.step(from(b, b.put("x", "2")))
			wantAlarms(t, out, AlarmCorrupt)
			codes, _ := exchange(a, b)
			if a.shown("x") != "2" || slices.ContainsFunc(codes, func(c string) bool { return c != AlarmCorrupt }) {
				t.Errorf("%q is shown; alarms %v", a.shown("x"), codes)
			}
		})
	}
}

// TestADamagedBindingIsInNobodysWay who has it: it is left out of answers, also to who fetches.
func TestADamagedBindingIsInNobodysWay(t *testing.T) {
	for name, record := range tornBindings {
		t.Run(name, func(t *testing.T) {
			a, b, c := newRig(t, "a"), newRig(t, "b"), newRig(t, "c")
			first := c.put("x", "1")
			a.step(from(c, first))
			b.step(from(c, first))
			a.tearBinding("a", record)
			b.spoil("x")
			if reply := meet(b, a).repair("x"); reply.Err != nil || !slices.Equal(reply.Mended, []string{"x"}) || b.shown("x") != "1" {
				t.Errorf("%+v", reply)
			}
		})
	}
}
