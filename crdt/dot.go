package crdt

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
)

// A ReplicaID names one incarnation: one continued run of writes by one copy of the data. It is 64 random bits and is never
// used again after a restore, a clone or an unclean close; with 10^6 incarnations two are equal with probability 3·10^-8.
type ReplicaID [8]byte

// String returns the id as 16 hexadecimal digits.
func (r ReplicaID) String() string { return hex.EncodeToString(r[:]) }

// IsZero reports whether r is the zero id, which names no replica.
func (r ReplicaID) IsZero() bool { return r == ReplicaID{} }

// Compare orders ids by their bytes: -1, 0 or +1.
func (r ReplicaID) Compare(s ReplicaID) int { return cmp.Compare(r.key(), s.key()) }

// key returns the id as a number that orders as the bytes do.
func (r ReplicaID) key() uint64 { return binary.BigEndian.Uint64(r[:]) }

// CounterMax bounds a counter. A replica that writes a million operations a second reaches it in 8,900 years; a message with a
// greater one is hostile or broken.
const CounterMax = 1<<58 - 1

// A Dot names one operation: the Counter-th of its Replica, counted from 1.
type Dot struct {
	Replica ReplicaID
	Counter uint64
}

// String returns the dot as "replica:counter".
func (d Dot) String() string { return d.Replica.String() + ":" + strconv.FormatUint(d.Counter, 10) }

// Compare orders dots by replica, then counter. It is an order for storage and ties, not for causality.
func (d Dot) Compare(e Dot) int {
	if c := d.Replica.Compare(e.Replica); c != 0 {
		return c
	}
	return cmp.Compare(d.Counter, e.Counter)
}

// hasDot reports whether d is one of dots, which are sorted.
func hasDot(dots []Dot, d Dot) bool {
	_, ok := slices.BinarySearchFunc(dots, d, Dot.Compare)
	return ok
}
