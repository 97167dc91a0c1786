package node

import (
	"context"
	"errors"
	"iter"
	"time"

	"syncline/crdt"
	"syncline/store"
)

// List yields the entries whose path begins with prefix, in the order of their paths' bytes, as they were when the iteration
// began. An error that names one entry, by its path, says that this entry cannot be read: the iteration goes on after it if the
// caller does. [ErrFileDamaged] comes last: all that can be read was there, and a part cannot even be named. Any other error ends it, as [ErrClosed] if the node is closed meanwhile. [Space.Filling] says whether more is on its way.
func (s *Space) List(ctx context.Context, prefix string, o ListOptions) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		n := 0
		for e, err := range read(s, s.store.List(prefix, o.After)) {
			if err == nil {
				err = ctx.Err()
			}
			if damage := new(store.CorruptError); errors.As(err, &damage) && e.Path != "" && ctx.Err() == nil {
				if !yield(Entry{Path: e.Path}, s.problem(err).On(e.Path)) {
					return
				}
				continue
			}
			if err != nil {
				yield(Entry{}, s.listProblem(ctx, err))
				return
			}
			reg := crdt.Register{Live: e.Live}
			out := s.entry(e.Path, reg)
			out.Pending = s.pending(reg)
			if n++; !yield(out, nil) || n == o.Limit {
				return
			}
		}
	}
}

func (s *Space) listProblem(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.problem(err)
}

// Conflicts yields the entries with an open Conflict whose path begins with prefix, in the order of their paths' bytes. All
// devices that hold the same values yield the same. Errors are as those of List.
func (s *Space) Conflicts(ctx context.Context, prefix string) iter.Seq2[Conflict, error] {
	return func(yield func(Conflict, error) bool) {
		for path, err := range read(s, s.store.Conflicts(prefix, "")) {
			var reg crdt.Register
			if err == nil {
				reg, err = s.store.Get(path)
			}
			if err == nil {
				err = ctx.Err()
			}
			if damage := new(store.CorruptError); errors.As(err, &damage) && path != "" && ctx.Err() == nil {
				if !yield(Conflict{Entry: Entry{Path: path}}, s.problem(err).On(path)) {
					return
				}
				continue
			}
			if err != nil {
				yield(Conflict{}, s.listProblem(ctx, err))
				return
			}
			if s.open(path, reg) && !yield(s.conflict(path, reg), nil) {
				return
			}
		}
	}
}

// Conflict returns the open Conflict at path, with its Base, or [ErrNoConflict], or [ErrNotFound] if there is no entry.
func (s *Space) Conflict(ctx context.Context, path string) (Conflict, error) {
	c, reg, err := s.conflictAt(path)
	if err == nil {
		c.Base, c.BaseReason = s.base(path, reg, true)
	}
	return c, err
}

// conflictAt returns the open Conflict at path without its Base, and the register that it was read from.
func (s *Space) conflictAt(path string) (Conflict, crdt.Register, error) {
	if err := s.mayRead(path); err != nil {
		return Conflict{}, crdt.Register{}, err
	}
	reg, err := s.store.Get(path)
	switch {
	case err != nil:
		return Conflict{}, reg, s.problem(err)
	case len(reg.Live) == 0:
		return Conflict{}, reg, s.notFound(path, reg)
	case reg.Contending() == 0:
		return Conflict{}, reg, ErrNoConflict.With("%s has no open conflict", path).On(path)
	case !s.open(path, reg):
		policy := s.rules.Load().policy(path)
		return Conflict{}, reg, ErrNoConflict.With("the policy “%s” settles what competes at %s", policy, path).On(path).
			Next("A plain write replaces all its values; peer policy shows the policies.")
	}
	return s.conflict(path, reg), reg, nil
}

func (s *Space) conflict(path string, reg crdt.Register) Conflict {
	c := Conflict{Entry: s.entry(path, reg), Reason: UpdateUpdate}
	c.Entry.Pending = s.pending(reg)
	if c.Entry.Conflict == 1 {
		c.Reason = DeleteUpdate
	}
	for _, v := range c.Values {
		if v.Time.After(c.Since) {
			c.Since = v.Time
		}
	}
	s.nameOrigins(&c, reg)
	return c
}

// unixMilli is the wall time as a Replica is told it.
func unixMilli(t time.Time) int64 { return t.UnixMilli() }
