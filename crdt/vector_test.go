package crdt

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// dots is the obvious set of dots, which a Vector must agree with.
type dots map[Dot]bool

func (s dots) addUpTo(d Dot) {
	for n := uint64(1); n <= d.Counter; n++ {
		s[Dot{d.Replica, n}] = true
	}
}

func (s dots) within(t dots) bool {
	for d := range s {
		if !t[d] {
			return false
		}
	}
	return true
}

func drawDot(t *rapid.T, label string) Dot {
	return dot(byte(rapid.IntRange(1, 4).Draw(t, label+" replica")), uint64(rapid.IntRange(0, 5).Draw(t, label+" counter")))
}

func drawVector(t *rapid.T, label string) (Vector, dots) {
	var v Vector
	naive := dots{}
	for range rapid.IntRange(0, 6).Draw(t, label+" dots") {
		d := drawDot(t, label)
		v.Add(d)
		naive.addUpTo(d)
	}
	return v, naive
}

// TestVectorIsASetOfDots compares every operation with a plain set.
func TestVectorIsASetOfDots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, naiveV := drawVector(t, "v")
		w, naiveW := drawVector(t, "w")
		for n := byte(1); n <= 4; n++ {
			for counter := uint64(1); counter <= 6; counter++ {
				if d := dot(n, counter); v.Has(d) != naiveV[d] {
					t.Fatalf("Has(%v): got %v, want %v", d, v.Has(d), naiveV[d])
				}
			}
		}
		want := Concurrent
		switch le, ge := naiveV.within(naiveW), naiveW.within(naiveV); {
		case le && ge:
			want = Equal
		case le:
			want = Before
		case ge:
			want = After
		}
		if got := v.Compare(w); got != want {
			t.Fatalf("Compare: got %v, want %v", got, want)
		}
		if v.Within(w) != naiveV.within(naiveW) || v.Equal(w) != (want == Equal) || (v.Hash() == w.Hash()) != (want == Equal) {
			t.Fatalf("Within %v, Equal %v; %v and %v are %v", v.Within(w), v.Equal(w), v, w, want)
		}
		joined := v.Clone()
		joined.Join(w)
		for d := range naiveV {
			if !joined.Has(d) {
				t.Fatalf("the join lacks %v", d)
			}
		}
		for top := range joined.All() {
			if !naiveV[top] && !naiveW[top] {
				t.Fatalf("the join holds %v, which neither holds", top)
			}
		}
		above := v.Above(w)
		for _, r := range v.Replicas() {
			got, want := above.Get(r), v.Get(r)
			if v.Get(r) <= w.Get(r) {
				want = 0
			}
			if got != want {
				t.Fatalf("Above: entry %v is %d, want %d", r, got, want)
			}
		}
		below := w.Clone()
		below.Join(above)
		if !below.Equal(joined) {
			t.Fatalf("w joined with what v has above it: got %v, want %v", below, joined)
		}
	})
}

// TestEqualVectorsHaveEqualHashes: an entry of zero, an empty map and no map are one set.
func TestEqualVectorsHaveEqualHashes(t *testing.T) {
	var empty, zeroAdded Vector
	zeroAdded.Add(Dot{testReplica(1), 0})
	if !zeroAdded.Equal(empty) || zeroAdded.Hash() != empty.Hash() || zeroAdded.Len() != 0 {
		t.Errorf("adding counter 0 changed the set: %v", zeroAdded)
	}
	var a, b Vector
	for n := byte(1); n <= 9; n++ {
		a.Add(dot(n, uint64(n)))
		b.Add(dot(10-n, uint64(10-n)))
	}
	if a.Hash() != b.Hash() {
		t.Error("the order of additions changed the hash")
	}
	b.Add(dot(1, 2))
	if a.Hash() == b.Hash() {
		t.Error("one more dot did not change the hash")
	}
}

func TestVectorYieldsReplicasInOrder(t *testing.T) {
	var v Vector
	for _, n := range []byte{7, 2, 9, 1} {
		v.Add(dot(n, 1))
	}
	if got := v.Replicas(); !slices.IsSortedFunc(got, ReplicaID.Compare) || len(got) != 4 {
		t.Errorf("got %v", got)
	}
	for range v.All() {
		break // must not panic
	}
}

func TestCloneSharesNothing(t *testing.T) {
	var v Vector
	v.Add(dot(1, 1))
	c := v.Clone()
	c.Add(dot(1, 9))
	c.Add(dot(2, 9))
	if v.Get(testReplica(1)) != 1 || v.Len() != 1 {
		t.Errorf("a change of the clone changed the original: %v", v)
	}
	none := Vector{}.Clone()
	none.Add(dot(1, 1)) // must not panic
}

func TestOrderNames(t *testing.T) {
	for o, want := range map[Order]string{Equal: "equal", Before: "before", After: "after", Concurrent: "concurrent"} {
		if o.String() != want {
			t.Errorf("got %q, want %q", o, want)
		}
	}
}

// TestNamesOrderByReplicaCounterPath: stores rely on it for their index.
func TestNamesOrderByReplicaCounterPath(t *testing.T) {
	want := []Name{{dot(1, 1), "b"}, {dot(1, 2), "a"}, {dot(1, 2), "b"}, {dot(1, 256), "a"}, {dot(2, 1), "a"}}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, Name.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestVectorOfIsWhatAddMakes says that a set that is made at once is the one that grows dot by dot.
func TestVectorOfIsWhatAddMakes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOf(rapid.Custom(func(t *rapid.T) Dot { return drawDot(t, "v") })).Draw(t, "dots")
		var want Vector
		for _, d := range list {
			want.Add(d)
		}
		if got := VectorOf(slices.Clone(list)); !got.Equal(want) || !slices.IsSortedFunc(got.Replicas(), ReplicaID.Compare) {
			t.Fatalf("VectorOf(%v): got %v, want %v", list, got, want)
		}
	})
}

// TestPatchUndoesChanges: what differs between two vectors, put into the one, gives the other.
func TestPatchUndoesChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, _ := drawVector(t, "v")
		base, _ := drawVector(t, "base")
		changes := v.Changes(base)
		for i, d := range changes {
			if i > 0 && d.Replica.Compare(changes[i-1].Replica) <= 0 || d.Counter != v.Get(d.Replica) || d.Counter == base.Get(d.Replica) {
				t.Fatalf("%v to %v: changes %v", base, v, changes)
			}
		}
		if got := base.Patch(changes); !got.Equal(v) {
			t.Fatalf("%v with %v: got %v, want %v", base, changes, got, v)
		}
	})
}
