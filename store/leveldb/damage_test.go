package leveldb

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/syndtr/goleveldb/leveldb/util"

	"syncline/store/gate"
)

// TestADamagedTableIsNamed: reads of a table that the disk has changed fail with its name, and others do not; no write before that is lost.
func TestADamagedTableIsNamed(t *testing.T) {
	dir := t.TempDir()
	ds, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := commit(t, ds, 0, 20000, 10); err != nil {
		t.Fatal(err)
	}
	if err := ds.ds.DB.CompactRange(util.Range{}); err != nil {
		t.Fatal(err)
	}
	if err := ds.Close(); err != nil {
		t.Fatal(err)
	}
	tables, _ := filepath.Glob(filepath.Join(dir, "*.ldb"))
	if len(tables) != 1 {
		t.Fatalf("tables %v", tables)
	}
	b, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		b[len(b)/2+i] ^= 0xa5
	}
	if err := os.WriteFile(tables[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	if ds, err = Open(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	var damage *gate.Damage
	var keys [][]byte
	err = ds.Range(ctx, []byte("/"), nil, func(key, _ []byte) bool { keys = append(keys, append([]byte(nil), key...)); return true })
	if !errors.As(err, &damage) || damage.File != filepath.Base(tables[0]) {
		t.Errorf("a range over it: %v", err)
	}
	if files := ds.DamagedFiles(); len(files) != 1 || files[0].File != filepath.Base(tables[0]) {
		t.Errorf("damaged files %v", files)
	}
	if len(keys) == 0 || len(keys) == 20000 {
		t.Fatalf("%d keys before the damage", len(keys))
	}
	for _, key := range keys {
		if _, found, err := ds.AppendValue(ctx, nil, key); err != nil || !found {
			t.Fatalf("%s: %v", key, err)
		}
	}
}
