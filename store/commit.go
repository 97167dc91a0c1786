package store

import (
	"bytes"
	"slices"
	"strings"

	"syncline/crdt"
)

// replace counts what it means for the state as a whole that the register at path becomes another one.
func (h *Head) replace(path string, before, after crdt.Register) {
	diffLive(before.Live, after.Live, func(old, new *crdt.Value) {
		if old != nil && new != nil && sameCounted(*old, *new) {
			return
		}
		if old != nil {
			h.Digest.Remove(path, *old)
		}
		if new != nil {
			h.Digest.Add(path, *new)
		}
	})
	h.Deletes += len(after.Deletes) - len(before.Deletes)
	h.count(path, before, -1)
	h.count(path, after, +1)
}

func (h *Head) count(path string, r crdt.Register, sign int) {
	if len(r.Live) == 0 {
		return
	}
	if crdt.IsSystemPath(path) {
		h.SystemEntries += sign
		return
	}
	h.Entries += sign
	h.Bytes += sign * len(path)
	for i := range r.Live {
		h.Bytes += sign * len(r.Live[i].Data)
	}
	if isConflict(path, r) {
		h.Conflicts += sign
	}
}

// isConflict reports whether path belongs into the index of conflicts.
func isConflict(path string, r crdt.Register) bool {
	return len(r.Live) > 0 && !crdt.IsSystemPath(path) && r.Contending() > 0
}

// sameCounted reports whether two values of one dot are the same to the digest.
func sameCounted(v, w crdt.Value) bool {
	return v.Time == w.Time && v.Kind == w.Kind && v.Type == w.Type && bytes.Equal(v.Data, w.Data)
}

// diffLive walks two sorted lists of values side by side and calls yield for each dot with the value on either side, nil if
// there is none.
func diffLive(before, after []crdt.Value, yield func(old, new *crdt.Value)) {
	for len(before) > 0 || len(after) > 0 {
		order := 0
		switch {
		case len(before) == 0:
			order = 1
		case len(after) == 0:
			order = -1
		default:
			order = before[0].Dot.Compare(after[0].Dot)
		}
		var old, new *crdt.Value
		if order <= 0 {
			old, before = &before[0], before[1:]
		}
		if order >= 0 {
			new, after = &after[0], after[1:]
		}
		yield(old, new)
	}
}

// fill puts all records that the transaction changed into a batch: space of keys after space of keys, and each in order, since a datastore
// that sorts takes a key beside the one before for much less. Seats come last: the indexes may give out ordinals.
func (tx *Tx) fill(b *batch) {
	if n := tx.size(); n >= growMin {
		b.grow(n)
	}
	tx.fillIndex(b)
	byPath := func(x, y *entry) int { return strings.Compare(x.path, y.path) }
	if !slices.IsSortedFunc(tx.dirty, byPath) { // those of one operation are
		slices.SortFunc(tx.dirty, byPath)
	}
	for _, e := range tx.dirty {
		tx.fillLive(b, e)
	}
	for _, e := range tx.dirty {
		if e.whole || len(e.before.Deletes)+len(e.after.Deletes) > 0 {
			tx.fillDeletes(b, e)
		}
	}
	for r, open := range tx.opens {
		tx.key = appendOrdinalKey(tx.key[:0], spaceOpen, tx.ordinal(r))
		tx.val = appendBlob(tx.val[:0], open)
		b.put(tx.key, tx.val)
	}
	for key, value := range tx.metas {
		tx.key = append(append(tx.key[:0], spaceMeta...), key...)
		if value == nil {
			b.delete(tx.key)
			continue
		}
		tx.val = appendBlob(tx.val[:0], value)
		b.put(tx.key, tx.val)
	}
	context, floor := tx.s.parts.Top(), tx.s.parts.Floor()
	for r := range tx.seats {
		s := seat{r, context.Get(r), floor.Get(r)}
		tx.key = appendOrdinalKey(tx.key[:0], spaceReplica, tx.s.ordinals[r])
		tx.val = appendSeat(tx.val[:0], s)
		b.put(tx.key, tx.val)
	}
	if tx.parted || len(tx.seats) > 0 {
		tx.fillParts(b)
	}
	tx.fillHistory(b)
	tx.fillOwn(b)
}

// growMin is the size from which on a batch is told how large it will be. Databases keep the buffers of smaller ones.
const growMin = 1 << 20

// size estimates the bytes of the keys and values of what changed, a little too high for all but odd cases.
func (tx *Tx) size() int {
	const record = 64 // what a value has beside its path and data, in all its records
	n := 0
	for _, e := range tx.dirty {
		for i := range e.after.Live {
			n += 2*len(e.path) + record + len(e.after.Live[i].Data)
		}
		for i := range e.past {
			n += 2*len(e.path) + record + len(e.past[i].Value.Data)
		}
	}
	return n
}

// fillOwn puts the records that exist once.
func (tx *Tx) fillOwn(b *batch) {
	if !tx.s.formatted {
		b.put([]byte(keyFormat), appendFormat(tx.val[:0]))
	}
	switch {
	case tx.writer == tx.s.committed.writer:
	case tx.writer.IsZero():
		b.delete([]byte(keyIncarnation))
	default:
		b.put([]byte(keyIncarnation), appendIncarnation(tx.val[:0], incarnation{replica: tx.writer}))
	}
	tx.key = append(tx.key[:0], keyHead...)
	tx.val = appendHead(tx.val[:0], tx.head)
	b.put(tx.key, tx.val)
}

// fillLive puts the live values of an entry into a batch, if they changed or must be written anew.
func (tx *Tx) fillLive(b *batch, e *entry) {
	if !e.whole && sameLive(e.before.Live, e.after.Live) {
		return
	}
	tx.key = appendPath(tx.key[:0], e.path)
	if len(e.after.Live) == 0 {
		b.delete(tx.key)
	} else {
		tx.val = crdt.AppendValues(tx.val[:0], e.after.Live)
		b.put(tx.key, tx.val)
	}
	if was, is := isConflict(e.path, e.before), isConflict(e.path, e.after); was != is || e.whole {
		tx.key = append(append(tx.key[:0], spaceConflict...), e.path...)
		if is {
			b.put(tx.key, nil)
		} else {
			b.delete(tx.key)
		}
	}
}

// fillIndex puts the changes of the names of live values into a batch: those that go, then those that come. The entries are in the order
// of the operations, and so are the counters in the names that come; often those that go were written in that order, too.
func (tx *Tx) fillIndex(b *batch) {
	for _, e := range tx.dirty {
		for i := range e.before.Live {
			if d := e.before.Live[i].Dot; !hasLive(e.after, d) {
				b.delete(tx.nameKey(spaceLive, d, e.path))
			}
		}
	}
	for _, e := range tx.dirty {
		for i := range e.after.Live {
			if d := e.after.Live[i].Dot; !hasLive(e.before, d) {
				b.put(tx.nameKey(spaceLive, d, e.path), nil)
			}
		}
	}
}

// sameLive reports whether two lists of values have the same record.
func sameLive(before, after []crdt.Value) bool {
	return slices.EqualFunc(before, after, func(v, w crdt.Value) bool {
		return v.Dot == w.Dot && v.Won == w.Won && sameCounted(v, w)
	})
}

func (tx *Tx) fillDeletes(b *batch, e *entry) {
	same := len(e.before.Deletes) == len(e.after.Deletes)
	for _, d := range e.before.Deletes {
		if !hasDelete(e.after, d.Dot) {
			same = false
			b.delete(tx.nameKey(spaceLog, d.Dot, e.path))
		}
	}
	for _, d := range e.after.Deletes {
		if !hasDelete(e.before, d.Dot) {
			same = false
			b.put(tx.nameKey(spaceLog, d.Dot, e.path), nil)
		}
	}
	if same && !e.whole {
		return
	}
	tx.key = appendDeletesKey(tx.key[:0], e.path)
	if len(e.after.Deletes) == 0 {
		b.delete(tx.key)
		return
	}
	tx.val = crdt.AppendDeletes(tx.val[:0], e.after.Deletes)
	b.put(tx.key, tx.val)
}

func (tx *Tx) nameKey(space string, d crdt.Dot, path string) []byte {
	tx.key = appendNameKey(tx.key[:0], space, tx.ordinal(d.Replica), d.Counter, path)
	return tx.key
}

// seatsMax is the number of changed seats from which on it costs less to copy the whole vectors.
const seatsMax = 16

// publish applies the batch and shows its effects to readers, both as one step to those who look at more than one record.
func (tx *Tx) publish(b *batch) error {
	s := tx.s
	s.commits.Lock()
	defer s.commits.Unlock()
	s.commit.Add(1)
	defer s.commit.Add(1)
	if err := b.commit(); err != nil {
		s.cache.clear()
		return err
	}
	for _, e := range tx.dirty {
		if e.torn != nil {
			s.cache.forget(e.path)
			continue
		}
		tx.val = s.cache.put(tx.val, e.path, e.after)
	}
	s.formatted = true
	head := tx.head
	s.head.Store(&head)
	if tx.swept != nil {
		s.swept, s.rest = *tx.swept, s.rest && tx.swept.next != ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	top, floors := s.parts.Top(), s.parts.Floor()
	if len(tx.seats) > seatsMax || len(tx.seats) > 0 && s.lent.Load() {
		s.lent.Store(false)
		s.committed.context, s.committed.floor = top.Clone(), floors.Clone()
		clear(tx.seats)
	}
	s.committed.parts = nil
	if len(s.parts) > 1 {
		s.committed.parts = s.parts.Clone()
	}
	for r := range tx.seats {
		context, floor := crdt.Dot{Replica: r, Counter: top.Get(r)}, crdt.Dot{Replica: r, Counter: floors.Get(r)}
		s.committed.context.Retreat(context)
		s.committed.context.Add(context)
		s.committed.floor.Retreat(floor)
		s.committed.floor.Add(floor)
	}
	if tx.writer != s.committed.writer {
		s.committed.writer, s.onDisk = tx.writer, incarnation{replica: tx.writer}
	}
	return nil
}
