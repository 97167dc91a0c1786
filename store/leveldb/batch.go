package leveldb

import (
	"context"
	"slices"

	"github.com/ipfs/go-datastore"
	goleveldb "github.com/syndtr/goleveldb/leveldb"
)

// A batch is a LevelDB batch: one record of the log, applied as a whole or not at all.
type batch struct {
	d *Datastore
	b *goleveldb.Batch
	// frees says that the batch may use a part of the reserve; deleted then holds the keys that it deletes.
	frees   bool
	deleted [][]byte
}

var _ datastore.Batch = (*batch)(nil)

// Put implements [datastore.Batch].
func (b *batch) Put(_ context.Context, key datastore.Key, value []byte) error {
	return b.PutBytes(key.Bytes(), value)
}

// Delete implements [datastore.Batch].
func (b *batch) Delete(_ context.Context, key datastore.Key) error { return b.DeleteBytes(key.Bytes()) }

// PutBytes is Put with the key as bytes. It keeps neither key nor value.
func (b *batch) PutBytes(key, value []byte) error {
	b.b.Put(key, value)
	return nil
}

// DeleteBytes is Delete with the key as bytes.
func (b *batch) DeleteBytes(key []byte) error {
	if b.frees {
		b.deleted = append(b.deleted, slices.Clone(key))
	}
	b.b.Delete(key)
	return nil
}

// Commit implements [datastore.Batch].
func (b *batch) Commit(context.Context) error {
	take := b.d.space.Take
	if b.frees {
		take = b.d.space.TakeToFree
	}
	err := b.d.write(take, len(b.b.Dump()), func() error { return b.d.ds.DB.Write(b.b, synced) })
	if err == nil {
		b.d.reclaimer.Add(b.deleted)
	}
	return err
}
