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
		var few [8]crdt.ReplicaID
		replicas := few[:0]
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
		if len(replicas) == 0 {
			return
		}
		if len(n.added) > 0 {
			slices.SortFunc(replicas, crdt.ReplicaID.Compare)
		}
		w := newNameWalk(n, tx, yield)
		for _, r := range slices.Compact(replicas) {
			last := uint64(crdt.CounterMax)
			if upto != nil {
				last = upto.Get(r)
			}
			if last <= v.Get(r) {
				continue
			}
			more, err := w.of(r, v.Get(r), last)
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
	return newNameWalk(n, tx, yield).of(r, above, upto)
}

// A nameWalk goes over the names of one replica after the other.
type nameWalk struct {
	*names
	tx    *Tx
	yield func(crdt.Name, error) bool
	// step is the method committed, made once.
	step func(key, _ []byte) bool

	replica crdt.ReplicaID
	added   []crdt.Name // those that are still to come
	more    bool
	bad     error
	lo, hi  []byte
}

func newNameWalk(n *names, tx *Tx, yield func(crdt.Name, error) bool) *nameWalk {
	w := &nameWalk{names: n, tx: tx, yield: yield}
	w.step = w.committed
	return w
}

// of is that of names.
func (w *nameWalk) of(r crdt.ReplicaID, above, upto uint64) (more bool, err error) {
	w.build(w.tx)
	w.replica, w.more, w.bad = r, true, nil
	w.added = w.names.added[w.place(above+1):w.place(upto+1)]
	if o, ok := w.tx.s.ordinals[r]; ok && w.tx.s.committed.context.Get(r) > above {
		w.lo = appendCounterKey(w.lo[:0], w.kind.space, o, above+1)
		if upto < crdt.CounterMax {
			w.hi = appendCounterKey(w.hi[:0], w.kind.space, o, upto+1)
		} else {
			w.hi = append(appendOrdinalKey(w.hi[:0], w.kind.space, o), '/'+1) // behind all counters
		}
		if err = w.tx.s.eng.scan(context.Background(), w.lo, w.hi, w.step); w.bad != nil {
			err = w.bad
		}
	}
	if w.more && err == nil {
		w.more = w.before(nil)
	}
	return w.more, err
}

// place returns where the added names of a counter begin.
func (w *nameWalk) place(counter uint64) int {
	i, _ := slices.BinarySearchFunc(w.names.added, crdt.Dot{Replica: w.replica, Counter: counter}, func(n crdt.Name, d crdt.Dot) int { return n.Dot.Compare(d) })
	return i
}

// before yields the added names that come before a committed one, or all that are left.
func (w *nameWalk) before(next *crdt.Name) bool {
	for len(w.added) > 0 && (next == nil || w.added[0].Compare(*next) < 0) {
		name := w.added[0]
		w.added = w.added[1:]
		if w.kind.has(w.tx.entries[name.Path].after, name.Dot) && !w.yield(name, nil) {
			return false
		}
	}
	return true
}

// committed yields the name in a committed key, unless the transaction took it away.
func (w *nameWalk) committed(key, _ []byte) bool {
	text := string(key)
	_, counter, path, err := cutName(text, w.kind.space)
	if err != nil {
		w.bad = &CorruptError{Key: text, Path: path, Err: err}
		return false
	}
	name := crdt.Name{Dot: crdt.Dot{Replica: w.replica, Counter: counter}, Path: path}
	if w.more = w.before(&name); !w.more {
		return false
	}
	if e := w.tx.entries[path]; e != nil && e.dirty && !w.kind.has(e.after, name.Dot) {
		return true
	}
	w.more = w.yield(name, nil)
	return w.more
}
