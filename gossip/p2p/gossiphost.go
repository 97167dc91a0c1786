package p2p

import (
	"context"
	"errors"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
)

// A gossipHost is the host as gossipsub sees it: a peer exists once it has proved a space, not once it is connected. So
// gossipsub opens no stream towards others and accepts none from them.
type gossipHost struct {
	host.Host
	n       *Network
	bus     event.Bus
	emitter event.Emitter
	network gossipNetwork
}

func newGossipHost(n *Network) (*gossipHost, error) {
	h := &gossipHost{Host: n.host, n: n, bus: eventbus.NewBus(), network: gossipNetwork{n.host.Network(), n}}
	var err error
	h.emitter, err = h.bus.Emitter(new(event.EvtPeerIdentificationCompleted))
	return h, err
}

// admit tells gossipsub of a peer by the one event it waits for.
func (h *gossipHost) admit(p peer.ID) {
	_ = h.emitter.Emit(event.EvtPeerIdentificationCompleted{Peer: p, Protocols: pubsub.GossipSubDefaultProtocols})
}

func (h *gossipHost) close() { _ = h.emitter.Close() }

func (h *gossipHost) EventBus() event.Bus      { return h.bus }
func (h *gossipHost) Network() network.Network { return h.network }

// NewStream opens a stream on a connection that has proved a space, without asking which protocols the other end speaks.
func (h *gossipHost) NewStream(ctx context.Context, p peer.ID, offers ...protocol.ID) (network.Stream, error) {
	l := h.n.best(p, func(l *link) bool { return len(l.proven) > 0 })
	if l == nil || len(offers) == 0 {
		return nil, errors.New("peer has proved no space")
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	return openStream(ctx, l.conn, offers[0])
}

func (h *gossipHost) SetStreamHandler(p protocol.ID, handle network.StreamHandler) {
	h.Host.SetStreamHandler(p, h.admitted(handle))
}

func (h *gossipHost) SetStreamHandlerMatch(p protocol.ID, match func(protocol.ID) bool, handle network.StreamHandler) {
	h.Host.SetStreamHandlerMatch(p, match, h.admitted(handle))
}

// admitted holds a stream back until its connection has proved a space, and breaks it if that does not happen soon.
func (h *gossipHost) admitted(handle network.StreamHandler) network.StreamHandler {
	return h.n.serve(func(l *link, s network.Stream) {
		if !h.n.await(l, func() bool { return len(l.proven) > 0 }) {
			_ = s.Reset()
			return
		}
		handle(s)
	})
}

// A gossipNetwork hides the peers that have proved nothing.
type gossipNetwork struct {
	network.Network
	n *Network
}

// Peers is asked once, when gossipsub has subscribed to the event by which admit announces peers.
func (g gossipNetwork) Peers() []peer.ID {
	var out []peer.ID
	for _, p := range g.Network.Peers() {
		if g.n.isAdmitted(p) {
			out = append(out, p)
		}
	}
	return out
}

func (g gossipNetwork) Connectedness(p peer.ID) network.Connectedness {
	if g.n.isAdmitted(p) {
		return network.Connected
	}
	return network.NotConnected
}
