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
// minutes: both are wrong for devices that come and go. A member whose addresses nobody knows costs nothing.
type redialer struct {
	n    *Network
	wake chan struct{}
	slot chan struct{} // bounds the attempts at a time

	// mu guards what follows. It is taken before the mutexes of the network and of the address book, so that whoever changes one of
	// these and then calls the redialer is never overlooked.
	mu    sync.Mutex
	peers map[peer.ID]*attempt
	// waiting holds those that are looked at when they are due. Whoever is connected then, or has no address, is left out until there
	// is news.
	waiting map[peer.ID]*attempt
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
		n: n, wake: make(chan struct{}, 1), slot: make(chan struct{}, dialsMax), peers: make(map[peer.ID]*attempt), waiting: make(map[peer.ID]*attempt),
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
	now, next := time.Now(), r.n.cfg.RedialMax
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, a := range r.waiting {
		if wait := a.due.Sub(now); wait > 0 {
			next = min(next, wait)
			continue
		}
		delete(r.waiting, p)
		switch {
		case !r.n.isMember(p):
			delete(r.peers, p)
		case !r.n.linked(p) && r.n.book.knows(deviceOrZero(p)):
			a.dialing = r.n.group.run(func() { r.dial(p) })
		}
	}
	return next
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

// await lets a peer be looked at when it is due. The caller holds r.mu.
func (r *redialer) await(p peer.ID, a *attempt) {
	if !a.dialing {
		r.waiting[p] = a
	}
}

// setMembers takes note of a new roster.
func (r *redialer) setMembers(members *roster) {
	r.mu.Lock()
	for p, a := range r.peers {
		if !a.dialing && !members.member(p) {
			delete(r.peers, p)
			delete(r.waiting, p)
		}
	}
	for p := range members.shared {
		r.await(p, r.attempt(p))
	}
	r.mu.Unlock()
	r.wakeUp()
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
	r.await(p, a)
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
	a := r.attempt(p)
	a.backoff = r.n.cfg.RedialMin
	r.await(p, a) // it may be lost again already, before its address was in the book
	r.mu.Unlock()
	r.wakeUp()
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
	r.await(p, a)
	r.mu.Unlock()
	r.wakeUp()
}

// learned says that there may be new addresses of a peer; it stays due when it was.
func (r *redialer) learned(p peer.ID) {
	r.mu.Lock()
	r.await(p, r.attempt(p))
	r.mu.Unlock()
	r.wakeUp()
}

// reset makes a peer due now, because there is news of it.
func (r *redialer) reset(p peer.ID) {
	r.mu.Lock()
	r.renew(p, r.attempt(p))
	r.mu.Unlock()
	r.wakeUp()
}

// resetAll makes every member due now.
func (r *redialer) resetAll() {
	r.mu.Lock()
	for p, a := range r.peers {
		r.renew(p, a)
	}
	r.mu.Unlock()
	r.wakeUp()
}

// renew is reset for a caller that holds r.mu.
func (r *redialer) renew(p peer.ID, a *attempt) {
	a.due, a.backoff = time.Time{}, r.n.cfg.RedialMin
	r.await(p, a)
}

// jitter spreads d over [d/2, d], so that two devices that lost each other do not dial in step for ever.
func (r *redialer) jitter(d time.Duration) time.Duration {
	var b [2]byte
	if _, err := io.ReadFull(r.n.cfg.Rand, b[:]); err != nil {
		return d
	}
	return d/2 + d/2*time.Duration(binary.BigEndian.Uint16(b[:]))/(1<<16)
}
