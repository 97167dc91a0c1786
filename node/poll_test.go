package node_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"syncline/gossip"
	"syncline/gossip/p2p"
	"syncline/node"
	"syncline/node/nodetest"
)

// A listener counts what a node gives to gossip.
type listener struct {
	gossip.Network
	published atomic.Int64
	gossiped  atomic.Bool // some space was to be gossiped
}

func (l *listener) Publish(space gossip.SpaceID, op []byte) error {
	l.published.Add(1)
	return l.Network.Publish(space, op)
}

func (l *listener) SetSpaces(spaces []gossip.Access) {
	for _, a := range spaces {
		if !a.NoGossip {
			l.gossiped.Store(true)
		}
	}
	l.Network.SetSpaces(spaces)
}

// The requirement on polling: every so often each device fetches, compares and merges. It comes to the same as gossip: writes,
// deletes and conflicts arrive, and nothing is published.
func TestDevicesThatPollComeToTheSame(t *testing.T) {
	for name, network := range map[string]func(*nodetest.Hub) gossip.Network{
		"memory": func(h *nodetest.Hub) gossip.Network { return h.New() },
		"p2p":    func(*nodetest.Hub) gossip.Network { return p2p.New(p2p.Config{NoLAN: true}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub := new(nodetest.Hub)
			var nets [2]*listener
			var nodes [2]*node.Node
			for i, device := range []string{"laptop", "desktop"} {
				nets[i] = &listener{Network: network(hub)}
				nodes[i] = open(t, node.Config{Name: device, Network: nets[i], Poll: 200 * time.Millisecond, NoGossip: true})
			}
			join(t, nodes[0], nodes[1])
			sa, sb := space(t, nodes[0]), space(t, nodes[1])
			ctx := within(t)
			put := func(s *node.Space, path, value string) {
				t.Helper()
				if _, err := s.Put(ctx, path, node.Text(value)); err != nil {
					t.Fatal(err)
				}
			}
			put(sa, "a", "1")
			await(t, sb, "a", "1")
			put(sb, "a", "2")
			put(sb, "large", string(make([]byte, node.GossipOpBytesMax)))
			await(t, sa, "a", "2")
			if _, err := sa.Delete(ctx, "a"); err != nil {
				t.Fatal(err)
			}
			for ev, err := range sb.Watch(ctx, "a", "") {
				if err != nil {
					t.Fatal(err)
				}
				if ev.Change.Type == node.ChangeDelete || ev.UpToDate && gone(t, sb, "a") {
					break
				}
			}
			put(sa, "both", "from a")
			put(sb, "both", "from b") // sooner than the next poll, or it is no conflict: both are right
			for _, s := range []*node.Space{sa, sb} {
				if _, err := s.WaitSync(ctx, node.SyncOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			x, errX := sa.Get(ctx, "both")
			y, errY := sb.Get(ctx, "both")
			if errX != nil || errY != nil || x.Version != y.Version {
				t.Errorf("the devices hold %v (%v) and %v (%v)", x, errX, y, errY)
			}
			for i, n := range nets {
				if n.published.Load() != 0 || n.gossiped.Load() {
					t.Errorf("device %d published %d operations; spaces gossiped: %v", i, n.published.Load(), n.gossiped.Load())
				}
			}
		})
	}
}

func gone(t testing.TB, s *node.Space, path string) bool {
	t.Helper()
	_, err := s.Get(within(t), path)
	return errors.Is(err, node.ErrNotFound)
}

// A device that gossips and one that does not get along: the first begins a session where its gossip is not heard.
func TestADeviceThatGossipsReachesOneThatDoesNot(t *testing.T) {
	hub := new(nodetest.Hub)
	a := open(t, node.Config{Name: "laptop", Network: hub.New(), AntiEntropy: time.Hour})
	b := open(t, node.Config{Name: "desktop", Network: hub.New(), Poll: 200 * time.Millisecond, NoGossip: true})
	join(t, a, b)
	if _, err := space(t, a).Put(within(t), "k", node.Text("v")); err != nil {
		t.Fatal(err)
	}
	await(t, space(t, b), "k", "v")
	if _, err := space(t, b).Put(within(t), "k", node.Text("w")); err != nil {
		t.Fatal(err)
	}
	await(t, space(t, a), "k", "w")
}

func TestPollingTooOftenIsRefused(t *testing.T) {
	for _, d := range []time.Duration{-time.Second, time.Millisecond} {
		if _, err := node.Open(within(t), node.Config{Poll: d}); !errors.Is(err, node.ErrBadRequest) {
			t.Errorf("poll every %v: %v", d, err)
		}
	}
	open(t, node.Config{Poll: node.PollMin})
}
