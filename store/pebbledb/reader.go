package pebbledb

import (
	"bytes"
	"context"

	"github.com/cockroachdb/pebble/v2"
)

// A reader is an iterator that stays: finding a key with it saves opening the tables for each one.
//
// Where keys are asked for in order and lie close to each other, as those of a transaction often do, it walks from one to the next, which
// costs a fraction of finding each. Walking needs a first key found without the Bloom filters, so it is tried less and less often where it
// leads nowhere.
type reader struct {
	d  *Datastore
	it *pebble.Iterator
	// last is the key that was asked for last. If walking, the iterator stands at the first key that is not before it, or behind all.
	last    []byte
	walking bool
	// wait is the number of keys to find before walking is tried again, and doubles with each try in vain.
	wait, pause int
}

const (
	// strideMax is how many keys that nobody asked for a walk passes over between two that are asked for.
	strideMax = 2
	pauseMax  = 1 << 20
)

// OpenReader returns a reader of the database as it is now, for one goroutine. Close waits until it is closed.
func (d *Datastore) OpenReader(ctx context.Context) (interface {
	AppendValue(ctx context.Context, dst, key []byte) (value []byte, found bool, err error)
	Close() error
}, error) {
	if err := d.gate.Enter(); err != nil {
		return nil, err
	}
	it, err := d.db.NewIterWithContext(ctx, nil)
	if err != nil {
		d.gate.Leave()
		return nil, told(err)
	}
	return &reader{d: d, it: it, pause: 1}, nil
}

// AppendValue appends the value of key to dst, if there is one.
func (r *reader) AppendValue(ctx context.Context, dst, key []byte) ([]byte, bool, error) {
	found := r.find(key) && bytes.Equal(r.it.Key(), key)
	value, err := []byte(nil), r.it.Error()
	if found {
		value, err = r.it.ValueAndErr()
	}
	switch {
	case err == nil:
		return append(dst, value...), found, nil
	case pebble.ExtractDataCorruptionInfo(err) == nil:
		return dst, false, err
	}
	// An iterator reads every level, and walks over keys beside this one. Looking up a key ends at its newest version, so it still finds what
	// was written anew above a damaged block.
	r.walking = false
	return r.d.AppendValue(ctx, dst, key)
}

// find moves the iterator to key, if there is such a key; it reports false, or stands at another one, if not.
func (r *reader) find(key []byte) bool {
	ahead := bytes.Compare(r.last, key) < 0
	r.last = append(r.last[:0], key...)
	if r.walking {
		if ahead && r.walk(key) {
			r.pause = 1
			return r.it.Valid()
		}
		r.walking, r.wait, r.pause = false, r.pause, min(2*r.pause, pauseMax)
	}
	if r.wait--; r.wait < 0 && ahead {
		r.walking = true
		return r.it.SeekGE(key)
	}
	return r.it.SeekPrefixGE(key) // the prefix of a key is the whole key, so that the Bloom filters apply
}

// walk goes on to the first key that is not before key, and reports whether it is near.
func (r *reader) walk(key []byte) bool {
	for range strideMax + 1 {
		if !r.it.Valid() || bytes.Compare(r.it.Key(), key) >= 0 {
			return r.it.Error() == nil
		}
		r.it.Next()
	}
	return r.it.Error() == nil && (!r.it.Valid() || bytes.Compare(r.it.Key(), key) >= 0)
}

// Close ends the reader.
func (r *reader) Close() error {
	defer r.d.gate.Leave()
	return told(r.it.Close())
}
