package p2p

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"syncline/gossip"
)

func (n *Network) isRunning() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.running
}

// adopt returns the link of a connection, creating it at the first call. It returns nil if the connection is closed already
// or belongs to a device without an Ed25519 key or to one stranger too many. libp2p may hand over a stream before it reports
// the connection, hence two callers.
func (n *Network) adopt(c network.Conn) *link {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l := n.links[c]; l != nil {
		return l
	}
	d, err := DeviceOf(c.RemotePeer())
	if err != nil || !n.running || c.IsClosed() || n.crowded(c) {
		go c.Close()
		return nil
	}
	l := &link{
		n: n, conn: c, peer: c.RemotePeer(), device: d, opened: time.Now(),
		dialed: c.Stat().Direction == network.DirOutbound,
		kicks:  make(chan struct{}, 1), hello: make(chan network.Stream, 1), asks: make(chan ask, 4), gone: make(chan struct{}),
	}
	if !n.group.run(l.run) {
		go c.Close()
		return nil
	}
	n.links[c] = l
	n.peers[l.peer] = append(n.peers[l.peer], l)
	return l
}

// drop forgets the link of a closed connection.
func (n *Network) drop(c network.Conn) {
	n.mu.Lock()
	l := n.links[c]
	if l == nil {
		n.mu.Unlock()
		return
	}
	delete(n.links, c)
	if n.peers[l.peer] = slices.DeleteFunc(n.peers[l.peer], func(o *link) bool { return o == l }); len(n.peers[l.peer]) == 0 {
		delete(n.peers, l.peer)
	}
	wasUp := len(l.proven) > 0
	n.setProven(l, nil)
	close(l.gone)
	n.mu.Unlock()
	if wasUp {
		n.book.seen(l.device, n.cfg.Clock())
	}
	n.redial.lost(l.peer, wasUp, l.dialed && isQUIC(l.conn.RemoteMultiaddr()))
}

// prove records what the other end of a link has proved in a hello, and who it is. A space once proved on a connection stays
// so until SetSpaces parts the two devices: when a key is replaced, the news travels over the sessions of those who still
// hold the old one.
func (n *Network) prove(l *link, proven map[gossip.SpaceID]struct{}, from instance) {
	n.mu.Lock()
	if n.links[l.conn] != l {
		n.mu.Unlock()
		return
	}
	l.twin = from
	maps.Copy(proven, l.proven)
	n.setProven(l, intersect(proven, n.roster.shared[l.peer]))
	good := len(l.proven) > 0
	rivals := n.rivals(l)
	n.mu.Unlock()
	if !good {
		return
	}
	if l.dialed {
		n.book.worked(l.device, l.conn.RemoteMultiaddr().String())
	}
	n.book.seen(l.device, n.cfg.Clock())
	n.redial.succeeded(l.peer)
	for _, r := range rivals {
		n.group.run(func() { n.resolveTwins(r, l) })
	}
}

// setProven replaces what a link has proved and reports the peers that come up or go down by it. The caller holds n.mu.
func (n *Network) setProven(l *link, proven map[gossip.SpaceID]struct{}) {
	for _, id := range slices.SortedFunc(maps.Keys(l.proven), compareSpaces) {
		if _, still := proven[id]; !still {
			n.lower(upKey{id, l.peer}, l.device)
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(proven), compareSpaces) {
		if _, already := l.proven[id]; !already {
			n.raise(upKey{id, l.peer}, l.device)
		}
	}
	l.proven = proven
	n.announceChange()
}

func (n *Network) raise(key upKey, d gossip.DeviceID) {
	if u := n.ups[key]; u != nil {
		u.links++
		return
	}
	n.ups[key] = &up{links: 1, passed: n.gossip.passed(key.space)}
	n.events.post(func() {
		n.gossip.admit(key.peer)
		n.handler.PeerUp(key.space, d)
	})
}

func (n *Network) lower(key upKey, d gossip.DeviceID) {
	u := n.ups[key]
	if u.links--; u.links > 0 {
		return
	}
	delete(n.ups, key)
	n.events.post(func() { n.handler.PeerDown(key.space, d) })
}

// announceChange wakes everybody in await. The caller holds n.mu.
func (n *Network) announceChange() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// await waits until ok, which is called with n.mu held, reports true, at most for admitWait and as long as the link lives.
// It bridges the moment in which a member's stream overtakes the hello that admits it. Others need not wait.
func (n *Network) await(l *link, ok func() bool) bool {
	if !n.isMember(l.peer) {
		return false
	}
	ctx, cancel := context.WithTimeout(n.ctx, admitWait)
	defer cancel()
	for {
		n.mu.Lock()
		good, changed := ok(), n.changed
		n.mu.Unlock()
		if good {
			return true
		}
		select {
		case <-changed:
		case <-l.gone:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// best returns the youngest link to a peer for which ok, called with n.mu held, reports true, or nil.
func (n *Network) best(p peer.ID, ok func(*link) bool) *link {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range slices.Backward(n.peers[p]) {
		if ok(l) {
			return l
		}
	}
	return nil
}

func (n *Network) allLinks() []*link {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Values(n.links))
}

func (n *Network) isMember(p peer.ID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.roster.member(p)
}

// isUp reports whether the peer has proved the space.
func (n *Network) isUp(id gossip.SpaceID, p peer.ID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ups[upKey{id, p}] != nil
}

// isAdmitted reports whether the peer has proved any space.
func (n *Network) isAdmitted(p peer.ID) bool {
	return n.best(p, func(l *link) bool { return len(l.proven) > 0 }) != nil
}

// linked reports whether there is any connection to the peer.
func (n *Network) linked(p peer.ID) bool {
	return n.best(p, func(*link) bool { return true }) != nil
}

// hasRoom reports whether one more stranger from a place (see placeOf) may connect.
func (n *Network) hasRoom(place string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.room(place)
	return ok
}

// room reports whether there is room for one more stranger from a place: because few are here, at all and from there, or because one of
// them, the last returned, makes room: whoever came first of those who have named no invite. Those who wait for a person
// count for their place only. Members, and a device that is to let us in, are no strangers. The caller holds n.mu.
func (n *Network) room(place string) (last *link, ok bool) {
	active, near := 0, 0
	var oldest, oldestNear *link
	older := func(l, than *link) bool {
		return !l.vouched && !l.dialed && (than == nil || l.opened.Before(than.opened))
	}
	for p, links := range n.peers {
		if n.gate.expected(p) {
			continue
		}
		for _, l := range links {
			if l.out {
				continue
			}
			if !l.waits {
				active++
				if older(l, oldest) {
					oldest = l
				}
			}
			if placeOf(l.conn.RemoteMultiaddr()) == place {
				near++
				if older(l, oldestNear) {
					oldestNear = l
				}
			}
		}
	}
	switch {
	case near >= strangersNetMax:
		return oldestNear, oldestNear != nil
	case active >= strangersMax:
		return oldest, oldest != nil
	}
	return nil, true
}

// crowded reports whether a new connection is one stranger too many, after another was turned out for it if that helps. The gate has
// asked before, but handshakes that end at the same time all pass it. The caller holds n.mu.
func (n *Network) crowded(c network.Conn) bool {
	if c.Stat().Direction == network.DirOutbound || n.gate.expected(c.RemotePeer()) {
		return false
	}
	last, ok := n.room(placeOf(c.RemoteMultiaddr()))
	if last != nil {
		last.out = true
		go last.conn.Close()
	}
	return !ok
}

// shared returns the spaces that this device and a member share.
func (n *Network) shared(p peer.ID) []*space {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.roster.shared[p]
}

func (n *Network) space(id gossip.SpaceID) *space {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.roster.spaces[id]
}

// useful reports whether a link has proved a space or carries a join stream.
func (n *Network) useful(l *link) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(l.proven) > 0 || l.joins > 0
}

// setVouched says whether the handler knows the invite that a join stream of a link named.
func (n *Network) setVouched(l *link, on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l.vouched = on
}

// setWaiting says whether a join stream of a link waits for a person.
func (n *Network) setWaiting(l *link, on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l.waits = on
}

// proved reports whether a link has proved a space.
func (n *Network) proved(l *link) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(l.proven) > 0
}

func (n *Network) joining(l *link) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return l.joins > 0
}

// countJoin adds to the number of join streams on a link.
func (n *Network) countJoin(l *link, by int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l.joins += by
}
