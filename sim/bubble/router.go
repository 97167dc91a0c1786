package bubble

import (
	"net"
	"slices"
	"sync"
	"time"

	"github.com/marcopolo/simnet"

	"syncline/sim/scenario"
)

// A router carries the packets between devices and decides the fate of each by the seed, the two devices, and its number among theirs.
type router struct {
	seed  uint64
	net   scenario.Network
	links map[[2]int]bool // nil: everybody reaches everybody

	mu    sync.Mutex // guards what follows; nothing is waited for while it is held
	ports map[string]*plug
	count map[[2]int]uint64
	last  map[[2]int]time.Time // when the last packet that is under way arrives
	cuts  []*cut
	// What follows makes the network worse than the scenario's.
	loss, duplicate float64
	reorder, slow   time.Duration
	faulty          bool // before the scenario begins and after the last fault nothing is lost
}

// packetLossMax bounds the share of packets that are lost. Frames of gossip are lost as often as the scenario says; if as many packets
// were, no frame would come as far as that, and QUIC would do nothing but repeat itself.
const packetLossMax = 0.1

// A plug is the place where a device is on the network. A device that lost power is pulled out.
type plug struct {
	device int
	conn   *simnet.SimConn
	out    bool
}

// A cut separates groups of devices. In a stall packets wait for its end.
type cut struct {
	stall bool
	group map[int]int
	late  []parcel
}

// A parcel is a packet and the socket that sent it.
type parcel struct {
	from *plug
	*simnet.Packet
}

func (c *cut) separates(a, b int) bool {
	x, inX := c.group[a]
	y, inY := c.group[b]
	return inX && inY && x != y
}

func newRouter(s *scenario.Scenario) *router {
	r := &router{seed: s.Seed, net: s.Network, ports: map[string]*plug{}, count: map[[2]int]uint64{}, last: map[[2]int]time.Time{}}
	if s.Network.Links != nil {
		r.links = map[[2]int]bool{}
		for _, l := range s.Network.Links {
			r.links[[2]int{min(l[0], l[1]), max(l[0], l[1])}] = true
		}
	}
	return r
}

// linked reports whether two devices can ever reach each other.
func (r *router) linked(a, b int) bool {
	return a != b && (r.links == nil || r.links[[2]int{min(a, b), max(a, b)}])
}

// plugIn gives a device a socket at an address.
func (r *router) plugIn(device int, at *net.UDPAddr) *plug {
	p := &plug{device: device, conn: simnet.NewSimConn(at)}
	p.conn.SetUpPacketReceiver(uplink{r, p})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ports[at.String()] = p
	return p
}

// pull lets nothing pass any more that the socket sends or gets.
func (r *router) pull(p *plug) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.out = true
}

// An uplink takes the packets that a socket sends.
type uplink struct {
	r    *router
	from *plug
}

// RecvPacket implements [simnet.PacketReceiver].
func (u uplink) RecvPacket(p *simnet.Packet) {
	u.r.mu.Lock()
	defer u.r.mu.Unlock()
	u.r.send(parcel{u.from, p})
}

// send puts a packet on its way, holds it up, or loses it. The caller holds mu.
func (r *router) send(p parcel) {
	from := p.from
	to := r.ports[p.To.String()]
	if to == nil || from.out || to.out || !r.linked(from.device, to.device) {
		return
	}
	var stall *cut
	for _, c := range r.cuts {
		switch {
		case !c.separates(from.device, to.device):
		case !c.stall:
			return
		default:
			stall = c
		}
	}
	if stall != nil {
		stall.late = append(stall.late, p)
		return
	}
	way := [2]int{from.device, to.device}
	r.count[way]++
	fate := func(kind uint64) fate {
		return fateOf(r.seed, kind, uint64(from.device), uint64(to.device), r.count[way])
	}
	if r.faulty && fate(fateLoss).share() < min(r.net.Loss+r.loss, packetLossMax) {
		return
	}
	now := time.Now()
	at := now.Add(r.slow + fate(fateLatency).between(r.net.LatencyMin, r.net.LatencyMax))
	if r.reorder > 0 {
		at = at.Add(fate(fateReorder).between(0, r.reorder))
	} else if last := r.last[way]; !at.After(last) {
		at = last.Add(1) // packets overtake each other only where the scenario says so
	}
	if r.last[way].Before(at) {
		r.last[way] = at
	}
	deliver := func() { r.deliver(to, p.Packet) }
	time.AfterFunc(at.Sub(now), deliver)
	if again := fate(fateDuplicate); r.faulty && again.share() < r.net.Duplicate+r.duplicate {
		time.AfterFunc(at.Sub(now)+r.net.LatencyMax, deliver)
	}
}

func (r *router) deliver(to *plug, p *simnet.Packet) {
	r.mu.Lock()
	out := to.out
	r.mu.Unlock()
	if !out {
		to.conn.RecvPacket(p)
	}
}

// addCut separates groups.
func (r *router) addCut(groups [][]int, stall bool) *cut {
	c := &cut{stall: stall, group: map[int]int{}}
	for k, g := range groups {
		for _, i := range g {
			c.group[i] = k
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cuts = append(r.cuts, c)
	return c
}

// uncut ends one cut.
func (r *router) uncut(c *cut) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cuts = slices.DeleteFunc(r.cuts, func(d *cut) bool { return c == d })
	r.release(c)
}

// release sends on what a stall has held up. The caller holds mu.
func (r *router) release(c *cut) {
	for _, p := range c.late {
		r.send(p)
	}
}

// heal ends all cuts, and every worsening of the network.
func (r *router) heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loss, r.duplicate, r.reorder, r.slow = 0, 0, 0, 0
	cuts := r.cuts
	r.cuts = nil
	for _, c := range cuts {
		r.release(c)
	}
}

// isCut reports whether something is cut now.
func (r *router) isCut() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.cuts) > 0
}

// setFaulty says whether packets are lost.
func (r *router) setFaulty(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faulty = on
}

// worsen adds to one badness of the network for a while.
func worsen[T float64 | time.Duration](w *world, what *T, by T, length time.Duration) {
	add := func(by T) {
		w.router.mu.Lock()
		defer w.router.mu.Unlock()
		*what = max(0, *what+by)
	}
	add(by)
	w.lasting(length, func() { add(-by) })
}

// frameFates says how often a frame of gossip that has come from a device to another is handed on: never if it is lost, twice if it is
// repeated.
func (r *router) frameFates(from, to int, frame uint64) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.faulty {
		return 1
	}
	bucket := uint64(time.Now().UnixMilli() / 100)
	switch f := fateOf(r.seed, fateFrame, uint64(from), uint64(to), frame, bucket).share(); {
	case f < r.net.Loss+r.loss:
		return 0
	case f > 1-r.net.Duplicate-r.duplicate:
		return 2
	}
	return 1
}

// breaks reports whether a stream breaks at a message.
func (r *router) breaks(from, to int, msg uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	bucket := uint64(time.Now().UnixMilli() / 100)
	return r.faulty && fateOf(r.seed, fateBreak, uint64(from), uint64(to), msg, bucket).share() < r.net.Break
}
