package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/ipfs/go-datastore"

	"syncline/crdt"
	"syncline/store/mem"
)

// TestTheCacheSaysWhatWasCommittedLast: whatever is put into a small cache, it answers with the last register of a path or not at all.
func TestTheCacheSaysWhatWasCommittedLast(t *testing.T) {
	c := newCache(2000)
	last := map[string]string{}
	var val []byte
	hits := 0
	for i := range 20_000 {
		path := fmt.Sprintf("p%d", i*i%97%40)
		data := bytes.Repeat([]byte{byte(i)}, i%7*i%50)
		if i%11 == 0 {
			data = make([]byte, cacheRegisterBytesMax)
		}
		r := crdt.Register{Live: []crdt.Value{{Dot: crdt.Dot{Replica: crdt.ReplicaID{1}, Counter: uint64(i + 1)}, Data: data}}}
		if i%13 == 0 {
			r.Deletes = []crdt.Delete{{Dot: crdt.Dot{Replica: crdt.ReplicaID{2}, Counter: uint64(i + 1)}}}
		}
		if i%17 == 0 {
			r = crdt.Register{}
		}
		val = c.put(val, path, r)
		last[path] = fmt.Sprint(r)
		for path, want := range last {
			r, ok := c.get(path)
			if ok {
				hits++
			}
			if got := fmt.Sprint(r); ok && got != want {
				t.Fatalf("after %d: %s is %s, want %s", i, path, got, want)
			}
		}
		n := 0
		for i := range c.blocks {
			n += cap(c.blocks[i].buf)
		}
		if n > 4*(2000+cacheRegisterBytesMax) || c.size > 2000+2*cacheRegisterBytesMax {
			t.Fatalf("after %d: the cache takes %d bytes, counted as %d", i, n, c.size)
		}
	}
	if hits < 20_000 {
		t.Errorf("%d hits", hits)
	}
}

// TestTwoPathsOfOneHash: the one that was put first is read again, and when it is dropped the other stays.
func TestTwoPathsOfOneHash(t *testing.T) {
	c := newCache(1 << 20)
	c.put(nil, "a", small(1))
	for h := range c.at { // as if b had the hash of a
		c.at[h] = spot(len(c.blocks[0].buf))
	}
	c.put(nil, "b", small(2))
	if r, ok := c.get("a"); ok {
		t.Errorf("a is %v", r)
	}
	c.clear()
	c.put(nil, "b", small(2))
	c.young = 1
	c.put(nil, "b", small(3))
	c.drop()
	if r, ok := c.get("b"); !ok || r.Live[0].Dot.Counter != 3 {
		t.Errorf("after an older b was dropped, b is %v", r)
	}
}

func small(n uint64) crdt.Register {
	return crdt.Register{Live: []crdt.Value{{Dot: crdt.Dot{Replica: crdt.ReplicaID{1}, Counter: n}}}}
}

// TestTheCacheHoldsWhatIsWrittenInTurn: of entries that are written one after the other, again and again, all are found if they fill nine
// tenths of the cache, whatever was there before. A cache that forgets half of itself at once finds hardly any.
func TestTheCacheHoldsWhatIsWrittenInTurn(t *testing.T) {
	c := newCache(64 << 10)
	c.put(nil, "path0000", small(1))
	paths := (64 << 10) * 9 / 10 / c.size
	for i := range 5000 {
		c.put(nil, fmt.Sprintf("before%d", i), small(uint64(i+1)))
	}
	for i := range 10 * paths {
		path := fmt.Sprintf("path%04d", i%paths)
		if _, ok := c.get(path); !ok && i >= paths {
			t.Fatalf("round %d does not find %s of %d", i/paths, path, paths)
		}
		c.put(nil, path, small(uint64(i+1)))
	}
	if c.size > 64<<10 {
		t.Errorf("%d bytes in a cache of 64 KiB", c.size)
	}
}

// TestAFailedCommitEmptiesTheCache: after it, registers come from the datastore.
func TestAFailedCommitEmptiesTheCache(t *testing.T) {
	ds := &failing{Datastore: mem.New()}
	s, err := Open(context.Background(), ds, Options{CacheBytes: CacheBytes})
	if err != nil {
		t.Fatal(err)
	}
	write := func(data string) error {
		tx := s.Begin()
		defer tx.Discard()
		r := crdt.ReplicaID{1}
		w := crdt.Writer{Dot: crdt.Dot{Replica: r, Counter: tx.Context().Get(r) + 1}, Time: 1}
		if w.Dot.Counter == 1 {
			w.Open = []byte("device")
		}
		if _, _, err := crdt.Write(tx, w, []crdt.Change{{Path: "a", ShownAll: true, Data: []byte(data)}}); err != nil {
			return err
		}
		return tx.Commit()
	}
	if err := write("one"); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.cache.get("a"); !ok {
		t.Error("what was committed is not in the cache")
	}
	ds.fail = true
	if err := write("two"); err == nil {
		t.Fatal("the commit did not fail")
	}
	if r, ok := s.cache.get("a"); ok {
		t.Errorf("after a commit that failed the cache holds %v", r)
	}
	ds.fail = false
	if err := write("three"); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

// A failing datastore refuses commits.
type failing struct {
	*mem.Datastore
	fail bool
}

func (f *failing) Batch(ctx context.Context) (datastore.Batch, error) {
	b, err := f.Datastore.Batch(ctx)
	return failingBatch{b, f}, err
}

type failingBatch struct {
	datastore.Batch
	of *failing
}

func (b failingBatch) Commit(ctx context.Context) error {
	if b.of.fail {
		return errors.New("refused")
	}
	return b.Batch.Commit(ctx)
}
