package pebbledb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ipfs/go-datastore"
)

// smallDisk mounts a file system of so many bytes, for this test alone, and returns its folder.
func smallDisk(t *testing.T, mib int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
		t.Skipf("a small disk cannot be mounted here (it takes root): %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill writes a file until nothing is free.
func fill(t *testing.T, dir string) (file string) {
	t.Helper()
	file = filepath.Join(dir, "fill")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 16
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return file
}

// TestOpensOnAFullDisk: a database on a disk with no byte free opens and is read; also what is in its log alone. Writes are refused with the
// reason, also when there is space again, until it is opened anew. It loses nothing by that.
func TestOpensOnAFullDisk(t *testing.T) {
	for _, size := range []int{10, 64 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			disk := smallDisk(t, 80)
			dir := filepath.Join(disk, "db")
			ds, err := Open(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			for i := range 20 {
				if err := commit(ds, i, size); err != nil {
					t.Fatal(err)
				}
			}
			if err := ds.Close(); err != nil {
				t.Fatal(err)
			}
			filled := fill(t, disk)
			for range 2 {
				ds, err = Open(dir, Options{})
				if err != nil {
					t.Fatal(err)
				}
				for i := range 20 {
					if value, err := ds.Get(ctx, datastore.RawKey(fmt.Sprintf("/k/%d", i))); err != nil || len(value) != size {
						t.Fatalf("read %d: %d bytes, %v", i, len(value), err)
					}
				}
				if err := commit(ds, 100, 10); !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("a write: %v", err)
				}
				if err := ds.Reopenable(); !errors.Is(err, syscall.ENOSPC) || ds.Failed() == nil {
					t.Errorf("it failed with %v, and may be opened anew: %v", ds.Failed(), err)
				}
				ds.Close()
			}
			if err := os.Remove(filled); err != nil {
				t.Fatal(err)
			}
			if ds, err = Open(dir, Options{}); err != nil {
				t.Fatal(err)
			}
			defer ds.Close()
			if err := commit(ds, 100, 10); err != nil {
				t.Errorf("when there is room again: %v", err)
			}
			for i := range 20 {
				if _, err := ds.Get(ctx, datastore.RawKey(fmt.Sprintf("/k/%d", i))); err != nil {
					t.Errorf("read %d: %v", i, err)
				}
			}
		})
	}
}

// TestSpaceComesBack: somebody else fills the disk and empties it again, in the middle of writing. What was refused works again, without
// another start.
func TestSpaceComesBack(t *testing.T) {
	disk := smallDisk(t, 80)
	ds, err := Open(filepath.Join(disk, "db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	write := func(n, size int) error {
		if err := commit(ds, n, size); err != nil {
			return err
		}
		return ds.Sync(ctx, datastore.RawKey("/"))
	}
	if err := write(1, 10); err != nil {
		t.Fatal(err)
	}
	filled := fill(t, disk)
	for n, size := range []int{10, 900_000, 10} {
		if err := write(2+n, size); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrBroken) {
			t.Errorf("a write of %d bytes on a full disk: %v", size, err)
		}
	}
	if err := os.Remove(filled); err != nil {
		t.Fatal(err)
	}
	if err := write(9, 900_000); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}
