package leveldb

import (
	"context"

	"github.com/ipfs/go-datastore"
	goleveldb "github.com/syndtr/goleveldb/leveldb"
)

// A batch is a LevelDB batch: one record of the log, applied as a whole or not at all.
type batch struct {
	d *Datastore
	b *goleveldb.Batch
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
	b.b.Delete(key)
	return nil
}

// Commit implements [datastore.Batch].
func (b *batch) Commit(context.Context) error {
	return b.d.write(len(b.b.Dump()), func() error { return b.d.ds.DB.Write(b.b, synced) })
}
