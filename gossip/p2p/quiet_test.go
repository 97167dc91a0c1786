package p2p

import (
	"errors"
	"testing"

	"syncline/gossip"
)

// A space with NoGossip has no topic: nothing is published or received, but peers come up and sessions work. A device that
// gossips hears that the other missed what it published.
func TestAQuietSpaceHasSessionsAndNoGossip(t *testing.T) {
	a, b := startNode(t, "a"), startNode(t, "b")
	access := testAccess("one", a.key, b.key)
	quiet := access
	quiet.NoGossip = true
	a.SetSpaces([]gossip.Access{access})
	b.SetSpaces([]gossip.Access{quiet})
	introduce(t, a, b)
	awaitUp(t, a, b)
	if err := b.Publish(access.Space, []byte("op")); !errors.Is(err, ErrUnknownSpace) {
		t.Errorf("publish in a quiet space: %v", err)
	}
	must(t, a.Publish(access.Space, []byte("op")))
	if got := next(t, a.losses, "loss"); got.peer != b.device && !got.peer.IsZero() {
		t.Errorf("loss at %v, want %v", got.peer, b.device)
	}
	s, err := b.Open(t.Context(), access.Space, a.device)
	must(t, err)
	must(t, s.Send([]byte("hello")))
	if msg, err := s.Recv(); err != nil || string(msg) != "hello" {
		t.Errorf("session: %q, %v", msg, err)
	}
	must(t, s.Close())

	// Gossip can be taken up, and left again.
	b.SetSpaces([]gossip.Access{access})
	awaitSubscribed(t, a, b, access)
	b.SetSpaces([]gossip.Access{quiet})
	if b.gossip.channel(access.Space) != nil {
		t.Error("the topic was not left")
	}
	select {
	case f := <-b.frames:
		t.Errorf("a frame arrived: %v", f)
	default:
	}
}
