package node

import (
	"testing"

	"syncline/gossip"
)

// TestWhatComesAfterTheEndOfASessionIsNotItsEndAgain: a refused peer's hello, or the rest of an answer to a replica that was set
// back, must not end the session a second time.
func TestWhatComesAfterTheEndOfASessionIsNotItsEndAgain(t *testing.T) {
	r := newRig(t, "a")
	r.put("p", "1")
	other := gossip.DeviceID(testKey("b")[32:])
	r.step(PeerUp{Peer: other})
	for id := range SessionID(SessionsMax + 1) { // each from another peer, so that the last one finds no place
		p := gossip.DeviceID{0xff, byte(id)}
		r.step(PeerUp{Peer: p}, SessionIn{ID: inboundBit | id, Peer: p})
	}
	last := inboundBit | SessionID(SessionsMax)
	hello := gossip.NewSession(gossip.SessionConfig{Initiator: true})
	tx := r.st.Begin()
	hello.Start(tx)
	tx.Discard()
	for _, o := range r.step(SessionMsg{ID: last, Msg: hello.Next()}) {
		if s, ok := o.(Synced); ok {
			t.Errorf("a session that was refused is reported as synced: %+v", s)
		}
	}
}
