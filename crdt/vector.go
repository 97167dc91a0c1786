package crdt

import (
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"slices"
)

// A Vector is a set of dots without gaps: for each replica every counter up to the one it holds. Delivery in order per replica
// makes that enough; compare "Delta State Replicated Data Types" (arXiv:1603.01529, section 7.2), which needs a cloud of loose
// dots beside it.
//
// Invariant: no entry is zero, so equal sets have equal encodings.
//
// The zero Vector is empty and ready to use. Copies share their entries: use Clone for one of your own, and do not read a copy after
// the other was changed. A Vector is not safe for concurrent use.
type Vector struct {
	// tops holds the highest dot of each replica, in the order of replicas: most of what is asked of a vector is a walk along two.
	tops []Dot
}

// VectorOf returns the set of the given dots and all earlier ones of their replicas. It takes over the slice.
func VectorOf(dots []Dot) Vector {
	slices.SortFunc(dots, Dot.Compare)
	tops := dots[:0]
	for _, d := range dots {
		switch n := len(tops); {
		case d.Counter == 0:
		case n > 0 && tops[n-1].Replica == d.Replica:
			tops[n-1] = d
		default:
			tops = append(tops, d)
		}
	}
	return Vector{tops}
}

// find returns the place of r in v, or where it belongs.
func (v Vector) find(r ReplicaID) (int, bool) {
	key := r.key()
	lo, hi := 0, len(v.tops)
	// Vectors are mostly read and built in order.
	if hi == 0 || v.tops[hi-1].Replica.key() < key {
		return hi, false
	}
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); v.tops[mid].Replica.key() < key {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, v.tops[lo].Replica == r
}

// Get returns the highest counter of r in the set, 0 if there is none.
func (v Vector) Get(r ReplicaID) uint64 {
	if i, ok := v.find(r); ok {
		return v.tops[i].Counter
	}
	return 0
}

// Has reports whether d is in the set.
func (v Vector) Has(d Dot) bool { return d.Counter <= v.Get(d.Replica) }

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
func (v Vector) Len() int { return len(v.tops) }

// Add puts d and every earlier dot of its replica into the set. For a replica that is new in the middle it costs a pass over those
// behind it: make a large set with [VectorOf].
func (v *Vector) Add(d Dot) {
	switch i, ok := v.find(d.Replica); {
	case ok:
		v.tops[i].Counter = max(v.tops[i].Counter, d.Counter)
	case d.Counter > 0:
		v.tops = slices.Insert(v.tops, i, d)
	}
}

// Retreat takes every later dot of d's replica out of the set. A context may do that only for dots that were never shown to be
// what they were taken for: those of an incarnation that turned out to be used twice.
func (v *Vector) Retreat(d Dot) {
	i, ok := v.find(d.Replica)
	switch {
	case !ok:
	case d.Counter == 0:
		v.tops = slices.Delete(v.tops, i, i+1)
	default:
		v.tops[i].Counter = min(v.tops[i].Counter, d.Counter)
	}
}

// Join puts every dot of w into v.
func (v *Vector) Join(w Vector) {
	if w.Within(*v) {
		return
	}
	out := make([]Dot, 0, len(v.tops)+len(w.tops))
	rest := v.tops
	for _, d := range w.tops {
		for len(rest) > 0 && rest[0].Replica.key() < d.Replica.key() {
			out, rest = append(out, rest[0]), rest[1:]
		}
		if len(rest) > 0 && rest[0].Replica == d.Replica {
			d.Counter, rest = max(d.Counter, rest[0].Counter), rest[1:]
		}
		out = append(out, d)
	}
	v.tops = append(out, rest...)
}

// Meet returns the dots that are in both v and w.
func (v Vector) Meet(w Vector) Vector {
	out := make([]Dot, 0, min(len(v.tops), len(w.tops)))
	rest := w.tops
	for _, d := range v.tops {
		for len(rest) > 0 && rest[0].Replica.key() < d.Replica.key() {
			rest = rest[1:]
		}
		if len(rest) > 0 && rest[0].Replica == d.Replica {
			d.Counter = min(d.Counter, rest[0].Counter)
			out = append(out, d)
		}
	}
	return Vector{out}
}

// Clone returns a copy that shares nothing with v.
func (v Vector) Clone() Vector { return Vector{slices.Clone(v.tops)} }

// All yields the highest dot of each replica, in the order of replicas.
func (v Vector) All() iter.Seq[Dot] { return slices.Values(v.tops) }

// Replicas returns the replicas in the set, in order.
func (v Vector) Replicas() []ReplicaID {
	ids := make([]ReplicaID, len(v.tops))
	for i, d := range v.tops {
		ids[i] = d.Replica
	}
	return ids
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
	for range v.above(w) {
		return false
	}
	return true
}

// above yields the entries of v that are higher than in w.
func (v Vector) above(w Vector) iter.Seq[Dot] {
	return func(yield func(Dot) bool) {
		rest := w.tops
		for _, d := range v.tops {
			for len(rest) > 0 && rest[0].Replica.key() < d.Replica.key() {
				rest = rest[1:]
			}
			if (len(rest) == 0 || rest[0].Replica != d.Replica || rest[0].Counter < d.Counter) && !yield(d) {
				return
			}
		}
	}
}

// Equal reports whether v and w hold the same dots.
func (v Vector) Equal(w Vector) bool { return slices.Equal(v.tops, w.tops) }

// Above returns the entries of v that are higher than in w.
func (v Vector) Above(w Vector) Vector { return Vector{slices.Collect(v.above(w))} }

// Changes returns the entries in which v differs from base, in the order of replicas; with counter zero those of which v holds nothing.
func (v Vector) Changes(base Vector) []Dot {
	var out []Dot
	rest := base.tops
	for _, d := range v.tops {
		for len(rest) > 0 && rest[0].Replica.key() < d.Replica.key() {
			out, rest = append(out, Dot{Replica: rest[0].Replica}), rest[1:]
		}
		if len(rest) == 0 || rest[0] != d {
			out = append(out, d)
		}
		if len(rest) > 0 && rest[0].Replica == d.Replica {
			rest = rest[1:]
		}
	}
	for _, d := range rest {
		out = append(out, Dot{Replica: d.Replica})
	}
	return out
}

// Patch is the inverse of Changes: it returns base with those entries instead of its own. They are in order, each replica once.
func (base Vector) Patch(changes []Dot) Vector {
	out := make([]Dot, 0, len(base.tops)+len(changes))
	for _, d := range base.tops {
		for len(changes) > 0 && changes[0].Replica.key() < d.Replica.key() {
			out, changes = append(out, changes[0]), changes[1:]
		}
		if len(changes) > 0 && changes[0].Replica == d.Replica {
			d, changes = changes[0], changes[1:]
		}
		out = append(out, d)
	}
	return Vector{slices.DeleteFunc(append(out, changes...), func(d Dot) bool { return d.Counter == 0 })}
}

// Hash returns the first 16 bytes of the SHA-256 over the entries in order, 16 bytes each: replica, counter big-endian. Equal
// sets have equal hashes.
func (v Vector) Hash() [16]byte {
	var short [512]byte // enough for the vectors of most spaces, without an allocation
	buf := short[:0]
	if 16*len(v.tops) > len(short) {
		buf = make([]byte, 0, 16*len(v.tops))
	}
	for _, d := range v.tops {
		buf = append(buf, d.Replica[:]...)
		buf = binary.BigEndian.AppendUint64(buf, d.Counter)
	}
	sum := sha256.Sum256(buf)
	return [16]byte(sum[:16])
}
