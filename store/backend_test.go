package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/failstore"
	"github.com/ipfs/go-datastore/mount"
	dsnamespace "github.com/ipfs/go-datastore/namespace"
	"github.com/ipfs/go-datastore/retrystore"
	dssync "github.com/ipfs/go-datastore/sync"

	"syncline/store/mem"
)

// TestNotAtomicIsRefused: a backend that may apply half a batch is refused with the reason, and those that do not are taken.
func TestNotAtomicIsRefused(t *testing.T) {
	ctx := context.Background()
	refused := map[datastore.Batching]string{
		datastore.NewMapDatastore():  "one by one",
		datastore.NewNullDatastore(): "keeps nothing",
		dssync.MutexWrap(mem.New()):  "give the store the datastore itself",
		mount.New(nil):               "each of its parts",
		dsnamespace.Wrap(datastore.NewMapDatastore(), datastore.NewKey("/n")):                  "give the store the datastore itself",
		failstore.NewFailstore(datastore.NewMapDatastore(), func(string) error { return nil }): "give the store the datastore itself",
		datastore.NewLogDatastore(mem.New(), "log"):                                            "give the store the datastore itself",
		struct{ *datastore.MapDatastore }{datastore.NewMapDatastore()}:                         "basicBatch",
		&retrystore.Datastore{Batching: datastore.NewMapDatastore()}:                           "basicBatch",
	}
	for ds, reason := range refused {
		_, err := Open(ctx, ds, Options{})
		if !errors.Is(err, ErrNotAtomic) || !strings.Contains(err.Error(), reason) {
			t.Errorf("%T: %v", ds, err)
		}
	}
	// What %T prints of types that this module does not link.
	for name, refused := range map[string]bool{
		"*badger.Datastore": true, "*badger4.Datastore": true, "*flatfs.Datastore": true, "*delayed.Delayed": true,
		"*leveldb.Datastore": false, "*pebbleds.Datastore": false, "*mem.Datastore": false, "*badgers.Other": false,
	} {
		if reason := notAtomicReason(name); (reason != "") != refused {
			t.Errorf("%s: %q", name, reason)
		}
	}
}

// TestBackendsByName: the schemes that a store can be given, what is wrong with others, and that each is atomic as far as is known.
func TestBackendsByName(t *testing.T) {
	for _, spec := range []string{"bolt:", "pebble:x", "leveldb:/tmp", "nothing", "badger:"} {
		if _, err := OpenBackend(spec, t.TempDir()); err == nil {
			t.Errorf("%q is taken", spec)
		}
	}
	for _, spec := range []string{"", "pebble:", "leveldb:", "mem:"} {
		ds, err := OpenBackend(spec, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckAtomic(ds); err != nil {
			t.Errorf("%q: %v", spec, err)
		}
		ds.Close()
	}
}

// TestADirectoryOfAnotherBackendIsRefused: and none of its files is touched.
func TestADirectoryOfAnotherBackendIsRefused(t *testing.T) {
	ctx := context.Background()
	for held, other := range map[string]string{"pebble:": "leveldb:", "leveldb:": "pebble:"} {
		dir := t.TempDir()
		ds, err := OpenBackend(held, dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := ds.Put(ctx, datastore.NewKey("k"), []byte("v")); err != nil {
			t.Fatal(err)
		}
		if err := ds.Close(); err != nil {
			t.Fatal(err)
		}
		before, _ := filepath.Glob(filepath.Join(dir, "*"))
		if _, err := OpenBackend(other, dir); err == nil || !errors.Is(err, ErrOtherBackend) || !strings.Contains(err.Error(), `begun with "`+held) {
			t.Errorf("%s on a directory of %s: %v", other, held, err)
		}
		if after, _ := filepath.Glob(filepath.Join(dir, "*")); !slices.Equal(before, after) {
			t.Errorf("%s on a directory of %s: %q became %q", other, held, before, after)
		}
		for _, spec := range []string{held, ""} { // nobody has to know which it is
			if ds, err = OpenBackend(spec, dir); err != nil {
				t.Fatal(err)
			}
			if v, err := ds.Get(ctx, datastore.NewKey("k")); err != nil || string(v) != "v" {
				t.Errorf("%s opened as %q afterwards: %q, %v", held, spec, v, err)
			}
			ds.Close()
		}
		if spec := BackendOf(dir); spec != held {
			t.Errorf("%s is taken for %q", held, spec)
		}
	}
	if _, err := os.Stat("CURRENT"); err == nil {
		t.Error("a database was made in the working directory")
	}
}
