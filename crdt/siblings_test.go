package crdt

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"testing"
)

// crowds returns two states in which n replicas each wrote "busy" without knowledge of each other. Their dots alternate.
func crowds(n int) (a, b *State) {
	a, b = NewState(), NewState()
	for k, s := range [...]*State{a, b} {
		var r Register
		dots := make([]Dot, n)
		for i := range n {
			number := 2*i + k
			binary.BigEndian.PutUint64(dots[i].Replica[:], uint64(1+number))
			dots[i].Counter = 1
			r.Live = append(r.Live, Value{Dot: dots[i], Time: At(int64(number * 7919 % 65_521)), Descent: Descent{Since: 1},
				Type: "text/plain", Data: fmt.Appendf(nil, "value %d", number)})
		}
		s.SetRegister("busy", r)
		s.parts[0].Context = VectorOf(dots)
	}
	return a, b
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestSiblingsThatMeetCostTheirNumber counts the bytes of joins of two crowds: four times the siblings cost about four times as much, and
// not sixteen times.
func TestSiblingsThatMeetCostTheirNumber(t *testing.T) {
	for name, join := range map[string]func(a, b *State){
		"written on both sides": func(a, b *State) { Merge(a, Diff(a, b)) },
		"won over deletes": func(a, b *State) {
			r := a.Get("busy")
			r.Live, r.Deletes = nil, []Delete{{r.Live[0].Dot, r.Live[0].Time}}
			a.SetRegister("busy", r)
			Merge(a, Diff(a, b))
		},
		"dead without a row": func(a, b *State) {
			a, _ = Merge(a, Diff(a, b))
			b, _ = Merge(b, Diff(b, a))
			asked := b.Context().Clone()
			w := Writer{Dot: Dot{ReplicaID{7: 1}, 2}}
			if _, _, err := Write(a, w, []Change{{Path: "busy", Delete: true, ShownAll: true}}); err != nil {
				t.Fatal(err)
			}
			Trim(a, 0)
			names, _, _ := ListLive(b, asked, "", "", unlimited)
			d, _ := Answer(a, asked)
			d.Kills, _ = Kills(a, slices.Values(names))
			if b, _ = Merge(b, d); len(b.Paths()) > 0 {
				t.Error("deleted values live on")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cost := func(n int) uint64 {
				a, b := crowds(n)
				return allocated(func() { join(a, b) })
			}
			few, many := cost(500), cost(2000)
			t.Logf("2 × 500 siblings: %d bytes, 2 × 2000: %d", few, many)
			if many > 8*few {
				t.Errorf("four times the siblings cost %d times as many bytes", many/few)
			}
		})
	}
}

// TestAPathBears65536Siblings: they meet, are reported and counted, and one operation settles them, on the replica that writes it and on
// one that receives it. With work that grows by the square this takes hours.
func TestAPathBears65536Siblings(t *testing.T) {
	const n = 1 << 15
	a, b := crowds(n)
	both, conflicts := Merge(a, Diff(a, b))
	if len(conflicts) != 1 || len(conflicts[0].Siblings) != 2*n {
		t.Fatalf("%d conflicts, want one of %d values", len(conflicts), 2*n)
	}
	c := conflicts[0]
	if newest := slices.MaxFunc(both.Get("busy").Live, compareNewest); c.Siblings[0].Dot != newest.Dot || c.Remote.Dot == c.Local.Dot {
		t.Errorf("the newest are %v and %v, want %v among them", c.Local.Dot, c.Remote.Dot, newest.Dot)
	}
	if other, _ := Merge(b, Diff(b, a)); !both.Equal(other) {
		t.Error("the two sides differ")
	}
	reg := both.Get("busy")
	if reg.Contending() != 2*n || len(reg.Distinct()) != 2*n {
		t.Errorf("%d values compete, want %d", reg.Contending(), 2*n)
	}
	if _, how := CommonAncestor(reg.Live, nil); how != AncestorMany {
		t.Errorf("an ancestor of kind %d", how)
	}
	behind := both.Clone()
	v, _ := reg.Shown()
	w := Writer{Dot: Dot{ReplicaID{7: 1}, 2}, Time: At(1 << 40)}
	op, _, err := Write(both, w, []Change{c.Change(v)})
	if err != nil || len(both.Get("busy").Live) != 1 {
		t.Fatalf("resolved: %d values are left (%v)", len(both.Get("busy").Live), err)
	}
	if op, err = DecodeOp(op.Encode()); err != nil {
		t.Fatal(err)
	}
	if effects, err := Apply(behind, op); err != nil || len(Conflicts(effects)) > 0 || !behind.Equal(both) {
		t.Errorf("a receiver reports %d conflicts (%v)", len(Conflicts(effects)), err)
	}
}

// BenchmarkSiblings measures what is done with all siblings of one path, half of which come from each of two devices.
func BenchmarkSiblings(b *testing.B) {
	for _, n := range []int{1 << 10, 1 << 13, 1 << 16} {
		x, y := crowds(n / 2)
		delta := Diff(x, y)
		both, conflicts := Merge(x, delta)
		change := conflicts[0].Change(Value{})
		w := Writer{Dot: Dot{ReplicaID{7: 1}, 2}, Time: At(1 << 40)}
		op, _, _ := Write(both.Clone(), w, []Change{change})
		for _, part := range []struct {
			name string
			do   func(s *State)
		}{
			{"join", func(*State) { Merge(x, delta) }},
			{"answer", func(s *State) { Answer(s, x.Context()) }},
			{"count", func(s *State) { s.Get("busy").Contending() }},
			{"distinct", func(s *State) { s.Get("busy").Distinct() }},
			{"resolve", func(s *State) { Write(s, w, []Change{change}) }},
			{"apply", func(s *State) { Apply(s, op) }},
		} {
			b.Run(fmt.Sprintf("%s/%d", part.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					s := both.Clone()
					b.StartTimer()
					part.do(s)
				}
			})
		}
	}
}

// TestAPathForgets65536Deletes: replicas that deleted one path apart leave a log each, and all but a few are forgotten at once.
func TestAPathForgets65536Deletes(t *testing.T) {
	s, _ := crowds(1 << 16)
	var r Register
	for _, v := range s.Get("busy").Live {
		r.Deletes = append(r.Deletes, Delete{v.Dot, v.Time})
	}
	s.SetRegister("busy", r)
	if err := Trim(s, 1600); err != nil {
		t.Fatal(err)
	}
	left := s.Get("busy").Deletes
	oldest := slices.MinFunc(left, func(x, y Delete) int { return int(x.Time) - int(y.Time) })
	forgotten := 0
	for _, d := range r.Deletes {
		if d.Time < oldest.Time {
			forgotten++
		}
	}
	if len(left) != 1500 || forgotten != len(r.Deletes)-1500 || s.Check() != nil {
		t.Errorf("%d deletes are left, %d older ones are gone (%v)", len(left), forgotten, s.Check())
	}
}
