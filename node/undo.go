package node

import (
	"context"
	"errors"
	"slices"

	"syncline/crdt"
)

// Undo takes back a resolution that was made on this device: the values that it replaced compete again. An empty id names the last
// one. The values are written anew, by this device, so that every device sees them; copies that the resolution kept beside the entry are
// deleted if nobody wrote to them. Of a value that had won over a delete only the content comes back.
//
// It returns [ErrNotFound] if no such resolution is kept (the last 32 are, until they are taken back), and [ErrChangedSince] if the
// entry was written since. If it is interrupted, the values that were written until then compete with the one of the resolution.
func (s *Space) Undo(ctx context.Context, id string) (Entry, error) {
	u, err := s.undoable(id)
	if err != nil {
		return Entry{}, err
	}
	reg, err := s.store.Get(u.Path)
	if err != nil {
		return Entry{}, s.problem(err)
	}
	if len(reg.Live) != 1 || reg.Live[0].Dot != u.after() {
		return Entry{}, changedSince(u)
	}
	before, err := crdt.DecodeValues(u.Before)
	if err != nil {
		return Entry{}, ErrStore.Because(err).On(u.Path)
	}
	values := crdt.Register{Live: before}.Distinct()
	version := s.rules.Load().version(u.Path, reg)
	for _, v := range slices.Backward(values[1:]) { // the one that was shown comes last, and is shown again
		kind := v.Kind
		res, err := first(s.write(ctx, Write{Ops: []WriteOp{{Path: u.Path, Content: Content{Data: v.Data, Type: v.Type}, Kind: &kind,
			Sibling: true, IfVersion: version}}}))
		if errors.Is(err, ErrVersionMismatch) {
			return Entry{}, changedSince(u)
		}
		if err != nil {
			return Entry{}, err
		}
		version = res.Version
	}
	last := values[0]
	ops := []WriteOp{{Path: u.Path, Content: Content{Data: last.Data, Type: last.Type}, Kind: &last.Kind, Over: ValueID(u.after())}}
	for _, path := range u.Copies {
		copied, err := s.store.Get(path)
		if err != nil {
			return Entry{}, s.problem(err)
		}
		if len(copied.Live) == 1 && copied.Live[0].Dot == u.after() {
			ops = append(ops, WriteOp{Path: path, Delete: true, Over: ValueID(u.after())})
		}
	}
	if _, err := s.write(ctx, Write{Ops: ops, Meta: map[string][]byte{undoKey(u.Number): nil}}); err != nil {
		if errors.Is(err, ErrVersionMismatch) || errors.Is(err, ErrNotFound) {
			return Entry{}, changedSince(u)
		}
		return Entry{}, err
	}
	return s.Get(ctx, u.Path)
}

func changedSince(u undoRecord) *Problem {
	return ErrChangedSince.With("%s was written after the resolution %s", u.Path, u.id()).On(u.Path)
}

// undoable returns the resolution with an id, or the last one.
func (s *Space) undoable(id string) (undoRecord, error) {
	var found *undoRecord
	for rec, err := range s.store.Metas(undoPrefix) {
		if unreadable(err) {
			continue
		} else if err != nil {
			return undoRecord{}, s.problem(err)
		}
		u, ok := readUndo(rec)
		if ok && (id == "" || u.id() == id) && (found == nil || u.Number > found.Number) {
			found = &u
		}
	}
	switch {
	case found != nil:
		return *found, nil
	case id == "":
		return undoRecord{}, ErrNotFound.With("no resolution of this device is left to take back").Next("peer history PATH shows what an entry was, and peer restore brings a value back.")
	}
	return undoRecord{}, ErrNotFound.With("this device has no resolution %s, or keeps it no more", id).Next("The last 32 are kept. peer undo takes back the last one.")
}
