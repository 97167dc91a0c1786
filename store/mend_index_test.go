package store

import (
	"context"
	"testing"

	"github.com/ipfs/go-datastore"

	"syncline/crdt"
	"syncline/store/mem"
)

// spoil makes records unreadable.
func (p *past) spoil(keys ...string) {
	p.t.Helper()
	for _, key := range keys {
		if err := p.ds.Put(context.Background(), datastore.RawKey(key), []byte{1, 0xff, 0xff}); err != nil {
			p.t.Fatal(err)
		}
	}
}

// mend mends paths with values, in one commit, and looks at all records, also when they are opened again.
func (p *past) mend(values map[string][]crdt.Value, paths ...string) {
	p.t.Helper()
	tx := p.s.Begin()
	found, err := tx.Damage(paths)
	if err != nil || len(found) != len(paths) {
		p.t.Fatalf("damage at %q: %+v, %v", paths, found, err)
	}
	if err := tx.Mend(found, values); err != nil {
		p.t.Fatal(err)
	}
	p.whole(tx)
}

// whole commits and wants a store without damage and without a contradiction.
func (p *past) whole(tx *Tx) {
	p.t.Helper()
	if err := tx.Commit(); err != nil {
		p.t.Fatal(err)
	}
	for path, err := range p.s.Damaged("") {
		p.t.Errorf("still damaged: %s: %v", path, err)
	}
	if err := p.s.Check(); err != nil {
		p.t.Error(err)
	}
	if _, err := Open(context.Background(), p.ds, Options{}); err != nil {
		p.t.Errorf("opened again: %v", err)
	}
}

// beside applies a write of another replica over the first value here: where that was deleted meanwhile, it wins.
func (p *past) beside(path string) {
	p.t.Helper()
	tx := p.s.Begin()
	if _, err := crdt.Apply(tx, &crdt.Op{Dot: crdt.Dot{Replica: rid(2), Counter: 1}, Time: 9, Open: []byte("o"),
		Entries: []crdt.OpEntry{{Path: path, Data: []byte("y"), Preds: []crdt.Dot{{Replica: rid(1), Counter: 1}}}}}); err != nil {
		p.t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		p.t.Fatal(err)
	}
}

// TestAChangedPathIsWrittenWhole: the transaction changes the deletes of a path, known from the cache, whose live values are damaged on disk.
func TestAChangedPathIsWrittenWhole(t *testing.T) {
	p := &past{t: t, ds: mem.New(), now: 1_000_000}
	var err error
	if p.s, err = Open(context.Background(), p.ds, Options{CacheBytes: CacheBytes}); err != nil {
		t.Fatal(err)
	}
	p.write(put("won", "5"), put("z", "1"))
	p.write(crdt.Change{Path: "won", Delete: true})
	p.beside("won")
	p.spoil("/d/won")
	tx := p.s.Begin()
	if err := crdt.Trim(tx, 0); err != nil {
		t.Fatal(err)
	}
	if found, err := tx.Damage([]string{"won"}); err != nil || len(found) > 0 {
		t.Fatalf("%+v, %v", found, err)
	}
	p.whole(tx)
}

// TestTheFloorRisesOverDamage: deletes are forgotten at paths whose other records are damaged, or they themselves, whatever made the floor
// rise, in one transaction with their repair or before it.
func TestTheFloorRisesOverDamage(t *testing.T) {
	for _, together := range []bool{true, false} {
		p := newPast(t, HistoryBounds{})
		p.write(put("won", "1"), put("gone", "2"), put("old", "3"), put("calm", "4"))
		p.write(crdt.Change{Path: "won", Delete: true}, crdt.Change{Path: "old", Delete: true})
		p.write(crdt.Change{Path: "gone", Delete: true})
		p.beside("won")
		value, _ := p.s.Get("won")
		p.spoil("/d/won", "/r/d/old", "/r/d/gone")
		tx := p.s.Begin()
		found, err := tx.Damage([]string{"gone"})
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		if err := tx.Mend(found, nil); err != nil {
			t.Fatalf("what needs nobody, beside what is lost: %v", err)
		}
		if _, err := tx.Register("won"); err == nil {
			t.Error("a damaged record reads as whole")
		}
		if n := tx.Head().Deletes; n != 0 {
			t.Errorf("%d deletes are remembered below the floor", n)
		}
		if !together {
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			tx = p.s.Begin()
		}
		if found, err = tx.Damage([]string{"won", "old"}); err != nil || len(found) != 1 || len(found[0].Live) != 1 || found[0].Deletes != nil {
			t.Fatalf("left are %+v, %v", found, err)
		}
		if err := tx.Mend(found, map[string][]crdt.Value{"won": value.Live}); err != nil {
			t.Fatal(err)
		}
		p.whole(tx)
		if reg, err := p.s.Get("won"); err != nil || len(reg.Live) != 1 || !reg.Live[0].Won || len(reg.Deletes) > 0 {
			t.Errorf("%+v, %v", reg, err)
		}
	}
}

// TestWhatTheIndexDoesNotNameIsMended, by what others have, or with nothing.
func TestWhatTheIndexDoesNotNameIsMended(t *testing.T) {
	for _, keep := range []bool{true, false} {
		p := newPast(t, HistoryBounds{})
		p.write(put("open", "1"), put("gone", "2"), put("calm", "3"))
		p.write(crdt.Change{Path: "open", Delete: true}, crdt.Change{Path: "gone", Delete: true})
		p.beside("open")
		value, _ := p.s.Get("open")
		var index []string
		p.s.eng.scan(context.Background(), []byte("/i/"), []byte("/j"), func(key, _ []byte) bool { index = append(index, string(key)); return true })
		p.s.eng.scan(context.Background(), []byte("/x/"), []byte("/y"), func(key, _ []byte) bool { index = append(index, string(key)); return true })
		for _, key := range index {
			if path := key[len(key)-4:]; path == "open" || path == "gone" {
				p.ds.Delete(context.Background(), datastore.RawKey(key))
			}
		}
		p.spoil("/d/open", "/r/d/open", "/r/d/gone")
		values := map[string][]crdt.Value{}
		if keep {
			values["open"] = value.Live
		}
		p.mend(values, "gone", "open")
		if reg, err := p.s.Get("open"); err != nil || len(reg.Live) != len(values["open"]) {
			t.Errorf("%+v, %v", reg, err)
		}
	}
}

// TestTheMarkOfAWinnerIsMended: only the damaged record said that its value won over a delete; another device need not know.
func TestTheMarkOfAWinnerIsMended(t *testing.T) {
	p := newPast(t, HistoryBounds{})
	p.write(put("won", "1"), put("calm", "1"))
	p.write(crdt.Change{Path: "won", Delete: true})
	p.beside("won")
	reg, _ := p.s.Get("won")
	calm, _ := p.s.Get("calm")
	values := map[string][]crdt.Value{"won": {reg.Live[0]}, "calm": calm.Live}
	values["won"][0].Won = false
	p.spoil("/d/won", "/d/calm")
	p.mend(values, "calm", "won")
	if reg, _ := p.s.Get("won"); reg.Contending() != 1 || values["won"][0].Won {
		t.Errorf("%+v, made of %+v", reg, values)
	}
	if reg, _ := p.s.Get("calm"); reg.Contending() != 0 {
		t.Errorf("%+v", reg)
	}
}

// TestTheCacheCountsItsMarks: small registers take more for their place than for what they say, and those that are too large nothing.
func TestTheCacheCountsItsMarks(t *testing.T) {
	c := newCache(64 << 10)
	r := crdt.Register{Live: []crdt.Value{{Dot: crdt.Dot{Replica: crdt.ReplicaID{1}, Counter: 1}, Data: make([]byte, cacheRegisterBytesMax+1)}}}
	for i := range 100_000 {
		path := string(rune('a'+i%26)) + string(rune(i))
		if c.put(nil, path, crdt.Register{}); i%3 == 0 {
			c.put(nil, path, r)
		}
	}
	if n := len(c.at); n == 0 || n > 64<<10/markBytes {
		t.Errorf("%d marks in a cache of 64 KiB", n)
	}
}
