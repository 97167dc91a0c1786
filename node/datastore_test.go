package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	dstest "github.com/ipfs/go-datastore/test"

	"syncline/crdt"
	"syncline/node"
	"syncline/node/nodetest"
	"syncline/store"
)

func datastoreOf(t testing.TB, s *node.Space, o node.DatastoreOptions) *node.Datastore {
	t.Helper()
	d, err := s.Datastore(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// TestDatastorePassesSubtestAll runs go-datastore's own suite on spaces in memory and on disk, and on a part of a space.
func TestDatastorePassesSubtestAll(t *testing.T) {
	dstest.ElemCount = 20
	for _, c := range []struct {
		name string
		cfg  node.Config
		o    node.DatastoreOptions
	}{
		{"mem", node.Config{}, node.DatastoreOptions{}},
		{"pebble", node.Config{Dir: t.TempDir(), RuntimeDir: t.TempDir(), Relaxed: true},
			node.DatastoreOptions{Multi: true, Namespace: datastore.NewKey("/app/x")}},
	} {
		t.Run(c.name, func(t *testing.T) { dstest.SubtestAll(t, datastoreOf(t, space(t, open(t, c.cfg)), c.o)) })
	}
}

var unusableKeys = []datastore.Key{{}, datastore.RawKey("/"), datastore.RawKey("/a//b"), datastore.RawKey("//a"), datastore.RawKey("/a/../b"),
	datastore.RawKey("/a\x00"), datastore.RawKey("/\xff"), datastore.RawKey("/u\u0308"), datastore.RawKey("/" + strings.Repeat("x", node.PathBytesMax+1))}

// TestKeysThatAreNoPathsAreRefused: with the reason, by every method, and without ending the process.
func TestKeysThatAreNoPathsAreRefused(t *testing.T) {
	ctx := within(t)
	sp := space(t, open(t, node.Config{}))
	for _, o := range []node.DatastoreOptions{{}, {Namespace: datastore.NewKey("app")}} {
		d := datastoreOf(t, sp, o)
		for _, key := range unusableKeys {
			_, getErr := d.Get(ctx, key)
			_, hasErr := d.Has(ctx, key)
			_, sizeErr := d.GetSize(ctx, key)
			batch, _ := d.Batch(ctx)
			errs := []error{d.Put(ctx, key, nil), d.Delete(ctx, key), getErr, hasErr, sizeErr, batch.Put(ctx, key, nil), batch.Commit(ctx)}
			for i, err := range errs {
				if !errors.Is(err, node.ErrBadPath) {
					t.Errorf("%.20q, call %d: %v", key, i, err)
				}
			}
		}
	}
	if _, err := sp.Datastore(node.DatastoreOptions{Namespace: datastore.RawKey("/a//b")}); !errors.Is(err, node.ErrBadPath) {
		t.Errorf("a namespace that is no path: %v", err)
	}
	for e, err := range sp.List(ctx, "", node.ListOptions{}) {
		t.Errorf("something was written: %v %v", e, err)
	}
}

// TestKeysArePaths: keys and paths are the same names, apart from the first slash and the namespace.
func TestKeysArePaths(t *testing.T) {
	ctx := within(t)
	sp := space(t, open(t, node.Config{}))
	d := datastoreOf(t, sp, node.DatastoreOptions{Namespace: datastore.NewKey("/app")})
	if err := d.Put(ctx, datastore.NewKey("/a/b"), []byte("v")); err != nil {
		t.Fatal(err)
	}
	e, err := sp.Get(ctx, "app/a/b")
	if err != nil || string(e.Shown().Data) != "v" || e.Shown().Type != "" || e.Kind != crdt.LWW {
		t.Errorf("got %+v, %v", e, err)
	}
	for _, path := range []string{"app", "application/x", "other"} {
		if _, err := sp.Put(ctx, path, node.Text("not of the datastore")); err != nil {
			t.Fatal(err)
		}
	}
	if got := keys(t, d, query.Query{}); !slices.Equal(got, []string{"/a/b"}) {
		t.Errorf("got %q", got)
	}
}

func keys(t testing.TB, d *node.Datastore, q query.Query) (out []string) {
	t.Helper()
	for e, err := range datastore.QueryIter(within(t), d, q) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e.Key)
	}
	return out
}

// TestBatchIsOneTransaction: the last operation of each key counts, deleting what is absent is no error, and nothing is seen before.
func TestBatchIsOneTransaction(t *testing.T) {
	ctx := within(t)
	sp := space(t, open(t, node.Config{}))
	d := datastoreOf(t, sp, node.DatastoreOptions{})
	key := datastore.NewKey
	for _, k := range []string{"old", "stays"} {
		if err := d.Put(ctx, key(k), []byte("1")); err != nil {
			t.Fatal(err)
		}
	}
	b, err := d.Batch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	value := []byte("2")
	for _, err := range []error{
		b.Put(ctx, key("new"), []byte("first")), b.Put(ctx, key("new"), value), b.Delete(ctx, key("old")), b.Delete(ctx, key("absent")),
		b.Put(ctx, key("gone"), value), b.Delete(ctx, key("gone")), b.Delete(ctx, key("stays")), b.Put(ctx, key("stays"), value),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	value[0] = 'x' // the batch has its own copy
	if got := keys(t, d, query.Query{}); !slices.Equal(got, []string{"/old", "/stays"}) {
		t.Errorf("before the commit: %q", got)
	}
	if err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, d, query.Query{}); !slices.Equal(got, []string{"/new", "/stays"}) {
		t.Errorf("after the commit: %q", got)
	}
	if got, err := d.Get(ctx, key("new")); err != nil || string(got) != "2" {
		t.Errorf("got %q, %v", got, err)
	}
	empty, _ := d.Batch(ctx)
	if err := empty.Commit(ctx); err != nil {
		t.Errorf("an empty batch: %v", err)
	}
}

// TestBatchTooLargeIsRefused: whole, with the limit, even by a program that looks at Commit only.
func TestBatchTooLargeIsRefused(t *testing.T) {
	ctx := within(t)
	d := datastoreOf(t, space(t, open(t, node.Config{})), node.DatastoreOptions{})
	for _, c := range []struct{ n, size, limit int }{
		{node.TxEntriesMax + 1, 1, node.TxEntriesMax},
		{17, node.ValueBytesMax, node.TxBytesMax},
		{1, node.ValueBytesMax + 1, node.ValueBytesMax},
	} {
		b, err := d.Batch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.n {
			b.Put(ctx, datastore.NewKey(fmt.Sprint(i)), make([]byte, c.size))
		}
		err = b.Commit(ctx)
		if p := node.ProblemOf(err); !errors.Is(err, node.ErrTooLarge) || p.Limit != c.limit || p.Hint == "" {
			t.Errorf("%d values of %d bytes: %v", c.n, c.size, err)
		}
		if got := keys(t, d, query.Query{}); len(got) > 0 {
			t.Fatalf("%d keys are here", len(got))
		}
	}
	full, _ := d.Batch(ctx)
	for range 2 { // the same keys again: only the last operation of each counts
		for i := range node.TxEntriesMax {
			if err := full.Put(ctx, datastore.NewKey(fmt.Sprint(i)), make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := full.Commit(ctx); err != nil {
		t.Errorf("a batch of the largest size: %v", err)
	}
}

// TestQueryIsOneMoment: whatever is written while its results are read.
func TestQueryIsOneMoment(t *testing.T) {
	ctx := within(t)
	for name, cfg := range map[string]node.Config{"mem": {}, "pebble": {Dir: t.TempDir(), RuntimeDir: t.TempDir(), Relaxed: true}} {
		t.Run(name, func(t *testing.T) {
			d := datastoreOf(t, space(t, open(t, cfg)), node.DatastoreOptions{})
			for i := range 300 {
				if err := d.Put(ctx, datastore.NewKey(fmt.Sprintf("/a/%03d", i)), []byte("1")); err != nil {
					t.Fatal(err)
				}
			}
			res, err := d.Query(ctx, query.Query{Prefix: "/a"})
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for r, ok := res.NextSync(); ok; r, ok = res.NextSync() {
				if r.Error != nil || string(r.Value) != "1" || r.Key != fmt.Sprintf("/a/%03d", n) {
					t.Fatalf("result %d: %+v", n, r)
				}
				n++
				// A program may write what it is reading.
				if err := d.Put(ctx, datastore.RawKey(r.Key), []byte("2")); err != nil {
					t.Fatal(err)
				}
				if err := d.Put(ctx, datastore.NewKey(fmt.Sprintf("/a/%03d+", n)), []byte("2")); err != nil {
					t.Fatal(err)
				}
			}
			if n != 300 {
				t.Errorf("%d results", n)
			}
		})
	}
}

// TestKeysOnlyStillFilters: a filter or an order by value works on a query that does not return values.
func TestKeysOnlyStillFilters(t *testing.T) {
	ctx := within(t)
	d := datastoreOf(t, space(t, open(t, node.Config{})), node.DatastoreOptions{})
	for k, v := range map[string]string{"a": "3", "b": "1", "c": "2"} {
		if err := d.Put(ctx, datastore.NewKey(k), []byte(v)); err != nil {
			t.Fatal(err)
		}
	}
	q := query.Query{KeysOnly: true, Orders: []query.Order{query.OrderByValue{}},
		Filters: []query.Filter{query.FilterValueCompare{Op: query.LessThan, Value: []byte("3")}}}
	res, err := d.Query(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	got, err := res.Rest()
	if err != nil || len(got) != 2 || got[0].Key != "/b" || got[1].Key != "/c" || got[0].Value != nil || got[0].Size != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestAbandonedQueriesDoNotHoldUpClose: neither of the datastore nor of the node, and what is left of them ends with an error.
func TestAbandonedQueriesDoNotHoldUpClose(t *testing.T) {
	ctx := within(t)
	n := open(t, node.Config{Dir: t.TempDir(), RuntimeDir: t.TempDir(), Relaxed: true})
	d := datastoreOf(t, space(t, n), node.DatastoreOptions{})
	for i := range 300 {
		if err := d.Put(ctx, datastore.NewKey(fmt.Sprint(i)), []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	byCall, err := d.Query(ctx, query.Query{})
	if err != nil {
		t.Fatal(err)
	}
	byChannel, err := d.Query(ctx, query.Query{})
	if err != nil {
		t.Fatal(err)
	}
	byCall.NextSync()
	<-byChannel.Next()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if r, ok := byCall.NextSync(); !ok || !errors.Is(r.Error, node.ErrClosed) {
		t.Errorf("the next result: %+v, %v", r, ok)
	}
	if r, ok := byCall.NextSync(); ok {
		t.Errorf("a result after the last: %+v", r)
	}
	byChannel.Close()
	_, getErr := d.Get(ctx, datastore.NewKey("1"))
	_, queryErr := d.Query(ctx, query.Query{})
	_, openErr := space(t, n).Datastore(node.DatastoreOptions{})
	for i, err := range []error{getErr, queryErr, openErr, d.Put(ctx, datastore.NewKey("1"), nil), d.Sync(ctx, datastore.NewKey("/"))} {
		if !errors.Is(err, node.ErrClosed) {
			t.Errorf("call %d after the close: %v", i, err)
		}
	}
}

// TestADatastoreOfASpaceThatWasLeftSaysSo: it is not that somebody closed it, and the space does not go on.
func TestADatastoreOfASpaceThatWasLeftSaysSo(t *testing.T) {
	ctx := within(t)
	hub := new(nodetest.Hub)
	n := open(t, node.Config{Name: "desktop", Network: hub.New()})
	d := datastoreOf(t, space(t, n), node.DatastoreOptions{})
	query1, err := d.Query(ctx, query.Query{})
	if err != nil {
		t.Fatal(err)
	}
	defer query1.Close()
	batch, err := d.Batch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	k := datastore.NewKey("k")
	if err := batch.Put(ctx, k, nil); err != nil {
		t.Fatal(err)
	}
	join(t, open(t, node.Config{Name: "laptop", Network: hub.New()}), n)
	r, _ := query1.NextSync()
	_, getErr := d.Get(ctx, k)
	_, queryErr := d.Query(ctx, query.Query{})
	for i, err := range []error{r.Error, getErr, queryErr, d.Put(ctx, k, nil), d.Sync(ctx, k), batch.Commit(ctx)} {
		if !errors.Is(err, node.ErrSpaceLeft) {
			t.Errorf("call %d after the join: %v", i, err)
		}
	}
}

// TestAClosedDatastoreSaysSo: it is the datastore that is closed; the node is not.
func TestAClosedDatastoreSaysSo(t *testing.T) {
	s := space(t, open(t, node.Config{}))
	d, err := s.Datastore(node.DatastoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Has(t.Context(), datastore.NewKey("1")); !errors.Is(err, node.ErrClosed) || !strings.Contains(err.Error(), "datastore is closed") {
		t.Errorf("got %v", err)
	}
	mustPut(t, s, "a", "1")
}

// TestSyncMakesRelaxedWritesDurable: what was put before Sync is in a copy of the directory, which is what kill -9 leaves.
func TestSyncMakesRelaxedWritesDurable(t *testing.T) {
	ctx := within(t)
	dir := t.TempDir()
	n := open(t, node.Config{Dir: dir, RuntimeDir: t.TempDir(), Relaxed: true})
	d := datastoreOf(t, space(t, n), node.DatastoreOptions{})
	for i := range 100 {
		if err := d.Put(ctx, datastore.NewKey(fmt.Sprint(i)), []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Sync(ctx, datastore.NewKey("/")); err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	db, err := filepath.Glob(filepath.Join(copied, "spaces", "*", "db"))
	if err != nil || len(db) != 1 {
		t.Fatal(db, err)
	}
	ds, err := store.OpenBackend("", db[0])
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	st, err := store.Open(ctx, ds, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for range st.List("", "") {
		found++
	}
	if found != 100 {
		t.Errorf("%d of 100 entries are on disk", found)
	}
}

// told is one call of a hook.
type told struct{ hook, key, value string }

// hooked returns options whose hooks send what they are told, and a function that waits for the next.
func hooked(t testing.TB) (node.DatastoreOptions, func() told) {
	calls := make(chan told, 100_000)
	var running atomic.Int32
	call := func(c told) {
		if running.Add(1) > 1 {
			t.Error("two hooks at a time")
		}
		calls <- c
		running.Add(-1)
	}
	o := node.DatastoreOptions{
		PutHook:      func(k datastore.Key, v []byte) { call(told{"put", k.String(), string(v)}) },
		DeleteHook:   func(k datastore.Key) { call(told{"delete", k.String(), ""}) },
		ConflictHook: func(k datastore.Key, c node.Conflict) { call(told{"conflict", k.String(), fmt.Sprint(len(c.Values))}) },
	}
	return o, func() told {
		t.Helper()
		select {
		case c := <-calls:
			return c
		case <-time.After(20 * time.Second):
			t.Fatal("no hook was called")
			return told{}
		}
	}
}

// awaitTold waits for a call, whatever comes before it.
func awaitTold(t testing.TB, next func() told, want told) {
	t.Helper()
	for next() != want {
	}
}

// TestHooksAreToldOfEveryChange: local and remote ones, with the value that can be read, in order, and not of what is outside.
func TestHooksAreToldOfEveryChange(t *testing.T) {
	ctx := within(t)
	a, b := pair(t, new(nodetest.Hub))
	var remote *node.Datastore
	o, next := hooked(t)
	o.Namespace = datastore.NewKey("app")
	inner := o.PutHook
	o.PutHook = func(k datastore.Key, v []byte) {
		if have, err := remote.Get(ctx, k); err != nil || !bytes.Equal(have, v) {
			t.Errorf("%s: told %q, read %q, %v", k, v, have, err)
		}
		inner(k, v)
	}
	local := datastoreOf(t, space(t, a), node.DatastoreOptions{Namespace: o.Namespace})
	remote = datastoreOf(t, space(t, b), o)
	if _, err := space(t, a).Put(ctx, "elsewhere", node.Text("x")); err != nil {
		t.Fatal(err)
	}
	key := datastore.NewKey("/k")
	for _, step := range []struct {
		do   func() error
		want told
	}{
		{func() error { return local.Put(ctx, key, []byte("1")) }, told{"put", "/k", "1"}},
		{func() error { return remote.Put(ctx, key, []byte("2")) }, told{"put", "/k", "2"}},
		{func() error { return remote.Delete(ctx, key) }, told{"delete", "/k", ""}},
		{func() error { return local.Put(ctx, key, []byte("3")) }, told{"put", "/k", "3"}},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := next(); got != step.want {
			t.Fatalf("told %v, want %v", got, step.want)
		}
		if _, err := space(t, b).WaitSync(ctx, node.SyncOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := local.Delete(ctx, key); err != nil {
		t.Fatal(err)
	}
	if got := next(); got != (told{"delete", "/k", ""}) {
		t.Errorf("told %v", got)
	}
	if got := keys(t, remote, query.Query{}); len(got) > 0 {
		t.Errorf("left: %q", got)
	}
}

// TestABatchIsSeenWholeElsewhere: whoever hears of one key of a batch can read all of them, and a query never shows half.
func TestABatchIsSeenWholeElsewhere(t *testing.T) {
	ctx := within(t)
	a, b := pair(t, new(nodetest.Hub))
	local := datastoreOf(t, space(t, a), node.DatastoreOptions{})
	var remote *node.Datastore
	ready, done := make(chan struct{}), make(chan struct{})
	const batches, size = 30, 40
	last := map[string]bool{}
	remote = datastoreOf(t, space(t, b), node.DatastoreOptions{PutHook: func(k datastore.Key, v []byte) {
		<-ready
		values := map[string]int{}
		for e, err := range datastore.QueryIter(ctx, remote, query.Query{Prefix: "/batch"}) {
			if errors.Is(err, node.ErrClosed) {
				return // the test has seen enough
			}
			if err != nil {
				t.Error(err)
			}
			values[string(e.Value)]++
		}
		for v, n := range values {
			if n != size || len(values) > 1 {
				t.Errorf("%d entries of batch %s, of %d batches", n, v, len(values))
			}
		}
		if string(v) == fmt.Sprint(batches-1) && !last[k.String()] {
			if last[k.String()] = true; len(last) == size {
				close(done)
			}
		}
	}})
	close(ready)
	for n := range batches {
		batch, _ := local.Batch(ctx)
		for i := range size {
			if err := batch.Put(ctx, datastore.NewKey(fmt.Sprintf("/batch/%d", i)), []byte(fmt.Sprint(n))); err != nil {
				t.Fatal(err)
			}
		}
		if err := batch.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatal("the last batch was not told")
	}
}

// TestDeletesAreToldAfterTheyWereForgotten: a device that was away while more was deleted than anybody remembers one by one still
// tells its hooks, though the feed has to start again then.
func TestDeletesAreToldAfterTheyWereForgotten(t *testing.T) {
	ctx := within(t)
	hub := new(nodetest.Hub)
	a := open(t, node.Config{Name: "laptop", Network: hub.New(), DeleteLog: 2})
	b := open(t, node.Config{Name: "desktop", Network: hub.New(), DeleteLog: 2})
	join(t, a, b)
	local := datastoreOf(t, space(t, a), node.DatastoreOptions{})
	o, next := hooked(t)
	datastoreOf(t, space(t, b), o)
	const n = 50
	for i := range n {
		if err := local.Put(ctx, datastore.NewKey(fmt.Sprint(i)), []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		next()
	}
	hub.Cut(b.ID())
	since, err := space(t, b).Changes(ctx, node.ChangesOptions{Since: node.CursorNow})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := local.Delete(ctx, datastore.NewKey(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	hub.Heal()
	gone := map[string]bool{}
	for len(gone) < n {
		c := next()
		if c.hook != "delete" {
			t.Fatalf("told %v", c)
		}
		gone[c.key] = true
	}
	if _, err := space(t, b).Changes(ctx, node.ChangesOptions{Since: since.Cursor}); !errors.Is(err, node.ErrCursorExpired) {
		t.Errorf("the deletes were not forgotten, so the test shows nothing: %v", err)
	}
}

// apart lets both devices write a key without knowing of each other; the second write is the newer.
func apart(t testing.TB, hub *nodetest.Hub, a, b *node.Datastore, away *node.Node, meet func()) {
	t.Helper()
	ctx := within(t)
	hub.Cut(away.ID())
	for i, d := range []*node.Datastore{a, b} {
		if err := d.Put(ctx, datastore.NewKey("k"), []byte(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond) // the clocks are the machine's own
	}
	hub.Heal()
	meet()
}

// TestTheLastWriterWins: by default nothing is asked, both devices read the newest value, and a delete deletes.
func TestTheLastWriterWins(t *testing.T) {
	ctx := within(t)
	hub := new(nodetest.Hub)
	a, b := pair(t, hub)
	o, next := hooked(t)
	da, db := datastoreOf(t, space(t, a), o), datastoreOf(t, space(t, b), node.DatastoreOptions{})
	apart(t, hub, da, db, b, func() { awaitTold(t, next, told{"put", "/k", "1"}) })
	for c := range space(t, a).Conflicts(ctx, "") {
		t.Errorf("a conflict: %v", c)
	}
	if err := da.Delete(ctx, datastore.NewKey("k")); err != nil {
		t.Fatal(err)
	}
	if got := next(); got != (told{"delete", "/k", ""}) {
		t.Errorf("told %v", got)
	}
	if found, err := da.Has(ctx, datastore.NewKey("k")); found || err != nil {
		t.Errorf("after the delete: %v, %v", found, err)
	}
}

// TestConflictsAreTold: with Multi both values stay, the hook is told on each device and again after a restart of the datastore, a
// Put replaces what Get returned and leaves the other, and a Delete leaves nothing.
func TestConflictsAreTold(t *testing.T) {
	ctx := within(t)
	hub := new(nodetest.Hub)
	a, b := pair(t, hub)
	o, next := hooked(t)
	o.Multi = true
	da, db := datastoreOf(t, space(t, a), o), datastoreOf(t, space(t, b), node.DatastoreOptions{Multi: true})
	conflict := told{"conflict", "/k", "2"}
	apart(t, hub, da, db, b, func() { awaitTold(t, next, conflict) })
	key := datastore.NewKey("k")
	if v, err := da.Get(ctx, key); err != nil || string(v) != "1" {
		t.Errorf("got %q, %v", v, err)
	}
	again, nextAgain := hooked(t)
	again.Multi = true
	da2 := datastoreOf(t, space(t, a), again)
	if got := nextAgain(); got != conflict {
		t.Errorf("at the start: %v", got)
	}
	da2.Close()
	if err := da.Put(ctx, key, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if got := next(); got != (told{"put", "/k", "new"}) {
		t.Errorf("told %v", got)
	}
	if got := next(); got != conflict {
		t.Errorf("told %v", got)
	}
	c, err := space(t, a).Conflict(ctx, "k")
	if err != nil || string(c.Values[1].Data) != "0" {
		t.Errorf("what was not shown is lost: %+v, %v", c.Values, err)
	}
	if err := da.Delete(ctx, key); err != nil {
		t.Fatal(err)
	}
	if got := next(); got != (told{"delete", "/k", ""}) {
		t.Errorf("told %v", got)
	}
}

// TestASlowHookLosesNoKey: while a hook runs others can write, and of each key the last state is told in the end.
func TestASlowHookLosesNoKey(t *testing.T) {
	ctx := within(t)
	held := make(chan struct{})
	last := map[string]string{}
	done := make(chan struct{})
	const n = 500
	d := datastoreOf(t, space(t, open(t, node.Config{})), node.DatastoreOptions{
		PutHook: func(k datastore.Key, v []byte) {
			<-held
			last[k.String()] = string(v)
			if k.String() == "/end" {
				close(done)
			}
		},
	})
	for i := range n {
		if err := d.Put(ctx, datastore.NewKey(fmt.Sprint(i%100)), []byte(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Put(ctx, datastore.NewKey("end"), nil); err != nil {
		t.Fatal(err)
	}
	close(held)
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatal("the last key was not told")
	}
	for i := n - 100; i < n; i++ {
		if got := last[fmt.Sprintf("/%d", i%100)]; got != fmt.Sprint(i) {
			t.Errorf("key %d: last told %q, want %d", i%100, got, i)
		}
	}
}

// TestAHookMayWrite: to the datastore that called it.
func TestAHookMayWrite(t *testing.T) {
	ctx := within(t)
	var d *node.Datastore
	ready, done := make(chan struct{}), make(chan struct{})
	d = datastoreOf(t, space(t, open(t, node.Config{})), node.DatastoreOptions{PutHook: func(k datastore.Key, v []byte) {
		<-ready
		if n := len(v); n == 10 {
			close(done)
		} else if err := d.Put(context.Background(), k, make([]byte, n+1)); err != nil {
			t.Error(err)
		}
	}})
	close(ready)
	if err := d.Put(ctx, datastore.NewKey("k"), nil); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatal("the hook was not called again")
	}
}
