package p2p

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"syncline/gossip"
)

// A Network connects this device with the other devices of its spaces over libp2p. It implements gossip.Network.
type Network struct {
	cfg   Config
	log   *slog.Logger
	group group

	// Set by Start, constant afterwards.
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	key       ed25519.PrivateKey
	self      gossip.DeviceID
	instance  instance
	host      host.Host
	bandwidth metrics.Reporter
	handler   gossip.Handler
	events    *events
	gate      *gate
	book      *book
	found     *foundDevices
	gossip    *gossiper
	redial    *redialer
	discovery *discovery
	joins     *joinDesk
	prober    prober

	setting sync.Mutex // serialises Start, SetSpaces and Close; taken before mu

	mu      sync.Mutex // guards what follows; taken before the mutexes of events, gate and book
	running bool
	roster  *roster
	links   map[network.Conn]*link
	peers   map[peer.ID][]*link // the same links by peer, oldest first
	ups     map[upKey]*up
	changed chan struct{} // closed and replaced whenever what links have proved, or the roster, changes
}

type upKey struct {
	space gossip.SpaceID
	peer  peer.ID
}

// An up is a peer that has proved a space on at least one connection.
type up struct {
	links int
	// passed is how many of the frames that this device has passed on in the space the peer is known to have, or is told to have missed.
	passed uint64
}

var _ gossip.Network = (*Network)(nil)

// New returns a Network that does nothing until Start.
func New(cfg Config) *Network {
	cfg = cfg.withDefaults()
	return &Network{
		cfg: cfg, log: cfg.Logger,
		roster: &roster{}, links: make(map[network.Conn]*link), peers: make(map[peer.ID][]*link),
		ups: make(map[upKey]*up), changed: make(chan struct{}), joins: newJoinDesk(),
	}
}

// Start opens the sockets. Its context bounds the start only; the Network lives until Close.
func (n *Network) Start(ctx context.Context, key ed25519.PrivateKey, h gossip.Handler) (err error) {
	n.setting.Lock()
	defer n.setting.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	quieten(n.log)
	n.key, n.self, n.handler = key, deviceOfKey(key), h
	if _, err := io.ReadFull(n.cfg.Rand, n.instance[:]); err != nil {
		return fmt.Errorf("instance id: %w", err)
	}
	if n.book, err = openBook(n.cfg.BookFile); err != nil {
		n.log.Warn("address book unreadable, starting with an empty one", "err", err)
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.found = newFoundDevices()
	n.gate = newGate(n.cfg.Clock, n.hasRoom)
	n.redial = newRedialer(n)
	n.discovery = newDiscovery(n)
	if err := n.open(); err != nil {
		n.teardown()
		return err
	}
	n.startLoops()
	return nil
}

// open creates host and gossip and starts listening. What it leaves behind on error, teardown closes.
func (n *Network) open() (err error) {
	if n.host, n.bandwidth, err = newHost(n); err != nil {
		return err
	}
	n.events = startEvents(n.handler)
	if n.gossip, err = newGossiper(n); err != nil {
		return err
	}
	n.host.SetStreamHandler(helloProtocol, n.serve(n.serveHello))
	n.host.SetStreamHandler(sessionProtocol, n.serve(n.serveSession))
	n.host.SetStreamHandler(joinProtocol, n.serve(n.serveJoin))
	n.host.Network().Notify(&network.NotifyBundle{
		ConnectedF:    func(_ network.Network, c network.Conn) { n.adopt(c) },
		DisconnectedF: func(_ network.Network, c network.Conn) { n.drop(c) },
	})
	n.setRunning(true)
	if len(n.cfg.Listen) == 0 {
		return listenUsual(n.host, usualPort(n.self), n.log)
	}
	return listen(n.host, n.cfg.Listen, n.log)
}

func (n *Network) startLoops() {
	n.group.run(n.redial.run)
	n.group.run(n.watch)
	n.group.run(n.keepBook)
	n.group.run(n.learnAddrs)
	if !n.cfg.NoLAN {
		n.group.run(n.discovery.run)
	}
}

// Close implements gossip.Network. Session and Join handlers see their streams break; Close waits for them.
func (n *Network) Close() error {
	n.setting.Lock()
	wasRunning := n.setRunning(false)
	n.setting.Unlock() // a handler that Close waits for may be inside SetSpaces
	if !wasRunning {
		return nil
	}
	return errors.Join(n.teardown(), n.book.save())
}

// teardown closes whatever open has opened and returns when no goroutine is left.
func (n *Network) teardown() (err error) {
	n.setRunning(false)
	n.group.close()
	if n.gossip != nil {
		n.gossip.close()
	}
	n.cancel()
	if n.host != nil {
		err = n.host.Close()
	}
	n.group.wait()
	if n.events != nil {
		n.events.close()
	}
	return err
}

// setRunning returns the previous value.
func (n *Network) setRunning(on bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	was := n.running
	n.running = on
	return was
}

// SetSpaces implements gossip.Network. A space whose key changed leaves its topic for a new one; peers that are up stay up.
func (n *Network) SetSpaces(accesses []gossip.Access) {
	n.setting.Lock()
	defer n.setting.Unlock()
	if !n.isRunning() {
		return
	}
	next, err := newRoster(n.self, accesses)
	if err != nil {
		// Deriving keys of fixed sizes cannot fail.
		panic(fmt.Sprintf("p2p: roster: %v", err))
	}
	n.gossip.setSpaces(next.spaces)
	n.gate.setMembers(next)
	unwanted, missing := n.install(next)
	for _, l := range unwanted {
		_ = l.conn.Close()
	}
	n.redial.setMembers(next)
	if missing { // its advert may have come by when it was a stranger, and comes again when it is asked for
		n.discovery.refresh()
	}
}

// install replaces the roster. It returns the links that have no reason to live any more, and whether a new member is not connected.
func (n *Network) install(next *roster) (unwanted []*link, missing bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	last := n.roster
	n.roster = next
	for p, links := range n.peers {
		same := last.sharesSame(next, p)
		for _, l := range links {
			n.setProven(l, intersect(l.proven, next.shared[p]))
			if last.member(p) && !next.member(p) && l.joins == 0 { // a stranger may be about to join; others end by themselves
				unwanted = append(unwanted, l)
			} else if !same {
				l.kick()
			}
		}
	}
	for p := range last.shared {
		if !next.member(p) {
			n.host.ConnManager().Unprotect(p, "member")
		}
	}
	for p := range next.shared {
		n.host.ConnManager().Protect(p, "member")
		missing = missing || !last.member(p) && len(n.peers[p]) == 0
	}
	n.announceChange()
	return unwanted, missing
}

func intersect(proven map[gossip.SpaceID]struct{}, shared []*space) map[gossip.SpaceID]struct{} {
	out := make(map[gossip.SpaceID]struct{})
	for _, s := range shared {
		if _, ok := proven[s.id]; ok {
			out[s.id] = struct{}{}
		}
	}
	return out
}

// Publish implements gossip.Network. It copies op. An operation too large for gossip yields ErrTooLarge and a loss: it
// reaches the others by sessions only.
func (n *Network) Publish(id gossip.SpaceID, op []byte) error {
	if len(op) == 0 {
		return fmt.Errorf("publish an empty operation")
	}
	if len(op) > frameMax-frameMinimum-8 {
		n.lose(id, gossip.DeviceID{})
		return fmt.Errorf("publish %d bytes: %w", len(op), ErrTooLarge)
	}
	if !n.isRunning() {
		return ErrClosed
	}
	return n.gossip.publish(id, bytes.Clone(op))
}

func (n *Network) lose(id gossip.SpaceID, d gossip.DeviceID) {
	if n.isRunning() {
		n.events.lose(id, d)
	}
}

// SetJoinable implements gossip.Network. Switching off ends the connections of strangers that are not in the middle of
// joining.
func (n *Network) SetJoinable(on bool) {
	n.setting.Lock()
	defer n.setting.Unlock()
	if !n.isRunning() {
		return
	}
	n.gate.setJoinable(on)
	if on {
		return
	}
	for _, l := range n.allLinks() {
		if !n.isMember(l.peer) && !n.joining(l) {
			_ = l.conn.Close()
		}
	}
}

// AddAddr implements gossip.Network.
func (n *Network) AddAddr(d gossip.DeviceID, text string) error {
	if !n.isRunning() {
		return ErrClosed
	}
	addr, err := parseAddr(d, text)
	if err != nil {
		return err
	}
	p, err := PeerID(d)
	if err != nil {
		return fmt.Errorf("device %v: %w", d, err)
	}
	n.book.addByHand(d, addr.String())
	n.redial.reset(p)
	return n.book.save()
}

// Addrs implements gossip.Network.
func (n *Network) Addrs() []string {
	if !n.isRunning() {
		return nil
	}
	return addrStrings(n.localAddrs())
}

func (n *Network) localAddrs() []ma.Multiaddr { return n.addrsOf(n.host) }

// addrsOf returns the announced addresses and then the reachable ones of this machine, as they are now.
func (n *Network) addrsOf(h host.Host) []ma.Multiaddr {
	ifaces, err := interfaces()
	if err != nil {
		n.log.Debug("interfaces unreadable", "err", err)
	}
	return append(parseAddrs(n.cfg.Announce), reachable(h.Network().ListenAddresses(), ifaces)...)
}

// Peers implements gossip.Network.
func (n *Network) Peers() []gossip.PeerInfo {
	n.mu.Lock()
	members := maps.Clone(n.roster.devices)
	n.mu.Unlock()
	infos := make([]gossip.PeerInfo, 0, len(members))
	for p, d := range members {
		stats := n.bandwidth.GetBandwidthForPeer(p)
		info := gossip.PeerInfo{
			Device: d, Addrs: n.book.addrs(d), LastSeen: n.book.lastSeen(d),
			BytesIn: uint64(stats.TotalIn), BytesOut: uint64(stats.TotalOut),
		}
		if l := n.best(p, func(l *link) bool { return len(l.proven) > 0 }); l != nil {
			info.Connected, info.Path, info.LastSeen = true, path(l.conn.RemoteMultiaddr()), n.cfg.Clock().Round(0)
		}
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b gossip.PeerInfo) int { return bytes.Compare(a.Device[:], b.Device[:]) })
	return infos
}

// Ping implements gossip.Network. It uses the connection that carries the sessions. If a probe of the connection is on its way at
// that moment, its answer counts, and the time is a little short.
func (n *Network) Ping(d gossip.DeviceID) (time.Duration, error) {
	p, err := PeerID(d)
	if err != nil {
		return 0, err
	}
	if !n.isRunning() {
		return 0, ErrClosed
	}
	l := n.best(p, func(l *link) bool { return len(l.proven) > 0 })
	if l == nil {
		return 0, ErrNotConnected
	}
	start := time.Now()
	if !l.alive() {
		return 0, fmt.Errorf("no answer within %v", n.cfg.PingTimeout)
	}
	return time.Since(start), nil
}

// Redial implements gossip.Network.
func (n *Network) Redial() {
	if n.isRunning() {
		n.redial.resetAll()
	}
}

// keepBook writes the address book now and then.
func (n *Network) keepBook() {
	tick := time.NewTicker(n.cfg.FlushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := n.book.save(); err != nil {
				n.log.Warn("address book not saved", "err", err)
			}
		case <-n.ctx.Done():
			return
		}
	}
}
