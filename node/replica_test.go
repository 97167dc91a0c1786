package node

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"syncline/crdt"
	"syncline/gossip"
	"syncline/store"
	"syncline/store/mem"
)

// testSpace is the space of all replicas in these tests.
var testSpace = gossip.SpaceID{1}

// rig is a replica on a datastore in memory, driven by hand.
type rig struct {
	t     testing.TB
	ds    *mem.Datastore
	token *store.MemoryToken
	st    *store.Store
	*Replica
	now Time
}

func newRig(t testing.TB, name string) *rig {
	r := &rig{t: t, ds: mem.New(), token: new(store.MemoryToken), now: Time{Wall: 1_800_000_000_000}}
	r.open(name)
	return r
}

// testKey is a device key made from a name.
func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func (r *rig) open(name string) {
	r.t.Helper()
	st, err := store.Open(context.Background(), r.ds, store.Options{Token: r.token})
	if err != nil {
		r.t.Fatal(err)
	}
	seed := sha256.Sum256([]byte(name))
	r.st = st
	r.Replica = NewReplica(ReplicaConfig{Store: st, Space: testSpace, Key: testKey(name), Rand: rand.NewChaCha8(seed),
		AntiEntropy: 30 * time.Second, DeleteLog: DeleteLogDefault})
}

func (r *rig) step(in ...Input) []Output {
	r.t.Helper()
	r.now.Wall++
	r.now.Mono += time.Millisecond
	out, err := r.Step(r.now, in...)
	if err != nil {
		r.t.Fatalf("step: %v", err)
	}
	return out
}

// put writes a text and returns the encoded operation.
func (r *rig) put(path, value string) []byte {
	r.t.Helper()
	var op []byte
	for _, o := range r.step(Write{Tag: 1, Ops: []WriteOp{{Path: path, Content: Text(value)}}}) {
		switch o := o.(type) {
		case Publish:
			op = o.Op
		case Reply:
			if o.Err != nil {
				r.t.Fatalf("put %s: %v", path, o.Err)
			}
		}
	}
	return op
}

func (r *rig) shown(path string) string {
	r.t.Helper()
	reg, err := r.st.Get(path)
	if err != nil {
		r.t.Fatal(err)
	}
	v, _ := reg.Shown()
	return string(v.Data)
}

func alarms(out []Output) (codes []string) {
	for _, o := range out {
		if a, ok := o.(Alarm); ok {
			codes = append(codes, a.Code)
		}
	}
	return codes
}

func wantAlarms(t testing.TB, out []Output, want ...string) {
	t.Helper()
	if got := alarms(out); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("alarms %v, want %v", got, want)
	}
}

func from(r *rig, ops ...[]byte) Ops { return Ops{Author: r.self, From: r.self, Ops: ops} }

func TestGossipOutOfOrderIsHeldBackUntilWhatItNeedsHasCome(t *testing.T) {
	a, b := newRig(t, "a"), newRig(t, "b")
	first, second := a.put("x", "1"), a.put("x", "2")
	b.step(from(a, second))
	if got := b.shown("x"); got != "" {
		t.Errorf("the second operation was applied without the first: x = %q", got)
	}
	b.step(from(a, first))
	if got := b.shown("x"); got != "2" {
		t.Errorf("x = %q after both, want 2", got)
	}
	wantAlarms(t, b.step(from(a, first, second, second)))
}

func TestDamagedOperationsChangeNothing(t *testing.T) {
	a, b := newRig(t, "a"), newRig(t, "b")
	op := a.put("x", "1")
	bad := map[string][]byte{
		"empty": {}, "truncated": op[:len(op)-1], "longer": append(op[:len(op):len(op)], 0),
		"unknown version": append([]byte{op[0], op[1] + 1}, op[2:]...), "noise": []byte("\xff\xff\xff\xff"),
	}
	for name, msg := range bad {
		t.Run(name, func(t *testing.T) {
			out := b.step(from(a, msg))
			wantAlarms(t, out, AlarmBadFrame)
			if n := b.st.Context().Len(); n != 0 {
				t.Errorf("the context has %d replicas, want none", n)
			}
		})
	}
}

func TestOneDotWithTwoContentsIsReportedAndNeitherSideIsChanged(t *testing.T) {
	a, twin, b := newRig(t, "a"), newRig(t, "a"), newRig(t, "b") // the twin draws the same replica id
	b.step(from(a, a.put("x", "from the original")))
	out := b.step(from(twin, twin.put("x", "from the copy")))
	wantAlarms(t, out, AlarmFork)
	if got := b.shown("x"); got != "from the original" {
		t.Errorf("x = %q, want what was seen first", got)
	}
}

func TestOperationsOfAnotherDevicesReplicaAreRefused(t *testing.T) {
	a, b, thief := newRig(t, "a"), newRig(t, "b"), newRig(t, "thief")
	op := a.put("x", "1")
	wantAlarms(t, b.step(Ops{Author: thief.self, From: thief.self, Ops: [][]byte{op}}), AlarmUnbound)
	if got := b.shown("x"); got != "" {
		t.Errorf("x = %q although its author did not sign it", got)
	}
	wantAlarms(t, b.step(from(a, op)))
	if got := b.shown("x"); got != "1" {
		t.Errorf("x = %q from its author, want 1", got)
	}
}

// exchange runs the sessions of two replicas until neither has anything to say, and returns the alarms of both.
func exchange(a, b *rig) (codesA, codesB []string) {
	type envelope struct {
		to *rig
		in Input
	}
	var queue []envelope
	ids := map[*rig]map[SessionID]SessionID{a: {}, b: {}}
	var inbound SessionID = inboundBit
	other := map[*rig]*rig{a: b, b: a}
	perform := func(r *rig, out []Output) {
		for _, o := range out {
			switch o := o.(type) {
			case OpenSession:
				inbound++
				ids[r][o.ID], ids[other[r]][inbound] = inbound, o.ID
				queue = append(queue, envelope{other[r], SessionIn{ID: inbound, Peer: r.self}})
			case Send:
				for _, m := range o.Msgs {
					queue = append(queue, envelope{other[r], SessionMsg{ID: ids[r][o.ID], Msg: m}})
				}
				queue = append(queue, envelope{r, SessionReady{ID: o.ID}})
			}
		}
		if r == a {
			codesA = append(codesA, alarms(out)...)
		} else {
			codesB = append(codesB, alarms(out)...)
		}
	}
	perform(a, a.step(PeerUp{b.self}))
	perform(b, b.step(PeerUp{a.self}))
	for range 20 { // the second end waits a second for the first to speak
		for len(queue) > 0 {
			e := queue[0]
			queue = queue[1:]
			perform(e.to, e.to.step(e.in))
		}
		for _, r := range []*rig{a, b} {
			r.now.Mono += 200 * time.Millisecond
			perform(r, r.step(Tick{}))
		}
	}
	a.step(PeerDown{b.self})
	b.step(PeerDown{a.self})
	return codesA, codesB
}

func TestReplicasAreEqualAfterASession(t *testing.T) {
	a, b := newRig(t, "a"), newRig(t, "b")
	a.put("x", "1")
	a.put("y", "2")
	b.put("z", "3")
	ca, cb := exchange(a, b)
	if len(ca)+len(cb) > 0 {
		t.Errorf("alarms %v and %v", ca, cb)
	}
	if !a.st.Context().Equal(b.st.Context()) || a.st.Head().Digest != b.st.Head().Digest || a.st.Head().Entries != 3 {
		t.Errorf("heads %+v and %+v", a.st.Head(), b.st.Head())
	}
}

// setBack gives a device the store it had earlier and makes it go on under the replica id it had then, as a snapshot of a
// running machine does. A backup that is restored does not get that far: see package store.
func (r *rig) setBack(name string, earlier *mem.Datastore) {
	id := r.Replica.id
	r.ds, r.token = earlier, new(store.MemoryToken)
	r.open(name)
	tx := r.st.Begin()
	tx.SetIncarnation(id)
	if err := tx.Commit(); err != nil {
		r.t.Fatal(err)
	}
	r.Replica.id, r.Replica.opened = id, r.st.Context().Get(id)
}

// A device that was set back and has written nothing since opens again, and knows what it does not know.
func TestADeviceThatWasSetBackBeforeItWroteOpensAgain(t *testing.T) {
	a, b := newRig(t, "a"), newRig(t, "b")
	a.put("kept", "1")
	earlier := a.ds.Clone()
	a.put("kept", "2")
	exchange(a, b)
	a.setBack("a", earlier)
	if codes, _ := exchange(a, b); len(codes) != 1 || codes[0] != AlarmRolledBack {
		t.Fatalf("alarms %v, want %s once", codes, AlarmRolledBack)
	}
	exchange(a, b)
	if !a.st.Context().Equal(b.st.Context()) {
		t.Errorf("contexts %v and %v", a.st.Context(), b.st.Context())
	}
	if err := a.st.Close(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	a.open("a")
	if got := a.shown("kept"); got != "2" {
		t.Errorf("kept = %q after a restart, want 2", got)
	}
}

func TestADeviceThatWasSetBackGoesOnUnderANewIDAndNothingIsLost(t *testing.T) {
	a, b := newRig(t, "a"), newRig(t, "b")
	a.put("kept", "1")
	earlier, id := a.ds.Clone(), a.Replica.id
	for _, path := range []string{"lost", "both", "lost3", "lost4", "lost5", "lost6"} {
		a.put(path, "before")
	}
	exchange(a, b)
	a.setBack("a", earlier)
	a.put("since", "after")
	a.put("both", "after")
	for _, value := range []string{"one", "two"} { // as an undo or an import writes
		a.write(WriteOp{Path: "several", Sibling: true, Content: Text(value)})
	}
	codes, _ := exchange(a, b)
	if len(codes) != 1 || codes[0] != AlarmRolledBack {
		t.Fatalf("alarms %v, want %s once", codes, AlarmRolledBack)
	}
	if codes, other := exchange(a, b); len(codes)+len(other) > 0 {
		t.Errorf("alarms %v and %v in a later session", codes, other)
	}
	if a.Replica.id == id {
		t.Errorf("the device goes on as %v", id)
	}
	if !a.st.Context().Equal(b.st.Context()) || a.st.Head().Digest != b.st.Head().Digest {
		t.Errorf("the devices differ: %+v and %+v", a.st.Head(), b.st.Head())
	}
	for _, r := range []*rig{a, b} {
		for path, want := range map[string]int{"kept": 1, "lost": 1, "both": 2, "lost3": 1, "lost4": 1, "lost5": 1, "lost6": 1, "since": 1, "several": 2} {
			if reg, err := r.st.Get(path); err != nil || len(reg.Live) != want {
				t.Errorf("%s has %d values, %v; want %d", path, len(reg.Live), err, want)
			}
		}
	}
}

func TestAClockThatIsSetRightStopsBeingWrong(t *testing.T) {
	const day, century = 24 * 3600 * 1000, 100 * 365 * 24 * 3600 * 1000
	for name, off := range map[string]int64{"a day ahead": day, "a century ahead": century, "a day behind": -day, "a century behind": -century} {
		t.Run(name, func(t *testing.T) {
			a, b := newRig(t, "a"), newRig(t, "b")
			a.now.Wall += off
			b.step(from(a, a.put("x", "wrong clock")))
			b.step(from(a, a.put("y", "wrong clock")))
			b.put("x", "saw it")
			if got := b.shown("x"); got != "saw it" {
				t.Errorf("x = %q: a write that saw a value must replace it whatever the clocks say", got)
			}
			if ahead := int64(b.clock.Last>>16) - b.now.Wall; ahead > crdt.ClockAheadMax {
				t.Errorf("the other device's clock was carried %d ms ahead", ahead)
			}
			a.now.Wall -= off
			a.put("z", "right clock")
			reg, err := a.st.Get("z")
			if err != nil {
				t.Fatal(err)
			}
			if wrong := reg.Live[0].Time.WallMillis() - a.now.Wall; off > 0 && wrong > crdt.ClockAheadMax {
				t.Errorf("a write after the clock was set right is %d ms ahead", wrong)
			}
		})
	}
}

func TestAFullDiskRefusesTheWriteAndLosesNothing(t *testing.T) {
	a := newRig(t, "a")
	a.put("x", "1")
	a.ds.Inject(mem.DiskFull)
	a.now.Wall++
	out, err := a.Step(a.now, Write{Tag: 7, Ops: []WriteOp{{Path: "x", Content: Text("2")}}})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("step: %v, want ENOSPC", err)
	}
	if rep, ok := out[0].(Reply); !ok || rep.Tag != 7 || !errors.Is(rep.Err, ErrDiskFull) {
		t.Errorf("outputs %+v, want a reply with ErrDiskFull", out)
	}
	out, _ = a.Step(a.now, Write{Tag: 8, Ops: []WriteOp{{Path: "x", Delete: true}, {Path: "y", Content: Text("2")}}})
	if rep := out[0].(Reply); !errors.Is(rep.Err, ErrDiskFull) || !strings.Contains(rep.Err.Hint, "delete alone first") {
		t.Errorf("a delete and a put in one: %v, hint %q", rep.Err, rep.Err.Hint)
	}
	a.ds.Inject(nil)
	if got := a.shown("x"); got != "1" {
		t.Errorf("x = %q after a refused write, want 1", got)
	}
	a.put("x", "3")
	if got := a.shown("x"); got != "3" {
		t.Errorf("x = %q when there is space again, want 3", got)
	}
}
