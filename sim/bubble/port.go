package bubble

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/quic-go/quic-go"
	"go.uber.org/fx"

	"syncline/gossip"
	"syncline/gossip/p2p"
)

// A port is the network of one run of a device: the real one, and between it and the node the place where frames get lost or repeated
// and streams break. Packets cannot tell them apart, being encrypted.
type port struct {
	*p2p.Network
	d    *device
	plug *plug

	mu      sync.Mutex // guards streams; nothing is waited for while it is held
	streams map[*stream]struct{}
}

// newPort returns a network whose packets go through the router.
func newPort(d *device, c p2p.Config) *port {
	p := &port{d: d, streams: map[*stream]struct{}{}}
	listen := func(_ string, at *net.UDPAddr) (net.PacketConn, error) {
		p.plug = d.w.router.plugIn(d.index, at)
		return p.plug.conn, nil
	}
	c.Listen = []string{fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", d.ip(), udpPort)}
	c.NoLAN = true
	c.ExtraOptions = []libp2p.Option{libp2p.QUICReuse(reuse, quicreuse.OverrideListenUDP(listen),
		quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return source(d.ip()), nil }))}
	p.Network = p2p.New(c)
	return p
}

// udpPort is where all devices listen.
const udpPort = 4001

// reuse is libp2p's own manager of QUIC connections, given the sockets of the simulation.
func reuse(l fx.Lifecycle, reset quic.StatelessResetKey, token quic.TokenGeneratorKey, options ...quicreuse.Option) (*quicreuse.ConnManager, error) {
	m, err := quicreuse.NewConnManager(reset, token, options...)
	if err == nil {
		l.Append(fx.StopHook(m.Close))
	}
	return m, err
}

// A source is the one address that a device has.
type source net.IP

// PreferredSourceIPForDestination implements [quicreuse.SourceIPSelector].
func (s source) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) { return net.IP(s), nil }

// Start implements [gossip.Network].
func (p *port) Start(ctx context.Context, key ed25519.PrivateKey, h gossip.Handler) error {
	return p.Network.Start(ctx, key, handler{h, p})
}

// SetSpaces implements [gossip.Network]. Where a device does not gossip, its network does not join the topic. The node itself is not told: what
// it means to publish is how the oracle learns of the writes that a device makes by itself.
func (p *port) SetSpaces(spaces []gossip.Access) {
	spaces = slices.Clone(spaces)
	for i := range spaces {
		spaces[i].NoGossip = !p.d.w.s.Gossips(p.d.index)
	}
	p.Network.SetSpaces(spaces)
}

// Publish implements [gossip.Network].
func (p *port) Publish(space gossip.SpaceID, op []byte) error {
	if !p.d.w.s.Gossips(p.d.index) {
		return nil
	}
	return p.Network.Publish(space, op)
}

// Open implements [gossip.Network].
func (p *port) Open(ctx context.Context, space gossip.SpaceID, peer gossip.DeviceID) (gossip.Stream, error) {
	s, err := p.Network.Open(ctx, space, peer)
	if err != nil {
		return nil, err
	}
	return p.track(s, peer), nil
}

func (p *port) track(s gossip.Stream, peer gossip.DeviceID) *stream {
	t := &stream{s, p, p.d.w.indexOf(peer)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streams[t] = struct{}{}
	return t
}

func (p *port) untrack(s *stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.streams, s)
}

// resetAll breaks all streams.
func (p *port) resetAll() int {
	p.mu.Lock()
	all := slices.Collect(maps.Keys(p.streams))
	p.mu.Unlock()
	for _, s := range all {
		_ = s.Reset()
	}
	return len(all)
}

// A handler passes on to the node what arrives, or does not.
type handler struct {
	gossip.Handler
	p *port
}

// Frame implements [gossip.Handler].
func (h handler) Frame(f gossip.Frame) {
	w := h.p.d.w
	times := w.router.frameFates(w.indexOf(f.From), h.p.d.index, content(f.Ops...))
	switch times {
	case 0:
		w.sometimes("gossip lost")
	case 2:
		w.sometimes("gossip twice")
	}
	if tap := w.taps.frame; tap != nil {
		f = tap(f)
	}
	for range times {
		h.Handler.Frame(f)
	}
}

// Session implements [gossip.Handler].
func (h handler) Session(space gossip.SpaceID, peer gossip.DeviceID, s gossip.Stream) {
	t := h.p.track(s, peer)
	defer h.p.untrack(t)
	h.Handler.Session(space, peer, t)
}

// A stream is a session's, which may break at any message.
type stream struct {
	gossip.Stream
	p    *port
	peer int
}

// Send implements [gossip.Stream].
func (s *stream) Send(msg []byte) error {
	if w := s.p.d.w; w.router.breaks(s.p.d.index, s.peer, content(msg)) {
		w.sometimes("stream broken")
		_ = s.Reset()
	}
	return s.Stream.Send(msg)
}

// Close implements [gossip.Stream].
func (s *stream) Close() error {
	s.p.untrack(s)
	return s.Stream.Close()
}

// Reset implements [gossip.Stream].
func (s *stream) Reset() error {
	s.p.untrack(s)
	return s.Stream.Reset()
}
