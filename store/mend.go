package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"syncline/crdt"
)

// Damaged yields, in order, the paths that begin with prefix and have a record that does not decode, each with its [CorruptError].
// System paths belong to the empty prefix. It reads everything below the prefix. Any other error ends the iteration, with an empty path.
func (s *Store) Damaged(prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		found := map[string]error{}
		look := func(space string, decode func([]byte) error) error {
			return s.around(space, prefix, "", func(path string, value []byte, err error) bool {
				if err != nil {
					found[path] = err
				} else if err := decode(value); err != nil {
					found[path] = &CorruptError{Key: space + path, Path: path, Err: err}
				}
				return true
			})
		}
		live := func(b []byte) error { _, err := crdt.DecodeValues(slices.Clone(b)); return err }
		deletes := func(b []byte) error { _, err := crdt.DecodeDeletes(slices.Clone(b)); return err }
		err := errors.Join(look(spaceUser, live), look(spaceDeletes+spaceUser, deletes))
		if system := prefix == "" || crdt.IsSystemPath(prefix); system {
			if prefix == "" {
				prefix = "/"
			}
			err = errors.Join(err, look(spaceSystem[:2], live), look(spaceDeletes+spaceSystem[:2], deletes))
		}
		if err != nil {
			yield("", err)
			return
		}
		for _, path := range slices.Sorted(maps.Keys(found)) {
			if !yield(path, found[path]) {
				return
			}
		}
	}
}

// RecordKey returns where the live values of a path are kept, for who spoils them on purpose.
func RecordKey(path string) []byte { return appendPath(nil, path) }

// DeletesKey returns where the remembered deletes of a path are kept, for the same.
func DeletesKey(path string) []byte { return appendDeletesKey(nil, path) }

// A Damage is what the indexes still tell of a path whose records do not all decode.
type Damage struct {
	Path string
	// Live and Deletes name the values and the remembered deletes that the damaged records held; nil for a record that decodes, empty if the
	// index does not name them either.
	Live, Deletes []crdt.Dot
	// GivenUp says that the values which Mend puts in the place of what was lost are none: they only bear its dots, so that a delete can name
	// them.
	GivenUp bool

	// before is the committed register, with placeholders for what is lost. open says that it is in the index of conflicts.
	before crdt.Register
	open   bool
}

// Lost reports whether live values are lost, named or not.
func (d *Damage) Lost() bool { return d.Live != nil }

// Damage returns what is lost of those of the paths that are damaged. It reads the indexes as a whole. A path that the
// transaction has changed is not damaged any more: its commit writes all of its records.
func (tx *Tx) Damage(paths []string) ([]Damage, error) {
	var found []Damage
	at := map[string]int{}
	for _, path := range paths {
		e := tx.entries[path]
		if e != nil && e.dirty && e.torn == nil {
			e.whole = true // it was known from the cache
			continue
		}
		d := Damage{Path: path}
		live, err := tx.salvage(path, appendPath(nil, path), func(b []byte) (err error) { d.before.Live, err = crdt.DecodeValues(b); return err })
		if err != nil {
			return nil, err
		}
		deletes, err := tx.salvage(path, appendDeletesKey(nil, path), func(b []byte) (err error) { d.before.Deletes, err = crdt.DecodeDeletes(b); return err })
		if err != nil {
			return nil, err
		}
		if e != nil && e.torn != nil { // what was lost of its deletes is forgotten
			deletes, d.before.Deletes = true, e.before.Deletes
		}
		if live && deletes {
			continue
		}
		tx.s.cache.forget(path) // all readers see the same damage
		if !live {
			d.Live = []crdt.Dot{}
		}
		if !deletes {
			d.Deletes = []crdt.Dot{}
		}
		at[path] = len(found)
		found = append(found, d)
	}
	if len(found) == 0 {
		return nil, nil
	}
	for n, err := range tx.LiveAbove(crdt.Vector{}) {
		if err != nil {
			return nil, err
		}
		if i, ok := at[n.Path]; ok && found[i].Live != nil {
			found[i].Live = append(found[i].Live, n.Dot)
		}
	}
	for n, err := range tx.log.above(tx, crdt.Vector{}, nil) {
		if err != nil {
			return nil, err
		}
		if i, ok := at[n.Path]; ok && found[i].Deletes != nil {
			found[i].Deletes = append(found[i].Deletes, n.Dot)
		}
	}
	for i := range found {
		if err := tx.placehold(&found[i]); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// salvage decodes the record of a path under key and reports whether it is whole; one that is missing is.
func (tx *Tx) salvage(path string, key []byte, decode func([]byte) error) (whole bool, err error) {
	value, found, err := tx.s.record(tx.s.eng.reader, key, path)
	switch bad := new(CorruptError); {
	case errors.As(err, &bad):
		return false, nil
	case err != nil || !found:
		return true, err
	}
	return decode(value) == nil, nil
}

// placehold puts a value or a delete in the place of each that is lost, so that the commit of what follows removes their index entries.
func (tx *Tx) placehold(d *Damage) (err error) {
	if _, d.open, err = tx.s.eng.get(context.Background(), nil, []byte(spaceConflict+d.Path)); err != nil {
		return err
	}
	if d.Live != nil {
		d.before.Live = nil
		for _, dot := range d.Live {
			d.before.Live = append(d.before.Live, crdt.Value{Dot: dot})
		}
	}
	if d.Deletes != nil {
		d.before.Deletes = nil
		for _, dot := range d.Deletes {
			d.before.Deletes = append(d.before.Deletes, crdt.Delete{Dot: dot})
		}
	}
	return nil
}

// Mend puts whole records in the place of damaged ones. What was live at their paths is what values says, by path, sorted by dot, all of it
// within the context; what else was lost counts as superseded, so the caller must know that it is, or give it up. Deletes that were lost are
// forgotten as if there had been too many: the floor rises over them. Digest and counts stay if all live values that were lost are back; else
// they are made anew from all records that can be read.
func (tx *Tx) Mend(damages []Damage, values map[string][]crdt.Value) error {
	if len(damages) == 0 {
		return nil // digest and counts hold what is damaged, too
	}
	// What is made anew counts nothing that is damaged, so nobody may go on from a copy of it.
	tx.s.cache.clear()
	tx.forgetClean()
	back, conflicts := true, 0
	for i := range damages {
		d := &damages[i]
		after := d.before
		if d.Live != nil {
			after.Live = d.revive(values[d.Path])
			back = back && !d.GivenUp && len(d.Live) > 0 && d.isBack(values[d.Path])
			if d.open {
				conflicts--
			}
			if isConflict(d.Path, after) {
				conflicts++
			}
		}
		context := tx.s.parts[tx.s.parts.Of(d.Path)].Context
		for _, v := range after.Live {
			if !context.Has(v.Dot) {
				return fmt.Errorf("mend %q: %v was never seen here", d.Path, v.Dot)
			}
		}
		if d.Deletes != nil {
			after.Deletes = nil
		}
		if e := tx.entries[d.Path]; e != nil {
			after.Deletes = e.after.Deletes // some of them are forgotten already
		}
		tx.replace(d, after, nil)
	}
	if err := tx.recount(back, conflicts); err != nil {
		return err
	}
	for i := range damages {
		if err := tx.forgetLost(&damages[i]); err != nil {
			return err
		}
	}
	return nil
}

// replace makes after the register at a damaged path. Its live values stay unreadable if torn says why.
func (tx *Tx) replace(d *Damage, after crdt.Register, torn error) {
	e := tx.entries[d.Path]
	if e == nil {
		e = &entry{path: d.Path, before: d.before, dirty: true}
		tx.entries[d.Path], tx.changed = e, true
		tx.dirty = append(tx.dirty, e)
	}
	e.after, e.torn, e.whole = after, torn, torn == nil
	tx.live.note(e)
}

// revive returns values as they were in the record: that the only one won over a delete is told by the index of conflicts. Which of several
// equal ones it was, nothing tells but the marks that they come with.
func (d *Damage) revive(values []crdt.Value) []crdt.Value {
	if !d.open || d.GivenUp || !d.isBack(values) || len(values) != 1 {
		return values
	}
	values = slices.Clone(values)
	values[0].Won = true
	return values
}

// isBack reports whether values are those that the record held.
func (d *Damage) isBack(values []crdt.Value) bool {
	r := crdt.Register{Live: values}
	return len(values) == len(d.Live) && !slices.ContainsFunc(d.Live, func(dot crdt.Dot) bool { return !hasLive(r, dot) })
}

// forgetLost raises the floor over the deletes that were lost, over all that was seen of their part if nothing names them.
func (tx *Tx) forgetLost(d *Damage) error {
	part := tx.s.parts.Of(d.Path)
	lost := d.Deletes
	if lost != nil && len(lost) == 0 {
		lost = slices.Collect(tx.s.parts[part].Context.All())
	}
	return tx.Raise(part, crdt.Vector{}, crdt.VectorOf(slices.Clone(lost)))
}

// forgetTorn drops the deletes of a damaged path that the floor of its part holds, and all of them if it is they that are lost. Live values
// that cannot be read are left as they are.
func (tx *Tx) forgetTorn(path string, torn error) error {
	found, err := tx.Damage([]string{path})
	if err != nil || len(found) == 0 {
		return err
	}
	d := &found[0]
	if !d.Lost() {
		torn = nil
	}
	after := d.before
	if e := tx.entries[path]; e != nil {
		after = e.after
	}
	floor, had := tx.s.parts[tx.s.parts.Of(path)].Floor, len(after.Deletes)
	after.Deletes = slices.DeleteFunc(slices.Clone(after.Deletes), func(x crdt.Delete) bool { return d.Deletes != nil || floor.Has(x.Dot) })
	tx.head.Deletes += len(after.Deletes) - had
	tx.replace(d, after, torn)
	return tx.forgetLost(d)
}

// recount makes digest and counts anew: from the committed records, but for those that the transaction changed, and from these. Values
// that do not decode count nothing, so while there are such records elsewhere, peers that have seen the same would take this device for one that
// holds something else. If all that was lost is back, digest and counts therefore stay as they are, unless an earlier recount has left
// out some of it; conflicts is how many more there are, as whether a value won over a delete is not told by its dot. Remembered deletes are
// counted by their index, which holds the damaged ones, too: as long as there is one, readers look for its record.
func (tx *Tx) recount(back bool, conflicts int) error {
	h := Head{Clock: tx.head.Clock, written: tx.head.written}
	records := 0
	add := func(path string, value []byte) {
		records++
		h.add(path, value)
	}
	err := errors.Join(tx.each(spaceUser, add), tx.each(spaceSystem, add))
	for _, e := range tx.dirty {
		if len(e.after.Live) > 0 {
			records++
		}
		if e.torn == nil {
			h.replace(e.path, crdt.Register{}, e.after)
		}
	}
	if back && tx.head.Entries+tx.head.SystemEntries == records {
		h = tx.head
		h.Conflicts += conflicts
	}
	h.Deletes = 0
	for _, broken := range tx.log.above(tx, crdt.Vector{}, nil) {
		if h.Deletes++; broken != nil {
			err = errors.Join(err, broken)
		}
	}
	tx.head = h
	return err
}

// add counts a record of live values.
func (h *Head) add(path string, value []byte) {
	if live, err := crdt.DecodeValues(value); err == nil {
		h.replace(path, crdt.Register{}, crdt.Register{Live: live})
	}
}

// each scans the committed records of a space of paths that the transaction did not change.
func (tx *Tx) each(space string, yield func(path string, value []byte)) error {
	lo := []byte(space)
	return tx.s.scanAround(lo, after(lo), func(key, value []byte, _ error) bool {
		path, ok := cutPath(strings.TrimPrefix(string(key), spaceDeletes))
		if e := tx.entries[path]; ok && (e == nil || !e.dirty) {
			yield(path, slices.Clone(value))
		}
		return true
	})
}
