package p2p

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	multistream "github.com/multiformats/go-multistream"

	"syncline/gossip"
)

// serveJoin calls the handler with the stream of a device that wants to join, while the device is joinable.
func (n *Network) serveJoin(l *link, raw network.Stream) {
	if !n.gate.open() {
		_ = raw.Reset()
		return
	}
	turn := n.joins.enter(n.ctx, l.device, func() { _ = raw.Reset() })
	if turn == nil {
		_ = raw.Reset()
		return
	}
	defer n.joins.leave(l.device, turn)
	n.countJoin(l, 1)
	defer n.countJoin(l, -1)
	defer n.settleLater(l, raw, turn)()
	s := newBoundedStream(newStream(raw, joinReplyMax, joinRequestMax), joinFirstMax, func() {
		n.joins.vouch(turn)
		n.setVouched(l, true)
	})
	defer n.setVouched(l, false)
	defer s.end()
	n.handler.Join(l.device, s)
	_ = s.Close()
}

// settleLater counts a join stream that outlives joinLifetime as one that waits for a person, or ends it if too many do. The
// caller calls cancel when the stream ends.
func (n *Network) settleLater(l *link, raw network.Stream, turn *joinTurn) (cancel func()) {
	fired := make(chan struct{})
	timer := time.AfterFunc(joinLifetime, func() {
		defer close(fired)
		if !n.joins.settle(l.device, turn) {
			_ = raw.Reset()
			return
		}
		n.setWaiting(l, true)
	})
	return func() {
		if !timer.Stop() {
			<-fired
		}
		n.setWaiting(l, false)
	}
}

// OpenJoin implements gossip.Network. It tries the given addresses, then whatever discovery finds, until one answers or the
// context ends. ErrJoinRefused says that the inviter was reached but is not joinable.
func (n *Network) OpenJoin(ctx context.Context, inviter gossip.DeviceID, addrs []string) (gossip.Stream, error) {
	if !n.isRunning() {
		return nil, ErrClosed
	}
	p, err := PeerID(inviter)
	if err != nil {
		return nil, fmt.Errorf("device %v: %w", inviter, err)
	}
	given := make([]ma.Multiaddr, 0, len(addrs))
	for _, text := range addrs {
		addr, err := parseAddr(inviter, text)
		if err != nil {
			return nil, fmt.Errorf("address “%s”: %w", text, err)
		}
		given = append(given, addr)
	}
	ctx, cancel := context.WithTimeout(ctx, joinDialMax)
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	release := n.gate.invite(p)
	s, err := n.dialJoin(ctx, p, given)
	if err != nil {
		release()
		return nil, fmt.Errorf("join %s: %w", inviter.Short(), err)
	}
	s.onClose = release
	return s, nil
}

// dialJoin tries until a join stream is open. Between attempts it waits, less long if discovery finds the inviter elsewhere.
func (n *Network) dialJoin(ctx context.Context, p peer.ID, given []ma.Multiaddr) (*joinStream, error) {
	defer n.found.expect(p)()
	pause := n.cfg.RedialMin
	for turn := 0; ; turn++ {
		changed := n.found.changes(p)
		begun := time.Now()
		known := slices.Concat(given, parseAddrs(n.book.addrs(deviceOrZero(p))))
		addrs := joinAddrs(known, parseAddrs(n.found.addrs(p)), turn)
		s, err := n.tryJoin(ctx, p, addrs)
		if errors.Is(err, ErrJoinRefused) {
			return n.tryJoinTCP(ctx, p, addrs, err)
		}
		if err == nil {
			return s, nil
		}
		select {
		case <-changed:
			// A forged advert of the inviter must not make us dial without a pause.
			if !sleep(ctx, n.cfg.RedialMin-time.Since(begun)) {
				return nil, errors.Join(ctx.Err(), err)
			}
		case <-time.After(pause):
			pause = min(2*pause, n.cfg.RedialMax)
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		}
	}
}

// joinAddrs returns what one attempt dials: all that is known, and of what was found as much as is dialled at the same time, other addresses at
// each turn. Anybody can forge adverts, and addresses that do not answer must not keep those waiting that do.
func joinAddrs(known, found []ma.Multiaddr, turn int) []ma.Multiaddr {
	addrs := slices.Clone(known)
	found = slices.DeleteFunc(slices.Clone(found), func(a ma.Multiaddr) bool { return slices.ContainsFunc(known, a.Equal) })
	n := min(len(found), max(joinFoundMin, joinAddrsMax-len(known)))
	for i := range n {
		addrs = append(addrs, found[(turn*n+i)%len(found)])
	}
	return addrs
}

// sleep waits, and reports whether ctx lasted as long.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// tryJoinTCP makes sure that a refusal is one. With QUIC a device whose clock is wrong is turned away for the dates in its
// certificate, which it learns only after it was connected; the keys of TCP's Noise carry no dates.
func (n *Network) tryJoinTCP(ctx context.Context, p peer.ID, addrs []ma.Multiaddr, refused error) (*joinStream, error) {
	addrs = slices.DeleteFunc(addrs, isQUIC)
	if n.isMember(p) || len(addrs) == 0 {
		return nil, refused
	}
	_ = n.host.Network().ClosePeer(p)
	s, err := n.tryJoin(ctx, p, addrs)
	if err != nil {
		return nil, refused
	}
	return s, nil
}

func deviceOrZero(p peer.ID) gossip.DeviceID {
	d, _ := DeviceOf(p)
	return d
}

// tryJoin connects unless a connection exists, and opens a join stream. A refusing inviter looks connected for a moment:
// only a negotiated stream shows that we were let in.
func (n *Network) tryJoin(ctx context.Context, p peer.ID, addrs []ma.Multiaddr) (*joinStream, error) {
	if !n.linked(p) {
		if len(addrs) == 0 {
			return nil, errors.New("no address known, and not found on the local network")
		}
		n.host.Peerstore().ClearAddrs(p) // a dial tries every address there, also those of the attempt before
		if err := n.connect(ctx, p, addrs); err != nil {
			return nil, err
		}
	}
	conns := n.host.Network().ConnsToPeer(p)
	if len(conns) == 0 {
		return nil, ErrJoinRefused
	}
	conn := conns[len(conns)-1]
	l := n.adopt(conn)
	if l == nil {
		return nil, ErrJoinRefused
	}
	n.countJoin(l, 1)
	raw, err := negotiate(ctx, conn)
	if err != nil {
		n.countJoin(l, -1)
		return nil, fmt.Errorf("%w (%w)", ErrJoinRefused, err)
	}
	return &joinStream{
		stream: newStream(raw, joinRequestMax, joinReplyMax),
		leave:  func() { n.countJoin(l, -1) },
	}, nil
}

// negotiate opens a join stream and waits for the other end to agree.
func negotiate(ctx context.Context, c network.Conn) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	raw, err := c.NewStream(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Reset() })
	defer stop()
	if err = raw.SetProtocol(joinProtocol); err == nil {
		err = multistream.SelectProtoOrFail(joinProtocol, raw)
	}
	if err != nil {
		_ = raw.Reset()
		return nil, err
	}
	return raw, nil
}

// A joinStream is the joiner's end. While it is open its connection lives although the inviter is no member.
type joinStream struct {
	*stream
	leave, onClose func()
	once           sync.Once
}

func (j *joinStream) Close() error {
	defer j.end()
	return j.stream.Close()
}

func (j *joinStream) Reset() error {
	defer j.end()
	return j.stream.Reset()
}

func (j *joinStream) end() {
	j.once.Do(func() {
		j.leave()
		j.onClose()
	})
}
