package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// An AroundRanger is a datastore that can go on behind a part of its files that the disk has spoiled.
type AroundRanger interface {
	// RangeAround is Range, except that hole is called, between two entries, for what cannot be read: lo <= key < hi, where a nil hi means no
	// upper bound. All that lies between is left out. It ends when yield or hole return false.
	RangeAround(ctx context.Context, lo, hi []byte, yield func(key, value []byte) bool, hole func(lo, hi []byte, damage error) bool) error
}

// around is under for records of paths; see scanAround.
func (s *Store) around(space, prefix, from string, yield func(path string, value []byte, err error) bool) error {
	if s.closed.Load() {
		return ErrClosed
	}
	lo, hi := bounds(space, prefix, from)
	return s.scanAround(lo, hi, func(key, value []byte, err error) bool { return yield(string(key[len(space):]), value, err) })
}

// scanAround scans the live values of paths, or what is remembered of their deletes. What lies in a damaged file is looked for by the names
// in the index: a record that was written anew since is yielded like the others, one that cannot be read with its [CorruptError]. The keys are
// in order. If the index cannot be read either, the scan goes on behind it and ends with [ErrUnnamed].
func (s *Store) scanAround(lo, hi []byte, yield func(key, value []byte, err error) bool) error {
	if hi != nil && string(lo) >= string(hi) {
		return nil
	}
	whole, ok := s.eng.ds.(AroundRanger)
	if !ok {
		return s.eng.scan(context.Background(), lo, hi, func(key, value []byte) bool { return yield(key, value, nil) })
	}
	var bad error
	err := whole.RangeAround(context.Background(), lo, hi, func(key, value []byte) bool { return yield(key, value, nil) }, func(lo, hi []byte, damage error) bool {
		names, err := s.named(lo, hi)
		if err != nil {
			bad = fmt.Errorf("%w: %w, and %w", ErrUnnamed, damage, err)
			return true
		}
		for _, n := range names {
			value, found, err := s.eng.get(context.Background(), nil, []byte(n.key))
			if err = damaged([]byte(n.key), n.path, err); (found || err != nil) && !yield([]byte(n.key), value, err) {
				return false
			}
		}
		return true
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return fmt.Errorf("scan from %q: %w", lo, err)
	}
	return nil
}

// A recordName is a key with the path that the record belongs to.
type recordName struct{ key, path string }

// named returns, in order, the records with lo <= key < hi of the paths that the index names.
func (s *Store) named(lo, hi []byte) ([]recordName, error) {
	index, keyOf := indexOf(lo), appendPath
	if index == spaceLog {
		keyOf = appendDeletesKey
	}
	found := map[string]string{}
	err := s.eachNamed(index, func(path string) {
		if of := string(keyOf(nil, path)); of >= string(lo) && (hi == nil || of < string(hi)) {
			found[of] = path
		}
	})
	var out []recordName
	for _, key := range slices.Sorted(maps.Keys(found)) {
		out = append(out, recordName{key, found[key]})
	}
	return out, err
}
