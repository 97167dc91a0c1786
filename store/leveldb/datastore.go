// Package leveldb keeps a store in a LevelDB database, an LSM tree in one directory.
//
// It is go-ds-leveldb with settings for small devices, atomic batches of any size, and scans in order. Every write is on disk when
// it returns, so Sync has nothing left to do: LevelDB cannot sync what it wrote earlier, because its log may have been exchanged
// meanwhile. Package pebbledb shares one fsync among commits instead, and is faster where many are made at a time.
package leveldb

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/go-datastore"
	leveldbds "github.com/ipfs/go-ds-leveldb"
	goleveldb "github.com/syndtr/goleveldb/leveldb"
	lerrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"
	"github.com/syndtr/goleveldb/leveldb/util"

	"syncline/store/gate"
	"syncline/store/reserve"
)

// Options are the choices of Open. The zero Options are right for a node with less than a million entries.
type Options struct {
	// CacheBytes is the size of the cache of blocks; 0 means 8 MiB.
	CacheBytes int
	// MemTableBytes is the size of one table in memory, of which two may exist; 0 means 4 MiB.
	MemTableBytes int
	// ReserveBytes is the free space that commits leave on the disk; below it they fail with syscall.ENOSPC. 0 means 32 MiB.
	ReserveBytes uint64
	// Free returns the free space in bytes; nil asks the operating system.
	Free func() (uint64, error)
}

// ErrClosed is returned by every operation after Close.
var ErrClosed = gate.ErrClosed

// ErrBroken is in the chain of every error about a write after one has failed: the log then ends in the middle of a record, and what
// comes after it would be read wrongly. Reads go on; to write again, it must be closed and opened anew, as after a crash.
var ErrBroken = gate.ErrBroken

// A Datastore is a LevelDB database as a datastore. It is safe for concurrent use.
type Datastore struct {
	gate.Reads
	ds    *leveldbds.Datastore
	dir   string
	space *reserve.Reserve
	// reclaimer gives back what was deleted on a full disk.
	reclaimer *reserve.Reclaimer
	broken    atomic.Pointer[error]
	// damages are the tables that could not be read.
	damages gate.Damages

	gate gate.Gate
}

var _ datastore.Batching = (*Datastore)(nil)

// synced makes a write return when it is on disk.
var synced = &opt.WriteOptions{Sync: true}

// Open opens the database in dir, and makes it if there is none. A damaged one is left as it is: an error says so.
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
	if o.Free == nil {
		o.Free = func() (uint64, error) {
			usage, err := vfs.Default.GetDiskUsage(dir)
			return usage.AvailBytes, err
		}
	}
	opts := options(o)
	ds, err := open(dir, &opts)
	if err != nil {
		return nil, fmt.Errorf("open LevelDB database in %s: %w", dir, err)
	}
	d := &Datastore{ds: ds, dir: dir, space: reserve.New(o.ReserveBytes, o.Free)}
	d.Reads = gate.NewReads(&d.gate, ds)
	d.reclaimer = &reserve.Reclaimer{Compact: d.compact, Size: d.size, Room: d.space.TakeToCompact}
	return d, nil
}

// options says how the database uses memory and disk. A large batch goes through the log like any other, as one record, instead of a
// transaction with files of its own.
func options(o Options) opt.Options {
	return opt.Options{
		BlockCacheCapacity:           o.CacheBytes,
		WriteBuffer:                  o.MemTableBytes,
		OpenFilesCacheCapacity:       256,
		Filter:                       filter.NewBloomFilter(10),
		DisableLargeBatchTransaction: true,
	}
}

// open opens the database twice. go-ds-leveldb answers damage by building a new database from the tables that it can read, which
// brings back old values and loses new ones without a word; a store must not go on with that. The first opening meets the damage.
func open(dir string, o *opt.Options) (*leveldbds.Datastore, error) {
	db, err := goleveldb.OpenFile(dir, o)
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	own := leveldbds.Options(*o)
	return leveldbds.NewDatastore(dir, &own)
}

// write runs a call that changes the database by n bytes, unless it is closed, broken, or take finds no room.
func (d *Datastore) write(take func(int) error, n int, call func() error) error {
	if err := d.gate.Enter(); err != nil {
		return err
	}
	defer d.gate.Leave()
	if err := d.Failed(); err != nil {
		return err
	}
	if err := take(n); err != nil {
		return err
	}
	err := call()
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrBroken, d.told(err))
		d.broken.CompareAndSwap(nil, &err)
	}
	return err
}

// AppendValue appends the value of key to dst, if there is one.
func (d *Datastore) AppendValue(_ context.Context, dst, key []byte) ([]byte, bool, error) {
	if err := d.gate.Enter(); err != nil {
		return dst, false, err
	}
	defer d.gate.Leave()
	value, err := d.ds.DB.Get(key, nil)
	if errors.Is(err, goleveldb.ErrNotFound) {
		return dst, false, nil
	}
	return append(dst, value...), err == nil, d.told(err)
}

// told turns an error of LevelDB that names a damaged file into a [gate.Damage], and takes note of it; any other stays as it is.
func (d *Datastore) told(err error) error {
	if bad := new(lerrors.ErrCorrupted); errors.As(err, &bad) && bad.Fd.Type == storage.TypeTable {
		return d.damages.Add(&gate.Damage{File: fmt.Sprintf("%06d.ldb", bad.Fd.Num), Err: bad.Err})
	}
	return err
}

// DamagedFiles returns the damaged files that were met since the database was opened, in the order of their names.
func (d *Datastore) DamagedFiles() []*gate.Damage { return d.damages.DamagedFiles() }

// Range calls yield for the entries with lo <= key < hi in order, as they were when Range was called, until yield returns false.
func (d *Datastore) Range(ctx context.Context, lo, hi []byte, yield func(key, value []byte) bool) error {
	if err := d.gate.Enter(); err != nil {
		return err
	}
	defer d.gate.Leave()
	it := d.ds.DB.NewIterator(&util.Range{Start: lo, Limit: hi}, nil)
	defer it.Release()
	for n := 1; it.Next(); n++ {
		if n%64 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if !yield(it.Key(), it.Value()) {
			break
		}
	}
	return d.told(it.Error())
}

// Put implements [datastore.Datastore].
func (d *Datastore) Put(ctx context.Context, key datastore.Key, value []byte) error {
	return d.write(d.space.Take, len(value), func() error { return d.ds.Put(ctx, key, value) })
}

// Delete implements [datastore.Datastore].
func (d *Datastore) Delete(ctx context.Context, key datastore.Key) error {
	return d.write(d.space.Take, 0, func() error { return d.ds.Delete(ctx, key) })
}

// Sync implements [datastore.Datastore]. Every write was synced when it returned; one that was not is the reason why no other follows.
func (d *Datastore) Sync(context.Context, datastore.Key) error {
	if err := d.gate.Enter(); err != nil {
		return err
	}
	defer d.gate.Leave()
	return d.Failed()
}

// Batch implements [datastore.Batching].
func (d *Datastore) Batch(context.Context) (datastore.Batch, error) {
	if err := d.gate.Enter(); err != nil {
		return nil, err
	}
	defer d.gate.Leave()
	return &batch{d: d, b: new(goleveldb.Batch)}, nil
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
	return d.write(d.space.TakeToCompact, 0, func() error { return d.ds.DB.CompactRange(util.Range{Start: lo, Limit: hi}) })
}

// size estimates what the tables with keys from lo to hi take, 0 if that cannot be said.
func (d *Datastore) size(lo, hi []byte) uint64 {
	if d.gate.Enter() != nil {
		return 0
	}
	defer d.gate.Leave()
	sizes, err := d.ds.DB.SizeOf([]util.Range{{Start: lo, Limit: hi}})
	if err != nil {
		return 0
	}
	return uint64(sizes.Sum())
}

// Failed returns why nothing can be written until the database is closed and opened anew, nil if it can be.
func (d *Datastore) Failed() error {
	if p := d.broken.Load(); p != nil {
		return *p
	}
	return nil
}

// Reopenable returns nil if a database that has failed may work again when it was closed and opened anew, else why not yet. It tries the
// disk.
func (d *Datastore) Reopenable() error { return d.space.TryToOpen(vfs.Default, d.dir) }

// Close closes the database, after everything under way has ended.
func (d *Datastore) Close() error {
	if !d.gate.Shut() {
		return nil
	}
	d.reclaimer.Stop()
	return d.ds.Close()
}
