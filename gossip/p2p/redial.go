package p2p

import (
	"context"
	"encoding/binary"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
)

// A redialer keeps trying members without a connection. libp2p itself never dials again, and its own back-off grows to
// minutes: both are wrong for devices that come and go.
type redialer struct {
	n    *Network
	wake chan struct{}
	slot chan struct{} // bounds the attempts at a time

	mu    sync.Mutex // guards peers
	peers map[peer.ID]*attempt
}

// An attempt says when a member is due. The zero attempt is due now.
type attempt struct {
	due     time.Time
	backoff time.Duration
	dialing bool
	// plain says that the last connection by QUIC came to nothing, and that TCP is tried next.
	plain bool
}

func newRedialer(n *Network) *redialer {
	return &redialer{
		n: n, wake: make(chan struct{}, 1), slot: make(chan struct{}, dialsMax), peers: make(map[peer.ID]*attempt),
	}
}

func (r *redialer) wakeUp() { signal(r.wake) }

func (r *redialer) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.wake:
		case <-timer.C:
		case <-r.n.ctx.Done():
			return
		}
		timer.Reset(r.dialDue())
	}
}

// dialDue starts an attempt for every member that is due and returns how long until the next one is.
func (r *redialer) dialDue() time.Duration {
	members := r.unlinked()
	now, next := time.Now(), r.n.cfg.RedialMax
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range members {
		a := r.attempt(p)
		if a.dialing {
			continue
		}
		if wait := a.due.Sub(now); wait > 0 {
			next = min(next, wait)
			continue
		}
		a.dialing = r.n.group.run(func() { r.dial(p) })
	}
	return next
}

// unlinked returns the members without a connection, and forgets the attempts of devices that are members no more.
func (r *redialer) unlinked() []peer.ID {
	n := r.n
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []peer.ID
	for p := range n.roster.shared {
		if len(n.peers[p]) == 0 {
			out = append(out, p)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, a := range r.peers {
		if !a.dialing && !n.roster.member(p) {
			delete(r.peers, p)
		}
	}
	return out
}

// attempt returns the state of a member. The caller holds r.mu.
func (r *redialer) attempt(p peer.ID) *attempt {
	a := r.peers[p]
	if a == nil {
		a = &attempt{backoff: r.n.cfg.RedialMin}
		r.peers[p] = a
	}
	return a
}

func (r *redialer) dial(p peer.ID) {
	far := false
	select {
	case r.slot <- struct{}{}:
		far = r.try(p)
		<-r.slot
	case <-r.n.ctx.Done():
	}
	r.mu.Lock()
	a := r.attempt(p)
	a.dialing = false
	a.due = time.Now().Add(r.jitter(a.backoff))
	limit := r.n.cfg.RedialMax
	if far {
		limit = r.n.cfg.RedialFarMax
	}
	a.backoff = min(2*a.backoff, limit)
	r.mu.Unlock()
	r.wakeUp()
}

// try makes one attempt over all known addresses and reports whether all of them are beyond the local network.
func (r *redialer) try(p peer.ID) (far bool) {
	addrs := parseAddrs(r.n.book.addrs(deviceOrZero(p)))
	if len(addrs) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(r.n.ctx, dialTimeout)
	defer cancel()
	if err := r.n.connect(ctx, p, r.choose(p, addrs)); err != nil {
		r.n.log.Debug("dial failed", "peer", p.String(), "err", err)
	}
	return !slices.ContainsFunc(addrs, isLAN)
}

// choose leaves QUIC out once after it came to nothing, if there is another way. A device whose clock is off by years cannot keep
// a connection by QUIC, whose certificates have dates: the other end ends it after the dial has succeeded. TCP does not mind.
func (r *redialer) choose(p peer.ID, addrs []ma.Multiaddr) []ma.Multiaddr {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.attempt(p)
	plain := a.plain
	a.plain = false
	others := slices.DeleteFunc(slices.Clone(addrs), isQUIC)
	if !plain || len(others) == 0 {
		return addrs
	}
	r.n.host.Peerstore().ClearAddrs(p) // which remembers what was dialled, and would dial it again
	return others
}

// connect dials a peer as if for the first time. That it returns nil does not mean that the other end admits us.
func (n *Network) connect(ctx context.Context, p peer.ID, addrs []ma.Multiaddr) error {
	if s, ok := n.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(p)
	}
	return n.host.Connect(ctx, peer.AddrInfo{ID: p, Addrs: addrs})
}

// succeeded resets the back-off: the peer was reached and proved itself.
func (r *redialer) succeeded(p peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempt(p).backoff = r.n.cfg.RedialMin
}

// lost makes a peer whose connection is gone due again: soon if it had proved itself, else after its back-off. quic says that it was
// dialled by QUIC.
func (r *redialer) lost(p peer.ID, wasUp, quic bool) {
	r.mu.Lock()
	a := r.attempt(p)
	a.plain = !wasUp && quic
	if due := time.Now().Add(r.jitter(a.backoff)); wasUp || due.After(a.due) {
		a.due = due
	}
	r.mu.Unlock()
	r.wakeUp()
}

// reset makes a peer due now, because there is news of it.
func (r *redialer) reset(p peer.ID) {
	r.mu.Lock()
	a := r.attempt(p)
	a.due, a.backoff = time.Time{}, r.n.cfg.RedialMin
	r.mu.Unlock()
	r.wakeUp()
}

// resetAll makes every member due now.
func (r *redialer) resetAll() {
	r.mu.Lock()
	for _, a := range r.peers {
		a.due, a.backoff = time.Time{}, r.n.cfg.RedialMin
	}
	r.mu.Unlock()
	r.wakeUp()
}

// jitter spreads d over [d/2, d], so that two devices that lost each other do not dial in step for ever.
func (r *redialer) jitter(d time.Duration) time.Duration {
	var b [2]byte
	if _, err := io.ReadFull(r.n.cfg.Rand, b[:]); err != nil {
		return d
	}
	return d/2 + d/2*time.Duration(binary.BigEndian.Uint16(b[:]))/(1<<16)
}
