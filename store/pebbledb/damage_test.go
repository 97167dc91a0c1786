package pebbledb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ipfs/go-datastore"

	"syncline/store/gate"
)

// damaged makes a database of n entries in a table, of which some bytes in the middle are then wrong.
func damaged(t *testing.T, n int) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	ds, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := commit(ds, 100000+i, 10); err != nil {
			t.Fatal(err)
		}
	}
	if err := ds.db.Compact(ctx, []byte("/"), []byte("0"), false); err != nil { // at once, and the whole of it
		t.Fatal(err)
	}
	if err := ds.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, spoilTable(t, dir)
}

// spoilTable changes 40 bytes in the middle of the largest table, and returns its name.
func spoilTable(t *testing.T, dir string) string {
	t.Helper()
	tables, _ := filepath.Glob(filepath.Join(dir, "*.sst"))
	var name string
	var bytes []byte
	for _, table := range tables {
		b, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > len(bytes) {
			name, bytes = table, b
		}
	}
	for i := range 40 {
		bytes[len(bytes)/2+i] ^= 0xa5
	}
	if err := os.WriteFile(name, bytes, 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Base(name)
}

func reopened(t *testing.T, dir string) *Datastore {
	t.Helper()
	ds, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	return ds
}

// TestADamagedTableIsReadAround: a block of a table that is damaged neither ends the process nor the database. What lies in it is an error
// that names the file, everything else is read and written, by keys and by ranges, also after another start.
func TestADamagedTableIsReadAround(t *testing.T) {
	const n = 20000
	dir, file := damaged(t, n)
	key := func(i int) string { return fmt.Sprintf("/k/%d", 100000+i) }
	for round := range 2 {
		ds, lost := reopened(t, dir), 0
		for i := range n {
			value, found, err := ds.AppendValue(ctx, nil, []byte(key(i)))
			var damage *gate.Damage
			switch {
			case errors.As(err, &damage):
				if lost++; damage.File != file {
					t.Fatalf("the damage is in %s, want %s", damage.File, file)
				}
			case err != nil || !found || len(value) != 10:
				t.Fatalf("%s: %q, %v, %v", key(i), value, found, err)
			}
		}
		if lost == 0 || lost > n/20 {
			t.Fatalf("%d of %d entries are lost", lost, n)
		}
		var damage *gate.Damage
		if err := ds.Range(ctx, []byte("/k/"), []byte("/l"), func(_, _ []byte) bool { return true }); !errors.As(err, &damage) {
			t.Errorf("a range over the damage: %v", err)
		}
		var seen []string
		holes, in := 0, 0
		err := ds.RangeAround(ctx, []byte("/k/"), []byte("/l"), func(k, _ []byte) bool { seen = append(seen, string(k)); return true },
			func(lo, hi []byte, _ error) bool {
				holes++
				for i := range n {
					if string(lo) <= key(i) && key(i) < string(hi) {
						in++
					}
				}
				return true
			})
		if err != nil || holes != 1 || in < lost || in > n/20 || len(seen) != n-in+round || !slices.IsSorted(seen) {
			t.Errorf("around the damage: %d entries, %d holes with %d of which %d are lost, %v", len(seen), holes, in, lost, err)
		}
		if files := ds.DamagedFiles(); len(files) != 1 || files[0].File != file || len(files[0].From) == 0 {
			t.Errorf("damaged files %+v, want %s", files, file)
		}
		for i := range 50 { // a compaction meets it, too
			if err := commit(ds, 100000+i*n/50, 10); err != nil {
				t.Fatal(err)
			}
		}
		ds.db.Compact(ctx, []byte("/"), []byte("0"), false)
		if err := commit(ds, 9, 10); err != nil {
			t.Fatal(err)
		}
		if err := ds.Sync(ctx, datastore.RawKey("/")); err != nil {
			t.Fatal(err)
		}
		if err := ds.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAReaderFindsWhatIsAboveTheDamage: a reader, which looks at all levels and walks over neighbours, finds what a look-up finds: keys of
// a damaged block that were written anew, and whole keys before and behind the block.
func TestAReaderFindsWhatIsAboveTheDamage(t *testing.T) {
	const n = 20000
	dir, _ := damaged(t, n)
	key := func(i int) string { return fmt.Sprintf("/k/%d", 100000+i) }
	ds := reopened(t, dir)
	var lost []int
	for i := range n {
		if _, _, err := ds.AppendValue(ctx, nil, []byte(key(i))); err != nil {
			lost = append(lost, i)
		}
	}
	want := func(keys ...int) {
		t.Helper()
		r, err := ds.OpenReader(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for _, i := range keys {
			if value, found, err := r.AppendValue(ctx, nil, []byte(key(i))); err != nil || !found || len(value) != 10 {
				t.Fatalf("%s: %q, %v, %v", key(i), value, found, err)
			}
		}
	}
	first, last := lost[0], lost[len(lost)-1]
	for before := first - 4; before < first; before++ {
		want(before, last+1, last+2)
	}
	for _, i := range lost {
		if err := commit(ds, 100000+i, 10); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range lost {
		want(i)
	}
	want(lost...)
}
