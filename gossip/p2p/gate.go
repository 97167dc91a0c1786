package p2p

import (
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// A gate decides which devices get a connection: members always, a device we are about to join when we dial it, and, while
// the device is joinable, a few strangers. A stranger can open nothing but a join stream (see Network.serve).
type gate struct {
	clock func() time.Time
	// hasRoom reports whether one more device that is no member may connect from a place.
	hasRoom func(place string) bool

	mu       sync.Mutex // guards what follows
	members  *roster
	joinable bool
	invited  map[peer.ID]int      // devices we dial to join, by the number of attempts
	arrivals map[string]allowance // by place
}

// An allowance is a token bucket: tokens that an address had left at a time.
type allowance struct {
	tokens float64
	at     time.Time
}

var _ connmgr.ConnectionGater = (*gate)(nil)

func newGate(clock func() time.Time, hasRoom func(place string) bool) *gate {
	return &gate{
		clock: clock, hasRoom: hasRoom,
		members: &roster{}, invited: make(map[peer.ID]int), arrivals: make(map[string]allowance),
	}
}

func (g *gate) setMembers(r *roster) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members = r
}

func (g *gate) setJoinable(on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.joinable = on
}

func (g *gate) open() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.joinable
}

// invite admits p until release is called, for the connection over which this device joins.
func (g *gate) invite(p peer.ID) (release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.invited[p]++
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.invited[p]--; g.invited[p] == 0 {
			delete(g.invited, p)
		}
	})
}

func (g *gate) expected(p peer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.members.member(p) || g.invited[p] > 0
}

func (g *gate) InterceptPeerDial(p peer.ID) bool                 { return g.expected(p) }
func (g *gate) InterceptAddrDial(p peer.ID, _ ma.Multiaddr) bool { return g.expected(p) }

// InterceptAccept lets everybody in as far as the handshake: only that tells who it is.
func (g *gate) InterceptAccept(network.ConnMultiaddrs) bool { return true }

func (g *gate) InterceptSecured(dir network.Direction, p peer.ID, c network.ConnMultiaddrs) bool {
	if g.expected(p) {
		return true
	}
	return dir == network.DirInbound && g.open() && g.allow(placeOf(c.RemoteMultiaddr()))
}

func (g *gate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

// placeOf names where a connection comes from: its IPv4 address, or the /64 of its IPv6 address, all of which one machine can
// use. It is "" for anything else.
func placeOf(addr ma.Multiaddr) string {
	ip, err := manet.ToIP(addr)
	if err != nil {
		return ""
	}
	if ip.To4() == nil {
		ip = ip.Mask(net.CIDRMask(64, 128))
	}
	return ip.String()
}

// allow admits a stranger if there is room, and takes one token from the bucket of its place: strangerBurst at once, then one
// per strangerRefill.
func (g *gate) allow(key string) bool {
	if key == "" || !g.hasRoom(key) {
		return false
	}
	now := g.clock()
	g.mu.Lock()
	defer g.mu.Unlock()
	a, known := g.arrivals[key]
	if !known {
		g.forgetRested(now)
		a = allowance{tokens: strangerBurst, at: now}
	}
	a.tokens = min(strangerBurst, a.tokens+now.Sub(a.at).Seconds()/strangerRefill.Seconds())
	a.at = now
	ok := a.tokens >= 1
	if ok {
		a.tokens--
	}
	g.arrivals[key] = a
	return ok
}

// forgetRested drops the places whose bucket is full again, and if that makes no room for one more, the one that has rested longest: whoever comes
// from ever new places must not keep others out. The caller holds mu.
func (g *gate) forgetRested(now time.Time) {
	oldest := ""
	for key, a := range g.arrivals {
		if now.Sub(a.at) > strangerBurst*strangerRefill {
			delete(g.arrivals, key)
		} else if oldest == "" || a.at.Before(g.arrivals[oldest].at) {
			oldest = key
		}
	}
	if len(g.arrivals) >= strangerIPsMax {
		delete(g.arrivals, oldest)
	}
}
