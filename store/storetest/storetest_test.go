package storetest

import (
	"math/rand/v2"
	"os"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/go-datastore"
	dstest "github.com/ipfs/go-datastore/test"

	"syncline/store/leveldb"
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

// dirBackend lies on the disk of the machine. It crashes as a killed process does: everything that was written stays.
type dirBackend struct {
	t    testing.TB
	open func(dir string) (datastore.Batching, error)
	dir  string
	ds   datastore.Batching
}

func (b *dirBackend) Open() (_ datastore.Batching, err error) {
	b.ds, err = b.open(b.dir)
	return b.ds, err
}

func (b *dirBackend) Crash(int) {
	left := scratch(b.t)
	if err := os.CopyFS(left, os.DirFS(b.dir)); err != nil {
		b.t.Fatal(err)
	}
	b.ds.Close()
	b.dir = left
}

// scratch returns an empty directory in memory, where there is one: a killed process leaves the same there, and a sync costs nothing.
func scratch(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "storetest")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func openPebble(dir string) (datastore.Batching, error) {
	return pebbledb.Open(dir, pebbledb.Options{})
}

func openLevelDB(dir string) (datastore.Batching, error) { return leveldb.Open(dir, leveldb.Options{}) }

// TestMem, TestPebble and TestLevelDB run the suite on our own backends.
func TestMem(t *testing.T) {
	Run(t, func(testing.TB) Backend { return memBackend{mem.New()} })
}

func TestPebble(t *testing.T) {
	Run(t, func(testing.TB) Backend { return &pebbleBackend{fs: vfs.NewCrashableMem()} })
}

// LevelDB syncs every write, so that a power cut takes no more than a kill does; package leveldb tears its log by hand.
func TestLevelDB(t *testing.T) {
	Run(t, func(t testing.TB) Backend { return &dirBackend{t: t, open: openLevelDB, dir: scratch(t)} })
}

// TestKilledProcess copies a data directory while the database is open, which is what kill -9 leaves, and opens the copy.
func TestKilledProcess(t *testing.T) {
	for name, open := range map[string]func(string) (datastore.Batching, error){"pebble": openPebble, "leveldb": openLevelDB} {
		t.Run(name, func(t *testing.T) {
			b := &dirBackend{t: t, open: open, dir: scratch(t)}
			ds, err := b.Open()
			if err != nil {
				t.Fatal(err)
			}
			w := newWorkload(ds)
			if err := w.run(); err != nil {
				t.Fatal(err)
			}
			b.Crash(0)
			w.compare(t, b)
		})
	}
}

// TestSubtestAll runs go-datastore's own suite. It leaves so many deletes behind that LevelDB, which scans over them until it compacts, is
// given a small table in memory.
func TestSubtestAll(t *testing.T) {
	dstest.ElemCount = 20
	t.Run("mem", func(t *testing.T) { dstest.SubtestAll(t, mem.New()) })
	for name, open := range map[string]func(string) (datastore.Batching, error){
		"pebble": openPebble,
		"leveldb": func(dir string) (datastore.Batching, error) {
			return leveldb.Open(dir, leveldb.Options{MemTableBytes: 128 << 10})
		},
	} {
		t.Run(name, func(t *testing.T) {
			ds, err := open(scratch(t))
			if err != nil {
				t.Fatal(err)
			}
			defer ds.Close()
			dstest.SubtestAll(t, ds)
		})
	}
}
