package pebbledb

import (
	"bytes"
	"context"

	"github.com/cockroachdb/pebble/v2"
)

// A reader is an iterator that stays: finding a key with it saves opening the tables for each one.
type reader struct {
	d  *Datastore
	it *pebble.Iterator
}

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
	return &reader{d, it}, nil
}

// AppendValue appends the value of key to dst, if there is one.
func (r *reader) AppendValue(_ context.Context, dst, key []byte) ([]byte, bool, error) {
	// The prefix of a key is the whole key, so that the Bloom filters apply.
	if !r.it.SeekPrefixGE(key) || !bytes.Equal(r.it.Key(), key) {
		return dst, false, told(r.it.Error())
	}
	value, err := r.it.ValueAndErr()
	if err != nil {
		return dst, false, told(err)
	}
	return append(dst, value...), true, nil
}

// Close ends the reader.
func (r *reader) Close() error {
	defer r.d.gate.Leave()
	return told(r.it.Close())
}
