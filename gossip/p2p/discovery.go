package p2p

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"syncline/gossip"
	"syncline/gossip/p2p/mdns"
)

// What the adverts look like: an instance with a random name of the service below, and TXT records "d=<device id in
// hexadecimal>" and "a=<multiaddr>" per address. The device id is readable on the local network; it is no secret, but it
// lets others on that network recognise the device.
const (
	mdnsService  = "_syncline._udp"
	mdnsPort     = 9 // never used; the record must have one, and the addresses are in the TXT records
	txtDevice    = "d="
	txtAddr      = "a="
	namesKeptMax = 256 // own instance names remembered, hours of restarts

	quietPeriodsMax = 15 // periods for which an advert stays while nobody is missing
)

// A discovery advertises this device on the local network and looks for others. While a member is missing it starts afresh
// every DiscoverEvery, and whenever the interfaces change: the interfaces and addresses of a running advert are fixed, and what was not
// heard is said again.
type discovery struct {
	n        *Network
	restart  chan struct{}
	credible func(ma.Multiaddr) bool // which addresses of an advert to believe; tests know no network but loopback

	mu    sync.Mutex // guards what follows
	names []string   // instance names of this process, the newest last
	news  map[peer.ID]news
}

// news is the last advert of a member that made it due for a dial.
type news struct {
	addrs []string // sorted
	at    time.Time
}

func newDiscovery(n *Network) *discovery {
	return &discovery{n: n, restart: make(chan struct{}, 1), credible: onLAN, news: make(map[peer.ID]news)}
}

func (d *discovery) refresh() { signal(d.restart) }

func (d *discovery) run() {
	for d.n.ctx.Err() == nil {
		speaker, err := d.start()
		if err != nil {
			d.n.log.Debug("local discovery waits for a network", "err", err)
			d.rest(discoverRetry, false)
			continue
		}
		d.rest(d.n.cfg.DiscoverEvery, true)
		speaker.Close()
	}
}

// rest waits for a reason to start afresh: a period in the end of which somebody is missing, a change, or the end of the network.
// While every member is connected and nobody is invited, an advert stays as it is: each new one costs every device on the
// network some packets.
func (d *discovery) rest(period time.Duration, advertised bool) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for quiet := 0; ; quiet++ {
		select {
		case <-ticker.C:
			if advertised && quiet < quietPeriodsMax && d.n.complete() {
				continue
			}
		case <-d.restart:
		case <-d.n.ctx.Done():
		}
		return
	}
}

// complete reports whether every member is connected and no stranger is expected.
func (n *Network) complete() bool {
	if n.gate.open() {
		return false
	}
	for _, p := range n.Peers() {
		if !p.Connected {
			return false
		}
	}
	return true
}

// start advertises and listens until the speaker is closed.
func (d *discovery) start() (*mdns.Speaker, error) {
	ifaces, addrs, err := multicastInterfaces()
	if err != nil {
		return nil, err
	}
	name, err := d.newName()
	if err != nil {
		return nil, err
	}
	return mdns.Start(mdns.Config{
		Service: mdnsService, Name: name, Port: mdnsPort, Addrs: addrs, Text: d.records(), Interfaces: ifaces,
		Heard: func(i mdns.Instance) { d.take(i.Name, i.Text) },
	})
}

// multicastInterfaces returns the interfaces to discover others on, with the addresses of all of them.
func multicastInterfaces() (ifaces []net.Interface, addrs []netip.Addr, err error) {
	found, err := interfaces()
	if err != nil {
		return nil, nil, err
	}
	for _, i := range found {
		if i.Flags&net.FlagMulticast == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		ifaces = append(ifaces, i.Interface)
		for _, ip := range i.addrs {
			if a, ok := netip.AddrFromSlice(ip); ok {
				addrs = append(addrs, a.Unmap())
			}
		}
	}
	if len(ifaces) == 0 {
		return nil, nil, errors.New("no interface for multicast")
	}
	return ifaces, addrs, nil
}

// newName returns a fresh random instance name and remembers it as ours.
func (d *discovery) newName() (string, error) {
	var b [8]byte
	if _, err := io.ReadFull(d.n.cfg.Rand, b[:]); err != nil {
		return "", fmt.Errorf("instance name: %w", err)
	}
	name := hex.EncodeToString(b[:])
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.names) == namesKeptMax {
		d.names = slices.Delete(d.names, 0, 1)
	}
	d.names = append(d.names, name)
	return name, nil
}

func (d *discovery) isOwn(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(d.names, name)
}

func (d *discovery) records() []string {
	records := []string{txtDevice + d.n.self.String()}
	addrs := d.n.localAddrs()
	for _, a := range addrs[:min(len(addrs), advertAddrsMax)] {
		records = append(records, txtAddr+a.String())
	}
	return records
}

// take judges one advert. Anybody on the local network can forge it; the worst is a dial in vain within this network, for the
// transport checks the key of whoever answers.
func (d *discovery) take(name string, records []string) {
	device, found, ok := parseRecords(records)
	found = slices.DeleteFunc(found, func(a ma.Multiaddr) bool { return !d.credible(a) })
	if !ok || len(found) == 0 || d.isOwn(name) {
		return
	}
	if device == d.n.self {
		d.n.foundSelf(found)
		return
	}
	addrs := addrStrings(found)
	p, err := PeerID(device)
	if err != nil {
		return
	}
	if d.n.isMember(p) {
		d.n.book.learn(device, addrs...)
		if d.isNews(p, addrs) {
			d.n.redial.reset(p)
		} else {
			d.n.redial.learned(p)
		}
		return
	}
	d.n.found.add(p, addrs)
}

// onLAN reports whether an advert may name this address: a number, so that nobody makes us ask name servers, on this network,
// so that nobody makes us dial the internet, and on another machine.
func onLAN(addr ma.Multiaddr) bool { return isLAN(addr) && !isLoopback(addr) }

// isNews reports whether the addresses of a member differ from those that last made it due, and that is not just now:
// otherwise a flood of adverts would keep us dialling without a pause.
func (d *discovery) isNews(p peer.ID, addrs []string) bool {
	addrs, now := slices.Sorted(slices.Values(addrs)), time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	last, known := d.news[p]
	if known && (slices.Equal(last.addrs, addrs) || now.Sub(last.at) < advertPause) {
		return false
	}
	if len(d.news) >= bookDevicesMax {
		clear(d.news) // of members, most of them former ones
	}
	d.news[p] = news{addrs, now}
	return true
}

// parseRecords reads the TXT records of an advert, ignoring what it does not know.
func parseRecords(records []string) (device gossip.DeviceID, addrs []ma.Multiaddr, ok bool) {
	var texts []string
	for _, r := range records {
		if id, found := strings.CutPrefix(r, txtDevice); found {
			var err error
			device, err = gossip.ParseDeviceID(id)
			ok = err == nil
		} else if a, found := strings.CutPrefix(r, txtAddr); found && len(texts) < advertAddrsMax {
			texts = append(texts, a)
		}
	}
	return device, parseAddrs(texts), ok
}

// foundDevices remembers where discovery saw devices that are no members, because one of them may become our inviter. Anybody can
// forge adverts of many devices: the one that is expected stays, and news of others wakes nobody.
type foundDevices struct {
	mu       sync.Mutex // guards what follows
	order    []peer.ID  // least recently seen first
	byPeer   map[peer.ID][]string
	expected map[peer.ID]*expectation
}

// An expectation is that of all who wait for one device.
type expectation struct {
	waiters int
	changed chan struct{} // closed and replaced when its addresses change
}

func newFoundDevices() *foundDevices {
	return &foundDevices{byPeer: make(map[peer.ID][]string), expected: make(map[peer.ID]*expectation)}
}

// add takes note of an advert. What was heard before stays behind it, within bounds: who forges one does not push out what another said.
func (f *foundDevices) add(p peer.ID, addrs []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	addrs = slices.Clone(addrs)
	for _, a := range f.byPeer[p] {
		if !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	addrs = addrs[:min(len(addrs), foundAddrsMax)]
	if e := f.expected[p]; e != nil && !slices.Equal(f.byPeer[p], addrs) {
		close(e.changed)
		e.changed = make(chan struct{})
	}
	f.order = append(slices.DeleteFunc(f.order, func(o peer.ID) bool { return o == p }), p)
	f.byPeer[p] = addrs
	if len(f.order) <= foundDevicesMax {
		return
	}
	oldest := slices.IndexFunc(f.order, func(o peer.ID) bool { return f.expected[o] == nil })
	if oldest >= 0 {
		delete(f.byPeer, f.order[oldest])
		f.order = slices.Delete(f.order, oldest, oldest+1)
	}
}

func (f *foundDevices) addrs(p peer.ID) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byPeer[p]
}

// expect keeps what is found of a device, and tells of changes, until release is called.
func (f *foundDevices) expect(p peer.ID) (release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.expected[p]
	if e == nil {
		e = &expectation{changed: make(chan struct{})}
		f.expected[p] = e
	}
	e.waiters++
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if e.waiters--; e.waiters == 0 {
			delete(f.expected, p)
		}
	}
}

// changes returns a channel that closes when the addresses of an expected device change.
func (f *foundDevices) changes(p peer.ID) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.expected[p].changed
}
