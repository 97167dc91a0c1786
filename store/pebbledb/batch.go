package pebbledb

import (
	"context"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ipfs/go-datastore"
)

// A batch is a pebble batch: one record of the log, applied as a whole or not at all.
type batch struct {
	d *Datastore
	b *pebble.Batch
	// frees says that the batch may use a part of the reserve; deleted then holds the keys that it deletes.
	frees   bool
	deleted [][]byte
}

var _ datastore.Batch = (*batch)(nil)

// Grow makes room for so many bytes of keys and values, before the first write.
func (b *batch) Grow(bytes int) { b.b = b.d.db.NewBatchWithSize(bytes) }

// Put implements [datastore.Batch].
func (b *batch) Put(_ context.Context, key datastore.Key, value []byte) error {
	return b.PutBytes(key.Bytes(), value)
}

// Delete implements [datastore.Batch].
func (b *batch) Delete(_ context.Context, key datastore.Key) error { return b.DeleteBytes(key.Bytes()) }

// PutBytes is Put with the key as bytes. It keeps neither key nor value.
func (b *batch) PutBytes(key, value []byte) error { return b.b.Set(key, value, nil) }

// DeleteBytes is Delete with the key as bytes.
func (b *batch) DeleteBytes(key []byte) error {
	if b.frees {
		b.deleted = append(b.deleted, slices.Clone(key))
	}
	return b.b.Delete(key, nil)
}

// Commit implements [datastore.Batch].
func (b *batch) Commit(context.Context) error {
	take := b.d.space.Take
	if b.frees {
		take = b.d.space.TakeToFree
	}
	if err := b.d.room(take, b.b.Len()); err != nil {
		return err
	}
	err := b.d.change(b.b.Len(), func() error { return b.b.Commit(pebble.NoSync) })
	if err == nil {
		b.d.reclaimer.Add(b.deleted)
		err = b.b.Close()
	}
	return err
}
