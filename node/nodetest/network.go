// Package nodetest connects nodes of one process without sockets, for tests of programs that embed Syncline.
//
// A [Hub] is a network that can be cut and healed. Everything that package p2p does between devices is done here in memory,
// without its sealing: members meet, gossip and hold sessions, strangers can only join.
package nodetest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"syncline/gossip"
)

// A Hub connects the networks that it made, except those that are cut off from each other. The zero Hub is ready to use.
type Hub struct {
	mu   sync.Mutex
	nets map[gossip.DeviceID]*Network
	cut  map[gossip.DeviceID]bool
	up   map[link]bool
	// sessions are the streams between members that are open, so that a cut breaks them, too.
	sessions map[*stream]link
}

// link is a pair of devices in one space, the smaller first.
type link struct {
	a, b  gossip.DeviceID
	space gossip.SpaceID
}

// Network is one device's access to a Hub.
type Network struct {
	hub      *Hub
	id       gossip.DeviceID
	handler  gossip.Handler
	events   chan func()
	done     chan struct{}
	wg       sync.WaitGroup
	spaces   map[gossip.SpaceID]gossip.Access // guarded by the hub's lock, like joinable and lastSeen
	joinable bool
	closed   bool
	lastSeen map[gossip.DeviceID]time.Time
}

// New returns a network for one node.
func (h *Hub) New() *Network {
	return &Network{hub: h, events: make(chan func(), 1<<16), done: make(chan struct{}),
		spaces: map[gossip.SpaceID]gossip.Access{}, lastSeen: map[gossip.DeviceID]time.Time{}}
}

// Cut takes devices off the network, until Heal.
func (h *Hub) Cut(devices ...gossip.DeviceID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cut == nil {
		h.cut = map[gossip.DeviceID]bool{}
	}
	for _, d := range devices {
		h.cut[d] = true
	}
	h.settle()
}

// Heal puts all devices back.
func (h *Hub) Heal() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.cut)
	h.settle()
}

// settle makes the links that should be and takes down those that should not. The lock is held.
func (h *Hub) settle() {
	want := map[link]bool{}
	for a, na := range h.nets {
		for b, nb := range h.nets {
			if slices.Compare(a[:], b[:]) >= 0 || h.cut[a] || h.cut[b] {
				continue
			}
			for id, sa := range na.spaces {
				sb, ok := nb.spaces[id]
				if ok && sa.Key == sb.Key && slices.Contains(sa.Members, b) && slices.Contains(sb.Members, a) {
					want[link{a, b, id}] = true
				}
			}
		}
	}
	for l := range h.up {
		if !want[l] {
			delete(h.up, l)
			for stream, over := range h.sessions {
				if over == l {
					stream.cut()
				}
			}
			h.tell(l, gossip.Handler.PeerDown)
		}
	}
	for l := range want {
		if !h.up[l] {
			h.up[l] = true
			h.tell(l, gossip.Handler.PeerUp)
		}
	}
}

func (h *Hub) tell(l link, what func(gossip.Handler, gossip.SpaceID, gossip.DeviceID)) {
	for _, pair := range [][2]gossip.DeviceID{{l.a, l.b}, {l.b, l.a}} {
		if n := h.nets[pair[0]]; n != nil {
			n.lastSeen[pair[1]] = time.Now()
			n.post(func() { what(n.handler, l.space, pair[1]) })
		}
	}
}

// post queues an event for the handler; beyond its bound the network would have to block, which no test comes near.
func (n *Network) post(f func()) {
	select {
	case n.events <- f:
	default:
		panic("nodetest: too many events wait")
	}
}

// Start implements gossip.Network.
func (n *Network) Start(_ context.Context, key ed25519.PrivateKey, handler gossip.Handler) error {
	n.id, n.handler = gossip.DeviceID(key.Public().(ed25519.PublicKey)), handler
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	if n.hub.nets == nil {
		n.hub.nets, n.hub.up, n.hub.sessions = map[gossip.DeviceID]*Network{}, map[link]bool{}, map[*stream]link{}
	}
	if n.hub.nets[n.id] != nil {
		return errors.New("nodetest: this device is on the hub already")
	}
	n.hub.nets[n.id] = n
	n.wg.Add(1)
	go func() {
		defer n.wg.Done()
		for {
			select {
			case f := <-n.events:
				f()
			case <-n.done:
				return
			}
		}
	}()
	return nil
}

// SetSpaces implements gossip.Network.
func (n *Network) SetSpaces(spaces []gossip.Access) {
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	clear(n.spaces)
	for _, a := range spaces {
		n.spaces[a.Space] = a
	}
	n.hub.settle()
}

// Publish implements gossip.Network.
func (n *Network) Publish(space gossip.SpaceID, op []byte) error {
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	for l := range n.hub.up {
		other, ok := l.other(n.id)
		if !ok || l.space != space {
			continue
		}
		peer := n.hub.nets[other]
		if n.spaces[space].NoGossip {
			return fmt.Errorf("nodetest: space %v is not gossiped", space)
		}
		if peer.spaces[space].NoGossip { // as package p2p tells of a peer that has not subscribed
			n.post(func() { n.handler.Lost(space, other) })
			continue
		}
		frame := gossip.Frame{Space: space, Author: n.id, From: n.id, Ops: [][]byte{slices.Clone(op)}}
		peer.post(func() { peer.handler.Frame(frame) })
	}
	return nil
}

func (l link) other(d gossip.DeviceID) (gossip.DeviceID, bool) {
	switch d {
	case l.a:
		return l.b, true
	case l.b:
		return l.a, true
	}
	return gossip.DeviceID{}, false
}

func linkOf(a, b gossip.DeviceID, s gossip.SpaceID) link {
	if slices.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	return link{a, b, s}
}

// Open implements gossip.Network.
func (n *Network) Open(_ context.Context, space gossip.SpaceID, peer gossip.DeviceID) (gossip.Stream, error) {
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	over := linkOf(n.id, peer, space)
	if !n.hub.up[over] {
		return nil, fmt.Errorf("nodetest: %s is not connected", peer.Short())
	}
	mine, theirs := pipe()
	n.hub.sessions[theirs] = over
	n.hub.nets[peer].serve(func(h gossip.Handler) {
		h.Session(space, n.id, theirs)
		n.hub.mu.Lock()
		defer n.hub.mu.Unlock()
		delete(n.hub.sessions, theirs)
	}, theirs)
	return mine, nil
}

// OpenJoin implements gossip.Network.
func (n *Network) OpenJoin(_ context.Context, inviter gossip.DeviceID, _ []string) (gossip.Stream, error) {
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	peer := n.hub.nets[inviter]
	if peer != nil && !peer.joinable {
		return nil, gossip.ErrJoinRefused
	}
	if peer == nil || n.hub.cut[inviter] || n.hub.cut[n.id] {
		return nil, errors.New("nodetest: no answer")
	}
	mine, theirs := pipe()
	theirs.sendMax = gossip.JoinAnswerBytesMax
	peer.serve(func(h gossip.Handler) { h.Join(n.id, theirs) }, theirs)
	return mine, nil
}

func (n *Network) serve(f func(gossip.Handler), s *stream) {
	if n.closed {
		s.Reset()
		return
	}
	n.wg.Add(1)
	go func() {
		defer n.wg.Done()
		defer s.Close()
		f(n.handler)
	}()
}

// SetJoinable implements gossip.Network.
func (n *Network) SetJoinable(on bool) {
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	n.joinable = on
}

// AddAddr implements gossip.Network. Devices of a hub need no addresses.
func (n *Network) AddAddr(_ gossip.DeviceID, addr string) error {
	if !strings.HasPrefix(addr, "/") {
		return fmt.Errorf("%q is no multiaddr", addr)
	}
	return nil
}

// Addrs implements gossip.Network.
func (n *Network) Addrs() []string { return []string{"/memory/" + n.id.Short()} }

// Peers implements gossip.Network.
func (n *Network) Peers() []gossip.PeerInfo {
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	infos := map[gossip.DeviceID]gossip.PeerInfo{}
	for id, a := range n.spaces {
		for _, d := range a.Members {
			if d == n.id {
				continue
			}
			p := infos[d]
			p.Device, p.LastSeen = d, n.lastSeen[d]
			if n.hub.up[linkOf(n.id, d, id)] {
				p.Connected, p.Path = true, "memory"
			}
			infos[d] = p
		}
	}
	return slices.SortedFunc(maps.Values(infos), func(a, b gossip.PeerInfo) int { return slices.Compare(a.Device[:], b.Device[:]) })
}

// Ping implements gossip.Network.
func (n *Network) Ping(peer gossip.DeviceID) (time.Duration, error) {
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	for id := range n.spaces {
		if n.hub.up[linkOf(n.id, peer, id)] {
			return time.Nanosecond, nil
		}
	}
	return 0, fmt.Errorf("nodetest: %s is not connected", peer.Short())
}

// Redial implements gossip.Network.
func (n *Network) Redial() {}

// Close implements gossip.Network.
func (n *Network) Close() error {
	n.hub.mu.Lock()
	if n.closed {
		n.hub.mu.Unlock()
		return nil
	}
	n.closed = true
	clear(n.spaces)
	n.hub.settle()
	delete(n.hub.nets, n.id)
	n.hub.mu.Unlock()
	close(n.done)
	n.wg.Wait()
	return nil
}

// stream is one end of a connection in memory.
type stream struct {
	in, out *queue
	sendMax int // bound of a message that is sent, in bytes; 0 for none
}

// queue carries messages one way.
type queue struct {
	mu    sync.Mutex
	msgs  [][]byte
	err   error // what Recv returns after the messages
	ready chan struct{}
}

func pipe() (a, b *stream) {
	x, y := &queue{ready: make(chan struct{}, 1)}, &queue{ready: make(chan struct{}, 1)}
	return &stream{in: x, out: y}, &stream{in: y, out: x}
}

func (q *queue) push(msg []byte, end error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return io.ErrClosedPipe
	}
	if end != nil {
		q.err = end
	} else {
		q.msgs = append(q.msgs, msg)
	}
	select {
	case q.ready <- struct{}{}:
	default:
	}
	return nil
}

func (q *queue) pop() ([]byte, error, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.msgs) > 0 {
		msg := q.msgs[0]
		q.msgs = q.msgs[1:]
		return msg, nil, true
	}
	return nil, q.err, q.err != nil
}

func (s *stream) Send(msg []byte) error {
	if s.sendMax > 0 && len(msg) > s.sendMax {
		return fmt.Errorf("nodetest: a message of %d bytes; at most %d", len(msg), s.sendMax)
	}
	return s.out.push(slices.Clone(msg), nil)
}

func (s *stream) Recv() ([]byte, error) {
	for {
		if msg, err, ok := s.in.pop(); ok {
			return msg, err
		}
		<-s.in.ready
	}
}

var errReset = errors.New("nodetest: stream reset")

func (s *stream) Close() error {
	s.out.push(nil, io.EOF)
	s.in.push(nil, io.ErrClosedPipe)
	return nil
}

func (s *stream) Reset() error {
	s.out.push(nil, errReset)
	s.in.push(nil, errReset)
	return nil
}

// cut resets both ends and loses what is under way.
func (s *stream) cut() {
	for _, q := range []*queue{s.in, s.out} {
		q.mu.Lock()
		q.msgs = nil
		q.mu.Unlock()
	}
	s.Reset()
}

func (s *stream) SetDeadline(time.Time) error { return nil }

func (s *stream) RemoteAddr() string { return "memory" }
