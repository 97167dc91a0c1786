package oracle

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"syncline/crdt"
	"syncline/sim/scenario"
	"syncline/store"
)

// A shelf is a view of one register.
type shelf struct{ reg crdt.Register }

func (s shelf) Context() crdt.Vector              { return crdt.Vector{} }
func (s shelf) Floor() crdt.Vector                { return crdt.Vector{} }
func (s shelf) Parts() crdt.Parts                 { return crdt.Parts{{}} }
func (s shelf) Head() store.Head                  { return store.Head{} }
func (s shelf) Check() error                      { return errors.New("nothing to check") }
func (s shelf) Get(string) (crdt.Register, error) { return s.reg, nil }
func dot(n uint64) crdt.Dot                       { return crdt.Dot{Replica: crdt.ReplicaID{1}, Counter: n} }
func value(n uint64, data string, k crdt.Kind) crdt.Value {
	return crdt.Value{Dot: dot(n), Time: crdt.Timestamp(n), Kind: k, Type: contentType, Data: []byte(data)}
}

// Planned derives from the operations of an attempt what the attempt derived from its parts.
func TestPlannedIsAttempt(t *testing.T) {
	for _, verb := range []scenario.Verb{scenario.Put, scenario.Delete, scenario.PutAll, scenario.Sibling, scenario.Resolve, scenario.PutIf, scenario.DeleteAll} {
		for _, values := range []int{0, 1, 2} {
			s := &scenario.Scenario{Devices: make([]scenario.Device, 1), Paths: []string{"a"}}
			o := New(s, func() time.Duration { return 0 })
			var reg crdt.Register
			for i := range values {
				a := &Attempt{ctx: newSet(o.limit), entries: []*entry{{path: "a", put: true, data: string(rune('x' + i)), mime: contentType, kind: crdt.Multi,
					preds: newSet(o.limit), below: newSet(o.limit), kept: newSet(o.limit)}}}
				w := o.enter(a, dot(uint64(i+1)), crdt.Timestamp(i+1))
				reg.Live = append(reg.Live, value(w.dot.Counter, w.entries[0].data, crdt.Multi))
			}
			o.devices[0].view = momentOf(shelf{reg})
			o.devices[0].versions["a"] = version{"v1.1", liveKey(reg.Live)}
			want := o.Attempt(0, []scenario.Part{{Path: "a", Verb: verb}}, 7)
			got := o.Planned(0, want.Ops, 7)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s over %d values: planned %+v, attempted %+v", verb, values, *got.entries[0], *want.entries[0])
			}
		}
	}
}

// A version that somebody else was told leaves the outcome open, and one that this device was told after another write does too.
func TestPlannedOverAnUnknownVersion(t *testing.T) {
	o := New(&scenario.Scenario{Devices: make([]scenario.Device, 1), Paths: []string{"a"}}, func() time.Duration { return 0 })
	o.devices[0].view = momentOf(shelf{})
	o.devices[0].versions["a"] = version{"v1.1", "elsewhere"}
	a := o.Attempt(0, []scenario.Part{{Path: "a", Verb: scenario.PutIf}}, 7)
	if a.expect != refusal {
		t.Errorf("a write over a version that is gone is expected to end as %d, want a refusal", a.expect)
	}
	a.Ops[0].IfVersion = "v1.2"
	if p := o.Planned(0, a.Ops, 7); p.expect != either {
		t.Errorf("a write over a version that nobody was told is expected to end as %d, want either", p.expect)
	}
}
