package node

import (
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
