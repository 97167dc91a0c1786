package crdt

import (
	"fmt"
	"testing"
)

// replica returns an id that is easy to read in failures.
func testReplica(n byte) ReplicaID { return ReplicaID{0xa0, 7: n} }

func dot(n byte, counter uint64) Dot { return Dot{testReplica(n), counter} }

// A replica is a state with an id and a clock that advances by a second per write, for tests that tell a short story.
type replica struct {
	*State
	number byte
	id     ReplicaID
	clock  Clock
	now    int64
	sent   Vector
}

func newReplica(n byte) *replica {
	return &replica{State: NewState(), number: n, id: testReplica(n), now: 1_700_000_000_000}
}

// write makes one operation and applies it; it panics if that fails, as no test expects it to.
func (r *replica) write(changes ...Change) *Op {
	op, _ := r.writeEffects(changes...)
	return op
}

func (r *replica) writeEffects(changes ...Change) (*Op, []Effect) {
	r.now += 1000
	w := Writer{Dot: Dot{r.id, r.Context().Get(r.id) + 1}, Time: r.clock.Tick(r.now), Deps: r.Floor().Above(r.sent)}
	if w.Dot.Counter == 1 {
		w.Open = fmt.Appendf(nil, "device %d", r.number)
	}
	r.sent = r.Floor().Clone()
	op, effects, err := Write(r.State, w, changes)
	if err != nil {
		panic(err)
	}
	return op, effects
}

func (r *replica) put(path, data string) *Op {
	return r.write(Change{Path: path, Type: "text/plain", Data: []byte(data), ShownAll: true})
}

func (r *replica) remove(path string) *Op {
	return r.write(Change{Path: path, Delete: true, ShownAll: true})
}

// pull merges what r lacks of s and returns the conflicts that it finds.
func (r *replica) pull(s *replica) []Conflict { return r.merge(Diff(r.State, s.State)) }

func (r *replica) merge(d *Delta) []Conflict {
	state, conflicts := Merge(r.State, d)
	r.State = state
	return conflicts
}

// receive applies an operation as gossip brings it and returns the conflicts that it finds.
func (r *replica) receive(t testing.TB, op *Op) []Conflict {
	t.Helper()
	op, err := DecodeOp(op.Encode())
	if err != nil {
		t.Fatalf("decode %v: %v", op, err)
	}
	r.clock.Observe(op.Time, r.now)
	effects, err := Apply(r.State, op)
	if err != nil {
		t.Fatalf("apply %v: %v", op.Dot, err)
	}
	return Conflicts(effects)
}

// contents returns the data of values as strings.
func contents(vs []Value) (out []string) {
	for _, v := range vs {
		out = append(out, string(v.Data))
	}
	return out
}
