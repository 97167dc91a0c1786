package node

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"syncline/gossip"
)

// TestWhatIsLeftOutIsNotAskedForAtOnceAgain: whoever waits until the peer has caught up asks for a session as often as one ends. What the last
// one could not exchange, the next cannot either.
func TestWhatIsLeftOutIsNotAskedForAtOnceAgain(t *testing.T) {
	for name, hinder := range map[string]func(b *rig, path string){
		"too many values": func(b *rig, _ string) { b.cfg.RowsMemory = 800 },
		"a damaged peer":  func(b *rig, path string) { b.spoil(path) },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newRig(t, "a"), newRig(t, "b")
			path := strings.Repeat("busy", 200)
			b.put(path, "1")
			if hinder(b, path); name == "a damaged peer" {
				b.open("b")
			}
			w := meet(a, b)
			w.replies = []Reply{{}} // none is due
			opens := func(out []Output) bool {
				return slices.ContainsFunc(out, func(o Output) bool { _, ok := o.(OpenSession); return ok })
			}
			out := a.step(SyncNow{Peer: b.self})
			if !opens(out) {
				t.Fatal("no session")
			}
			w.perform(a, out)
			w.perform(a, a.step(SyncNow{Peer: b.self})) // while it is under way
			w.run()
			for _, wait := range []time.Duration{0, gossip.BusyDelay} {
				for r, other := range map[*rig]*rig{a: b, b: a} {
					if r.now.Mono += wait; opens(r.step(SyncNow{Peer: other.self}, Tick{})) {
						t.Errorf("after %v the next session begins", wait)
					}
				}
			}
			if a.now.Mono += 2 * gossip.RetryDelay; !opens(a.step(Tick{})) {
				t.Error("no other session begins")
			}
		})
	}
}

// TestASessionIsDoneOnceAllWasLookedAt: only then the warning of too many values is over. One that ended early has not looked at all paths, nor
// has one that fetched.
func TestASessionIsDoneOnceAllWasLookedAt(t *testing.T) {
	a, b := newRig(t, "a"), newRig(t, "b")
	b.put("torn", "1")
	w := meet(a, b)
	w.replies = []Reply{{}} // none is due
	sync := func() {
		w.step(a, SyncNow{Peer: b.self})
		a.now.Mono += 2 * gossip.RetryDelay
		w.step(a, Tick{})
		w.run()
	}
	for _, c := range []struct {
		name string
		does func()
		done bool
	}{
		{"a whole session", sync, true},
		{"one that finds nothing new", sync, true},
		{"a repair", func() { a.spoil("torn"); a.open("a"); w = meet(a, b); w.repair("torn") }, false},
		{"one that met damage", func() {
			b.put("torn", "2")
			b.spoil("torn")
			b.open("b")
			w = meet(a, b)
			w.replies = []Reply{{}}
			sync()
		}, false},
	} {
		w.synced = nil
		if c.does(); len(w.synced) == 0 {
			t.Errorf("%s: no end came to its end", c.name)
		}
		for _, o := range w.synced {
			if o.Result.Done != c.done {
				t.Errorf("%s: %+v", c.name, o.Result)
			}
		}
	}
}

func TestTheAlarmOfTooManyValuesCounts(t *testing.T) {
	paths := []string{"a", "b", "c"}
	for i, want := range []string{"“a”", "“a” and 1 other path", "“a” and 2 other paths"} {
		if got := leftOut(paths[:i+1]); got != want {
			t.Errorf("%d paths: %q", i+1, got)
		}
	}
}

// TestASessionThatGivesWayLeavesTheReasonForAnother: of two that cross one is told that the peer is busy. What was lost while the other is under
// way is still a reason for the next.
func TestASessionThatGivesWayLeavesTheReasonForAnother(t *testing.T) {
	a, b := newRig(t, "a"), newRig(t, "b")
	if bytes.Compare(a.self[:], b.self[:]) < 0 {
		a, b = b, a // whose session gives way
	}
	out := a.step(PeerUp{b.self})
	for sessionWith(out, b) == 0 {
		a.now.Mono += time.Second
		out = a.step(Tick{})
	}
	own, theirs := sessionWith(out, b), inboundBit|1
	a.step(SessionReady{ID: own}, SessionIn{ID: theirs, Peer: b.self}, Lost{Peer: b.self})
	busy := gossip.NewSession(gossip.SessionConfig{})
	busy.RefuseBusy()
	a.step(SessionMsg{ID: own, Msg: busy.Next()})
	if p := a.peers[b.self]; p.session != theirs || !p.again {
		t.Errorf("session %x under way, again %t", p.session, p.again)
	}
	if a.sessions[own] != nil {
		t.Error("the session that gave way is still there")
	}
}

// TestTheAlarmOfTooManyValuesIsRaisedOnce, until other paths are left out, or the devices were done in between. A repair, which looks at few paths, and
// a connection that comes back change nothing.
func TestTheAlarmOfTooManyValuesIsRaisedOnce(t *testing.T) {
	a, b := newRig(t, "a"), newRig(t, "b")
	b.cfg.RowsMemory = 800
	one, two := strings.Repeat("one", 300), strings.Repeat("two", 300)
	w := meet(a, b)
	w.replies = []Reply{{}} // none is due
	sync := func() (alarms [2]int) {
		t.Helper()
		w.alarms, w.texts = nil, nil
		a.now.Mono += 40 * time.Second
		w.perform(a, a.step(SyncNow{Peer: b.self}))
		a.now.Mono += 2 * gossip.RetryDelay
		w.perform(a, a.step(Tick{}))
		w.run()
		for i, code := range w.alarms {
			if code != AlarmValues {
				t.Errorf("alarm %s: %s", code, w.texts[i])
			}
			if strings.Contains(w.texts[i], "other path") {
				alarms[1]++
			} else {
				alarms[0]++
			}
		}
		return alarms
	}
	settle := func(path string) {
		b.cfg.RowsMemory = 0
		sync()
		b.cfg.RowsMemory = 800
		if a.shown(path) == "" {
			t.Fatalf("%.3s did not come", path)
		}
	}
	for i, c := range []struct {
		name string
		does func()
		want [2]int // alarms at both ends together that name one path, and two
	}{
		{"nothing is left out", func() {}, [2]int{}},
		{"one is", func() { b.put(one, "1") }, [2]int{2, 0}},
		{"still", func() {}, [2]int{}},
		{"beside something new", func() { b.put("new", "1") }, [2]int{}},
		{"two are", func() { b.put(two, "1") }, [2]int{0, 2}},
		{"still", func() {}, [2]int{}},
		{"connected anew", func() { w = meet(a, b); w.replies = []Reply{{}} }, [2]int{}},
		{"after a repair", func() { a.put("torn", "1"); sync(); a.spoil("torn"); w.repair("torn") }, [2]int{}},
		{"one of them again", func() { settle(one); b.put(two, "2") }, [2]int{2, 0}},
	} {
		c.does()
		if got := sync(); got != c.want {
			t.Errorf("%d, %s: %v alarms, want %v: %.20q", i, c.name, got, c.want, w.texts)
		}
	}
}

// TestAnotherVersionIsToldOnce and tried again after a period, by whoever begins: the next session meets it as well, until one of the programs is
// another, and that connects anew.
func TestAnotherVersionIsToldOnce(t *testing.T) {
	for _, out := range []bool{true, false} {
		a, b := newRig(t, "a"), newRig(t, "b")
		meet(a, b)
		hello := []byte{0x88, 1, gossip.ProtocolVersion + 1}
		codes, sessions := []string{}, 0
		for id := inboundBit + 1; sessions < 3; id++ {
			a.now.Mono += 40 * time.Second
			opened := a.step(Tick{})
			if !out { // b is faster
				for _, own := range a.sessionIDs() {
					a.step(SessionEnd{ID: own})
				}
				opened = a.step(SessionIn{ID: id, Peer: b.self})
			}
			for _, own := range a.sessionIDs() {
				sessions++
				opened = append(opened, a.step(SessionReady{ID: own}, SessionMsg{ID: own, Msg: hello}, SessionReady{ID: own}, SessionEnd{ID: own})...)
			}
			codes = append(codes, alarms(opened)...)
			a.now.Mono += 3 * gossip.RetryDelay
			if later := a.step(Tick{}); out && slices.ContainsFunc(later, func(o Output) bool { _, ok := o.(OpenSession); return ok }) {
				t.Fatal("it is tried again soon")
			}
		}
		if !slices.Equal(codes, []string{AlarmVersion}) {
			t.Errorf("begun here %v: alarms %v", out, codes)
		}
	}
}
