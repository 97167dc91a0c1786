package node

import (
	"testing"
	"time"
)

// sessionWith returns the id of the session that outputs open with a peer, 0 if they open none.
func sessionWith(out []Output, p *rig) (id SessionID) {
	for _, o := range out {
		if o, ok := o.(OpenSession); ok && o.Peer == p.self {
			id = o.ID
		}
	}
	return id
}

// TestAPeerThatStallsHoldsUpNobody: one peer opens a session, or takes one, and says nothing more. Meanwhile another one synchronises;
// the stalled sessions are broken off after their time, and the next with the same peer works.
func TestAPeerThatStallsHoldsUpNobody(t *testing.T) {
	r, mute, other := newRig(t, "r"), newRig(t, "mute"), newRig(t, "other")
	other.put("x", "1")
	mute.put("y", "2")
	var stalled SessionID
	out := r.step(PeerUp{mute.self})
	for range 3 { // the end with the larger id waits a second for the other to speak
		if stalled = sessionWith(out, mute); stalled != 0 {
			break
		}
		r.now.Mono += time.Second
		out = r.step(Tick{})
	}
	if stalled == 0 {
		t.Fatal("no session was begun")
	}
	r.step(SessionReady{ID: stalled})
	exchange(r, other)
	if got := r.shown("x"); got != "1" {
		t.Fatalf("x = %q from the peer that does not stall", got)
	}
	r.now.Mono += SessionIdleMax
	broken := false
	for _, o := range r.step(Tick{}) {
		c, ok := o.(CloseSession)
		broken = broken || ok && c.ID == stalled && c.Reset
	}
	if !broken {
		t.Fatal("the stalled session is not broken off after its time")
	}
	r.step(PeerDown{mute.self})
	exchange(r, mute)
	if got := r.shown("y"); got != "2" {
		t.Errorf("y = %q after the next session with the peer that stalled", got)
	}
	if n := len(r.sessions); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}
