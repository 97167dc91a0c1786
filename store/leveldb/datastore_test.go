package leveldb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ipfs/go-datastore"
)

var ctx = context.Background()

func openAt(t testing.TB, dir string, o Options) *Datastore {
	t.Helper()
	ds, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	return ds
}

func commit(t testing.TB, ds *Datastore, batch, keys, size int) error {
	t.Helper()
	b, err := ds.Batch(ctx)
	if err != nil {
		return err
	}
	for i := range keys {
		if err := b.Put(ctx, datastore.RawKey(fmt.Sprintf("/k/%d/%d", batch, i)), []byte(strings.Repeat("x", size))); err != nil {
			t.Fatal(err)
		}
	}
	return b.Commit(ctx)
}

func count(t testing.TB, ds *Datastore, prefix string) (n int) {
	t.Helper()
	err := ds.Range(ctx, []byte(prefix), []byte(prefix+"\xff"), func(_, _ []byte) bool { n++; return true })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// logs returns the files of the log in dir.
func logs(t testing.TB, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no log in %s: %v", dir, err)
	}
	return found
}

// TestATornBatchIsGoneWhole cuts the log where the disk may have stopped, in steps through the last batch, which is larger than a
// block of the log: the batches before it stay, and of it all or nothing.
func TestATornBatchIsGoneWhole(t *testing.T) {
	dir := t.TempDir()
	ds := openAt(t, dir, Options{})
	if err := commit(t, ds, 0, 10, 100); err != nil {
		t.Fatal(err)
	}
	log := logs(t, dir)[0]
	before, err := os.Stat(log)
	if err != nil {
		t.Fatal(err)
	}
	const keys = 500
	if err := commit(t, ds, 1, keys, 200); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if len(whole)-int(before.Size()) < 3*32<<10 {
		t.Fatalf("the batch takes %d bytes of the log", len(whole)-int(before.Size()))
	}
	cuts := []int{len(whole), len(whole) - 1}
	for at := int(before.Size()); at < len(whole); at += 4999 {
		cuts = append(cuts, at)
	}
	for _, cut := range cuts {
		left := t.TempDir()
		if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(left, filepath.Base(log)), whole[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		again := openAt(t, left, Options{})
		want := 0
		if cut == len(whole) {
			want = keys
		}
		if first, last := count(t, again, "/k/0/"), count(t, again, "/k/1/"); first != 10 || last != want {
			t.Errorf("cut at %d of %d: %d of 10 and %d of %d entries are left", cut, len(whole), first, last, keys)
		}
		if err := commit(t, again, 2, 10, 100); err != nil {
			t.Errorf("cut at %d: a later commit: %v", cut, err)
		}
	}
}

// TestALargeBatchIsOneRecord: also one that is larger than a table in memory goes through the log.
func TestALargeBatchIsOneRecord(t *testing.T) {
	dir := t.TempDir()
	ds := openAt(t, dir, Options{MemTableBytes: 64 << 10})
	if err := commit(t, ds, 0, 1000, 300); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, log := range logs(t, dir) {
		b, err := os.ReadFile(log)
		if errors.Is(err, fs.ErrNotExist) {
			continue // what it held is in a table by now
		} else if err != nil {
			t.Fatal(err)
		}
		found = found || len(b) > 300_000
	}
	if tables, _ := filepath.Glob(filepath.Join(dir, "*.ldb")); !found && len(tables) == 0 {
		t.Error("the batch is nowhere")
	}
	if n := count(t, ds, "/k/0/"); n != 1000 {
		t.Errorf("%d entries", n)
	}
}

// TestDamageIsNotHidden: a database whose manifest is damaged is not opened, and none of it is rebuilt or deleted.
func TestDamageIsNotHidden(t *testing.T) {
	dir := t.TempDir()
	ds := openAt(t, dir, Options{})
	if err := commit(t, ds, 0, 10, 100); err != nil {
		t.Fatal(err)
	}
	if err := ds.Close(); err != nil {
		t.Fatal(err)
	}
	manifests, _ := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
	if len(manifests) != 1 {
		t.Fatal(manifests)
	}
	good, err := os.ReadFile(manifests[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(manifests[0], make([]byte, len(good)), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if ds, err := Open(dir, Options{}); err == nil {
			t.Errorf("a damaged database is open, with %d entries", count(t, ds, "/k/"))
			ds.Close()
		}
	}
	if err := os.WriteFile(manifests[0], good, 0o644); err != nil {
		t.Fatal(err)
	}
	if n := count(t, openAt(t, dir, Options{}), "/k/"); n != 10 {
		t.Errorf("after the damage was undone: %d entries", n)
	}
}

// TestFullDiskIsSeenBefore: a commit that would eat into the reserve fails as a full disk does, changes nothing, and works again
// as soon as there is space.
func TestFullDiskIsSeenBefore(t *testing.T) {
	free := uint64(100 << 20)
	ds := openAt(t, t.TempDir(), Options{Free: func() (uint64, error) { return free, nil }})
	if err := commit(t, ds, 0, 1, 2<<20); err != nil {
		t.Fatal(err)
	}
	free = 1 << 20
	var full error
	for n := 1; n < 10 && full == nil; n++ {
		full = commit(t, ds, n, 1, 1<<20)
	}
	if !errors.Is(full, syscall.ENOSPC) || errors.Is(full, ErrBroken) {
		t.Fatalf("commit on a full disk: %v", full)
	}
	if n := count(t, ds, "/k/9"); n > 0 {
		t.Error("the commit that failed is seen")
	}
	if err := ds.Put(ctx, datastore.RawKey("/k/p"), nil); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("put on a full disk: %v", err)
	}
	free = 100 << 20
	if err := commit(t, ds, 9, 1, 1<<20); err != nil {
		t.Errorf("commit after space was made: %v", err)
	}
}

// TestNothingIsWrittenAfterAFailure: the log may end in half a record; reads go on, and a new Open writes again.
func TestNothingIsWrittenAfterAFailure(t *testing.T) {
	dir := t.TempDir()
	ds := openAt(t, dir, Options{})
	if err := commit(t, ds, 0, 1, 10); err != nil {
		t.Fatal(err)
	}
	if err := ds.write(ds.space.Take, 1, func() error { return syscall.EIO }); !errors.Is(err, ErrBroken) || !errors.Is(err, syscall.EIO) {
		t.Errorf("the write that failed: %v", err)
	}
	key := datastore.RawKey("/k")
	for i, err := range []error{commit(t, ds, 1, 1, 10), ds.Put(ctx, key, nil), ds.Delete(ctx, key), ds.Sync(ctx, key)} {
		if !errors.Is(err, ErrBroken) || !errors.Is(err, syscall.EIO) {
			t.Errorf("later call %d: %v", i, err)
		}
	}
	if n := count(t, ds, "/k/"); n != 1 {
		t.Errorf("%d entries can be read", n)
	}
	if err := ds.Reopenable(); err != nil || ds.Failed() == nil {
		t.Errorf("it failed with %v, and cannot be opened anew: %v", ds.Failed(), err)
	}
	if err := ds.Close(); err != nil {
		t.Fatal(err)
	}
	if err := commit(t, openAt(t, dir, Options{}), 1, 1, 10); err != nil {
		t.Error(err)
	}
}

// TestClosed: nothing panics after Close, and Close twice is one.
func TestClosed(t *testing.T) {
	ds := openAt(t, t.TempDir(), Options{})
	b, err := ds.Batch(ctx)
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
	_, hasErr := ds.Has(ctx, key)
	_, sizeErr := ds.GetSize(ctx, key)
	_, _, appendErr := ds.AppendValue(ctx, nil, []byte("/k"))
	_, batchErr := ds.Batch(ctx)
	_, usageErr := ds.DiskUsage(ctx)
	errs := []error{getErr, hasErr, sizeErr, appendErr, batchErr, usageErr, b.Commit(ctx), ds.Put(ctx, key, nil), ds.Delete(ctx, key), ds.Sync(ctx, key),
		ds.Range(ctx, []byte("/"), nil, func(_, _ []byte) bool { return true })}
	for i, err := range errs {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%d: %v", i, err)
		}
	}
}
