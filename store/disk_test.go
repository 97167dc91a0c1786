package store_test

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"syncline/store"
)

// TestDiskOfOverwrites holds the target: 100,000 overwrites of 100 keys, with their history, take at most 1 MB after a flush, a
// compaction and a restart.
func TestDiskOfOverwrites(t *testing.T) {
	if testing.Short() {
		t.Skip("100,000 overwrites are left out of short runs")
	}
	dir := t.TempDir()
	s, ds := benchStore(t, dir)
	const keys = 100
	for range 100_000 / 50 {
		tx := s.Begin()
		for range 50 {
			put(t, tx, changesFrom(rand.IntN(keys), 1))
		}
		commit(t, tx)
	}
	if err := s.Close(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	ds.Close()
	db, err := pebble.Open(dir, &pebble.Options{FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := db.Compact(context.Background(), []byte("/"), []byte("0"), false); err != nil {
		t.Fatal(err)
	}
	db.Close()
	s, ds = benchStore(t, dir)
	defer ds.Close()
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	versions := 0
	for i := range keys {
		for _, err := range s.History(fmt.Sprintf("bench/%09d", i), 0) {
			if err != nil {
				t.Fatal(err)
			}
			versions++
		}
	}
	bytes := 0
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if info, e := d.Info(); err == nil && e == nil && !d.IsDir() {
			bytes += int(info.Size())
		}
		return err
	})
	t.Logf("%d versions, %d bytes on disk", versions, bytes)
	if want := keys * store.HistoryVersions; versions != want || bytes > 1_000_000 {
		t.Errorf("%d versions in %d bytes, want %d in at most 1,000,000", versions, bytes, want)
	}
}
