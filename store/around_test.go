package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/ipfs/go-datastore"

	"syncline/crdt"
	"syncline/store/mem"
)

// A rotten datastore is one with a damaged file. What lay between lo and hi when it went bad is in that file: reads of it fail, and ranges
// end there. What is written anew since lies elsewhere and is found by its key.
type rotten struct {
	*mem.Datastore
	lo, hi string
	anew   map[string]bool
	// again is another damaged file, which holds what was written anew to these keys.
	again map[string]*FileDamage
}

var errRot = &FileDamage{File: "000007.sst", Err: errors.New("checksum mismatch")}

func (r *rotten) in(key []byte) bool { return string(key) >= r.lo && string(key) < r.hi }

// AppendValue implements [ByteReader].
func (r *rotten) AppendValue(ctx context.Context, dst, key []byte) ([]byte, bool, error) {
	if bad := r.again[string(key)]; bad != nil {
		return dst, false, bad
	}
	if r.in(key) && !r.anew[string(key)] {
		return dst, false, errRot
	}
	return r.Datastore.AppendValue(ctx, dst, key)
}

// Range implements [Ranger].
func (r *rotten) Range(ctx context.Context, lo, hi []byte, yield func(key, value []byte) bool) (err error) {
	if e := r.RangeAround(ctx, lo, hi, yield, func(_, _ []byte, damage error) bool { err = damage; return false }); e != nil {
		return e
	}
	return err
}

// RangeAround implements [AroundRanger].
func (r *rotten) RangeAround(ctx context.Context, lo, hi []byte, yield func(key, value []byte) bool, hole func(lo, hi []byte, damage error) bool) error {
	told := false
	return r.Datastore.Range(ctx, lo, hi, func(key, value []byte) bool {
		if !r.in(key) {
			return yield(key, value)
		}
		more := told || hole([]byte(r.lo), []byte(r.hi), errRot)
		told = true
		return more
	})
}

// Batch implements [datastore.Batching].
func (r *rotten) Batch(ctx context.Context) (datastore.Batch, error) {
	b, err := r.Datastore.Batch(ctx)
	return &rottenBatch{b, r}, err
}

type rottenBatch struct {
	datastore.Batch
	r *rotten
}

func (b *rottenBatch) Put(ctx context.Context, key datastore.Key, value []byte) error {
	b.r.anew[key.String()] = true
	return b.Batch.Put(ctx, key, value)
}

func (b *rottenBatch) Delete(ctx context.Context, key datastore.Key) error {
	b.r.anew[key.String()] = true
	return b.Batch.Delete(ctx, key)
}

// DamagedFiles makes it a database that names them.
func (r *rotten) DamagedFiles() []*FileDamage { return []*FileDamage{errRot} }

// TestADamagedFileIsReadAround: the paths in it are named by the index, each as a record of its own that is damaged; all others are listed.
// A mended one is listed again though the file is as it was, and when all are mended the store is whole.
func TestADamagedFileIsReadAround(t *testing.T) {
	p := newPast(t, HistoryBounds{})
	for i := range 20 {
		p.write(put(fmt.Sprintf("e/%02d", i), "value"))
	}
	lost := []string{"e/08", "e/09", "e/10", "e/11"}
	values := map[string][]crdt.Value{}
	for _, path := range lost {
		r, err := p.s.Get(path)
		if err != nil {
			t.Fatal(err)
		}
		values[path] = r.Live
	}
	ds := &rotten{Datastore: p.ds, lo: spaceUser + "e/08", hi: spaceUser + "e/12", anew: map[string]bool{}}
	s, err := Open(context.Background(), ds, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for len(lost) > 0 {
		var damaged, named []string
		entries := 0
		for e, err := range s.List("", "") {
			if bad := new(CorruptError); errors.As(err, &bad) && bad.Path == e.Path && errors.Is(err, errRot) {
				damaged = append(damaged, e.Path)
			} else if err != nil || string(e.Live[0].Data) != "value" {
				t.Fatalf("%s: %v", e.Path, err)
			}
			entries++
		}
		for path, err := range s.Damaged("") {
			if err == nil || path == "" {
				t.Fatal(path, err)
			}
			named = append(named, path)
		}
		if !slices.Equal(damaged, lost) || !slices.Equal(named, lost) || entries != 20 {
			t.Fatalf("listed as damaged %q, found %q, of %d, want %q of 20", damaged, named, entries, lost)
		}
		if _, err := s.Get(lost[0]); !errors.Is(err, errRot) {
			t.Errorf("read: %v", err)
		}
		tx := s.Begin()
		found, err := tx.Damage(lost[:2])
		if err != nil || len(found) != 2 {
			t.Fatalf("damage: %+v, %v", found, err)
		}
		if err := tx.Mend(found, values); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		lost = lost[2:]
	}
	for path, err := range s.Damaged("") {
		t.Errorf("still damaged: %s: %v", path, err)
	}
	if h := s.Head(); h.Entries != 20 || h.Digest != p.s.Head().Digest {
		t.Errorf("the head is %+v, was %+v", h, p.s.Head())
	}
	if files := s.DamagedFiles(); len(files) != 1 || files[0] != errRot {
		t.Errorf("damaged files: %v", files)
	}
}

// TestADamagedIndexNamesNothing: what only it named is left out, all else is listed, and the end says that something is missing.
func TestADamagedIndexNamesNothing(t *testing.T) {
	p := newPast(t, HistoryBounds{})
	for i := range 20 {
		p.write(put(fmt.Sprintf("e/%02d", i), "value"))
	}
	ds := &rotten{Datastore: p.ds, lo: spaceUser + "e/08", hi: spaceUser + "e/09", anew: map[string]bool{}}
	s, err := Open(context.Background(), ds, Options{})
	if err != nil {
		t.Fatal(err)
	}
	last := error(nil)
	n := 0
	if err := p.ds.Put(context.Background(), datastore.RawKey(spaceLive+"10/1f"), nil); err != nil { // no name
		t.Fatal(err)
	}
	for _, err := range s.List("", "") {
		if last = err; err == nil {
			n++
		}
	}
	if !errors.Is(last, errRot) || !errors.Is(last, ErrUnnamed) || n != 19 {
		t.Errorf("%d entries, then %v", n, last)
	}
}

// TestWhatTheIndexDoesNotNameIsNotThere: a path that falls in a damaged file and never was is read as empty and written. What is lost stays
// lost, also if what was written to such a path is lost in another file later.
func TestWhatTheIndexDoesNotNameIsNotThere(t *testing.T) {
	p := newPast(t, HistoryBounds{})
	for i := range 20 {
		p.write(put(fmt.Sprintf("e/%02d", i), "value"))
	}
	p.write(crdt.Change{Path: "e/12", Delete: true}, crdt.Change{Path: "f/12", Delete: true})
	for _, space := range []string{spaceUser, spaceDeletes + spaceUser} {
		ds := &rotten{Datastore: p.ds.Clone(), lo: space + "e/08", hi: space + "e/13", anew: map[string]bool{}, again: map[string]*FileDamage{}}
		s, err := Open(context.Background(), ds, Options{})
		if err != nil {
			t.Fatal(err)
		}
		q := &past{t: t, ds: ds.Datastore, s: s, now: p.now}
		lost := "e/08"
		if space != spaceUser {
			lost = "e/12"
		}
		if r, err := s.Get("e/09x"); err != nil || !r.IsEmpty() {
			t.Fatalf("a path that never was: %+v, %v", r, err)
		}
		var changes []crdt.Change
		for i := range 8 {
			changes = append(changes, put(fmt.Sprintf("e/09x%d", i), "new"))
		}
		for range 2 {
			q.write(changes...)
		}
		if r, err := s.Get("e/09x3"); err != nil || len(r.Live) != 1 || string(r.Live[0].Data) != "new" {
			t.Errorf("what was written there: %+v, %v", r, err)
		}
		q.write(crdt.Change{Path: "e/09x3", Delete: true})
		if r, err := s.Get("e/09x3"); err != nil || len(r.Live) > 0 {
			t.Errorf("what was deleted there: %+v, %v", r, err)
		}
		if _, err := s.Get(lost); !errors.Is(err, errRot) {
			t.Errorf("what is lost: %v", err)
		}
		tx := s.Begin()
		if found, err := tx.Damage([]string{"e/09y", "e/09x4", lost}); err != nil || len(found) != 1 || found[0].Path != lost {
			t.Errorf("damage: %+v, %v", found, err)
		} else if d := found[0]; (d.Live != nil) != (space == spaceUser) || (d.Deletes != nil) == (space == spaceUser) {
			t.Errorf("what nothing names is lost, too: %+v", d)
		}
		tx.Discard()
		named := 0
		for path, err := range s.Damaged("") {
			if named++; !errors.Is(err, errRot) {
				t.Errorf("%s: %v", path, err)
			}
		}
		if want := map[bool]int{true: 4, false: 1}[space == spaceUser]; named != want {
			t.Errorf("%d paths are damaged, want %d", named, want)
		}
		if h := s.Head(); h.Entries != 19+len(changes)-1 { // without the one that was deleted
			t.Errorf("%d entries", h.Entries)
		}
		rot := &FileDamage{File: "000009.sst", Err: errors.New("checksum mismatch")}
		ds.again[string(RecordKey("e/09x5"))], ds.again[string(RecordKey("e/09z"))] = rot, rot
		if _, err := s.Get("e/09x5"); !errors.Is(err, rot) {
			t.Errorf("what was written there and is lost again: %v", err)
		}
		if r, err := s.Get("e/09z"); err != nil || !r.IsEmpty() {
			t.Errorf("what never was, in that file: %+v, %v", r, err)
		}
	}
}

// TestADamagedIndexLeavesItOpen: nothing tells whether a path in a damaged file is one that is lost, so it is not written over.
func TestADamagedIndexLeavesItOpen(t *testing.T) {
	p := newPast(t, HistoryBounds{})
	p.write(put("e/08", "value"), put("f", "value"))
	ds := &rotten{Datastore: p.ds, lo: spaceUser + "e/08", hi: string(after([]byte(spaceLive))), anew: map[string]bool{}}
	s, err := Open(context.Background(), p.ds, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.eng = newEngine(ds) // it went bad after that
	for range 2 {
		tx := s.Begin()
		if bad := new(CorruptError); !errors.As(tx.SetRegister("e/09", crdt.Register{}), &bad) || bad.Path != "e/09" {
			t.Error("a path in the damaged file is written, though nothing names what is lost")
		}
		if _, err := tx.Damage([]string{"e/09"}); !errors.Is(err, errRot) {
			t.Errorf("damage: %v", err)
		}
		tx.Discard()
	}
}
