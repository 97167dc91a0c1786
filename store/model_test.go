package store_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/go-datastore"
	"pgregory.net/rapid"

	"syncline/crdt"
	"syncline/store"
	"syncline/store/mem"
	"syncline/store/pebbledb"
)

// A world is a store beside a crdt.State that goes through the same steps, and other replicas that both hear from.
type world struct {
	t     *rapid.T
	ds    datastore.Batching
	again func() datastore.Batching
	store *store.Store
	state *crdt.State
	peers []*crdt.State
	clock crdt.Timestamp
	pool  []*crdt.Op
	token *store.MemoryToken
}

var paths = []string{"a", "a/b", "a-b", "a.b", "b", "-z", "notes/ü", "/members/x", "/policy"}

func replicaOf(i int) (r crdt.ReplicaID) {
	// Ids descend while ordinals ascend, so that the two orders differ.
	r[0], r[7] = byte(200-i), 1
	return r
}

func (w *world) open() {
	s, err := store.Open(context.Background(), w.ds, store.Options{Token: w.token, CacheBytes: 512})
	if err != nil {
		w.t.Fatalf("open: %v", err)
	}
	w.store = s
}

// both runs a step on a transaction and on the state.
func (w *world) both(step func(b crdt.Base) error) {
	tx := w.store.Begin()
	errStore, errState := step(tx), step(w.state)
	if fmt.Sprint(errStore) != fmt.Sprint(errState) {
		w.t.Fatalf("store says %v, state says %v", errStore, errState)
	}
	compareBases(w.t, tx, w.state)
	if err := tx.Commit(); err != nil {
		w.t.Fatalf("commit: %v", err)
	}
}

// changes draws what a writer does.
func (w *world) changes(b crdt.Base) []crdt.Change {
	var out []crdt.Change
	n := rapid.IntRange(1, 4).Draw(w.t, "n")
	for _, path := range rapid.Permutation(paths).Draw(w.t, "paths")[:n] {
		c := crdt.Change{Path: path, Delete: rapid.IntRange(0, 2).Draw(w.t, "delete") == 0, ShownAll: rapid.Bool().Draw(w.t, "all")}
		if !c.Delete {
			c.Kind = crdt.Kind(rapid.IntRange(0, 1).Draw(w.t, "kind"))
			c.Type = rapid.SampledFrom([]string{"", "text/plain; charset=utf-8", "x/y"}).Draw(w.t, "type")
			c.Data = rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(w.t, "data")
			c.Clear = rapid.Bool().Draw(w.t, "clear")
		}
		reg, _ := b.Register(path)
		if !c.ShownAll && len(reg.Live) > 0 {
			c.Shown = []crdt.Dot{reg.Live[rapid.IntRange(0, len(reg.Live)-1).Draw(w.t, "shown")].Dot}
		}
		out = append(out, c)
	}
	return out
}

func (w *world) writer(b crdt.Base, r crdt.ReplicaID) crdt.Writer {
	w.clock++
	out := crdt.Writer{Dot: crdt.Dot{Replica: r, Counter: b.Context().Get(r) + 1}, Time: w.clock}
	if out.Dot.Counter == 1 {
		out.Open = []byte("device " + r.String())
	}
	return out
}

func (w *world) write() {
	wr, cs := w.writer(w.state, replicaOf(0)), w.changes(w.state)
	w.both(func(b crdt.Base) error {
		op, _, err := crdt.Write(b, wr, cs)
		if op != nil && b == w.state {
			w.pool = append(w.pool, op)
		}
		return err
	})
}

func (w *world) peerWrites() {
	i := rapid.IntRange(0, len(w.peers)-1).Draw(w.t, "peer")
	op, _, err := crdt.Write(w.peers[i], w.writer(w.peers[i], replicaOf(i+1)), w.changes(w.peers[i]))
	if err != nil {
		w.t.Fatal(err)
	}
	if op != nil {
		w.pool = append(w.pool, op)
	}
}

func (w *world) hear() {
	for _, op := range w.pool {
		if op.CheckAt(w.state) == crdt.Ready {
			w.both(func(b crdt.Base) error { _, err := crdt.Apply(b, op); return err })
			return
		}
	}
}

func (w *world) join() {
	p := w.peers[rapid.IntRange(0, len(w.peers)-1).Draw(w.t, "peer")]
	d := crdt.Diff(w.state, p)
	if rapid.Bool().Draw(w.t, "range") {
		d = w.aboutRange(d)
	}
	w.both(func(b crdt.Base) error { _, err := crdt.Join(b, d); return err })
}

// aboutRange cuts a delta down to a range of paths.
func (w *world) aboutRange(d *crdt.Delta) *crdt.Delta {
	if from := rapid.SampledFrom(append(paths, "")).Draw(w.t, "from"); from > d.From && (d.To == "" || from < d.To) {
		d.From = from
	}
	if to := rapid.SampledFrom(append(paths, "")).Draw(w.t, "to"); to > d.From && (d.To == "" || to < d.To) {
		d.To = to
	}
	out := func(path string) bool { return path < d.From || d.To != "" && path >= d.To }
	d.Rows = slices.DeleteFunc(d.Rows, func(r crdt.Row) bool { return out(r.Path) })
	d.Kills = slices.DeleteFunc(d.Kills, func(n crdt.Name) bool { return out(n.Path) })
	return d
}

func (w *world) peerJoins() {
	i := rapid.IntRange(0, len(w.peers)-1).Draw(w.t, "peer")
	asked := w.peers[i].Context()
	tx := w.store.Begin()
	defer tx.Discard()
	got, err := crdt.Answer(tx, asked)
	if err != nil {
		w.t.Fatal(err)
	}
	want, _ := crdt.Answer(w.state, asked)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Fatalf("answer\n got %v\nwant %v", got, want)
	}
	w.peers[i], _ = crdt.Merge(w.peers[i], crdt.Diff(w.peers[i], w.state))
}

func (w *world) trim() {
	max := rapid.IntRange(0, 3).Draw(w.t, "max")
	w.both(func(b crdt.Base) error { return crdt.Trim(b, max) })
}

func (w *world) peerTrims() {
	crdt.Trim(w.peers[rapid.IntRange(0, len(w.peers)-1).Draw(w.t, "peer")], 1)
}

// discard makes a mess and throws it away.
func (w *world) discard() {
	tx := w.store.Begin()
	if _, _, err := crdt.Write(tx, w.writer(tx, replicaOf(9)), w.changes(tx)); err != nil {
		w.t.Fatal(err)
	}
	if err := crdt.Trim(tx, 0); err != nil {
		w.t.Fatal(err)
	}
	tx.Discard()
}

// several puts a write, a trim and a write into one transaction.
func (w *world) several() {
	first, cs := w.writer(w.state, replicaOf(0)), w.changes(w.state)
	second, ds := first, w.changes(w.state)
	max := rapid.IntRange(0, 2).Draw(w.t, "max")
	w.both(func(b crdt.Base) error {
		if _, _, err := crdt.Write(b, first, cs); err != nil {
			return err
		}
		for range b.LiveAbove(crdt.Vector{}) {
			break
		}
		if err := crdt.Trim(b, max); err != nil {
			return err
		}
		second.Dot.Counter, second.Open = b.Context().Get(first.Dot.Replica)+1, nil
		if second.Dot.Counter == 1 {
			second.Open = first.Open
		}
		_, _, err := crdt.Write(b, second, ds)
		return err
	})
}

func (w *world) reopen() {
	if err := w.store.Close(context.Background(), rapid.Bool().Draw(w.t, "clean")); err != nil {
		w.t.Fatal(err)
	}
	w.ds = w.again()
	w.open()
}

func names(t *rapid.T, seq crdt.NameSeq) (out []crdt.Name) {
	for n, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

func entries(t *rapid.T, seq crdt.EntrySeq) (out []crdt.Entry) {
	for e, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

func sameRegister(a, b crdt.Register) bool {
	return slices.EqualFunc(a.Live, b.Live, func(v, w crdt.Value) bool {
		return v.Dot == w.Dot && v.Time == w.Time && v.Kind == w.Kind && v.Won == w.Won && v.SameContent(w)
	}) && slices.Equal(a.Deletes, b.Deletes)
}

func compareBases(t *rapid.T, tx *store.Tx, state *crdt.State) {
	if !tx.Context().Equal(state.Context()) || !tx.Floor().Equal(state.Floor()) {
		t.Fatalf("context or floor differ")
	}
	if got, want := fmt.Sprint(tx.Parts()), fmt.Sprint(state.Parts()); got != want {
		t.Fatalf("parts are %v, want %v", got, want)
	}
	for range 2 {
		from, to := rapid.SampledFrom(append(paths, "")).Draw(t, "from"), rapid.SampledFrom(append(paths, "")).Draw(t, "to")
		if got, want := entries(t, tx.Between(from, to)), entries(t, state.Between(from, to)); !slices.EqualFunc(got, want, func(x, y crdt.Entry) bool {
			return x.Path == y.Path && sameRegister(x.Register, y.Register)
		}) {
			t.Fatalf("from %q to %q: got %v, want %v", from, to, got, want)
		}
	}
	if tx.DeleteCount() != state.DeleteCount() {
		t.Fatalf("%d deletes, want %d", tx.DeleteCount(), state.DeleteCount())
	}
	if tx.Digest() != state.Digest() {
		t.Fatalf("digests differ")
	}
	for _, path := range paths {
		got, err := tx.Register(path)
		if want := state.Get(path); err != nil || !sameRegister(got, want) {
			t.Fatalf("%q: got %v, %v, want %v", path, got, err, want)
		}
	}
	for i := range 10 {
		r := replicaOf(i)
		got, err := tx.Open(r)
		if want, _ := state.Open(r); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("open of %v: got %q, %v, want %q", r, got, err, want)
		}
	}
	var above crdt.Vector
	for d := range state.Parts().Top().All() {
		above.Add(crdt.Dot{Replica: d.Replica, Counter: rapid.Uint64Range(0, d.Counter).Draw(t, "above")})
	}
	for _, v := range []crdt.Vector{{}, above, state.Context()} {
		if got, want := names(t, tx.LiveAbove(v)), names(t, state.LiveAbove(v)); !slices.Equal(got, want) {
			t.Fatalf("live names: got %v, want %v", got, want)
		}
		if got, want := names(t, tx.DeletesAbove(v)), names(t, state.DeletesAbove(v)); !slices.Equal(got, want) {
			t.Fatalf("names of deletes: got %v, want %v", got, want)
		}
	}
}

// compareReads compares what readers see.
func compareReads(t *rapid.T, s *store.Store, state *crdt.State) {
	var live, system, conflicts []string
	bytesLive := 0
	for _, path := range state.Paths() {
		reg := state.Get(path)
		if crdt.IsSystemPath(path) {
			system = append(system, path)
			continue
		}
		live = append(live, path)
		bytesLive += len(path)
		for _, v := range reg.Live {
			bytesLive += len(v.Data)
		}
		if reg.Contending() > 0 {
			conflicts = append(conflicts, path)
		}
	}
	h := s.Head()
	if h.Entries != len(live) || h.Bytes != bytesLive || h.Conflicts != len(conflicts) || h.SystemEntries != len(system) {
		t.Fatalf("head %+v, want %d entries, %d bytes, %d conflicts, %d system entries", h, len(live), bytesLive, len(conflicts), len(system))
	}
	list := func(seq func(func(store.Entry, error) bool)) (out []string) {
		for e, err := range seq {
			if err != nil || !sameRegister(crdt.Register{Live: e.Live}, crdt.Register{Live: state.Get(e.Path).Live}) {
				t.Fatalf("entry %v, %v", e, err)
			}
			out = append(out, e.Path)
		}
		return out
	}
	prefix := rapid.SampledFrom([]string{"", "a", "a/", "zz"}).Draw(t, "prefix")
	after := rapid.SampledFrom(append([]string{""}, paths...)).Draw(t, "after")
	within := func(all []string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(p string) bool { return len(p) < len(prefix) || p[:len(prefix)] != prefix || p <= after })
	}
	if got, want := list(s.List(prefix, after)), within(live); !slices.Equal(got, want) {
		t.Fatalf("list %q after %q: got %v, want %v", prefix, after, got, want)
	}
	if got := list(s.ListSystem("", "")); !slices.Equal(got, system) {
		t.Fatalf("system: got %v, want %v", got, system)
	}
	var got []string
	for path, err := range s.Conflicts(prefix, after) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, path)
	}
	if want := within(conflicts); !slices.Equal(got, want) {
		t.Fatalf("conflicts: got %v, want %v", got, want)
	}
	for _, path := range paths {
		if got, err := s.Get(path); err != nil || !sameRegister(got, state.Get(path)) {
			t.Fatalf("get %q: %v, %v", path, got, err)
		}
	}
}

func testModel(t *rapid.T, ds datastore.Batching, again func() datastore.Batching) {
	w := &world{t: t, ds: ds, again: again, state: crdt.NewState(), token: &store.MemoryToken{}}
	for range 3 {
		w.peers = append(w.peers, crdt.NewState())
	}
	w.open()
	t.Repeat(map[string]func(*rapid.T){
		"write":      func(*rapid.T) { w.write() },
		"peerWrites": func(*rapid.T) { w.peerWrites() },
		"hear":       func(*rapid.T) { w.hear() },
		"join":       func(*rapid.T) { w.join() },
		"peerJoins":  func(*rapid.T) { w.peerJoins() },
		"trim":       func(*rapid.T) { w.trim() },
		"peerTrims":  func(*rapid.T) { w.peerTrims() },
		"discard":    func(*rapid.T) { w.discard() },
		"several":    func(*rapid.T) { w.several() },
		"reopen":     func(*rapid.T) { w.reopen() },
		"": func(*rapid.T) {
			if err := w.store.Check(); err != nil {
				t.Fatal(err)
			}
			tx := w.store.Begin()
			compareBases(t, tx, w.state)
			tx.Discard()
			compareReads(t, w.store, w.state)
		},
	})
}

// TestStoreEqualsState: a store that goes through the same steps as a crdt.State holds the same, in a transaction, after it, and
// after a restart at any point.
func TestStoreEqualsState(t *testing.T) {
	t.Run("mem", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			ds := mem.New()
			testModel(t, ds, func() datastore.Batching { return ds })
		})
	})
	t.Run("query", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			ds := plain{mem.New()}
			testModel(t, ds, func() datastore.Batching { return ds })
		})
	})
	t.Run("pebble", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			fs := vfs.NewMem()
			var ds *pebbledb.Datastore
			open := func() datastore.Batching {
				var err error
				if ds != nil {
					err = ds.Close()
				}
				if err == nil {
					ds, err = pebbledb.Open("db", pebbledb.Options{FS: fs})
				}
				if err != nil {
					t.Fatal(err)
				}
				return ds
			}
			testModel(t, open(), open)
			ds.Close()
		})
	})
}

// plain hides everything that a datastore offers beyond the interface.
type plain struct{ datastore.Batching }

func (p plain) Batch(ctx context.Context) (datastore.Batch, error) {
	b, err := p.Batching.Batch(ctx)
	return struct{ datastore.Batch }{b}, err
}
