package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"syncline/crdt"
	"syncline/gossip"
	"syncline/store"
)

// A fleet is a few replicas with the network between them, whose answers are cut after a row or two, and the truth about all that was
// written.
type fleet struct {
	t     testing.TB
	rand  *rand.Rand
	rigs  []*rig
	ops   map[crdt.Dot]*crdt.Op
	wires map[SessionID]wire // by the id at either end
	// filling counts the steps after which a replica had several parts.
	filling int
	last    SessionID
	// queue holds what is under way, in order. quiet says that nobody writes and nothing breaks.
	queue []func()
	quiet bool
}

// A wire is the other end of a session.
type wire struct {
	from, to int
	id       SessionID
}

func newFleet(t testing.TB, seed uint64) *fleet {
	f := &fleet{t: t, rand: rand.New(rand.NewPCG(seed, 0)), ops: map[crdt.Dot]*crdt.Op{}, wires: map[SessionID]wire{}, last: 1 << 40}
	for i := range 3 {
		f.rigs = append(f.rigs, newRig(t, fmt.Sprint("device", i)))
		f.limit(i)
	}
	return f
}

func (f *fleet) limit(i int) {
	r := f.rigs[i].Replica
	r.cfg.Limits = crdt.Limits{Rows: 1 + f.rand.IntN(3), Bytes: 1 << 20, Names: f.rand.IntN(2) * 1000}
	r.cfg.DeleteLog = f.rand.IntN(4)
}

// run feeds a replica, and then everything that comes of it, with writes in between.
func (f *fleet) run(i int, in ...Input) {
	f.later(i, in...)
	for n := 0; len(f.queue) > 0; n++ {
		if n > 20_000 {
			f.t.Fatal("the replicas do not come to rest")
		}
		next := f.queue[0]
		f.queue = f.queue[1:]
		next()
		if !f.quiet && f.rand.IntN(25) == 0 && n < 200 {
			f.write(f.rand.IntN(len(f.rigs)))
		}
	}
}

func (f *fleet) later(i int, in ...Input) { f.queue = append(f.queue, func() { f.step(i, in...) }) }

// step feeds a replica and queues what it wants.
func (f *fleet) step(i int, in ...Input) {
	r := f.rigs[i]
	out := r.step(in...)
	f.check(i)
	for _, o := range out {
		switch o := o.(type) {
		case Publish:
			f.publish(i, o.Op)
		case OpenSession:
			for k := range f.rigs {
				if f.rigs[k].self == o.Peer {
					f.last++
					id := f.last
					// Ids of sessions are unique to a replica only; the wires know them by the replica, too.
					f.wires[f.key(i, o.ID)] = wire{i, k, id}
					f.wires[f.key(k, id)] = wire{k, i, o.ID}
					f.later(k, SessionIn{ID: id, Peer: r.self})
				}
			}
		case Send:
			w, ok := f.wires[f.key(i, o.ID)]
			for _, msg := range o.Msgs {
				if ok && !f.quiet && f.rand.IntN(40) == 0 { // the stream breaks
					delete(f.wires, f.key(i, o.ID))
					delete(f.wires, f.key(w.to, w.id))
					f.later(w.to, SessionEnd{ID: w.id, Err: fmt.Errorf("cut")})
					f.later(i, SessionEnd{ID: o.ID, Err: fmt.Errorf("cut")})
					ok = false
				}
				if ok {
					f.later(w.to, SessionMsg{ID: w.id, Msg: slices.Clone(msg)})
				}
			}
			f.later(i, SessionReady{ID: o.ID})
		case CloseSession:
			if w, ok := f.wires[f.key(i, o.ID)]; ok {
				delete(f.wires, f.key(i, o.ID))
				var err error
				if o.Reset {
					err = fmt.Errorf("reset")
				}
				f.later(w.to, SessionEnd{ID: w.id, Err: err})
			}
		case Alarm:
			f.t.Fatalf("replica %d raises %s: %s", i, o.Code, o.Text)
		}
	}
}

func (f *fleet) key(i int, id SessionID) SessionID { return id<<2 | SessionID(i) }

func (f *fleet) publish(from int, encoded []byte) {
	op, err := crdt.DecodeOp(encoded)
	if err != nil {
		f.t.Fatal(err)
	}
	f.ops[op.Dot] = op
	for k := range f.rigs {
		if k != from && f.rand.IntN(3) > 0 {
			f.later(k, Ops{Author: f.rigs[from].self, From: f.rigs[from].self, Ops: [][]byte{encoded}})
		}
	}
}

func (f *fleet) write(i int) {
	w := Write{Tag: 1}
	for _, k := range f.rand.Perm(12)[:1+f.rand.IntN(3)] {
		w.Ops = append(w.Ops, WriteOp{Path: fmt.Sprintf("k%02d", k), Content: Text(fmt.Sprint(len(f.ops))), Delete: f.rand.IntN(4) == 0, Idempotent: true})
	}
	f.step(i, w)
}

// check compares a replica with the truth: at each path lives what nothing supersedes of what it has seen of that path.
func (f *fleet) check(i int) {
	r := f.rigs[i]
	parts := r.st.Parts()
	if len(parts) > 1 {
		f.filling++
	}
	want, dead := map[string][]crdt.Dot{}, map[crdt.Name]bool{}
	for dot, op := range f.ops {
		for _, e := range op.Entries {
			if !parts[parts.Of(e.Path)].Context.Has(dot) {
				continue
			}
			for _, p := range e.Preds {
				dead[crdt.Name{Dot: p, Path: e.Path}] = true
			}
			if !e.Delete {
				want[e.Path] = append(want[e.Path], dot)
			}
		}
	}
	for path, dots := range want {
		dots = slices.DeleteFunc(dots, func(d crdt.Dot) bool { return dead[crdt.Name{Dot: d, Path: path}] })
		slices.SortFunc(dots, crdt.Dot.Compare)
		reg, err := r.st.Get(path)
		var got []crdt.Dot
		for _, v := range reg.Live {
			if f.ops[v.Dot] != nil { // its own write is told a moment later
				got = append(got, v.Dot)
			}
		}
		superseded := slices.ContainsFunc(reg.Live, func(v crdt.Value) bool { return f.ops[v.Dot] == nil })
		if err != nil || !superseded && !r.unpublished(f.ops) && !slices.Equal(got, dots) {
			f.t.Fatalf("replica %d at %s: live are %v, want %v (%v); parts %v", i, path, got, dots, err, parts)
		}
	}
}

// unpublished reports whether the replica's last operation is not known yet.
func (r *rig) unpublished(ops map[crdt.Dot]*crdt.Op) bool {
	n := r.st.Context().Get(r.id)
	return n > 0 && ops[crdt.Dot{Replica: r.id, Counter: n}] == nil
}

func (f *fleet) connect(up bool) {
	for i := range f.rigs {
		for k := range f.rigs {
			if i != k && up {
				f.run(i, PeerUp{Peer: f.rigs[k].self})
			} else if i != k {
				f.run(i, PeerDown{Peer: f.rigs[k].self})
			}
		}
	}
}

// TestReplicasFillRangeByRange drives replicas on stores through sessions whose answers are cut, with writes, gossip, breaks and restarts
// in between. After every step each holds what follows from what it has seen, path by path, and in the end all are equal.
func TestReplicasFillRangeByRange(t *testing.T) {
	seeds := 60
	if testing.Short() {
		seeds = 15
	}
	filling := 0
	for seed := range seeds {
		f := newFleet(t, uint64(seed))
		for range 12 {
			f.write(f.rand.IntN(2)) // the third is new
		}
		f.connect(true)
		for round := range 6 {
			for i, r := range f.rigs {
				r.now.Mono += 31 * time.Second
				f.run(i, Tick{})
				f.write(f.rand.IntN(len(f.rigs)))
			}
			if round == 3 { // one starts anew, unclean
				f.connect(false)
				clear(f.wires)
				f.queue = nil
				r := f.rigs[2]
				r.open("device2")
				r.Replica.rand = rand.New(rand.NewPCG(uint64(seed), 1)) // another start draws another id
				f.limit(2)
				f.check(2)
				f.connect(true)
			}
		}
		f.settle(seed)
		filling += f.filling
	}
	t.Logf("%d steps left a replica with several parts", filling)
	if filling < 50*seeds {
		t.Errorf("only %d steps left a replica with several parts", filling)
	}
}

// settle lets the replicas meet without disturbance until all are equal.
func (f *fleet) settle(seed int) {
	f.quiet = true
	for round := range 20 {
		same := true
		for i, r := range f.rigs {
			same = same && r.st.Context().Equal(f.rigs[0].st.Context()) && len(r.st.Parts()) == 1 && r.st.Head().Digest == f.rigs[0].st.Head().Digest
			r.now.Mono += 31 * time.Second
			f.run(i, SyncNow{}, Tick{})
		}
		if same && round > 2 {
			for _, r := range f.rigs {
				if err := r.st.Check(); err != nil {
					f.t.Fatalf("seed %d: %v", seed, err)
				}
			}
			return
		}
	}
	f.t.Fatalf("seed %d: the replicas are not equal in the end", seed)
}

// TestTheFeedTellsOfEverythingOnceAReplicaHasFilled: while ranges fill the feed tells what was seen of all paths, own writes among it,
// and later the rest, and does not tell the same again for ever.
func TestTheFeedTellsOfEverythingOnceAReplicaHasFilled(t *testing.T) {
	a, b := newRig(t, "a"), newRig(t, "b")
	for i := range 9 {
		a.put(fmt.Sprintf("k%d", i), "a")
	}
	b.put("own", "b")
	told := map[string]int{}
	at := position{since: b.st.Context()}
	read := func() {
		tx := b.st.Begin()
		defer tx.Discard()
		page, err := (&Space{}).collectPage(tx, at, at.since, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page.changes {
			told[c.path]++
		}
		at = page.next
	}
	fill := func(from, to string) {
		tx := a.st.Begin()
		d, err := crdt.AnswerPart(tx, crdt.Vector{}, from, to, crdt.Limits{Rows: 100, Bytes: 1 << 20, Names: 100})
		if err == nil {
			err = d.Bind(tx, func(crdt.ReplicaID) bool { return false })
		}
		tx.Discard()
		if err != nil {
			t.Fatal(err)
		}
		tx = b.st.Begin()
		if _, err := crdt.Join(tx, d); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	fill("", "k4")
	read()
	read()
	b.put("own too", "b")
	read()
	if fmt.Sprint(told) != "map[own too:1]" {
		t.Errorf("while it fills the feed told %v", told)
	}
	fill("k4", "")
	read()
	read()
	if len(told) != 10 || told["k0"] != 1 || told["k8"] != 1 || told["own too"] != 1 {
		t.Errorf("in the end the feed told %v", told)
	}
}

var (
	_ gossip.View = (*store.Tx)(nil)
	_             = context.Background
)
