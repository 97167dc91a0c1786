// Package pebbledb keeps a store in a pebble database, an LSM tree in one directory.
//
// It is go-ds-pebble with a configuration for small devices, plus reads and scans without copies. A commit writes to the log
// without waiting for the disk; Sync flushes and fsyncs the log, so that what is durable is always a prefix of what was committed.
package pebbledb

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/go-datastore"
	pebbleds "github.com/ipfs/go-ds-pebble"

	"syncline/store/gate"
	"syncline/store/reserve"
)

// Options are the choices of Open. The zero Options are right for a node with less than a million entries.
type Options struct {
	// CacheBytes is the size of the cache of blocks; 0 means 8 MiB.
	CacheBytes int64
	// MemTableBytes is the size of one table in memory, of which two may exist; 0 means 4 MiB.
	MemTableBytes uint64
	// ReserveBytes is the free space that commits leave on the disk; below it they fail with syscall.ENOSPC. 0 means 32 MiB.
	ReserveBytes uint64
	// FS is the file system; nil means the operating system's.
	FS vfs.FS
}

// ErrClosed is returned by every operation after Close.
var ErrClosed = gate.ErrClosed

// A Datastore is a pebble database as a datastore. It is safe for concurrent use.
type Datastore struct {
	gate.Reads
	ds    *pebbleds.Datastore
	db    *pebble.DB
	fs    vfs.FS
	dir   string
	cache *pebble.Cache
	fault *fault
	// readOnly says that it was opened on a full disk.
	readOnly bool
	space    *reserve.Reserve
	// damages are the tables that could not be read.
	damages gate.Damages
	// reclaimer gives back what was deleted on a full disk.
	reclaimer *reserve.Reclaimer

	gate gate.Gate
}

var _ datastore.Batching = (*Datastore)(nil)

// Open opens the database in dir, and makes it if there is none.
func Open(dir string, o Options) (*Datastore, error) {
	if o.CacheBytes == 0 {
		o.CacheBytes = 8 << 20
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = 4 << 20
	}
	if o.ReserveBytes == 0 {
		o.ReserveBytes = 32 << 20
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	// Pebble takes the tables in memory out of the cache's budget.
	cache := pebble.NewCache(o.CacheBytes + 2*int64(o.MemTableBytes))
	d := &Datastore{fs: o.FS, dir: dir, cache: cache, fault: &fault{}, space: reserve.New(o.ReserveBytes, func() (uint64, error) {
		usage, err := o.FS.GetDiskUsage(dir)
		return usage.AvailBytes, err
	})}
	db, err := d.openDB(dir, o)
	if err != nil {
		d.cache.Unref()
		return nil, fmt.Errorf("open pebble database in %s: %w", dir, err)
	}
	d.db = db
	if d.ds, err = pebbleds.NewDatastore(dir, pebbleds.WithPebbleDB(db)); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	d.Reads = gate.NewReads(&d.gate, d.ds)
	d.reclaimer = &reserve.Reclaimer{Compact: d.compact, Size: d.size, Room: d.space.TakeToCompact}
	return d, nil
}

// options says how the database uses memory and disk: few and small tables in memory, a Bloom filter so that the read before the
// first write of a path rarely touches the disk, and one compaction at a time. The first level takes many tables before it is merged
// with the rest: while a store is small, each merge writes nearly all of it anew, which is most of what a write costs. The filters
// keep reads as cheap.
func (d *Datastore) options(o Options) *pebble.Options {
	opts := &pebble.Options{
		Cache:                       d.cache,
		FS:                          fence{o.FS, d.fault},
		FormatMajorVersion:          pebble.FormatNewest,
		MemTableSize:                o.MemTableBytes,
		MemTableStopWritesThreshold: 3,
		L0CompactionThreshold:       12,
		L0StopWritesThreshold:       36,
		MaxOpenFiles:                256,
		BytesPerSync:                512 << 10,
		Logger:                      d.fault,
		EventListener:               &pebble.EventListener{DataCorruption: d.corrupted},
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		opts.Levels[i].BlockSize = 4 << 10
	}
	return opts
}

// AppendValue appends the value of key to dst, if there is one.
func (d *Datastore) AppendValue(_ context.Context, dst, key []byte) ([]byte, bool, error) {
	if err := d.gate.Enter(); err != nil {
		return dst, false, err
	}
	defer d.gate.Leave()
	value, closer, err := d.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return dst, false, nil
	}
	if err != nil {
		return dst, false, told(err)
	}
	dst = append(dst, value...)
	return dst, true, closer.Close()
}

// Range calls yield for the entries with lo <= key < hi in order, as they were when Range was called, until yield returns false.
func (d *Datastore) Range(ctx context.Context, lo, hi []byte, yield func(key, value []byte) bool) (err error) {
	if err := d.gate.Enter(); err != nil {
		return err
	}
	defer d.gate.Leave()
	it, err := d.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return told(err)
	}
	defer func() {
		if closing := it.Close(); err == nil {
			err = told(closing)
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return told(err)
		}
		if !yield(it.Key(), value) {
			return nil
		}
	}
	return nil
}

// Put implements [datastore.Datastore].
func (d *Datastore) Put(ctx context.Context, key datastore.Key, value []byte) error {
	if err := d.room(d.space.Take, len(value)); err != nil {
		return err
	}
	return d.change(func() error { return d.ds.Put(ctx, key, value) })
}

// Delete implements [datastore.Datastore].
func (d *Datastore) Delete(ctx context.Context, key datastore.Key) error {
	return d.change(func() error { return d.ds.Delete(ctx, key) })
}

// Sync implements [datastore.Datastore]: an fsync of the log, which covers all keys.
func (d *Datastore) Sync(ctx context.Context, prefix datastore.Key) error {
	err := d.write(func() error { return d.ds.Sync(ctx, prefix) })
	if err == nil {
		err = d.fault.err() // pebble is not told of it
	}
	return err
}

// Batch implements [datastore.Batching].
func (d *Datastore) Batch(context.Context) (datastore.Batch, error) {
	if err := d.gate.Enter(); err != nil {
		return nil, err
	}
	defer d.gate.Leave()
	return &batch{d: d, b: d.db.NewBatch()}, nil
}

// FreeingBatch returns a batch that may use half of the reserve, for deletes. After its commit the database gives back, in the background,
// what the deleted keys took.
func (d *Datastore) FreeingBatch(ctx context.Context) (datastore.Batch, error) {
	b, err := d.Batch(ctx)
	if err != nil {
		return nil, err
	}
	b.(*batch).frees = true
	return b, nil
}

// compact writes the tables with keys from lo to hi anew.
func (d *Datastore) compact(lo, hi []byte) error {
	return d.write(func() error { return d.db.Compact(context.Background(), lo, hi, false) })
}

// size estimates what the tables with keys from lo to hi take, 0 if that cannot be said.
func (d *Datastore) size(lo, hi []byte) (bytes uint64) {
	if d.gate.Enter() != nil {
		return 0
	}
	defer d.gate.Leave()
	bytes, _ = d.db.EstimateDiskUsage(lo, hi)
	return bytes
}

// Failed returns why nothing can be written until the database is closed and opened anew, nil if it can be.
func (d *Datastore) Failed() error { return d.fault.err() }

// Reopenable returns nil if a database that has failed may work again when it was closed and opened anew, else why not yet. It tries the
// disk.
func (d *Datastore) Reopenable() error {
	if d.fault.unwound.Load() {
		return d.fault.err()
	}
	return d.space.TryToOpen(d.fs, d.dir)
}

// Close closes the database, after everything under way has ended. Of one that is broken it returns why. Its files are given back all the
// same, or, if pebble was left in the middle of something, when the process ends.
func (d *Datastore) Close() error {
	if !d.gate.Shut() {
		return nil
	}
	d.reclaimer.Stop()
	broken := d.fault.err()
	if d.fault.unwound.Load() {
		return broken
	}
	defer d.cache.Unref()
	if broken == nil {
		return guard(d.fault, d.ds.Close)
	}
	err := guard(d.fault, d.db.Close) // without a flush
	if !d.readOnly {
		err = broken
	}
	return err
}
