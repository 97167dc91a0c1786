package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"syncline/crdt"
)

// A store whose replica has one part keeps its context and floor with the ordinals, under /v. With several parts, what lies there is
// the join of all, and each part has a record of its own beside.

func appendPart(b []byte, p crdt.Part) []byte {
	b = append(b, recordVersion)
	b = append(binary.AppendUvarint(b, uint64(len(p.From))), p.From...)
	seen := crdt.AppendVector(nil, p.Context)
	b = append(binary.AppendUvarint(b, uint64(len(seen))), seen...)
	return crdt.AppendVector(b, p.Floor)
}

func decodePart(b []byte) (p crdt.Part, err error) {
	r, err := openRecord(b)
	if err != nil {
		return p, err
	}
	p.From = string(r.Bytes(crdt.BoundaryBytesMax))
	seen := r.Bytes(len(b))
	if r.Err != nil {
		return p, r.Err
	}
	if p.Context, err = crdt.DecodeVector(seen); err != nil {
		return p, err
	}
	p.Floor, err = crdt.DecodeVector(r.B)
	return p, err
}

// loadParts reads the parts, if there are several. Their join must be what the ordinals say.
func (s *Store) loadParts(ctx context.Context) error {
	var parts crdt.Parts
	var bad error
	lo := []byte(spacePart)
	err := s.eng.scan(ctx, lo, after(lo), func(key, value []byte) bool {
		p, err := decodePart(value)
		if n, err2 := cutOrdinal(string(key), spacePart); err == nil && (err2 != nil || int(n) != len(parts)) {
			err = fmt.Errorf("it follows %d others", len(parts))
		}
		if err != nil {
			bad = &CorruptError{Key: string(key), Err: err}
			return false
		}
		parts = append(parts, p)
		return true
	})
	if err != nil || bad != nil || len(parts) == 0 {
		if err == nil {
			err = bad
		}
		return err
	}
	if err := parts.Check(); err != nil || !parts.Top().Equal(s.committed.context) || !parts.Floor().Equal(s.committed.floor) {
		return &CorruptError{Key: spacePart, Err: fmt.Errorf("the parts are not those of the ordinals (%v)", err)}
	}
	s.parts, s.committed.parts = parts, parts.Clone()
	return nil
}

// fillParts puts the records of the parts into a batch, if there are or were several.
func (tx *Tx) fillParts(b *batch) {
	s := tx.s
	now := len(s.parts)
	if now == 1 {
		now = 0
	}
	for i := range s.parts[:now] {
		tx.key = appendOrdinalKey(tx.key[:0], spacePart, ordinal(i))
		tx.val = appendPart(tx.val[:0], s.parts[i])
		b.put(tx.key, tx.val)
	}
	for i := now; i < len(s.committed.parts); i++ {
		tx.key = appendOrdinalKey(tx.key[:0], spacePart, ordinal(i))
		b.delete(tx.key)
	}
}

// restore returns the parts as they were committed.
func (s *Store) restore() crdt.Parts {
	if s.committed.parts != nil {
		return s.committed.parts.Clone()
	}
	return crdt.Parts{{Context: s.committed.context.Clone(), Floor: s.committed.floor.Clone()}}
}

// Parts returns a copy of the committed parts.
func (s *Store) Parts() crdt.Parts {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.restore()
}

// Parted reports whether there is more than one committed part.
func (s *Store) Parted() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.committed.parts != nil
}

// Parts implements [crdt.Base].
func (tx *Tx) Parts() crdt.Parts { return tx.s.parts }

// Cut implements [crdt.Base].
func (tx *Tx) Cut(path string) {
	n := len(tx.s.parts)
	tx.s.parts = tx.s.parts.Cut(path)
	tx.reparted(n)
}

// Knit implements [crdt.Base].
func (tx *Tx) Knit() {
	n := len(tx.s.parts)
	tx.s.parts = tx.s.parts.Knit()
	tx.reparted(n)
}

func (tx *Tx) reparted(n int) {
	if len(tx.s.parts) != n {
		tx.parted, tx.changed = true, true
	}
}

// AdvancePart implements [crdt.Base].
func (tx *Tx) AdvancePart(i int, d crdt.Dot) {
	if p := &tx.s.parts[i]; !p.Context.Has(d) {
		p.Context.Add(d)
		tx.seat(d.Replica)
	}
}

// Raise implements [crdt.Base]. Beside the vectors it costs what it forgets.
func (tx *Tx) Raise(i int, context, floor crdt.Vector) error {
	p := &tx.s.parts[i]
	var paths []string
	for d := range floor.Above(p.Floor).All() {
		tx.seat(d.Replica)
		if tx.head.Deletes > 0 {
			var err error
			if paths, err = tx.logged(paths, i, d.Replica, p.Floor.Get(d.Replica), d.Counter); err != nil {
				return err
			}
		}
	}
	p.Floor.Join(floor)
	if err := tx.forgetAll(paths); err != nil {
		return err
	}
	for d := range context.Above(p.Context).All() {
		tx.seat(d.Replica)
	}
	p.Context.Join(context)
	return nil
}

// logged appends the paths of the i-th part with a remembered delete of r that is above one counter and not above the other.
func (tx *Tx) logged(paths []string, i int, r crdt.ReplicaID, above, upto uint64) ([]string, error) {
	_, err := tx.log.of(tx, r, above, upto, func(n crdt.Name, _ error) bool {
		if tx.s.parts.Of(n.Path) == i {
			paths = append(paths, n.Path)
		}
		return true
	})
	return paths, err
}

// forgetAll drops the deletes of paths that the floors of their parts hold.
func (tx *Tx) forgetAll(paths []string) error {
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		if err := tx.forget(path); err != nil {
			return err
		}
	}
	return nil
}

// forget drops the deletes of a path that the floor of its part holds. That a record of the path is damaged does not keep it from it.
func (tx *Tx) forget(path string) error {
	e, err := tx.entry(path)
	if errors.Is(err, crdt.ErrDecode) {
		return tx.forgetTorn(path, err)
	}
	if err != nil {
		return err
	}
	return tx.SetRegister(path, e.after)
}

// A block of the paths is read at a time: blockPaths of them, or those whose records have blockBytes.
const (
	blockPaths = 256
	blockBytes = 1 << 20
)

// Between implements [crdt.Base].
func (tx *Tx) Between(from, to string) crdt.EntrySeq {
	return func(yield func(crdt.Entry, error) bool) {
		w := walker{tx: tx, yield: yield}
		for _, e := range tx.dirty {
			if e.path >= from && (to == "" || e.path < to) {
				w.dirty = append(w.dirty, e)
			}
		}
		slices.SortFunc(w.dirty, func(a, b *entry) int { return strings.Compare(a.path, b.path) })
		// System paths begin with a slash, and "0" is the first text after all of them.
		for _, part := range [...]struct{ space, lo, hi string }{{spaceUser, "", "/"}, {spaceSystem[:2], "/", "0"}, {spaceUser, "0", ""}} {
			lo, hi := max(from, part.lo), part.hi
			if to != "" && (hi == "" || to < hi) {
				hi = to
			}
			if (hi == "" || lo < hi) && !w.walk(part.space, lo, hi) {
				return
			}
		}
		w.flush("")
	}
}

// A walker yields the registers of paths in order, those that the transaction changed in their places.
type walker struct {
	tx    *Tx
	dirty []*entry
	yield func(crdt.Entry, error) bool
}

// flush yields the changed entries before path, or all if it is empty, and reports whether more is wanted.
func (w *walker) flush(path string) bool {
	for len(w.dirty) > 0 && (path == "" || w.dirty[0].path < path) {
		e := w.dirty[0]
		w.dirty = w.dirty[1:]
		if !e.after.IsEmpty() && !w.yield(crdt.Entry{Path: e.path, Register: e.after}, nil) {
			return false
		}
	}
	return true
}

// walk yields the paths with lo <= path < hi in one space of keys.
func (w *walker) walk(space, lo, hi string) bool {
	from, end := []byte(space+lo), []byte(space+hi)
	if hi == "" {
		end = after([]byte(space))
	}
	for {
		live, next, err := w.block(from, end)
		if err == nil && w.tx.s.head.Load().Deletes > 0 {
			live, err = w.deletes(live, from, next, end)
		}
		if err != nil {
			w.yield(crdt.Entry{}, err)
			return false
		}
		for _, e := range live {
			if !w.flush(e.Path) {
				return false
			}
			if len(w.dirty) > 0 && w.dirty[0].path == e.Path {
				continue // flush yields it
			}
			if !w.yield(e, nil) {
				return false
			}
		}
		if next == nil {
			return true
		}
		from = next
	}
}

// block reads the live values of the next paths; next is the key to go on from, nil if there is no more.
func (w *walker) block(from, end []byte) (out []crdt.Entry, next []byte, err error) {
	size := 0
	var bad error
	err = w.tx.s.scanAround(from, end, func(key, value []byte, lost error) bool {
		if lost != nil {
			bad = lost
			return false
		}
		if len(out) >= blockPaths || size >= blockBytes {
			next = slices.Clone(key)
			return false
		}
		path, ok := cutPath(string(key))
		live, err := crdt.DecodeValues(slices.Clone(value))
		if err != nil || !ok {
			bad = &CorruptError{Key: string(key), Path: path, Err: err}
			return false
		}
		out = append(out, crdt.Entry{Path: path, Register: crdt.Register{Live: live}})
		size += len(value)
		return true
	})
	if err == nil {
		err = bad
	}
	return out, next, err
}

// deletes adds what is remembered of the deletes of the same paths, and of those between them.
func (w *walker) deletes(live []crdt.Entry, from, next, end []byte) ([]crdt.Entry, error) {
	if next != nil {
		end = next
	}
	var bad error
	out := make([]crdt.Entry, 0, len(live))
	lo, hi := append([]byte(spaceDeletes), from...), append([]byte(spaceDeletes), end...)
	err := w.tx.s.scanAround(lo, hi, func(key, value []byte, lost error) bool {
		if lost != nil {
			bad = lost
			return false
		}
		path, ok := cutPath(strings.TrimPrefix(string(key), spaceDeletes))
		deletes, err := crdt.DecodeDeletes(slices.Clone(value))
		if err != nil || !ok {
			bad = &CorruptError{Key: string(key), Path: path, Err: err}
			return false
		}
		for len(live) > 0 && live[0].Path < path {
			out, live = append(out, live[0]), live[1:]
		}
		e := crdt.Entry{Path: path}
		if len(live) > 0 && live[0].Path == path {
			e, live = live[0], live[1:]
		}
		e.Register.Deletes = deletes
		out = append(out, e)
		return true
	})
	if err == nil {
		err = bad
	}
	return append(out, live...), err
}
