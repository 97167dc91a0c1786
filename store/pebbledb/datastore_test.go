package pebbledb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/ipfs/go-datastore"
)

var ctx = context.Background()

func commit(ds *Datastore, n, size int) error {
	b, err := ds.Batch(ctx)
	if err != nil {
		return err
	}
	if err := b.Put(ctx, datastore.RawKey(fmt.Sprintf("/k/%d", n)), []byte(strings.Repeat("x", size))); err != nil {
		return err
	}
	return b.Commit(ctx)
}

// TestFullDiskIsSeenBefore: a commit that would eat into the reserve fails as a full disk does, changes nothing, and works again
// as soon as there is space.
func TestFullDiskIsSeenBefore(t *testing.T) {
	fs := vfs.NewMem()
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 100 << 20, TotalBytes: 200 << 20, UsedBytes: 100 << 20})
	ds, err := Open("db", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	if err := commit(ds, 0, 2<<20); err != nil {
		t.Fatal(err)
	}
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 20, TotalBytes: 200 << 20, UsedBytes: 199 << 20})
	var full error
	for n := 1; n < 10 && full == nil; n++ {
		full = commit(ds, n, 1<<20)
	}
	if !errors.Is(full, syscall.ENOSPC) {
		t.Fatalf("commit on a full disk: %v", full)
	}
	if found, _ := ds.Has(ctx, datastore.RawKey("/k/9")); found {
		t.Error("the commit that failed is seen")
	}
	if err := ds.Put(ctx, datastore.RawKey("/k/p"), nil); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("put on a full disk: %v", err)
	}
	if _, err := ds.Get(ctx, datastore.RawKey("/k/0")); err != nil {
		t.Error(err)
	}
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 100 << 20, TotalBytes: 200 << 20, UsedBytes: 100 << 20})
	if err := commit(ds, 9, 1<<20); err != nil {
		t.Errorf("commit after space was made: %v", err)
	}
}

// TestDeletesMakeRoomOnAFullDisk: a batch that frees space may use half of the reserve and no more, and what it deleted is given back though
// nothing else is written.
func TestDeletesMakeRoomOnAFullDisk(t *testing.T) {
	fs := vfs.NewMem()
	avail := func(mib uint64) { fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: mib << 20, TotalBytes: 200 << 20}) }
	avail(100)
	ds, err := Open("db", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	for n := range 40 {
		if err := commit(ds, n, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	free := func(n int) error {
		b, err := ds.FreeingBatch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		b.Delete(ctx, datastore.RawKey(fmt.Sprintf("/k/%d", n)))
		return b.Commit(ctx)
	}
	avail(15)
	if err := free(0); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("beyond half of the reserve: %v", err)
	}
	avail(30)
	for n := range 36 {
		if err := free(n); err != nil {
			t.Fatal(err)
		}
	}
	if found, _ := ds.Has(ctx, datastore.RawKey("/k/3")); found {
		t.Error("a key that was deleted is seen")
	}
	for {
		if usage := ds.db.Metrics().DiskSpaceUsage(); usage < 16<<20 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	for n := 36; n < 40; n++ {
		if _, err := ds.Get(ctx, datastore.RawKey(fmt.Sprintf("/k/%d", n))); err != nil {
			t.Error(err)
		}
	}
}

// TestBrokenLogDoesNotEndTheProcess: after the log cannot be written or synced, every write fails with ErrBroken and the cause, reads go
// on, Close returns, and a new Open finds what was synced. What a failed commit wrote is not seen.
func TestBrokenLogDoesNotEndTheProcess(t *testing.T) {
	kinds := map[string][]errorfs.OpKind{
		"write":  {errorfs.OpFileWrite},
		"sync":   {errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo},
		"create": {errorfs.OpCreate, errorfs.OpReuseForWrite, errorfs.OpFileWrite},
	}
	for name, kinds := range kinds {
		for _, size := range []int{10, 3 << 20} {
			t.Run(fmt.Sprintf("%s/%d", name, size), func(t *testing.T) {
				disk := vfs.NewCrashableMem()
				var full atomic.Bool
				fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
					if full.Load() && slices.Contains(kinds, op.Kind) && strings.HasSuffix(op.Path, ".log") {
						return syscall.ENOSPC
					}
					return nil
				}))
				ds, err := Open("db", Options{FS: fs})
				if err != nil {
					t.Fatal(err)
				}
				if err := commit(ds, 0, 10); err != nil {
					t.Fatal(err)
				}
				if err := ds.Sync(ctx, datastore.RawKey("/")); err != nil {
					t.Fatal(err)
				}
				full.Store(true)
				var broken error
				for n := 1; n < 6 && broken == nil; n++ {
					broken = commit(ds, n, size)
					if found, err := ds.Has(ctx, datastore.RawKey(fmt.Sprintf("/k/%d", n))); err != nil || found != (broken == nil) {
						t.Errorf("the commit says %v, and what it wrote is found: %t (%v)", broken, found, err)
					}
					if broken == nil {
						broken = ds.Sync(ctx, datastore.RawKey("/"))
					}
				}
				if !errors.Is(broken, ErrBroken) || !errors.Is(broken, syscall.ENOSPC) {
					t.Fatalf("commit and sync: %v", broken)
				}
				full.Store(false)
				for range 2 {
					if err := commit(ds, 7, 10); !errors.Is(err, ErrBroken) {
						t.Errorf("a later commit: %v", err)
					}
				}
				if _, err := ds.Get(ctx, datastore.RawKey("/k/0")); err != nil {
					t.Errorf("read of a broken database: %v", err)
				}
				if err := ds.Close(); !errors.Is(err, ErrBroken) {
					t.Errorf("close: %v", err)
				}
				again, err := Open("db", Options{FS: disk.CrashClone(vfs.CrashCloneCfg{})})
				if err != nil {
					t.Fatal(err)
				}
				defer again.Close()
				if _, err := again.Get(ctx, datastore.RawKey("/k/0")); err != nil {
					t.Errorf("what was synced is lost: %v", err)
				}
			})
		}
	}
}

// TestBrokenManifestDoesNotEndTheProcess: the same for an error that pebble meets on a goroutine of its own.
func TestBrokenManifestDoesNotEndTheProcess(t *testing.T) {
	disk := vfs.NewCrashableMem()
	var full atomic.Bool
	fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && op.Kind == errorfs.OpFileSync && strings.Contains(op.Path, "MANIFEST") {
			return syscall.ENOSPC
		}
		return nil
	}))
	ds, err := Open("db", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	if err := commit(ds, 0, 10); err != nil {
		t.Fatal(err)
	}
	if err := ds.Sync(ctx, datastore.RawKey("/")); err != nil {
		t.Fatal(err)
	}
	full.Store(true)
	if err := commit(ds, 1, 3<<20); err != nil {
		t.Fatal(err)
	}
	for range 5000 {
		if ds.fault.err() != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := commit(ds, 2, 10); !errors.Is(err, ErrBroken) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("commit: %v", err)
	}
	if _, err := ds.Get(ctx, datastore.RawKey("/k/0")); err != nil {
		t.Errorf("read of a broken database: %v", err)
	}
	if err := ds.Close(); !errors.Is(err, ErrBroken) {
		t.Errorf("close: %v", err)
	}
	again, err := Open("db", Options{FS: disk.CrashClone(vfs.CrashCloneCfg{})})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := again.Get(ctx, datastore.RawKey("/k/0")); err != nil {
		t.Errorf("what was synced is lost: %v", err)
	}
}

// TestClosed: nothing panics after Close, and Close twice is one.
func TestClosed(t *testing.T) {
	ds, err := Open("db", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := ds.Close(); err != nil {
			t.Fatal(err)
		}
	}
	key := datastore.RawKey("/k")
	_, getErr := ds.Get(ctx, key)
	_, _, appendErr := ds.AppendValue(ctx, nil, []byte("/k"))
	_, batchErr := ds.Batch(ctx)
	_, readerErr := ds.OpenReader(ctx)
	errs := []error{getErr, appendErr, batchErr, readerErr, ds.Put(ctx, key, nil), ds.Sync(ctx, key),
		ds.Range(ctx, []byte("/"), nil, func(_, _ []byte) bool { return true })}
	for i, err := range errs {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// TestNothingIsNamedThatMayBeLost: the entry of a table does not reach the disk. The manifest does not name the table, and the log that it was
// made of is kept, so a power cut leaves a database that opens and holds what was synced.
func TestNothingIsNamedThatMayBeLost(t *testing.T) {
	disk := vfs.NewCrashableMem()
	var failing atomic.Bool
	fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if failing.Load() && op.Kind == errorfs.OpFileSync && op.Path == "db" {
			return syscall.EIO
		}
		return nil
	}))
	ds, err := Open("db", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	if err := commit(ds, 0, 10); err != nil {
		t.Fatal(err)
	}
	if err := ds.Sync(ctx, datastore.RawKey("/")); err != nil {
		t.Fatal(err)
	}
	failing.Store(true)
	if err := commit(ds, 1, 3<<20); err != nil { // the next log, and a table
		t.Fatal(err)
	}
	if err := ds.Sync(ctx, datastore.RawKey("/")); !errors.Is(err, ErrBroken) {
		t.Fatalf("sync: %v", err)
	}
	for ds.db.Metrics().Flush.Count == 0 {
		time.Sleep(time.Millisecond)
	}
	again, err := Open("db", Options{FS: disk.CrashClone(vfs.CrashCloneCfg{})})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := again.Get(ctx, datastore.RawKey("/k/0")); err != nil {
		t.Errorf("what was synced is lost: %v", err)
	}
}

// TestABrokenDatabaseIsOpenedAnew: in the same process, as soon as the disk confirms what is written, and no sooner. It holds what was synced, and
// is written again.
func TestABrokenDatabaseIsOpenedAnew(t *testing.T) {
	for _, file := range []string{".log", "MANIFEST-000001"} {
		t.Run(file, func(t *testing.T) {
			dir := t.TempDir()
			var failing atomic.Bool
			fs := errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
				syncs := op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
				if failing.Load() && syncs && (strings.HasSuffix(op.Path, file) || strings.HasSuffix(op.Path, ".tmp")) {
					return syscall.EIO
				}
				return nil
			}))
			ds, err := Open(dir, Options{FS: fs})
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(commit(ds, 0, 10), ds.Sync(ctx, datastore.RawKey("/")), ds.Failed()); err != nil {
				t.Fatal(err)
			}
			failing.Store(true)
			for n := 1; ds.Failed() == nil; n++ {
				if err := commit(ds, n, 3<<20); err == nil {
					ds.Sync(ctx, datastore.RawKey("/"))
				}
			}
			if err := ds.Reopenable(); !errors.Is(err, syscall.EIO) {
				t.Errorf("while the disk confirms nothing: %v", err)
			}
			failing.Store(false)
			if err := ds.Reopenable(); err != nil {
				t.Errorf("when it does again: %v", err)
			}
			if err := ds.Close(); !errors.Is(err, ErrBroken) || !errors.Is(err, syscall.EIO) {
				t.Errorf("close: %v", err)
			}
			if ds, err = Open(dir, Options{FS: fs}); err != nil {
				t.Fatal(err)
			}
			defer ds.Close()
			if _, err := ds.Get(ctx, datastore.RawKey("/k/0")); err != nil {
				t.Errorf("what was synced is lost: %v", err)
			}
			if err := errors.Join(commit(ds, 9, 10), ds.Sync(ctx, datastore.RawKey("/")), ds.Failed()); err != nil {
				t.Errorf("opened anew: %v", err)
			}
		})
	}
}
