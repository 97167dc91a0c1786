package mdns

import (
	"errors"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Config says what a [Speaker] advertises, and whom it tells what it hears.
type Config struct {
	// Service is the kind of service, such as "_http._tcp".
	Service string
	// Name is the instance, at most 63 bytes without dots. It must be random, for nobody makes sure that it is unique.
	Name string
	// Port and Addrs, at most the first 16, are where the service listens.
	Port  uint16
	Addrs []netip.Addr
	// Text is the TXT record: strings of at most 255 bytes.
	Text []string
	// Interfaces are those to speak and listen on.
	Interfaces []net.Interface
	// Heard is told of each instance of the service that is heard, the own one included, as often as it is. It is called from one
	// goroutine until Close returns, and must not call Close.
	Heard func(Instance)
}

// An Instance is an advert that was heard. Anybody on the local network can forge it.
type Instance struct {
	Name string
	Text []string // strings of the TXT record, at most 2,048 bytes in all
}

// A wire carries packets of one address family to and from the multicast group. The real one is udp.
type wire interface {
	// receive waits for a packet. It returns net.ErrClosed after close.
	receive(b []byte) (n int, from arrival, err error)
	// send sends to one address through an interface, or to the group if to is the zero value.
	send(b []byte, iface int, to netip.AddrPort) error
	close() error
}

// An arrival says how a packet came. What the system does not tell is zero.
type arrival struct {
	iface  int
	source netip.AddrPort
	target netip.Addr
}

// A link is an interface to the local network.
type link struct {
	iface    int
	prefixes []netip.Prefix // the networks it is in
}

// The rates of what is read and answered; see the package's Bounds.
const (
	packetsBurst, packetsPerSecond     = 256, 128
	instancesBurst, instancesPerSecond = 128, 32
	singlesBurst, singlesPerSecond     = 16, 8

	receivePause = 100 * time.Millisecond // after an error
	mdnsPort     = 5353
)

// A Speaker advertises and listens until it is closed. Its methods are safe for concurrent use.
type Speaker struct {
	zone     *zone
	heard    func(Instance)
	wires    []wire
	links    []link
	agenda   *agenda
	packets  chan packet
	closing  chan struct{}
	closed   sync.WaitGroup
	closings sync.Once

	// of the goroutine that speaks
	instances, singles bucket
}

// A packet is a message and whence it came.
type packet struct {
	message
	path   path
	source netip.AddrPort
}

// Start begins to speak and to listen. The error says what is wrong with c, or why no interface can be used.
func Start(c Config) (*Speaker, error) {
	z, err := newZone(&c)
	if err != nil {
		return nil, err
	}
	var wires []wire
	var paths []path
	var problems []error
	for _, open := range []func([]net.Interface) (*udp, error){openUDP4, openUDP6} {
		u, err := open(c.Interfaces)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		for _, i := range slices.Sorted(maps.Keys(u.ifaces)) {
			paths = append(paths, path{wire: len(wires), iface: i})
		}
		wires = append(wires, u)
	}
	if len(wires) == 0 {
		return nil, errors.Join(problems...)
	}
	return start(z, c.Heard, wires, paths, linksOf(c.Interfaces)), nil
}

func start(z *zone, heard func(Instance), wires []wire, paths []path, links []link) *Speaker {
	s := &Speaker{
		zone: z, heard: heard, wires: wires, links: links,
		// Nobody gains from guessing when an answer is sent.
		agenda:    newAgenda(time.Now(), paths, func(d time.Duration) time.Duration { return rand.N(d) }),
		packets:   make(chan packet),
		closing:   make(chan struct{}),
		instances: bucket{burst: instancesBurst, perSecond: instancesPerSecond},
		singles:   bucket{burst: singlesBurst, perSecond: singlesPerSecond},
	}
	s.closed.Go(s.speak)
	for i := range wires {
		s.closed.Go(func() { s.listen(i) })
	}
	return s
}

// Close takes the advert back and returns when nothing more is heard or sent.
func (s *Speaker) Close() {
	s.closings.Do(func() { close(s.closing) })
	s.closed.Wait()
}

// speak owns the agenda and everything that is sent.
func (s *Speaker) speak() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			for _, o := range s.agenda.take(time.Now()) {
				s.perform(o)
			}
		case p := <-s.packets:
			s.hear(p)
		case <-s.closing:
			s.farewell()
			return
		}
		timer.Reset(time.Until(s.agenda.next()))
	}
}

// perform sends a packet to the group. One that the system refuses is lost like one that the network loses: when the interface is
// back, whoever watches it starts a new Speaker.
func (s *Speaker) perform(o order) {
	b, err := s.zone.answer(o.records, false)
	if o.ask {
		b, err = s.zone.query()
	}
	if err == nil {
		_ = s.wires[o.path.wire].send(b, o.path.iface, netip.AddrPort{})
	}
}

// farewell takes the records back on all paths and ends the wires.
func (s *Speaker) farewell() {
	if b, err := s.zone.answer(recordsAll, true); err == nil {
		for _, d := range s.agenda.debts {
			_ = s.wires[d.path.wire].send(b, d.path.iface, netip.AddrPort{})
		}
	}
	for _, w := range s.wires {
		_ = w.close()
	}
}

// hear takes what a packet says.
func (s *Speaker) hear(p packet) {
	now := time.Now()
	for _, i := range p.heard {
		if s.instances.take(now) {
			s.heard(i)
		}
	}
	s.agenda.asked(now, p.path, p.asked)
	if p.wanted == recordsNone || !s.singles.take(now) {
		return
	}
	if b, err := s.zone.answer(p.wanted, false); err == nil {
		_ = s.wires[p.path.wire].send(b, p.path.iface, p.source)
	}
}

// listen reads one wire.
func (s *Speaker) listen(wire int) {
	b := make([]byte, 1<<16) // some systems make an error of a packet that does not fit
	all := bucket{burst: packetsBurst, perSecond: packetsPerSecond}
	for {
		n, from, err := s.wires[wire].receive(b)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			select {
			case <-time.After(receivePause):
			case <-s.closing:
			}
			continue
		case !all.take(time.Now()) || n > packetBytesMax || !s.onLink(&from):
			continue
		}
		m, err := s.zone.decode(b[:n])
		if err != nil || m.response && from.source.Port() != mdnsPort {
			continue // RFC 6762, section 6: answers come from the port of multicast DNS
		}
		if !s.isNear(from) {
			m.wanted = recordsNone
		}
		select {
		case s.packets <- packet{message: m, path: path{wire, from.iface}, source: from.source}:
		case <-s.closing:
		}
	}
}

// onLink reports whether a packet was sent on the local network (RFC 6762, section 11), and finds the interface if the system did
// not name it.
func (s *Speaker) onLink(from *arrival) bool {
	if from.target.IsValid() {
		return from.target.IsLinkLocalMulticast() && slices.ContainsFunc(s.links, func(l link) bool { return l.iface == from.iface })
	}
	for _, l := range s.links {
		if l.holds(from.source.Addr()) {
			from.iface = l.iface
			return true
		}
	}
	return false
}

// isNear reports whether an answer to the source stays on the local network, whoever forged it.
func (s *Speaker) isNear(from arrival) bool {
	return slices.ContainsFunc(s.links, func(l link) bool { return l.iface == from.iface && l.holds(from.source.Addr()) })
}

func (l link) holds(ip netip.Addr) bool {
	ip = ip.WithZone("")
	return ip.Is6() && ip.IsLinkLocalUnicast() || slices.ContainsFunc(l.prefixes, func(p netip.Prefix) bool { return p.Contains(ip) })
}

func linksOf(ifaces []net.Interface) []link {
	var links []link
	for _, i := range ifaces {
		l := link{iface: i.Index}
		addrs, _ := i.Addrs() // an interface that is just going away has none
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				l.prefixes = append(l.prefixes, p.Masked())
			}
		}
		links = append(links, l)
	}
	return links
}
