package store

import (
	"context"
	"errors"
	"testing"

	"github.com/ipfs/go-datastore"

	"syncline/crdt"
	"syncline/store/mem"
)

// TestMendBesideOtherDamage: of two damaged records one is mended. Nobody goes on from a copy of the other, which reads as damaged until
// it is mended, too; the store opens at any time and is whole in the end.
func TestMendBesideOtherDamage(t *testing.T) {
	ctx := context.Background()
	for _, cache := range []int{0, CacheBytes} {
		for other, key := range map[string]string{"gone": "/r/d/gone", "y": "/d/y"} {
			p := &past{t: t, ds: mem.New(), now: 1_000_000}
			var err error
			if p.s, err = Open(ctx, p.ds, Options{CacheBytes: cache}); err != nil {
				t.Fatal(err)
			}
			p.write(put("x", "1"), put("y", "2"), put("gone", "3"), put("z", "4"))
			p.write(crdt.Change{Path: "gone", Delete: true})
			for _, k := range []string{"/d/x", key} {
				if err := p.ds.Put(ctx, datastore.RawKey(k), []byte{1, 0xff, 0xff}); err != nil {
					t.Fatal(err)
				}
			}
			mend := func(path string) {
				t.Helper()
				tx := p.s.Begin()
				found, err := tx.Damage([]string{path})
				if err != nil || len(found) != 1 {
					t.Fatalf("damage at %s: %v, %v", path, found, err)
				}
				if err := tx.Mend(found, nil); err != nil {
					t.Fatal(err)
				}
				if err := tx.Commit(); err != nil {
					t.Fatal(err)
				}
				if _, err := Open(ctx, p.ds, Options{}); err != nil {
					t.Fatalf("cache %d: open after %s was mended beside %s: %v", cache, path, other, err)
				}
			}
			mend("x")
			tx := p.s.Begin()
			var corrupt *CorruptError
			if _, err := tx.Register(other); !errors.As(err, &corrupt) || corrupt.Path != other {
				t.Errorf("cache %d: %s reads as whole: %v", cache, other, err)
			}
			tx.Discard()
			mend(other)
			p.write(put(other, "5"), put("x", "6"))
			if err := p.s.Check(); err != nil {
				t.Errorf("cache %d, %s: %v", cache, other, err)
			}
		}
	}
}

// TestMendForgetsInItsRangeOnly: while ranges have seen different things, the floor rises only where the lost delete was.
func TestMendForgetsInItsRangeOnly(t *testing.T) {
	ctx := context.Background()
	p := newPast(t, HistoryBounds{})
	p.write(put("aa", "1"))
	dot := crdt.Dot{Replica: crdt.ReplicaID{2}, Counter: 5}
	tx := p.s.Begin()
	tx.Cut("m")
	tx.AdvancePart(1, dot)
	tx.SetOpen(dot.Replica, []byte("open"))
	if err := tx.SetRegister("zz", crdt.Register{Deletes: []crdt.Delete{{Dot: dot}}}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := p.ds.Put(ctx, datastore.RawKey("/r/d/zz"), []byte{1, 0xff, 0xff}); err != nil {
		t.Fatal(err)
	}
	tx = p.s.Begin()
	found, err := tx.Damage([]string{"zz"})
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	if err := tx.Mend(found, nil); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, p.ds, Options{}); err != nil {
		t.Errorf("open after the repair: %v", err)
	}
}
