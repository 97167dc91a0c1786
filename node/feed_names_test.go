package node

import (
	"errors"
	"testing"

	"syncline/crdt"
)

// An error of either sequence comes where it stands: what is before it can be told, and nothing behind it is taken for all there is.
func TestMergedNamesEndWithTheFirstError(t *testing.T) {
	broken := errors.New("disk")
	seq := func(fails bool, counters ...uint64) crdt.NameSeq {
		return func(yield func(crdt.Name, error) bool) {
			for _, c := range counters {
				if !yield(crdt.Name{Dot: crdt.Dot{Replica: crdt.ReplicaID{1}, Counter: c}}, nil) {
					return
				}
			}
			if fails {
				yield(crdt.Name{}, broken)
			}
		}
	}
	for i, both := range [][2]crdt.NameSeq{{seq(false, 2, 4, 6, 8), seq(true, 1, 3)}, {seq(true, 1, 3), seq(false, 2, 4, 6, 8)}} {
		last := uint64(0)
		var got error
		for n, err := range mergeNames(both[0], both[1]) {
			if got = err; err != nil {
				break
			}
			last = n.Dot.Counter
		}
		if !errors.Is(got, broken) || last > 3 {
			t.Errorf("%d: %v after %d, want the error after 3 at most", i, got, last)
		}
	}
}
