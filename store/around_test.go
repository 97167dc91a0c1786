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
}

var errRot = &FileDamage{File: "000007.sst", Err: errors.New("checksum mismatch")}

func (r *rotten) in(key []byte) bool { return string(key) >= r.lo && string(key) < r.hi }

// AppendValue implements [ByteReader].
func (r *rotten) AppendValue(ctx context.Context, dst, key []byte) ([]byte, bool, error) {
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
