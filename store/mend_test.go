package store

import (
	"context"
	"errors"
	"testing"

	"github.com/ipfs/go-datastore"

	"syncline/crdt"
)

// TestMendedRecordsAreWhole damages each record of a path, mends it with nothing, or with what was lost, and wants a store without a
// contradiction.
func TestMendedRecordsAreWhole(t *testing.T) {
	ctx := context.Background()
	keep := func(values []crdt.Value) []crdt.Value { return values }
	one := func(values []crdt.Value) []crdt.Value { return values[:1] }
	none := func([]crdt.Value) []crdt.Value { return nil }
	for _, c := range []struct {
		path, key string
		values    func([]crdt.Value) []crdt.Value
	}{
		{"both", "/d/both", keep}, {"both", "/d/both", one}, {"both", "/d/both", none}, {"calm", "/d/calm", keep}, {"calm", "/d/calm", none},
		{"/sys", "/s/sys", keep}, {"/sys", "/s/sys", none}, {"gone", "/r/d/gone", none}, {"won", "/r/d/won", keep}, {"won", "/d/won", keep},
	} {
		p := newPast(t, HistoryBounds{})
		p.write(put("both", "1"), put("calm", "2"), put("/sys", "3"), put("gone", "4"), put("won", "5"), put("other", "6"))
		p.write(crdt.Change{Path: "gone", Delete: true}, crdt.Change{Path: "won", Delete: true})
		tx := p.s.Begin()
		if _, err := crdt.Apply(tx, &crdt.Op{Dot: crdt.Dot{Replica: rid(2), Counter: 1}, Time: 9, Open: []byte("o"),
			Entries: []crdt.OpEntry{{Path: "both", Data: []byte("x")}, {Path: "won", Data: []byte("y")}}}); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		before, _ := p.s.Get(c.path)
		p.ds.Put(ctx, datastore.RawKey(c.key), []byte{1, 0xff, 0xff})
		var found []string
		for path, err := range p.s.Damaged("") {
			if damage := new(CorruptError); !errors.As(err, &damage) || damage.Key != c.key {
				t.Errorf("%s: %v", c.key, err)
			}
			found = append(found, path)
		}
		if len(found) != 1 || found[0] != c.path {
			t.Fatalf("%s: damaged are %q", c.key, found)
		}
		tx = p.s.Begin()
		if err := tx.SetRegister("other", crdt.Register{}); err != nil { // counted though it is in the same commit
			t.Fatal(err)
		}
		d, err := tx.Damage(append(found, "nothing"))
		if err != nil || len(d) != 1 || d[0].Path != c.path || len(d[0].Live)+len(d[0].Deletes) == 0 {
			t.Fatalf("%s: %+v, %v", c.key, d, err)
		}
		if err := tx.Mend(d, map[string][]crdt.Value{c.path: c.values(before.Live)}); err != nil {
			t.Fatalf("%s: %v", c.key, err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := p.s.Check(); err != nil {
			t.Errorf("%s: %v", c.key, err)
		}
		if got, err := p.s.Get(c.path); err != nil || len(got.Live) != len(c.values(before.Live)) {
			t.Errorf("%s: %v, %v", c.key, got, err)
		}
		p.open(HistoryBounds{})
		if err := p.s.Check(); err != nil {
			t.Errorf("%s, opened again: %v", c.key, err)
		}
	}
}
