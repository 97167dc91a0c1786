package p2p

import (
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// A dropTracer turns everything that gossipsub drops in silence into a loss that the handler hears of. gossipsub calls it
// from its own goroutines; no method blocks.
type dropTracer struct{ g *gossiper }

var _ pubsub.RawTracer = (*dropTracer)(nil)

// DropRPC is called when the queue towards a peer is full.
func (t *dropTracer) DropRPC(rpc *pubsub.RPC, to peer.ID) {
	for _, m := range rpc.GetPublish() {
		t.lose(m.GetTopic(), to)
	}
}

// RejectMessage is called for what the validator refused and for what found no room before it. A forged frame is no loss.
func (t *dropTracer) RejectMessage(m *pubsub.Message, reason string) {
	if reason != pubsub.RejectValidationFailed {
		t.lose(m.GetTopic(), m.ReceivedFrom)
	}
}

// OnNewOutboundStream is called when frames can flow to a peer from now on.
func (t *dropTracer) OnNewOutboundStream(p peer.ID, _ protocol.ID) {
	for _, s := range t.g.n.shared(p) {
		t.g.loseEarly(s.id, p)
	}
}

// Graft is called when frames of others are passed on to a peer from now on. Until then gossipsub may keep them from it in silence.
func (t *dropTracer) Graft(p peer.ID, topic string) {
	if s := t.g.spaceOf(topic); s != nil {
		t.g.loseEarly(s.id, p)
	}
}

// OnClosedOutboundStream is called when the stream to a peer broke, with what was queued for it.
func (t *dropTracer) OnClosedOutboundStream(p peer.ID) {
	for _, s := range t.g.n.shared(p) {
		if t.g.n.isUp(s.id, p) {
			t.g.n.events.lose(s.id, deviceOrZero(p))
		}
	}
}

// UndeliverableMessage would be called for subscriptions, of which there are none.
func (t *dropTracer) UndeliverableMessage(m *pubsub.Message) { t.lose(m.GetTopic(), m.ReceivedFrom) }

func (t *dropTracer) lose(topic string, p peer.ID) {
	if s := t.g.spaceOf(topic); s != nil && t.g.n.isUp(s.id, p) {
		t.g.n.events.lose(s.id, deviceOrZero(p))
	}
}

func (*dropTracer) Join(string)                      {}
func (*dropTracer) Leave(string)                     {}
func (*dropTracer) Prune(peer.ID, string)            {}
func (*dropTracer) ValidateMessage(*pubsub.Message)  {}
func (*dropTracer) DeliverMessage(*pubsub.Message)   {}
func (*dropTracer) DuplicateMessage(*pubsub.Message) {}
func (*dropTracer) ThrottlePeer(peer.ID)             {}
func (*dropTracer) RecvRPC(*pubsub.RPC)              {}
func (*dropTracer) SendRPC(*pubsub.RPC, peer.ID)     {}
