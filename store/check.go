package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"syncline/crdt"
)

// Check reads the whole committed state and returns an error that names the first broken invariant, nil if all hold:
//
//   - every record decodes, and every register holds the invariants of package crdt under the context and the floor;
//   - the index of live values and the log of deletes name exactly what the registers hold;
//   - the index of conflicts names exactly the user paths that wait for a decision;
//   - digest and counts are those of the registers;
//   - in each part the floor is within the context, and each replica has one ordinal;
//   - every past value decodes, and its position is below the next.
//
// Nothing may be committed meanwhile.
func (s *Store) Check() error {
	if s.closed.Load() {
		return ErrClosed
	}
	c := checker{s: s, parts: s.Parts(), deletes: map[string][]crdt.Delete{}}
	for _, step := range []func() error{c.vectors, c.loadDeletes, c.registers, c.loneDeletes, c.indexes, c.conflicts, c.counts, c.blobs, c.pasts} {
		if err := step(); err != nil {
			return fmt.Errorf("check: %w", err)
		}
	}
	return nil
}

// Check is [Store.Check] of the committed state below the transaction, and holds the transaction's own context and floor against
// each other.
func (tx *Tx) Check() error {
	if err := tx.s.parts.Check(); err != nil {
		return fmt.Errorf("check: the transaction: %w", err)
	}
	return tx.s.Check()
}

type checker struct {
	s         *Store
	parts     crdt.Parts
	head      Head
	deletes   map[string][]crdt.Delete
	live, log []crdt.Name
	open      []string
}

func (c *checker) vectors() error {
	switch {
	case len(c.s.replicas) != len(c.s.ordinals):
		return fmt.Errorf("%d ordinals for %d replicas", len(c.s.ordinals), len(c.s.replicas))
	}
	for o, r := range c.s.replicas {
		if c.s.ordinals[r] != ordinal(o) {
			return fmt.Errorf("replica %v has ordinals %d and %d", r, o, c.s.ordinals[r])
		}
	}
	if err := c.parts.Check(); err != nil {
		return err
	}
	for r := range c.parts.Top().All() {
		if _, ok := c.s.ordinals[r.Replica]; !ok {
			return fmt.Errorf("replica %v has no ordinal", r.Replica)
		}
	}
	return nil
}

// each scans a space; step errors end it and come back with the key. The value is valid during the step only.
func (c *checker) each(space string, step func(key string, value []byte) error) error {
	var bad error
	lo := []byte(space)
	err := c.s.eng.scan(context.Background(), lo, after(lo), func(key, value []byte) bool {
		if err := step(string(key), value); err != nil {
			bad = &CorruptError{Key: string(key), Err: err}
			return false
		}
		return true
	})
	if bad != nil {
		return bad
	}
	return err
}

func (c *checker) loadDeletes() error {
	return c.each(spaceDeletes+"/", func(key string, value []byte) error {
		path, ok := cutPath(strings.TrimPrefix(key, spaceDeletes))
		if !ok {
			return fmt.Errorf("%w: no path", crdt.ErrDecode)
		}
		deletes, err := crdt.DecodeDeletes(value)
		c.deletes[path] = deletes
		return err
	})
}

func (c *checker) registers() error {
	step := func(key string, value []byte) error {
		path, ok := cutPath(key)
		if !ok {
			return fmt.Errorf("%w: no path", crdt.ErrDecode)
		}
		live, err := crdt.DecodeValues(value)
		if err != nil {
			return err
		}
		r := crdt.Register{Live: live, Deletes: c.deletes[path]}
		delete(c.deletes, path)
		return c.register(path, r)
	}
	if err := c.each(spaceUser, step); err != nil {
		return err
	}
	return c.each(spaceSystem, step)
}

func (c *checker) register(path string, r crdt.Register) error {
	c.head.replace(path, crdt.Register{}, r)
	for _, v := range r.Live {
		c.live = append(c.live, crdt.Name{Dot: v.Dot, Path: path})
	}
	for _, d := range r.Deletes {
		c.log = append(c.log, crdt.Name{Dot: d.Dot, Path: path})
	}
	if isConflict(path, r) {
		c.open = append(c.open, path)
	}
	p := &c.parts[c.parts.Of(path)]
	return crdt.CheckRegister(path, r, p.Context, p.Floor)
}

// loneDeletes checks the paths that hold remembered deletes only.
func (c *checker) loneDeletes() error {
	for path, deletes := range c.deletes {
		if err := c.register(path, crdt.Register{Deletes: deletes}); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) indexes() error {
	if err := c.index(spaceLive, "live value", c.live); err != nil {
		return err
	}
	return c.index(spaceLog, "remembered delete", c.log)
}

// index compares what an index names with what the registers hold.
func (c *checker) index(space, what string, want []crdt.Name) error {
	var got []crdt.Name
	err := c.each(space, func(key string, value []byte) error {
		o, counter, path, err := cutName(key, space)
		if err != nil {
			return err
		}
		if int(o) >= len(c.s.replicas) || len(value) > 0 {
			return fmt.Errorf("ordinal %d of %d, value of %d bytes", o, len(c.s.replicas), len(value))
		}
		got = append(got, crdt.Name{Dot: crdt.Dot{Replica: c.s.replicas[o], Counter: counter}, Path: path})
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(got, crdt.Name.Compare)
	slices.SortFunc(want, crdt.Name.Compare)
	for len(got) > 0 || len(want) > 0 {
		switch {
		case len(want) == 0 || len(got) > 0 && got[0].Compare(want[0]) < 0:
			return fmt.Errorf("the index names %v of %q, which is no %s", got[0].Dot, got[0].Path, what)
		case len(got) == 0 || got[0] != want[0]:
			return fmt.Errorf("the index lacks %v of %q, which is a %s", want[0].Dot, want[0].Path, what)
		}
		got, want = got[1:], want[1:]
	}
	return nil
}

func (c *checker) conflicts() error {
	err := c.each(spaceConflict, func(key string, value []byte) error {
		if len(value) > 0 {
			return fmt.Errorf("a value of %d bytes", len(value))
		}
		path := strings.TrimPrefix(key, spaceConflict)
		if len(c.open) == 0 || c.open[0] != path {
			return fmt.Errorf("path %q is not the next conflict of %q", path, c.open[:min(1, len(c.open))])
		}
		c.open = c.open[1:]
		return nil
	})
	if err == nil && len(c.open) > 0 {
		err = fmt.Errorf("the index of conflicts lacks %q", c.open[0])
	}
	return err
}

func (c *checker) counts() error {
	want := c.s.Head()
	c.head.Clock, c.head.written = want.Clock, want.written
	if c.head != want {
		return fmt.Errorf("the head says %+v, the registers %+v", want, c.head)
	}
	return nil
}

// blobs decodes bindings and local records.
func (c *checker) blobs() error {
	step := func(_ string, value []byte) error { _, err := decodeBlob(value); return err }
	if err := c.each(spaceMeta, step); err != nil {
		return err
	}
	return c.each(spaceOpen, func(key string, value []byte) error {
		o, err := cutOrdinal(key, spaceOpen)
		if err == nil && int(o) >= len(c.s.replicas) {
			err = fmt.Errorf("ordinal %d of %d", o, len(c.s.replicas))
		}
		if err != nil {
			return err
		}
		return step(key, value)
	})
}
