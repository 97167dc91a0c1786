package storetest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"syncline/crdt"
	"syncline/store"
)

func replica(i int) (r crdt.ReplicaID) {
	r[0], r[7] = byte(200-i), 1
	return r
}

func write(b crdt.Base, r crdt.ReplicaID, at crdt.Timestamp, changes []crdt.Change) (*crdt.Op, error) {
	w := crdt.Writer{Dot: crdt.Dot{Replica: r, Counter: b.Context().Get(r) + 1}, Time: at}
	if w.Dot.Counter == 1 {
		w.Open = []byte("device")
	}
	op, _, err := crdt.Write(b, w, changes)
	return op, err
}

var paths = []string{"a", "a/b", "b", "c", "/members/x"}

// A workload is a fixed sequence of commits on a store, done beside on a crdt.State whose every version is kept.
type workload struct {
	ds    datastore.Batching
	token store.MemoryToken
	store *store.Store
	// retry is asked after a commit or a sync that failed; without it the workload ends.
	retry func(error) bool
	// versions holds the state after each commit, first the empty one. synced is the last one that a Sync covered. attempted is one
	// whose commit failed: it may be on the disk all the same if the crash came then.
	versions  []*crdt.State
	synced    int
	attempted *crdt.State
}

func newWorkload(ds datastore.Batching) *workload {
	return &workload{ds: ds, versions: []*crdt.State{crdt.NewState()}}
}

func (w *workload) state() *crdt.State { return w.versions[len(w.versions)-1] }

// run runs the workload: open, writes and deletes, a join, a trim, with a sync after every third commit, a clean close and a
// reopening in the middle.
func (w *workload) run() error {
	other := crdt.NewState()
	for i := range 3 {
		if _, err := write(other, replica(1), crdt.Timestamp(i+1), []crdt.Change{{Path: paths[i], Data: []byte{byte(i)}}}); err != nil {
			return err
		}
	}
	steps := []func(b crdt.Base) error{
		w.writes(0, 5), w.writes(1, 2), w.deletes(0, 2),
		func(b crdt.Base) error { _, err := crdt.Join(b, mustAnswer(other, w.state().Context())); return err },
		w.writes(2, 4), w.deletes(3, 5), w.deletes(0, 1),
		func(b crdt.Base) error { return crdt.Trim(b, 1) },
		w.writes(0, 3),
	}
	if err := w.open(); err != nil {
		return err
	}
	for i, step := range steps {
		if err := w.again(func() error { return w.commit(step) }); err != nil {
			return err
		}
		if i%3 == 2 {
			if err := w.again(w.sync); err != nil {
				return err
			}
		}
		if i == 5 {
			if err := w.again(func() error { return w.store.Close(context.Background(), true) }); err != nil {
				return err
			}
			w.synced = len(w.versions) - 1
			if err := w.open(); err != nil {
				return err
			}
		}
	}
	return nil
}

func mustAnswer(b crdt.Base, asked crdt.Vector) *crdt.Delta {
	d, err := crdt.Answer(b, asked)
	if err != nil {
		panic(err)
	}
	return d
}

func (w *workload) open() (err error) {
	w.store, err = store.Open(context.Background(), w.ds, store.Options{Token: &w.token, CacheBytes: 512})
	return err
}

func (w *workload) again(step func() error) error {
	err := step()
	for n := 0; err != nil && w.retry != nil && n < 3 && w.retry(err); n++ {
		err = step()
		if err == store.ErrClosed || w.store == nil {
			return err
		}
	}
	return err
}

func (w *workload) commit(step func(b crdt.Base) error) error {
	next := w.state().Clone()
	if err := step(next); err != nil {
		return err
	}
	tx := w.store.Begin()
	defer tx.Discard()
	if _, ok := w.store.Incarnation(); !ok {
		tx.SetIncarnation(replica(0))
	}
	if err := step(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		w.attempted = next
		return err
	}
	w.versions = append(w.versions, next)
	return nil
}

func (w *workload) sync() error {
	if err := w.store.Sync(context.Background()); err != nil {
		return err
	}
	w.synced = len(w.versions) - 1
	return nil
}

func (w *workload) writes(from, to int) func(crdt.Base) error {
	return func(b crdt.Base) error {
		var changes []crdt.Change
		for _, path := range paths[from:to] {
			changes = append(changes, crdt.Change{Path: path, ShownAll: true, Data: bytes.Repeat([]byte(path), to)})
		}
		_, err := write(b, replica(0), crdt.Timestamp(len(w.versions)), changes)
		return err
	}
}

func (w *workload) deletes(from, to int) func(crdt.Base) error {
	return func(b crdt.Base) error {
		var changes []crdt.Change
		for _, path := range paths[from:to] {
			changes = append(changes, crdt.Change{Path: path, Delete: true, ShownAll: true})
		}
		_, err := write(b, replica(0), crdt.Timestamp(len(w.versions)), changes)
		return err
	}
}

// compare reopens what a crash left and finds in it one of the versions, none older than the last sync.
func (w *workload) compare(t *testing.T, b Backend) {
	t.Helper()
	ds := open(t, b)
	defer ds.Close()
	s, err := store.Open(context.Background(), ds, store.Options{})
	if err != nil {
		t.Fatalf("open after a crash: %v", err)
	}
	if err := s.Check(); err != nil {
		t.Fatalf("after a crash: %v", err)
	}
	if err := w.same(s); err != nil {
		t.Fatalf("after a crash: %v", err)
	}
}

// same reports whether a store holds one of the versions that it may hold.
func (w *workload) same(s *store.Store) error {
	may := slices.Clone(w.versions[w.synced:])
	if w.attempted != nil {
		may = append(may, w.attempted)
	}
	var last error
	for _, v := range may {
		if last = sameState(s, v); last == nil {
			return nil
		}
	}
	return fmt.Errorf("it holds none of the %d versions since the last sync; the last one: %w", len(may), last)
}

func sameState(s *store.Store, want *crdt.State) error {
	switch {
	case !s.Context().Equal(want.Context()) || !s.Floor().Equal(want.Floor()):
		return fmt.Errorf("context or floor differ")
	case s.Head().Digest != want.Digest() || s.Head().Deletes != want.DeleteCount():
		return fmt.Errorf("head %+v differs", s.Head())
	}
	for _, path := range paths {
		got, err := s.Get(path)
		if err != nil {
			return err
		}
		if r := want.Get(path); fmt.Sprint(got) != fmt.Sprint(r) {
			return fmt.Errorf("%q: %v, want %v", path, got, r)
		}
	}
	return nil
}

// faulty asks before each operation whether it fails. It offers nothing beyond datastore.Batching.
type faulty struct {
	ds   datastore.Batching
	fail func(op string, n int) error
	ops  int
}

func (f *faulty) ask(op string) error {
	f.ops++
	if f.fail == nil {
		return nil
	}
	return f.fail(op, f.ops-1)
}

func (f *faulty) Get(ctx context.Context, key datastore.Key) ([]byte, error) {
	if err := f.ask("get"); err != nil {
		return nil, err
	}
	return f.ds.Get(ctx, key)
}

func (f *faulty) Has(ctx context.Context, key datastore.Key) (bool, error) {
	if err := f.ask("get"); err != nil {
		return false, err
	}
	return f.ds.Has(ctx, key)
}

func (f *faulty) GetSize(ctx context.Context, key datastore.Key) (int, error) {
	if err := f.ask("get"); err != nil {
		return -1, err
	}
	return f.ds.GetSize(ctx, key)
}

func (f *faulty) Query(ctx context.Context, q query.Query) (query.Results, error) {
	if err := f.ask("query"); err != nil {
		return nil, err
	}
	return f.ds.Query(ctx, q)
}

func (f *faulty) Put(ctx context.Context, key datastore.Key, value []byte) error {
	if err := f.ask("put"); err != nil {
		return err
	}
	return f.ds.Put(ctx, key, value)
}

func (f *faulty) Delete(ctx context.Context, key datastore.Key) error {
	if err := f.ask("put"); err != nil {
		return err
	}
	return f.ds.Delete(ctx, key)
}

func (f *faulty) Sync(ctx context.Context, prefix datastore.Key) error {
	if err := f.ask("sync"); err != nil {
		return err
	}
	return f.ds.Sync(ctx, prefix)
}

func (f *faulty) Close() error { return f.ds.Close() }

func (f *faulty) Batch(ctx context.Context) (datastore.Batch, error) {
	if err := f.ask("batch"); err != nil {
		return nil, err
	}
	b, err := f.ds.Batch(ctx)
	return &faultyBatch{b, f}, err
}

// faultyBatch fails at commit only: what a batch collects costs nothing yet.
type faultyBatch struct {
	datastore.Batch
	f *faulty
}

func (b *faultyBatch) Commit(ctx context.Context) error {
	if err := b.f.ask("commit"); err != nil {
		return err
	}
	return b.Batch.Commit(ctx)
}
