package p2p

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	ma "github.com/multiformats/go-multiaddr"
)

// A household behind one router, which is one address, may be connected with all of its devices, and all at once. There is a bound, and
// it holds for this address alone.
func TestConnectionsFromOneAddress(t *testing.T) {
	resources, err := newResources((*rcmgr.ScalingLimitConfig).AutoScale)
	must(t, err)
	defer resources.Close()
	router, other := ma.StringCast("/ip4/192.0.2.1/tcp/1"), ma.StringCast("/ip4/192.0.2.2/tcp/1")
	var held []network.ConnManagementScope
	for range placeConnsMax {
		c, err := resources.OpenConnection(network.DirInbound, true, router)
		if err != nil {
			t.Fatalf("connection %d from one address: %v", len(held)+1, err)
		}
		must(t, c.SetPeer(peer.ID(fmt.Sprint("device", len(held))))) // no more than a handshake is in the way of the next
		held = append(held, c)
	}
	if _, err := resources.OpenConnection(network.DirInbound, true, router); err == nil {
		t.Error("there is no bound")
	}
	c, err := resources.OpenConnection(network.DirInbound, true, other)
	must(t, err)
	c.Done()
	for _, c := range held {
		c.Done()
	}
}

// Whoever opens connections from one address and never says a word leaves room for others, also on a small device.
func TestOnePlaceLeavesRoomForOthers(t *testing.T) {
	resources, err := newResources(func(c *rcmgr.ScalingLimitConfig) rcmgr.ConcreteLimitConfig { return c.Scale(64<<20, 512) })
	must(t, err)
	defer resources.Close()
	open := func(from string) error {
		_, err := resources.OpenConnection(network.DirInbound, true, ma.StringCast(from))
		return err
	}
	silent := 0
	for range 2 * placeConnsMax {
		if open("/ip4/10.0.0.1/tcp/1") == nil {
			silent++
		}
	}
	if silent != placeConnsMax {
		t.Errorf("%d connections from one address, want %d", silent, placeConnsMax)
	}
	for range placeConnsMax / 2 {
		must(t, open("/ip4/10.0.0.2/tcp/1"))
	}
}

// Strangers from very many addresses do not use up what is remembered of them: one more is let in.
func TestAStrangerFromANewPlaceIsLetIn(t *testing.T) {
	now := time.Unix(1, 0)
	g := newGate(func() time.Time { return now }, func(string) bool { return true })
	for i := range 4 * strangerIPsMax {
		now = now.Add(time.Millisecond)
		if !g.allow(fmt.Sprint("place ", i)) {
			t.Fatalf("the first from place %d is refused", i)
		}
		g.allow("busy")
	}
	if len(g.arrivals) > strangerIPsMax {
		t.Errorf("%d places are remembered, want %d", len(g.arrivals), strangerIPsMax)
	}
	if g.allow("busy") {
		t.Error("a place that keeps coming is forgotten")
	}
}

// TestStrangersLeaveNoTrace: what crosses the transport is counted for members alone, or everybody who may knock, under ever new keys, would add to what
// this process keeps until its end.
func TestStrangersLeaveNoTrace(t *testing.T) {
	a, b, _ := connected(t)
	a.SetJoinable(true)
	stranger := startNode(t, "stranger")
	s, err := stranger.OpenJoin(t.Context(), a.device, a.Addrs())
	must(t, err)
	must(t, s.Send([]byte("let me in")))
	_, err = s.Recv()
	must(t, err)
	must(t, s.Close())
	count := func(n *node) (in int64, counted bool) {
		p, err := PeerID(n.device)
		must(t, err)
		stats, counted := a.bandwidth.GetBandwidthByPeer()[p]
		return stats.TotalIn, counted
	}
	eventually(t, "the count of what the member sends", func() bool { in, _ := count(b); return in > 0 })
	if _, counted := count(stranger); counted {
		t.Error("a stranger is counted")
	}
}
