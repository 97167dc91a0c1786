package p2p

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"syncline/gossip"
)

// prefixMin is the shortest prefix of a space id that names a space on a session stream.
const prefixMin = 2

// serve wraps a handler of inbound streams: it runs counted in the group, with the link of its connection.
func (n *Network) serve(handle func(*link, network.Stream)) network.StreamHandler {
	return func(raw network.Stream) {
		l := n.adopt(raw.Conn())
		if l == nil || !n.group.enter() {
			_ = raw.Reset()
			return
		}
		defer n.group.leave()
		handle(l, raw)
	}
}

// serveHello passes the stream to the link's goroutine. Only the dialer opens it, and only once.
func (n *Network) serveHello(l *link, raw network.Stream) {
	if l.dialed {
		_ = raw.Reset()
		return
	}
	select {
	case l.hello <- raw:
	default:
		_ = raw.Reset()
	}
}

// serveSession reads which space the stream is for and calls the handler once the peer has proved it. Until then it reads no
// more than a space id, and from a stranger nothing.
func (n *Network) serveSession(l *link, raw network.Stream) {
	if !n.isMember(l.peer) {
		_ = raw.Reset()
		return
	}
	s := newStream(raw, sessionMessageMax, len(gossip.SpaceID{}))
	_ = raw.SetReadDeadline(time.Now().Add(admitWait))
	prefix, err := s.Recv()
	if err != nil || len(prefix) < prefixMin {
		_ = raw.Reset()
		return
	}
	var id gossip.SpaceID
	if !n.await(l, func() (ok bool) { id, ok = provenByPrefix(l, prefix); return ok }) || !n.caughtUp() {
		_ = raw.Reset()
		return
	}
	_ = raw.SetReadDeadline(time.Time{})
	s.receiveMax = sessionMessageMax
	n.handler.Session(id, l.device, s)
	_ = s.Close()
}

// caughtUp returns once the handler has seen every event up to now, so that it hears of a peer before its first stream.
func (n *Network) caughtUp() bool {
	reached := make(chan struct{})
	n.events.post(func() { close(reached) })
	select {
	case <-reached:
		return true
	case <-n.ctx.Done():
		return false
	}
}

// provenByPrefix finds the one proven space whose id begins so. The caller holds n.mu.
func provenByPrefix(l *link, prefix []byte) (found gossip.SpaceID, ok bool) {
	for id := range l.proven {
		if bytes.HasPrefix(id[:], prefix) {
			if ok {
				return found, false
			}
			found, ok = id, true
		}
	}
	return found, ok
}

// spacePrefix returns the shortest beginning of id, at least prefixMin bytes, that names no other space shared with the peer.
func spacePrefix(id gossip.SpaceID, shared []*space) []byte {
	size := prefixMin
	for _, s := range shared {
		for s.id != id && size < len(id) && bytes.HasPrefix(s.id[:], id[:size]) {
			size++
		}
	}
	return id[:size]
}

// Open implements gossip.Network.
func (n *Network) Open(ctx context.Context, id gossip.SpaceID, d gossip.DeviceID) (gossip.Stream, error) {
	if !n.isRunning() {
		return nil, ErrClosed
	}
	p, err := PeerID(d)
	if err != nil {
		return nil, fmt.Errorf("device %v: %w", d, err)
	}
	l := n.best(p, func(l *link) bool { _, ok := l.proven[id]; return ok })
	if l == nil {
		return nil, fmt.Errorf("open session with %s: %w", d.Short(), ErrNotConnected)
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	raw, err := openStream(ctx, l.conn, sessionProtocol)
	if err != nil {
		return nil, fmt.Errorf("open session with %s: %w", d.Short(), err)
	}
	s := newStream(raw, sessionMessageMax, sessionMessageMax)
	if deadline, ok := ctx.Deadline(); ok {
		_ = raw.SetWriteDeadline(deadline)
	}
	if err := s.Send(spacePrefix(id, n.shared(p))); err != nil {
		_ = raw.Reset()
		return nil, fmt.Errorf("open session with %s: %w", d.Short(), err)
	}
	_ = raw.SetWriteDeadline(time.Time{})
	return s, nil
}
