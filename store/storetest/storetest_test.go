package storetest

import (
	"math/rand/v2"
	"os"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/go-datastore"
	dstest "github.com/ipfs/go-datastore/test"

	"syncline/store/mem"
	"syncline/store/pebbledb"
)

type memBackend struct{ ds *mem.Datastore }

func (b memBackend) Open() (datastore.Batching, error) { return b.ds, nil }
func (b memBackend) Crash(keep int)                    { b.ds.Crash(b.ds.Unsynced() * keep / 100) }

// pebbleBackend crashes by copying what a file system would have kept.
type pebbleBackend struct {
	fs *vfs.MemFS
	ds *pebbledb.Datastore
}

func (b *pebbleBackend) Open() (datastore.Batching, error) {
	var err error
	b.ds, err = pebbledb.Open("db", pebbledb.Options{FS: b.fs})
	return b.ds, err
}

func (b *pebbleBackend) Crash(keep int) {
	left := b.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: keep, RNG: rand.New(rand.NewPCG(uint64(keep), 1))})
	b.ds.Close()
	b.fs = left
}

// TestMem and TestPebble run the suite on our own backends.
func TestMem(t *testing.T) {
	Run(t, func(testing.TB) Backend { return memBackend{mem.New()} })
}

func TestPebble(t *testing.T) {
	Run(t, func(testing.TB) Backend { return &pebbleBackend{fs: vfs.NewCrashableMem()} })
}

// TestKilledProcess copies a data directory while the database is open, which is what kill -9 leaves, and opens the copy.
func TestKilledProcess(t *testing.T) {
	dir := t.TempDir()
	ds, err := pebbledb.Open(dir, pebbledb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	w := newWorkload(ds)
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	left := t.TempDir()
	if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	w.compare(t, dirBackend(left))
}

type dirBackend string

func (d dirBackend) Open() (datastore.Batching, error) {
	return pebbledb.Open(string(d), pebbledb.Options{})
}
func (d dirBackend) Crash(int) {}

// TestSubtestAll runs go-datastore's own suite.
func TestSubtestAll(t *testing.T) {
	dstest.ElemCount = 20
	t.Run("mem", func(t *testing.T) { dstest.SubtestAll(t, mem.New()) })
	t.Run("pebble", func(t *testing.T) {
		ds, err := pebbledb.Open(t.TempDir(), pebbledb.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer ds.Close()
		dstest.SubtestAll(t, ds)
	})
}
