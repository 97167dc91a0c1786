package crdt

import (
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"maps"
	"slices"
)

// A Vector is a set of dots without gaps: for each replica every counter up to the one it holds. Delivery in order per replica
// makes that enough; compare "Delta State Replicated Data Types" (arXiv:1603.01529, section 7.2), which needs a cloud of loose
// dots beside it.
//
// Invariant: no entry is zero, so equal sets have equal encodings.
//
// The zero Vector is empty and ready to use. Copies share their entries: use Clone for one of your own. A Vector is not safe
// for concurrent use.
type Vector struct {
	top map[ReplicaID]uint64
}

// Get returns the highest counter of r in the set, 0 if there is none.
func (v Vector) Get(r ReplicaID) uint64 { return v.top[r] }

// Has reports whether d is in the set.
func (v Vector) Has(d Dot) bool { return d.Counter <= v.top[d.Replica] }

// HasAll reports whether every one of dots is in the set.
func (v Vector) HasAll(dots []Dot) bool {
	for _, d := range dots {
		if !v.Has(d) {
			return false
		}
	}
	return true
}

// Len returns the number of replicas in the set.
func (v Vector) Len() int { return len(v.top) }

// Add puts d and every earlier dot of its replica into the set.
func (v *Vector) Add(d Dot) {
	if d.Counter <= v.top[d.Replica] {
		return
	}
	if v.top == nil {
		v.top = make(map[ReplicaID]uint64)
	}
	v.top[d.Replica] = d.Counter
}

// Retreat takes every later dot of d's replica out of the set. A context may do that only for dots that were never shown to be
// what they were taken for: those of an incarnation that turned out to be used twice.
func (v *Vector) Retreat(d Dot) {
	if d.Counter == 0 {
		delete(v.top, d.Replica)
	} else if v.top[d.Replica] > d.Counter {
		v.top[d.Replica] = d.Counter
	}
}

// Join puts every dot of w into v.
func (v *Vector) Join(w Vector) {
	for r, n := range w.top {
		v.Add(Dot{r, n})
	}
}

// Clone returns a copy that shares nothing with v.
func (v Vector) Clone() Vector { return Vector{maps.Clone(v.top)} }

// All yields the highest dot of each replica, in the order of replicas.
func (v Vector) All() iter.Seq[Dot] {
	return func(yield func(Dot) bool) {
		for _, r := range v.Replicas() {
			if !yield(Dot{r, v.top[r]}) {
				return
			}
		}
	}
}

// Replicas returns the replicas in the set, in order.
func (v Vector) Replicas() []ReplicaID {
	return slices.SortedFunc(maps.Keys(v.top), ReplicaID.Compare)
}

// An Order says how two sets of dots, or two writes, stand to each other.
type Order int

// The four orders.
const (
	Equal Order = iota
	Before
	After
	Concurrent
)

// String returns the order's name in lower case.
func (o Order) String() string { return [...]string{"equal", "before", "after", "concurrent"}[o] }

// Compare says whether v is a subset of w (Before), equal to it, a superset (After), or neither (Concurrent).
func (v Vector) Compare(w Vector) Order {
	switch le, ge := v.Within(w), w.Within(v); {
	case le && ge:
		return Equal
	case le:
		return Before
	case ge:
		return After
	}
	return Concurrent
}

// Within reports whether every dot of v is in w.
func (v Vector) Within(w Vector) bool {
	for r, n := range v.top {
		if w.top[r] < n {
			return false
		}
	}
	return true
}

// Equal reports whether v and w hold the same dots.
func (v Vector) Equal(w Vector) bool { return maps.Equal(v.top, w.top) }

// Above returns the entries of v that are higher than in w.
func (v Vector) Above(w Vector) Vector {
	var out Vector
	for r, n := range v.top {
		if n > w.top[r] {
			out.Add(Dot{r, n})
		}
	}
	return out
}

// Hash returns the first 16 bytes of the SHA-256 over the entries in order, 16 bytes each: replica, counter big-endian. Equal
// sets have equal hashes.
func (v Vector) Hash() [16]byte {
	buf := make([]byte, 0, 16*len(v.top))
	for d := range v.All() {
		buf = append(buf, d.Replica[:]...)
		buf = binary.BigEndian.AppendUint64(buf, d.Counter)
	}
	sum := sha256.Sum256(buf)
	return [16]byte(sum[:16])
}
