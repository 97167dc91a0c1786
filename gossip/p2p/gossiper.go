package p2p

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"syncline/gossip"
)

// A gossiper carries frames by gossipsub, one topic per space and key.
//
// gossipsub does not sign: StrictNoSign, and a frame authenticates itself. It sees only the peers that have proved a space
// (see gossipHost). Frames are handed to the Network by the validator, which gossipsub calls once for each new frame.
type gossiper struct {
	n      *Network
	pubsub *pubsub.PubSub
	host   *gossipHost
	cancel context.CancelFunc

	mu       sync.Mutex // guards channels; nothing else is locked while it is held
	channels map[gossip.SpaceID]*channel
}

// A channel is one space under one key.
type channel struct {
	space  *space
	topic  *pubsub.Topic
	packer *packer
	passed atomic.Uint64 // frames, published and of others
	leave  func()        // ends the goroutine that watches subscriptions, and the relay
}

func newGossiper(n *Network) (*gossiper, error) {
	ctx, cancel := context.WithCancel(context.Background())
	g := &gossiper{n: n, cancel: cancel, channels: make(map[gossip.SpaceID]*channel)}
	var err error
	if g.host, err = newGossipHost(n); err != nil {
		cancel()
		return nil, err
	}
	log := slog.New(demoted{n.log.Handler()})
	g.pubsub, err = pubsub.NewGossipSub(ctx, g.host,
		pubsub.WithGossipSubParams(gossipParams()),
		pubsub.WithFloodPublish(true),
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(func(m *pb.Message) string { return frameID(m.GetData()) }),
		pubsub.WithMaxMessageSize(pubsubMessageMax),
		pubsub.WithPeerOutboundQueueSize(n.cfg.PeerQueue),
		pubsub.WithValidateQueueSize(n.cfg.PeerQueue),
		pubsub.WithValidateWorkers(1), // one worker keeps the frames of an author in order
		pubsub.WithPeerFilter(g.mayHear),
		pubsub.WithRawTracer(&dropTracer{g: g}),
		pubsub.WithLogger(log),
		pubsub.WithRPCLogger(log),
	)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("gossipsub: %w", err)
	}
	return g, nil
}

// gossipParams suits groups of 2 to 50 devices: a mesh of degree 4 sends fewer duplicates than the default 6 and loses
// nothing, for the publisher floods and sessions repair.
func gossipParams() pubsub.GossipSubParams {
	p := pubsub.DefaultGossipSubParams()
	p.D, p.Dlo, p.Dhi, p.Dscore, p.Dout = 4, 3, 8, 2, 1
	return p
}

// mayHear keeps the gossip of a space from peers that have not proved it.
func (g *gossiper) mayHear(p peer.ID, topic string) bool {
	s := g.spaceOf(topic)
	return s != nil && g.n.isUp(s.id, p)
}

func (g *gossiper) spaceOf(topic string) *space {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.channels {
		if c.space.topic == topic {
			return c.space
		}
	}
	return nil
}

// setSpaces leaves the topics of spaces that are gone, have another key or are quiet, and joins the new ones.
func (g *gossiper) setSpaces(spaces map[gossip.SpaceID]*space) {
	for _, c := range g.takeStale(spaces) {
		g.leave(c)
	}
	for id, s := range spaces {
		if s.quiet || g.channel(id) != nil {
			continue
		}
		c, err := g.join(s)
		if err != nil {
			g.n.log.Error("gossip topic not joined", "space", id, "err", err)
			continue
		}
		g.mu.Lock()
		g.channels[id] = c
		g.mu.Unlock()
	}
}

// takeStale removes and returns the channels that the new spaces do not continue; the others learn their new members.
func (g *gossiper) takeStale(spaces map[gossip.SpaceID]*space) []*channel {
	g.mu.Lock()
	defer g.mu.Unlock()
	var stale []*channel
	for id, c := range g.channels {
		if s := spaces[id]; s == nil || s.quiet || s.key != c.space.key {
			stale = append(stale, c)
			delete(g.channels, id)
		}
	}
	return stale
}

func (g *gossiper) channel(id gossip.SpaceID) *channel {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.channels[id]
}

func (g *gossiper) join(s *space) (*channel, error) {
	c := &channel{space: s}
	validate := func(_ context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
		return g.receive(s.id, from, m.GetData())
	}
	if err := g.pubsub.RegisterTopicValidator(s.topic, validate, pubsub.WithValidatorInline(true)); err != nil {
		return nil, err
	}
	var err error
	if c.topic, err = g.pubsub.Join(s.topic); err != nil {
		return nil, errors.Join(err, g.pubsub.UnregisterTopicValidator(s.topic))
	}
	watch, err := c.topic.EventHandler()
	if err != nil {
		return nil, err
	}
	// A relay is a subscription without a queue of its own: the validator has delivered already.
	stopRelay, err := c.topic.Relay()
	if err != nil {
		watch.Cancel()
		return nil, err
	}
	ctx, cancel := context.WithCancel(g.n.ctx)
	g.n.group.run(func() { g.watchSubscribers(ctx, c, watch) })
	c.leave = func() {
		cancel()
		watch.Cancel()
		stopRelay()
	}
	c.packer = startPacker(
		func(ops [][]byte) { g.sendFrame(c, ops) },
		func() { g.n.events.lose(s.id, gossip.DeviceID{}) },
	)
	return c, nil
}

// leave flushes and closes a channel.
func (g *gossiper) leave(c *channel) {
	c.packer.close()
	c.leave()
	err := errors.Join(c.topic.Close(), g.pubsub.UnregisterTopicValidator(c.space.topic))
	if err != nil {
		g.n.log.Debug("gossip topic left", "err", err)
	}
}

// watchSubscribers reports what a peer missed that subscribed only after frames had been passed on while it was up.
func (g *gossiper) watchSubscribers(ctx context.Context, c *channel, watch *pubsub.TopicEventHandler) {
	for {
		event, err := watch.NextPeerEvent(ctx)
		if err != nil {
			return
		}
		if event.Type == pubsub.PeerJoin {
			g.loseEarly(c.space.id, event.Peer)
		}
	}
}

// loseEarly reports a loss if frames were passed on after the peer came up, or after the last such report, other than by the peer. It is
// called when the peer's subscription has arrived and when the stream to it is open: before the later of the two, frames for it
// go nowhere. And it is called when the peer is in the mesh: before, frames of others need not reach it.
func (g *gossiper) loseEarly(id gossip.SpaceID, p peer.ID) {
	if g.n.missed(id, p, g.passed(id)) {
		g.n.events.lose(id, deviceOrZero(p))
	}
}

// missed reports whether the peer is up and may lack some of the frames that were passed on, once for each.
func (n *Network) missed(id gossip.SpaceID, p peer.ID, passed uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	u := n.ups[upKey{id, p}]
	if u == nil || u.passed >= passed {
		return false
	}
	u.passed = passed
	return true
}

// brought takes note that a peer has one of the frames that are passed on.
func (n *Network) brought(id gossip.SpaceID, p peer.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if u := n.ups[upKey{id, p}]; u != nil {
		u.passed++
	}
}

// passed returns how many frames were passed on in a space.
func (g *gossiper) passed(id gossip.SpaceID) uint64 {
	if c := g.channel(id); c != nil {
		return c.passed.Load()
	}
	return 0
}

func (g *gossiper) publish(id gossip.SpaceID, op []byte) error {
	c := g.channel(id)
	if c == nil {
		return fmt.Errorf("publish to %v: %w", id, ErrUnknownSpace)
	}
	c.packer.add(op)
	return nil
}

// sendFrame seals and publishes; it runs in the packer's goroutine.
func (g *gossiper) sendFrame(c *channel, ops [][]byte) {
	c.passed.Add(1)
	if err := c.topic.Publish(g.n.ctx, sealFrame(c.space, g.n.key, ops)); err != nil {
		g.n.log.Warn("frame not published", "space", c.space.id, "ops", len(ops), "err", err)
		g.n.events.lose(c.space.id, gossip.DeviceID{})
		return
	}
	g.loseUnsubscribed(c)
}

// loseUnsubscribed reports a loss for every peer that is up and to whom gossipsub did not send the frame because it knows of no
// subscription. Most subscribe in a moment; one whose gossip stream could not be opened does not until it connects anew, and is
// served by sessions until then.
func (g *gossiper) loseUnsubscribed(c *channel) {
	up := g.n.upIn(c.space.id)
	if len(up) == 0 {
		return
	}
	subscribed := c.topic.ListPeers()
	for _, p := range up {
		if !slices.Contains(subscribed, p) {
			g.n.events.lose(c.space.id, deviceOrZero(p))
		}
	}
}

// upIn returns the peers that are up in a space.
func (n *Network) upIn(id gossip.SpaceID) []peer.ID {
	n.mu.Lock()
	defer n.mu.Unlock()
	var up []peer.ID
	for key := range n.ups {
		if key.space == id {
			up = append(up, key.peer)
		}
	}
	return up
}

// receive judges a frame and hands it over. A frame that overtook the hello of its bearer, or the news that its author is a member, is ignored,
// which dropTracer reports as a loss; one that does not open or verify is rejected.
func (g *gossiper) receive(id gossip.SpaceID, from peer.ID, data []byte) pubsub.ValidationResult {
	if from == g.n.host.ID() {
		return pubsub.ValidationAccept
	}
	s := g.n.space(id) // not the channel's: members may have changed since
	bearer, err := DeviceOf(from)
	if s == nil || err != nil || !g.n.isUp(id, from) {
		return pubsub.ValidationIgnore
	}
	author, ops, err := openFrame(s, data)
	switch {
	case errors.Is(err, errFrameAuthor): // whoever sealed it has the key: it may be a member of which this device has not heard yet
		return pubsub.ValidationIgnore
	case err != nil:
		g.n.log.Debug("frame rejected", "from", bearer.Short(), "err", err)
		return pubsub.ValidationReject
	}
	if !g.n.events.frame(gossip.Frame{Space: id, Author: author, From: bearer, Ops: ops}, len(data)) {
		g.n.events.lose(id, bearer)
	}
	if c := g.channel(id); c != nil {
		c.passed.Add(1)
		g.n.brought(id, from)
	}
	return pubsub.ValidationAccept
}

// admit lets gossipsub open its stream to a peer that has proved a space.
func (g *gossiper) admit(p peer.ID) { g.host.admit(p) }

// close leaves all topics and ends gossipsub. The host closes afterwards, which breaks its streams.
func (g *gossiper) close() {
	for _, c := range g.takeStale(nil) {
		g.leave(c)
	}
	g.cancel()
	g.host.close()
}
