package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"syncline/crdt"
	"syncline/store"
	"syncline/store/mem"
)

// A ward is a replica whose repair by another is carried out message by message.
type ward struct {
	a, b    *rig
	in      SessionID // of b's end of the last session
	ids     map[SessionID]SessionID
	queue   []func() (*rig, Input)
	replies []Reply
	alarms  []string // their codes
	texts   []string // of the alarms
	synced  []Synced
	// before is called before a message is delivered to a, if it is not nil.
	before func()
	// fails says that a's steps may fail.
	fails bool
}

// step lets one of them take a step.
func (w *ward) step(r *rig, in Input) {
	w.a.t.Helper()
	if r != w.a || !w.fails {
		w.perform(r, r.step(in))
		return
	}
	r.now.Wall++
	r.now.Mono += time.Millisecond
	out, _ := r.Step(r.now, in)
	w.perform(r, out)
}

// meet connects two replicas, with no session under way.
func meet(a, b *rig) *ward {
	w := &ward{a: a, b: b, in: inboundBit | 100, ids: map[SessionID]SessionID{}}
	for _, r := range []*rig{a, b} {
		other := map[*rig]*rig{a: b, b: a}[r]
		r.step(PeerUp{other.self})
		r.now.Mono += 2 * time.Second
		r.step(Tick{})
		for _, id := range r.sessionIDs() {
			r.step(SessionEnd{ID: id})
		}
	}
	return w
}

// perform takes what one of them wants done.
func (w *ward) perform(r *rig, out []Output) {
	other := map[*rig]*rig{w.a: w.b, w.b: w.a}[r]
	for _, o := range out {
		switch o := o.(type) {
		case OpenSession:
			w.in++
			w.ids[w.in], w.ids[o.ID] = o.ID, w.in
			w.queue = append(w.queue, func() (*rig, Input) { return other, SessionIn{ID: w.ids[o.ID], Peer: r.self} })
		case Send:
			for _, m := range o.Msgs {
				w.queue = append(w.queue, func() (*rig, Input) { return other, SessionMsg{ID: w.ids[o.ID], Msg: m} })
			}
			w.queue = append(w.queue, func() (*rig, Input) { return r, SessionReady{ID: o.ID} })
		case Reply:
			w.replies = append(w.replies, o)
		case Synced:
			w.synced = append(w.synced, o)
		case Alarm:
			w.alarms, w.texts = append(w.alarms, o.Code), append(w.texts, o.Text)
		}
	}
}

// run delivers until nothing is under way, and returns the last reply.
func (w *ward) run() Reply {
	w.a.t.Helper()
	for len(w.queue) > 0 {
		next := w.queue[0]
		w.queue = w.queue[1:]
		r, in := next()
		if w.before != nil && r == w.a {
			w.before()
		}
		w.step(r, in)
	}
	if len(w.replies) == 0 {
		w.a.t.Fatal("no reply")
	}
	return w.replies[len(w.replies)-1]
}

// repair lets a repair paths with b.
func (w *ward) repair(paths ...string) Reply {
	w.step(w.a, Repair{Tag: 2, Paths: paths, Peer: w.b.self})
	return w.run()
}

// spoilKey damages a record.
func (r *rig) spoilKey(key string) {
	r.t.Helper()
	if had, err := r.ds.Has(context.Background(), datastore.RawKey(key)); err != nil || !had {
		r.t.Fatalf("%s is not there: %v", key, err)
	}
	if err := r.ds.Put(context.Background(), datastore.RawKey(key), []byte{1, 0xff, 0xff}); err != nil {
		r.t.Fatal(err)
	}
}

// whole wants a store without damage.
func (r *rig) whole() {
	r.t.Helper()
	for path, err := range r.st.Damaged("") {
		r.t.Errorf("%s is damaged: %v", path, err)
	}
	if err := r.st.Check(); err != nil {
		r.t.Error(err)
	}
}

// write makes one write and returns its operation.
func (r *rig) write(op WriteOp) []byte {
	r.t.Helper()
	for _, o := range r.step(Write{Tag: 1, Ops: []WriteOp{op}}) {
		if p, ok := o.(Publish); ok {
			return p.Op
		}
	}
	r.t.Fatal("no operation")
	return nil
}

// TestWhatNeedsNobodyIsMendedBesideTheRest: a remembered delete whose record is damaged covers one at a path whose values are lost.
func TestWhatNeedsNobodyIsMendedBesideTheRest(t *testing.T) {
	a, b := newRig(t, "a"), newRig(t, "b")
	var ops [][]byte
	for _, op := range []WriteOp{{Path: "won", Content: Text("1")}, {Path: "won", Delete: true}, {Path: "gone", Content: Text("2")}, {Path: "gone", Delete: true}} {
		ops = append(ops, b.write(op))
	}
	op := a.put("won", "mine")
	a.step(from(b, ops...))
	b.step(from(a, op))
	a.spoil("won")
	a.spoilKey("/r/d/gone")
	if reply := meet(a, b).repair("gone", "won"); reply.Err != nil || strings.Join(reply.Mended, " ") != "gone won" {
		t.Errorf("%+v", reply)
	}
	a.whole()
}

// TestAnAnswerThatIsRefusedMendsNothing: it brings a binding that does not hold.
func TestAnAnswerThatIsRefusedMendsNothing(t *testing.T) {
	a, b, c := newRig(t, "a"), newRig(t, "b"), newRig(t, "c")
	b.cfg.Verify = func(ed25519.PublicKey, []byte, []byte) bool { return true }
	c.cfg.Sign = func(ed25519.PrivateKey, []byte) []byte { return make([]byte, 64) }
	first := b.put("torn", "1")
	a.step(from(b, first))
	c.step(from(b, first))
	b.step(from(c, c.put("torn", "2")))
	a.spoil("torn")
	w := meet(a, b)
	reply := w.repair("torn")
	if _, err := a.st.Get("torn"); err == nil || reply.Err == nil || len(reply.Mended) > 0 || !slices.Contains(w.alarms, AlarmBadFrame) {
		t.Errorf("read: %v, reply %+v, alarms %v", err, reply, w.alarms)
	}
	if _, bound := a.devices[c.Replica.id]; bound {
		t.Error("a binding that does not hold is believed")
	}
}

// TestARepairKeepsTheMarkOfAWinner that the other device has not: it does not know of the delete.
func TestARepairKeepsTheMarkOfAWinner(t *testing.T) {
	a, b := newRig(t, "a"), newRig(t, "b")
	b.step(from(a, a.put("won", "1")))
	op := b.put("won", "2")
	a.step(Write{Tag: 1, Ops: []WriteOp{{Path: "won", Delete: true}}})
	a.step(from(b, op))
	a.spoil("won")
	if reply := meet(a, b).repair("won"); reply.Err != nil {
		t.Errorf("%+v", reply)
	}
	if reg, err := a.st.Get("won"); err != nil || reg.Contending() != 1 {
		t.Errorf("%+v, %v", reg, err)
	}
	a.whole()
}

// forgetNames removes a path from the indexes.
func (r *rig) forgetNames(path string) {
	r.t.Helper()
	all, err := r.ds.Query(context.Background(), query.Query{KeysOnly: true})
	if err != nil {
		r.t.Fatal(err)
	}
	for e := range all.Next() {
		if strings.HasSuffix(e.Key, ":"+path) {
			r.ds.Delete(context.Background(), datastore.RawKey(e.Key))
		}
	}
}

// TestWhatTheIndexDoesNotNameIsInNobodysWay: it comes from who has seen all that was seen here, or is given up.
func TestWhatTheIndexDoesNotNameIsInNobodysWay(t *testing.T) {
	a, b := newRig(t, "a"), newRig(t, "b")
	b.step(from(a, a.put("x", "1"), a.put("y", "2")))
	newer := b.put("y", "3")
	lonely := a.put("lonely", "4")
	for _, path := range []string{"x", "y", "lonely"} {
		a.spoil(path)
	}
	a.forgetNames("x")
	a.forgetNames("y")
	w := meet(a, b)
	if reply := w.repair("lonely", "x", "y"); len(reply.Mended) > 0 {
		t.Errorf("a device that lacks a write of this one is believed: %+v", reply)
	}
	b.step(from(a, lonely))
	if reply := w.repair("lonely", "x", "y"); reply.Err != nil || len(reply.Mended) != 3 || a.shown("x")+a.shown("y")+a.shown("lonely") != "134" {
		t.Errorf("%+v", reply)
	}
	a.whole()
	a.step(from(b, newer))
	a.forgetNames("x")
	for _, path := range []string{"x", "lonely"} {
		a.spoil(path)
	}
	a.step(Repair{Tag: 3, Paths: []string{"lonely", "x"}, GiveUp: true})
	a.whole()
}

// TestARepairSparesOthers: sessions with others go on beside it, also if they meet what is damaged, and two devices that repair each other
// do not break each other off.
func TestARepairSparesOthers(t *testing.T) {
	a, b, c := newRig(t, "a"), newRig(t, "b"), newRig(t, "c")
	first := b.put("torn", "1")
	a.step(from(b, first))
	c.step(from(b, first))
	c.put("torn", "2")
	a.spoil("torn")
	between, w := meet(a, c), meet(a, b)
	met := false
	w.before = func() { // c's answer touches what is damaged, amid the repair
		if met || len(a.repairs) == 0 {
			return
		}
		met = true
		between.replies = []Reply{{}}
		between.in += 1000
		between.perform(a, a.step(SyncNow{Peer: c.self}))
		between.run()
		if !slices.Contains(between.alarms, AlarmCorrupt) {
			t.Errorf("the other session did not meet the damage: %v", between.alarms)
		}
	}
	if reply := w.repair("torn"); reply.Err != nil || !met {
		t.Errorf("%+v", reply)
	}
	a.whole()
	w.before = nil
	b.spoil("torn")
	b.step(SessionIn{ID: inboundBit | 5, Peer: a.self}) // a came first
	for _, o := range b.step(Repair{Tag: 9, Paths: []string{"torn"}, Peer: a.self}) {
		if r, ok := o.(Reply); ok && !r.Busy || b.sessions[inboundBit|5] == nil {
			t.Errorf("the other's session was broken off: %+v", r)
		}
	}
}

// TestARepairEndsInTime, whatever the peer says now and then; what has come is mended, and the next path asked for may be another try.
func TestARepairEndsInTime(t *testing.T) {
	a, b := newRig(t, "a"), newRig(t, "b")
	a.step(from(b, b.put("one", "1"), b.put("two", "2"), b.put("three", "3")))
	for _, path := range []string{"one", "three", "two"} {
		a.spoil(path)
	}
	w := meet(a, b)
	w.before = func() { a.now.Mono += RepairMax / 10 }
	w.perform(a, a.step(Repair{Tag: 2, Paths: []string{"one", "three", "two"}, Peer: b.self}))
	for len(w.replies) == 0 {
		if at, ok := a.Wake(); ok && a.now.Mono >= at {
			w.perform(a, a.step(Tick{}))
			continue
		}
		next := w.queue[0]
		w.queue = w.queue[1:]
		r, in := next()
		if r == a {
			w.before()
		}
		w.perform(r, r.step(in))
	}
	reply := w.replies[0]
	if reply.Err == nil || !reply.Busy || len(reply.Mended) == 0 || len(reply.Mended) == 3 {
		t.Errorf("%+v", reply)
	}
	if len(a.repairs) > 0 {
		t.Error("it goes on")
	}
}

// TestBothEndsSayWhatTheyCannotRead: a path that neither can read is named, and the others are mended, in either order of paths.
func TestBothEndsSayWhatTheyCannotRead(t *testing.T) {
	a, b := newRig(t, "a"), newRig(t, "b")
	paths := []string{"a", "b", "c", "d", "e"}
	for _, path := range paths {
		a.step(from(b, b.put(path, "1")))
		a.spoil(path)
	}
	b.spoil("a")
	b.spoil("d")
	b.spoil("e")
	w := meet(a, b)
	reply := w.repair(paths...)
	if reply.Err != nil || strings.Join(reply.Mended, "") != "bc" || strings.Join(reply.Unread, "") != "ade" || slices.Contains(w.alarms, AlarmBadFrame) {
		t.Errorf("%+v, alarms %v", reply, w.alarms)
	}
	if len(b.repairs)+len(a.repairs) > 0 || slices.ContainsFunc(a.sessionIDs(), func(id SessionID) bool { return a.sessions[id].repair != nil }) {
		t.Error("something goes on")
	}
}

// A sickbed is a replica with every kind of damage, and one that can help: values that stand, that were superseded, deleted and put beside
// others meanwhile, a value that won over a delete, and remembered deletes.
func sickbed(t *testing.T) (a, b *rig) {
	a, b = newRig(t, "a"), newRig(t, "b")
	for _, path := range []string{"stands", "replaced", "dropped", "beside", "gone", "calm", "/sys"} {
		a.step(from(b, b.put(path, "1")))
	}
	apart := a.put("beside", "2")
	a.step(from(b, b.put("beside", "3")))
	b.step(from(a, apart))
	a.step(from(b, b.write(WriteOp{Path: "gone", Delete: true})))
	won := b.put("won", "1")
	a.step(from(b, won))
	late := b.put("won", "2")
	a.step(Write{Tag: 1, Ops: []WriteOp{{Path: "won", Delete: true}}})
	a.step(from(b, late))
	b.put("replaced", "2")
	b.step(Write{Tag: 1, Ops: []WriteOp{{Path: "dropped", Delete: true}}})
	b.put("new", "1")
	return a, b
}

// heal repairs what is damaged and lets both meet; in the end they are equal.
func heal(a, b *rig) {
	a.t.Helper()
	var torn []string
	for path := range a.st.Damaged("") {
		torn = append(torn, path)
	}
	if len(torn) > 0 {
		if reply := meet(a, b).repair(torn...); reply.Err != nil || len(reply.Mended) != len(torn) {
			a.t.Errorf("%q: %+v", torn, reply)
		}
	}
	exchange(a, b)
	a.whole()
	if a.st.Head().Digest != b.st.Head().Digest || !a.st.Context().Equal(b.st.Context()) {
		a.t.Errorf("after the repair %+v %v, the other %+v %v", a.st.Head(), a.st.Context(), b.st.Head(), b.st.Context())
	}
}

var sick = []string{"/d/stands", "/d/replaced", "/d/dropped", "/d/beside", "/d/won", "/r/d/gone", "/s/sys"}

// TestARepairMayEndAnywhere: the power fails, or one operation of the disk, at every operation during a repair.
func TestARepairMayEndAnywhere(t *testing.T) {
	for _, crash := range []bool{true, false} {
		for n, more := 0, true; more; n++ {
			a, b := sickbed(t)
			for _, key := range sick {
				a.spoilKey(key)
			}
			w := meet(a, b)
			w.fails = true
			failed := a.ds.Ops() + n
			fault := mem.FailAt(failed, syscall.EIO)
			if crash {
				fault = mem.FailFrom(failed, syscall.EIO)
			}
			a.ds.Inject(fault)
			w.repair("/sys", "beside", "dropped", "gone", "replaced", "stands", "won")
			more = a.ds.Ops() > failed
			a.ds.Inject(nil)
			if crash {
				a.ds.Crash(a.ds.Unsynced() * (n % 3) / 2)
				a.open("a")
			}
			heal(a, b)
			if t.Failed() {
				t.Fatalf("operation %d fails, crash %v", n, crash)
			}
		}
	}
}

// TestAnyRecordMayBeDamaged, while the store is open or before it is opened: records that exist once are refused by name. Any other is in
// nobody's way: what was lost comes back, and in the end both hold the same.
func TestAnyRecordMayBeDamaged(t *testing.T) {
	ctx := context.Background()
	probe, _ := sickbed(t)
	all, err := probe.ds.Query(ctx, query.Query{KeysOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	for e := range all.Next() {
		for _, opened := range []bool{true, false} {
			a, b := sickbed(t)
			a.spoilKey(e.Key)
			if !opened {
				_, err := store.Open(ctx, a.ds.Clone(), store.Options{})
				if once := e.Key[1] != 'v' && len(e.Key) == 2 || e.Key[1] == 'v'; once != (err != nil) {
					t.Errorf("%s: %v", e.Key, err)
				}
				if corrupt := new(store.CorruptError); err != nil {
					if !errors.As(err, &corrupt) || corrupt.Key != e.Key {
						t.Errorf("%s: %v", e.Key, err)
					}
					continue
				}
				a.open("a")
			}
			var torn []string
			for path := range a.st.Damaged("") {
				torn = append(torn, path)
			}
			if w := meet(a, b); len(torn) > 0 {
				if reply := w.repair(torn...); reply.Err != nil || len(reply.Mended) != len(torn) {
					t.Errorf("%s, opened %v: %+v", e.Key, opened, reply)
				}
			}
			ca, cb := exchange(a, b)
			for _, code := range append(ca, cb...) {
				if code != AlarmCorrupt || e.Key[1] != 'o' {
					t.Errorf("%s, opened %v: alarm %s", e.Key, opened, code)
				}
			}
			if a.st.Head().Digest != b.st.Head().Digest || !a.st.Context().Equal(b.st.Context()) {
				t.Errorf("%s, opened %v: %+v, the other %+v", e.Key, opened, a.st.Head(), b.st.Head())
			}
			for path := range a.st.Damaged("") {
				t.Errorf("%s, opened %v: %s is still damaged", e.Key, opened, path)
			}
		}
	}
}

// TestARepairBringsBindings that were damaged, and believes no other in the place of one that can be read.
func TestARepairBringsBindings(t *testing.T) {
	a, b := sickbed(t)
	a.spoilKey("/o/10")
	a.open("a")
	a.spoil("stands")
	if reply := meet(a, b).repair("stands"); reply.Err != nil {
		t.Errorf("%+v", reply)
	}
	if codes, _ := exchange(a, b); len(codes) > 0 {
		t.Errorf("alarms %v", codes)
	}
	if !a.hasBindings(b) {
		t.Error("a binding cannot be read")
	}
	c, d := newRig(t, "c"), newRig(t, "d")
	c.step(from(d, d.put("x", "1")))
	tx := d.st.Begin()
	tx.SetOpen(d.Replica.id, c.bind(d.Replica.id)) // a member ties another's replica to itself
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	d.put("x", "2")
	c.spoil("x")
	if reply := meet(c, d).repair("x"); reply.Err != nil || c.shown("x") != "2" {
		t.Errorf("%+v", reply)
	}
	clear(c.devices)
	if device, ok, _ := c.deviceOf(d.Replica.id); !ok || device != d.self {
		t.Errorf("the replica belongs to %s now", device.Short())
	}
}

// TestARepairReadsEachBindingOnce and not once for each path, at both ends, and verifies what is new once, also if its replica writes on.
func TestARepairReadsEachBindingOnce(t *testing.T) {
	const replicas, paths = 40, 50
	for _, known := range []bool{true, false} {
		a, b := newRig(t, "a"), newRig(t, "b")
		var torn []string
		var more Input
		for i := range paths {
			torn = append(torn, fmt.Sprintf("p%02d", i))
			a.step(from(b, b.put(torn[i], "1")))
			a.spoil(torn[i])
		}
		for i := range replicas {
			writer := newRig(t, fmt.Sprint("writer ", i))
			op := from(writer, writer.put(fmt.Sprint("w", i), "1"))
			if b.step(op); known {
				a.step(op)
			}
			more = from(writer, writer.put(fmt.Sprint("w", i), "2"))
		}
		verified, verify := 0, a.cfg.Verify
		a.cfg.Verify = func(key ed25519.PublicKey, msg, sig []byte) bool { verified++; return verify(key, msg, sig) }
		w, messages := meet(a, b), 0
		w.before = func() {
			if messages++; messages == paths {
				b.step(more)
			}
		}
		atA, atB := a.ds.Ops(), b.ds.Ops()
		if reply := w.repair(torn...); reply.Err != nil || len(reply.Mended) != paths {
			t.Fatalf("known %v: %+v", known, reply)
		}
		atA, atB = a.ds.Ops()-atA, b.ds.Ops()-atB
		t.Logf("known %v: %d reads and writes here and %d there, %d signatures", known, atA, atB, verified)
		if most := replicas * paths / 2; atA > most || atB > most || verified > replicas {
			t.Errorf("known %v: %d replicas, %d paths: %d reads and writes here and %d there, want fewer than %d; %d signatures", known, replicas, paths, atA, atB, most, verified)
		}
		a.whole()
	}
}

// hasBindings reports whether a replica can read the binding of another's incarnation.
func (r *rig) hasBindings(of *rig) bool {
	r.tx = r.st.Begin()
	defer r.tx.Discard()
	return r.hasBinding(of.Replica.id)
}

// TestAPathOfTooManyValuesIsNamed: both devices say which path has more values than can be exchanged, and everything else is.
func TestAPathOfTooManyValuesIsNamed(t *testing.T) {
	const n = 240_000
	a, b := newRig(t, "a"), newRig(t, "b")
	b.put("alpha", "1")
	tx, reg := b.st.Begin(), crdt.Register{}
	for i := range n {
		reg.Live = append(reg.Live, crdt.Value{Dot: crdt.Dot{Replica: b.Replica.id, Counter: uint64(2 + i)}, Data: []byte{}})
	}
	if err := tx.SetRegister("busy", reg); err != nil {
		t.Fatal(err)
	}
	seen := crdt.VectorOf([]crdt.Dot{reg.Live[n-1].Dot})
	if err := errors.Join(tx.Raise(0, seen, crdt.Vector{}), tx.Commit()); err != nil {
		t.Fatal(err)
	}
	b.put("omega", "2")
	w := meet(a, b)
	w.replies = []Reply{{}}
	w.perform(a, a.step(SyncNow{Peer: b.self}))
	w.run()
	if a.shown("alpha") != "1" || a.shown("omega") != "2" || a.shown("busy") != "" {
		t.Errorf("alpha %q, busy %q, omega %q came", a.shown("alpha"), a.shown("busy"), a.shown("omega"))
	}
	said := 0
	for i, code := range w.alarms {
		if code == AlarmValues && strings.Contains(w.texts[i], "“busy”") {
			said++
		}
	}
	if said != 2 || len(w.alarms) != 2 {
		t.Errorf("alarms %q %q, want one at each end that names the path", w.alarms, w.texts)
	}
}
