// Package storetest is the suite that every backend of a store must pass, ours and others alike.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"syncline/crdt"
	"syncline/store"
)

// A Backend is a place where a datastore lies.
type Backend interface {
	// Open opens the datastore that lies there.
	Open() (datastore.Batching, error)
	// Crash ends the datastore that is open as a power cut does: what was written since the last Sync may be lost from any batch on.
	// keep, from 0 to 99, says how much of it stays, as far as the backend can choose.
	Crash(keep int)
}

// Run runs the suite. Every call of fresh returns an empty backend.
func Run(t *testing.T, fresh func(t testing.TB) Backend) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, func(testing.TB) Backend)
	}{
		{"ScansAreOrderedAndBounded", scansAreOrderedAndBounded},
		{"BatchIsAtomic", batchIsAtomic},
		{"SyncIsDurable", syncIsDurable},
		{"CrashAtEveryOperation", crashAtEveryOperation},
		{"DiskFullAtEveryWrite", diskFullAtEveryWrite},
		{"ScansCostWhatTheyReturn", scansCostWhatTheyReturn},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, fresh) })
	}
}

var ctx = context.Background()

func open(t testing.TB, b Backend) datastore.Batching {
	t.Helper()
	ds, err := b.Open()
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

func apply(t testing.TB, ds datastore.Batching, keys []string, value string) {
	t.Helper()
	batch, err := ds.Batch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if err := batch.Put(ctx, datastore.RawKey(key), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	if len(stored(t, ds)) > 0 && value == "" {
		t.Fatal("a batch is seen before its commit")
	}
	if err := batch.Commit(ctx); err != nil {
		t.Fatal(err)
	}
}

// stored returns all keys with their values by Query.
func stored(t testing.TB, ds datastore.Batching) map[string]string {
	t.Helper()
	all := map[string]string{}
	for e, err := range datastore.QueryIter(ctx, ds, query.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		all[e.Key] = string(e.Value)
	}
	return all
}

// scansAreOrderedAndBounded checks Range, if the backend has it, and ordered queries against sorting.
func scansAreOrderedAndBounded(t *testing.T, fresh func(testing.TB) Backend) {
	ds := open(t, fresh(t))
	defer ds.Close()
	keys := []string{"/a", "/a-", "/a/0", "/a/b", "/a/b!", "/a/b/c", "/a/ü", "/a0", "/b/x"}
	apply(t, ds, keys, "v")
	var got []string
	for e, err := range datastore.QueryIter(ctx, ds, query.Query{Prefix: "/a", Orders: []query.Order{query.OrderByKey{}}}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Key)
	}
	if want := []string{"/a/0", "/a/b", "/a/b!", "/a/b/c", "/a/ü"}; !slices.Equal(got, want) {
		t.Errorf("query: got %q, want %q", got, want)
	}
	ranger, ok := ds.(store.Ranger)
	if !ok {
		return
	}
	for _, lo := range append(keys, "/", "/a/b\x00", "/zz") {
		for _, hi := range append(keys, "", "/a/c") {
			var bound []byte
			if hi != "" {
				bound = []byte(hi)
			}
			if hi != "" && hi < lo {
				continue
			}
			var got []string
			err := ranger.Range(ctx, []byte(lo), bound, func(key, value []byte) bool {
				got = append(got, string(key))
				return string(value) == "v"
			})
			want := slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return k < lo || hi != "" && k >= hi })
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("range %q to %q: got %q, %v, want %q", lo, hi, got, err, want)
			}
		}
	}
}

// batchIsAtomic: whatever a crash takes, it takes whole batches from the end.
func batchIsAtomic(t *testing.T, fresh func(testing.TB) Backend) {
	for keep := 0; keep < 100; keep += 9 {
		b := fresh(t)
		ds := open(t, b)
		for n := range 6 {
			apply(t, ds, keysOf(n, 200), strings.Repeat("x", 300))
			if n == 1 {
				if err := ds.Sync(ctx, datastore.RawKey("/")); err != nil {
					t.Fatal(err)
				}
			}
		}
		b.Crash(keep)
		ds = open(t, b)
		all, whole := stored(t, ds), 0
		for n := range 6 {
			found := 0
			for _, key := range keysOf(n, 200) {
				if _, ok := all[key]; ok {
					found++
				}
			}
			switch {
			case found == 200 && whole == n:
				whole++
			case found > 0:
				t.Errorf("keep %d: %d of 200 entries of batch %d are left, after %d whole ones", keep, found, n, whole)
			}
		}
		if whole < 2 {
			t.Errorf("keep %d: %d batches are left, 2 were synced", keep, whole)
		}
		ds.Close()
	}
}

func keysOf(batch, n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("/k/%03d/%d", i, batch))
	}
	return keys
}

// syncIsDurable: a store that is reopened after a crash holds at least what was synced.
func syncIsDurable(t *testing.T, fresh func(testing.TB) Backend) {
	for keep := 0; keep < 100; keep += 7 {
		b := fresh(t)
		w := newWorkload(open(t, b))
		if err := w.run(); err != nil {
			t.Fatal(err)
		}
		b.Crash(keep)
		w.compare(t, b)
	}
}

// crashAtEveryOperation lets the workload run into a dead datastore at its first, second, third … operation, each time on an
// empty backend, then crashes and reopens.
func crashAtEveryOperation(t *testing.T, fresh func(testing.TB) Backend) {
	dead := errors.New("no power")
	for n := 0; ; n++ {
		b := fresh(t)
		f := &faulty{ds: open(t, b), fail: func(op string, i int) error {
			if i >= n {
				return dead
			}
			return nil
		}}
		w := newWorkload(f)
		err := w.run()
		b.Crash(n * 31 % 100)
		w.compare(t, b)
		if err == nil {
			t.Logf("%d operations", f.ops)
			return
		}
		if !errors.Is(err, dead) {
			t.Fatalf("operation %d: %v", n, err)
		}
	}
}

// diskFullAtEveryWrite lets each write of the workload fail once. The error is recognised, nothing has changed, and the next try
// works.
func diskFullAtEveryWrite(t *testing.T, fresh func(testing.TB) Backend) {
	for n := 0; ; n++ {
		b := fresh(t)
		f := &faulty{ds: open(t, b)}
		failed := false
		f.fail = func(op string, i int) error {
			if i == n && (op == "commit" || op == "put") {
				failed = true
				return syscall.ENOSPC
			}
			return nil
		}
		w := newWorkload(f)
		w.retry = func(err error) bool {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("operation %d: %v", n, err)
			}
			if err := w.store.Check(); err != nil && !errors.Is(err, store.ErrClosed) {
				t.Fatalf("operation %d, after a full disk: %v", n, err)
			}
			return true
		}
		if err := w.run(); err != nil {
			t.Fatalf("operation %d: %v", n, err)
		}
		if err := w.same(w.store); err != nil {
			t.Fatalf("operation %d: %v", n, err)
		}
		ops := f.ops
		b.Crash(n * 17 % 100)
		w.compare(t, b)
		if !failed && n > ops {
			return
		}
	}
}

// scansCostWhatTheyReturn counts the entries that a listing, an answer and a page visit.
func scansCostWhatTheyReturn(t *testing.T, fresh func(testing.TB) Backend) {
	ds := open(t, fresh(t))
	defer ds.Close()
	if _, ok := ds.(store.Ranger); !ok {
		t.Skip("the backend has no Range; scans go through Query")
	}
	c := &counting{Batching: ds}
	s, err := store.Open(ctx, c, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var half crdt.Vector
	for i := range 20 {
		var changes []crdt.Change
		for j := range 100 {
			changes = append(changes, crdt.Change{Path: fmt.Sprintf("dir%02d/%03d", i, j), Data: []byte("v")})
		}
		tx := s.Begin()
		if _, err := write(tx, replica(i%4), crdt.Timestamp(i+1), changes); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if i == 18 {
			half = s.Context()
		}
	}
	cost := func(what string, most int, run func() int) {
		t.Helper()
		c.visited = 0
		if n := run(); c.visited < n || c.visited > most {
			t.Errorf("%s: %d returned, %d entries visited, want at most %d", what, n, c.visited, most)
		}
	}
	cost("one directory", 101, func() (n int) {
		for range s.List("dir07/", "") {
			n++
		}
		return n
	})
	cost("a page of ten", 11, func() (n int) {
		for range s.List("", "dir03/050") {
			if n++; n == 10 {
				break
			}
		}
		return n
	})
	cost("an answer of 100 rows", 2*100+10, func() int {
		tx := s.Begin()
		defer tx.Discard()
		d, err := crdt.Answer(tx, half)
		if err != nil || len(d.Rows) != 100 {
			t.Fatalf("%d rows, %v", len(d.Rows), err)
		}
		return len(d.Rows)
	})
	cost("no conflicts", 0, func() (n int) {
		for range s.Conflicts("", "") {
			n++
		}
		return n
	})
}

// counting counts the entries that scans visit.
type counting struct {
	datastore.Batching
	visited int
}

// Range implements [store.Ranger].
func (c *counting) Range(ctx context.Context, lo, hi []byte, yield func(key, value []byte) bool) error {
	return c.Batching.(store.Ranger).Range(ctx, lo, hi, func(key, value []byte) bool {
		c.visited++
		return yield(key, value)
	})
}
