package store

import (
	"context"
	"iter"
	"sync"

	"syncline/crdt"
)

// Get returns the committed register at path: live values and remembered deletes of one moment.
func (s *Store) Get(path string) (crdt.Register, error) {
	if s.closed.Load() {
		return crdt.Register{}, ErrClosed
	}
	buf := keyBuffers.Get().(*[]byte)
	defer keyBuffers.Put(buf)
	if n := s.commit.Load(); n%2 == 0 {
		if r, err := s.read(s.eng.reader, buf, path); s.commit.Load() == n {
			return r, err
		}
	}
	s.commits.RLock()
	defer s.commits.RUnlock()
	return s.read(s.eng.reader, buf, path)
}

// keyBuffers holds buffers for the keys that readers ask for.
var keyBuffers = sync.Pool{New: func() any { return new([]byte) }}

// read reads the records of one path; the keys are made in buf. The lookup of deletes is left out while none is remembered.
func (s *Store) read(from ByteReader, buf *[]byte, path string) (r crdt.Register, err error) {
	key := appendPath((*buf)[:0], path)
	*buf = key
	value, found, err := s.record(from, key, path)
	if err != nil {
		return crdt.Register{}, err
	}
	if found {
		if r.Live, err = crdt.DecodeValues(value); err != nil {
			return crdt.Register{}, &CorruptError{Key: string(key), Path: path, Err: err}
		}
	}
	if s.head.Load().Deletes == 0 {
		return r, nil
	}
	key = appendDeletesKey(key[:0], path)
	*buf = key
	if value, found, err = s.record(from, key, path); err != nil {
		return crdt.Register{}, err
	}
	if found {
		if r.Deletes, err = crdt.DecodeDeletes(value); err != nil {
			return crdt.Register{}, &CorruptError{Key: string(key), Path: path, Err: err}
		}
	}
	return r, nil
}

// An Entry is a path with its live values, sorted by dot.
type Entry struct {
	Path string
	Live []crdt.Value
}

// List yields the user paths with a live value that begin with prefix and come after the path after, in the order of their bytes,
// as they were committed when the iteration began. It costs what it yields. A record that does not decode is yielded as its path
// with a [CorruptError], and the iteration goes on; any other error ends it.
func (s *Store) List(prefix, after string) iter.Seq2[Entry, error] {
	return s.entries(spaceUser, prefix, after)
}

// ListSystem is List for the system paths. Prefix and after begin with a slash, or are empty.
func (s *Store) ListSystem(prefix, after string) iter.Seq2[Entry, error] {
	if prefix == "" {
		prefix = "/"
	}
	return s.entries(spaceSystem[:2], prefix, after)
}

func (s *Store) entries(space, prefix, from string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		more := true
		err := s.around(space, prefix, from, func(path string, value []byte, err error) bool {
			e := Entry{Path: path}
			if err == nil {
				if e.Live, err = crdt.DecodeValues(append([]byte(nil), value...)); err != nil {
					err = &CorruptError{Key: space + path, Path: path, Err: err}
				}
			}
			more = yield(e, err)
			return more
		})
		if err != nil && more {
			yield(Entry{}, err)
		}
	}
}

// Conflicts yields the user paths that wait for a decision, bounded and ordered like List.
func (s *Store) Conflicts(prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		more := true
		err := s.under(spaceConflict, prefix, after, func(path string, _ []byte) bool {
			more = yield(path, nil)
			return more
		})
		if err != nil && more {
			yield("", err)
		}
	}
}

// Meta returns a committed local record, nil if there is none.
func (s *Store) Meta(key string) ([]byte, error) {
	if err := checkMetaKey(key); err != nil {
		return nil, err
	}
	if s.closed.Load() {
		return nil, ErrClosed
	}
	return s.blob([]byte(spaceMeta + key))
}

// A Record is a local record under its key.
type Record struct {
	Key  string
	Data []byte
}

// Metas yields the committed local records whose keys begin with prefix, in order. Damaged ones are yielded like those of List.
func (s *Store) Metas(prefix string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		more := true
		err := s.under(spaceMeta, prefix, "", func(key string, value []byte) bool {
			r := Record{Key: key}
			var err error
			if r.Data, err = decodeBlob(append([]byte(nil), value...)); err != nil {
				err = &CorruptError{Key: spaceMeta + key, Err: err}
			}
			more = yield(r, err)
			return more
		})
		if err != nil && more {
			yield(Record{}, err)
		}
	}
}

// blob reads a record framed by appendBlob, nil if there is none.
func (s *Store) blob(key []byte) ([]byte, error) {
	value, found, err := s.eng.get(context.Background(), nil, key)
	if err != nil || !found {
		return nil, damaged(key, "", err)
	}
	data, err := decodeBlob(value)
	if err != nil {
		return nil, &CorruptError{Key: string(key), Err: err}
	}
	return data, nil
}

// under scans the keys of a space that begin with prefix and come after from.
func (s *Store) under(space, prefix, from string, yield func(rest string, value []byte) bool) error {
	if s.closed.Load() {
		return ErrClosed
	}
	lo, hi := bounds(space, prefix, from)
	if string(lo) >= string(hi) {
		return nil
	}
	return s.eng.scan(context.Background(), lo, hi, func(key, value []byte) bool {
		return yield(string(key[len(space):]), value)
	})
}

// bounds returns the first key of a space that begins with prefix and comes after from, and the first behind the prefix.
func bounds(space, prefix, from string) (lo, hi []byte) {
	lo = []byte(space + prefix)
	hi = after(lo)
	if from != "" && from >= prefix {
		lo = append([]byte(space+from), 0)
	}
	return lo, hi
}
