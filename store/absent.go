package store

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"sync"
)

// record reads one record of a path. A damaged file also keeps keys from being read that it does not hold: one that the index does not name is
// not there. Any other is a [CorruptError]; so is each if the index cannot be read.
func (s *Store) record(from ByteReader, key []byte, path string) (value []byte, found bool, err error) {
	if value, found, err = get(context.Background(), from, nil, key); err == nil {
		return value, found, nil
	}
	if file := new(FileDamage); errors.As(err, &file) && s.rolls.absent(s, key, path, file) {
		return nil, false, nil
	}
	return value, found, damaged(key, path, err)
}

// A roll is what an index named at one time, and so what it named of all that lies in files which were there at that time: what was written
// since lies in others, above them, and is found there, or is lost with them.
type roll struct {
	// files are those that are known to have been there, as they were damaged.
	files map[string]bool
	// paths holds the hash of each path that was named, sorted: 8 bytes each, and two that are taken for one make nothing absent.
	paths []uint64
}

// rolls holds the roll of each index that was asked for. The zero rolls is empty. It is safe for concurrent use.
type rolls struct {
	mu   sync.Mutex
	seed maphash.Seed
	of   map[string]*roll
}

// absent reports whether a record that lies in a damaged file, if anywhere, is not there. It reads the index as a whole for the first
// record of each file.
func (l *rolls) absent(s *Store, key []byte, path string, in *FileDamage) bool {
	index := indexOf(key)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.seed, l.of = maphash.MakeSeed(), map[string]*roll{spaceLive: {}, spaceLog: {}}
	}
	r := l.of[index]
	if !r.files[in.File] {
		var paths []uint64
		if s.eachNamed(index, func(path string) { paths = append(paths, maphash.String(l.seed, path)) }) != nil {
			return false
		}
		slices.Sort(paths)
		if r.paths = slices.Compact(paths); r.files == nil {
			r.files = map[string]bool{}
		}
		r.files[in.File] = true // the others are older than this roll, too
	}
	_, named := slices.BinarySearch(r.paths, maphash.String(l.seed, path))
	return !named
}

// indexOf returns the index that names the record of a path under key.
func indexOf(key []byte) string {
	if bytes.HasPrefix(key, []byte(spaceDeletes+"/")) {
		return spaceLog
	}
	return spaceLive
}

// eachNamed calls yield with each path that an index names, once for each dot.
func (s *Store) eachNamed(index string, yield func(path string)) error {
	var bad error
	err := s.eng.scan(context.Background(), []byte(index), after([]byte(index)), func(key, _ []byte) bool {
		var path string
		if _, _, path, bad = cutName(string(key), index); bad != nil {
			bad = &CorruptError{Key: string(key), Err: bad}
			return false
		}
		yield(path)
		return true
	})
	return errors.Join(err, bad)
}
