package node

import (
	"testing"

	"syncline/crdt"
)

func TestFillingNamesWhatIsMissingBelowAPrefix(t *testing.T) {
	r := crdt.ReplicaID{1}
	seen := func(n uint64) crdt.Vector { return crdt.VectorOf([]crdt.Dot{{Replica: r, Counter: n}}) }
	half := crdt.Parts{{From: "", Context: seen(9)}, {From: "m", Context: seen(5)}}
	middle := crdt.Parts{{From: "", Context: seen(9)}, {From: "c/d", Context: seen(2)}, {From: "c/x", Context: seen(9)}}
	members := crdt.Parts{{From: "", Context: seen(9)}, {From: "/a", Context: seen(2)}, {From: "/b", Context: seen(9)}}
	for _, c := range []struct {
		parts  crdt.Parts
		prefix string
		want   Filling
	}{
		{crdt.Parts{{Context: seen(9)}}, "", Filling{}},
		{half, "", Filling{1, "m"}},
		{half, "a", Filling{}},
		{half, "m", Filling{1, "m"}},
		{half, "notes/", Filling{1, "notes/"}},
		{half, "lost/", Filling{}},
		{middle, "", Filling{1, "c/d"}},
		{middle, "c/", Filling{1, "c/d"}},
		{middle, "c/e", Filling{1, "c/e"}},
		{middle, "c/x", Filling{}},
		{middle, "b", Filling{}},
		{members, "", Filling{}},
	} {
		if got := fillingOf(c.parts, c.prefix); got != c.want {
			t.Errorf("%q of %v: %+v, want %+v", c.prefix, c.parts, got, c.want)
		}
	}
}
