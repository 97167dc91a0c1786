package store

import (
	"context"
	"slices"

	"syncline/crdt"
)

// A nameKind tells the two indexes apart: live values and remembered deletes.
type nameKind struct {
	space string
	// each calls yield for the dots of a register, has looks one up.
	each func(r crdt.Register, yield func(crdt.Dot))
	has  func(r crdt.Register, d crdt.Dot) bool
}

var liveNames = nameKind{
	space: spaceLive,
	each: func(r crdt.Register, yield func(crdt.Dot)) {
		for i := range r.Live {
			yield(r.Live[i].Dot)
		}
	},
	has: hasLive,
}

var logNames = nameKind{
	space: spaceLog,
	each: func(r crdt.Register, yield func(crdt.Dot)) {
		for i := range r.Deletes {
			yield(r.Deletes[i].Dot)
		}
	},
	has: hasDelete,
}

func hasLive(r crdt.Register, d crdt.Dot) bool {
	_, ok := slices.BinarySearchFunc(r.Live, d, func(v crdt.Value, d crdt.Dot) int { return v.Dot.Compare(d) })
	return ok
}

func hasDelete(r crdt.Register, d crdt.Dot) bool {
	_, ok := slices.BinarySearchFunc(r.Deletes, d, func(e crdt.Delete, d crdt.Dot) int { return e.Dot.Compare(d) })
	return ok
}

// names reads one index with the changes of the transaction. It holds the names that the transaction added, from the first time
// that somebody asks.
type names struct {
	kind *nameKind
	// added may hold names that a later change took away again, and names twice if it is not sorted.
	added         []crdt.Name
	built, sorted bool
}

func (n *names) reset() {
	clear(n.added)
	n.added, n.built, n.sorted = n.added[:0], false, false
}

// note adds what is new in an entry that changed.
func (n *names) note(e *entry) {
	if n.built {
		n.collect(e)
	}
}

func (n *names) collect(e *entry) {
	n.kind.each(e.after, func(d crdt.Dot) {
		if !n.kind.has(e.before, d) {
			n.added = append(n.added, crdt.Name{Dot: d, Path: e.path})
			n.sorted = false
		}
	})
}

func (n *names) build(tx *Tx) {
	if !n.built {
		n.built = true
		for _, e := range tx.dirty {
			n.collect(e)
		}
	}
	if !n.sorted {
		n.sorted = true
		slices.SortFunc(n.added, crdt.Name.Compare)
		n.added = slices.Compact(n.added)
	}
}

// above yields the names outside v, and inside upto if that is not nil, in their order. Replicas are taken in the order of their ids; on disk they lie in the order of
// their ordinals.
func (n *names) above(tx *Tx, v crdt.Vector, upto *crdt.Vector) crdt.NameSeq {
	return func(yield func(crdt.Name, error) bool) {
		n.build(tx)
		var replicas []crdt.ReplicaID
		for d := range tx.s.committed.context.All() {
			if !v.Has(d) {
				replicas = append(replicas, d.Replica)
			}
		}
		for i := range n.added {
			if !v.Has(n.added[i].Dot) {
				replicas = append(replicas, n.added[i].Dot.Replica)
			}
		}
		if len(n.added) > 0 {
			slices.SortFunc(replicas, crdt.ReplicaID.Compare)
		}
		for _, r := range slices.Compact(replicas) {
			last := uint64(crdt.CounterMax)
			if upto != nil {
				last = upto.Get(r)
			}
			if last <= v.Get(r) {
				continue
			}
			more, err := n.of(tx, r, v.Get(r), last, yield)
			if err != nil && more {
				yield(crdt.Name{}, err)
			}
			if err != nil || !more {
				return
			}
		}
	}
}

// of yields the names of one replica with above < counter <= upto, and reports whether yield wants more.
func (n *names) of(tx *Tx, r crdt.ReplicaID, above, upto uint64, yield func(crdt.Name, error) bool) (more bool, err error) {
	n.build(tx)
	find := func(counter uint64) int {
		i, _ := slices.BinarySearchFunc(n.added, crdt.Dot{Replica: r, Counter: counter}, func(n crdt.Name, d crdt.Dot) int { return n.Dot.Compare(d) })
		return i
	}
	added := n.added[find(above+1):find(upto+1)]
	// before yields the added names that come before a committed one.
	before := func(next *crdt.Name) bool {
		for len(added) > 0 && (next == nil || added[0].Compare(*next) < 0) {
			name := added[0]
			added = added[1:]
			if n.kind.has(tx.entries[name.Path].after, name.Dot) && !yield(name, nil) {
				return false
			}
		}
		return true
	}
	more = true
	if o, ok := tx.s.ordinals[r]; ok && tx.s.committed.context.Get(r) > above {
		err = n.scan(tx, r, o, above, upto, func(name crdt.Name) bool {
			if more = before(&name); !more {
				return false
			}
			if e := tx.entries[name.Path]; e != nil && e.dirty && !n.kind.has(e.after, name.Dot) {
				return true
			}
			more = yield(name, nil)
			return more
		})
	}
	if more && err == nil {
		more = before(nil)
	}
	return more, err
}

// scan yields the committed names of one replica.
func (n *names) scan(tx *Tx, r crdt.ReplicaID, o ordinal, above, upto uint64, yield func(crdt.Name) bool) error {
	lo := appendCounterKey(nil, n.kind.space, o, above+1)
	hi := after(append(appendOrdinalKey(nil, n.kind.space, o), '/'))
	if upto < crdt.CounterMax {
		hi = appendCounterKey(nil, n.kind.space, o, upto+1)
	}
	var bad error
	err := tx.s.eng.scan(context.Background(), lo, hi, func(key, _ []byte) bool {
		text := string(key)
		_, counter, path, err := cutName(text, n.kind.space)
		if err != nil {
			bad = &CorruptError{Key: text, Path: path, Err: err}
			return false
		}
		return yield(crdt.Name{Dot: crdt.Dot{Replica: r, Counter: counter}, Path: path})
	})
	if bad != nil {
		return bad
	}
	return err
}
