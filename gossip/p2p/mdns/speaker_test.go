package mdns

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// An ether is a network of wires that all hear what one of them sends to the group.
type ether struct {
	mu      sync.Mutex // guards what follows
	wires   []*fakeWire
	asks    int // questions to the group
	answers int // records to the group
	singles int // records to one address
}

// A fakeWire is a socket on an ether, at interface 1.
type fakeWire struct {
	net    *ether
	addr   netip.AddrPort
	inbox  chan fakePacket
	closed chan struct{}
}

type fakePacket struct {
	bytes []byte
	from  arrival
	err   error
}

func (e *ether) wire(addr string) *fakeWire {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := &fakeWire{net: e, addr: netip.MustParseAddrPort(addr), inbox: make(chan fakePacket, 4096), closed: make(chan struct{})}
	e.wires = append(e.wires, w)
	return w
}

func (w *fakeWire) receive(b []byte) (int, arrival, error) {
	select {
	case p := <-w.inbox:
		return copy(b, p.bytes), p.from, p.err
	case <-w.closed:
		return 0, arrival{}, net.ErrClosed
	}
}

func (w *fakeWire) send(b []byte, _ int, to netip.AddrPort) error {
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	from := arrival{iface: 1, source: w.addr, target: group4.Addr()}
	switch answer := b[2]&0x80 != 0; {
	case to.IsValid():
		w.net.singles++
		from.target = to.Addr()
	case answer:
		w.net.answers++
	default:
		w.net.asks++
	}
	for _, o := range w.net.wires {
		if !to.IsValid() || o.addr == to {
			o.inbox <- fakePacket{bytes: slices.Clone(b), from: from}
		}
	}
	return nil
}

func (w *fakeWire) close() error {
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	w.net.wires = slices.DeleteFunc(w.net.wires, func(o *fakeWire) bool { return o == w })
	close(w.closed)
	return nil
}

// counts returns how many packets were sent since the last call.
func (e *ether) counts() (asks, answers, singles int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	asks, answers, singles = e.asks, e.answers, e.singles
	e.asks, e.answers, e.singles = 0, 0, 0
	return asks, answers, singles
}

// An ear remembers what was heard.
type ear struct {
	mu    sync.Mutex // guards names
	names []string
}

func (e *ear) hear(i Instance) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.names = append(e.names, i.Name)
}

func (e *ear) times(name string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(e.names), func(n string) bool { return n != name }))
}

var testLinks = []link{{iface: 1, prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}}}

func startOn(t *testing.T, e *ether, name, addr string) (*Speaker, *ear) {
	t.Helper()
	heard := new(ear)
	return start(testZone(t, name), heard.hear, []wire{e.wire(addr)}, []path{{0, 1}}, testLinks), heard
}

// Two find each other, whoever was first, and are quiet then.
func TestSpeakersHearEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := new(ether)
		a, heardA := startOn(t, e, "i1", "10.0.0.1:5353")
		time.Sleep(10 * time.Second)
		b, heardB := startOn(t, e, "i2", "10.0.0.2:5353")
		time.Sleep(500 * time.Millisecond)
		if heardA.times("i2") == 0 || heardB.times("i1") == 0 {
			t.Errorf("after half a second the first heard %v, the second %v", heardA.names, heardB.names)
		}
		time.Sleep(10 * time.Minute)
		e.counts()
		time.Sleep(time.Hour)
		// Each asks once a minute, and the other answers.
		if asks, answers, _ := e.counts(); asks < 2*59 || asks > 2*61 || answers < 2*59 || answers > 2*61 {
			t.Errorf("at rest two send %d questions and %d answers an hour, want 120 each", asks, answers)
		}
		a.Close()
		before := heardB.times("i1")
		time.Sleep(time.Hour)
		if heardB.times("i1") != before {
			t.Error("one that is closed is heard")
		}
		b.Close()
		b.Close()
	})
}

// A flood of questions is answered once a second, and to single askers in the network a few times more, elsewhere not at all.
func TestQuestionsAreAnsweredWithinBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := new(ether)
		s, _ := startOn(t, e, "i1", "10.0.0.1:5353")
		defer s.Close()
		time.Sleep(20 * time.Second)
		e.counts()
		w := s.wires[0].(*fakeWire)
		flood := func(source string, class dnsmessage.Class) (answers, singles int) {
			m := dnsmessage.Message{Questions: []dnsmessage.Question{{Name: s.zone.service, Type: dnsmessage.TypePTR, Class: class}}}
			b, err := m.Pack()
			for range 1000 {
				w.inbox <- fakePacket{bytes: packed(t, b, err), from: arrival{iface: 1, source: netip.MustParseAddrPort(source), target: group4.Addr()}}
			}
			time.Sleep(4 * time.Second)
			_, answers, singles = e.counts()
			return answers, singles
		}
		if answers, singles := flood("10.0.0.7:5353", dnsmessage.ClassINET); answers != 1 || singles != 0 {
			t.Errorf("a thousand questions at once: %d answers to all, %d to one, want 1 and 0", answers, singles)
		}
		if answers, singles := flood("10.0.0.7:5353", dnsmessage.ClassINET|topBit); answers != 0 || singles != singlesBurst {
			t.Errorf("a thousand questions of one: %d answers to all, %d to one, want 0 and %d", answers, singles, singlesBurst)
		}
		if answers, singles := flood("203.0.113.5:5353", dnsmessage.ClassINET|topBit); answers != 0 || singles != 0 {
			t.Errorf("a forged source: %d answers to all, %d to one", answers, singles)
		}
	})
}

// Only what was sent on the local network is heard (RFC 6762, section 11), and answers only from the port of multicast DNS.
func TestOnlyTheLocalNetworkIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, heard := startOn(t, new(ether), "i1", "10.0.0.1:5353")
		defer s.Close()
		w := s.wires[0].(*fakeWire)
		for name, c := range map[string]struct {
			iface          int
			source, target string
			want           bool
		}{
			"group":                {1, "10.0.0.2:5353", "224.0.0.251", true},
			"another-subnet":       {1, "10.9.9.9:5353", "224.0.0.251", true},
			"group6":               {1, "[fe80::1]:5353", "ff02::fb", true},
			"unicast":              {1, "10.0.0.2:5353", "10.0.0.1", false},
			"unicast6":             {1, "[fe80::1]:5353", "fd00::1", false},
			"wide-multicast":       {1, "10.0.0.2:5353", "239.1.1.1", false},
			"another-interface":    {2, "10.0.0.2:5353", "224.0.0.251", false},
			"another-port":         {1, "10.0.0.2:1234", "224.0.0.251", false},
			"no-target":            {0, "10.0.0.2:5353", "", true},
			"no-target-link-local": {0, "[fe80::1]:5353", "", true},
			"no-target-elsewhere":  {0, "203.0.113.5:5353", "", false},
		} {
			from := arrival{iface: c.iface, source: netip.MustParseAddrPort(c.source)}
			if c.target != "" {
				from.target = netip.MustParseAddr(c.target)
			}
			w.inbox <- fakePacket{bytes: advert(t, testZone(t, name)), from: from}
			synctest.Wait()
			if got := heard.times(name) == 1; got != c.want {
				t.Errorf("%s: heard is %v", name, got)
			}
		}
	})
}

// A flood of instances is handed on within a rate, and nothing of it is kept.
func TestForgedInstancesAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard := 0
		e := new(ether)
		s := start(testZone(t, "i1"), func(i Instance) {
			if i.Name != "i1" {
				heard++
			}
		}, []wire{e.wire("10.0.0.1:5353")}, []path{{0, 1}}, testLinks)
		time.Sleep(20 * time.Second)
		before := heap()
		w := s.wires[0].(*fakeWire)
		from := arrival{iface: 1, source: netip.MustParseAddrPort("10.0.0.2:5353"), target: group4.Addr()}
		for round := range 10 {
			for range 300 {
				w.inbox <- fakePacket{bytes: forged(t, round), from: from}
				synctest.Wait()
			}
			time.Sleep(time.Second)
		}
		if most := instancesBurst + 10*instancesPerSecond; heard < instancesBurst || heard > most {
			t.Errorf("%d instances were handed on, want %d to %d", heard, instancesBurst, most)
		}
		if grown := heap() - before; grown > 1<<20 {
			t.Errorf("the heap grew by %d bytes", grown)
		}
		s.Close()
	})
}

// forged is an answer as large as a packet may be: new instances, and a host that has many addresses.
func forged(t *testing.T, round int) []byte {
	m := dnsmessage.Message{Header: dnsmessage.Header{Response: true}}
	name := func(i int) dnsmessage.Name {
		return dnsmessage.MustNewName(string(rune('a'+round%26)) + string(rune('a'+i)) + "._x._udp.local.")
	}
	const ttl = 1<<32 - 1
	for i := range 20 {
		m.Answers = append(m.Answers,
			dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: name(i), Class: dnsmessage.ClassINET, TTL: ttl},
				Body:   &dnsmessage.SRVResource{Target: dnsmessage.MustNewName("local.")},
			},
			dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name(i), Class: dnsmessage.ClassINET, TTL: ttl}, Body: &dnsmessage.TXTResource{TXT: []string{"d=1"}}})
	}
	for i := range 100 {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("local."), Class: dnsmessage.ClassINET, TTL: ttl},
			Body:   &dnsmessage.AResource{A: [4]byte{10, 0, 1, byte(i)}},
		})
	}
	b, err := m.Pack()
	return packed(t, b, err)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A socket that fails for a while is read again.
func TestAnErrorOfASocketPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, heard := startOn(t, new(ether), "i1", "10.0.0.1:5353")
		defer s.Close()
		w := s.wires[0].(*fakeWire)
		for range 10 {
			w.inbox <- fakePacket{err: errors.New("network is down")}
		}
		w.inbox <- fakePacket{
			bytes: advert(t, testZone(t, "i2")),
			from:  arrival{iface: 1, source: netip.MustParseAddrPort("10.0.0.2:5353"), target: group4.Addr()},
		}
		time.Sleep(11 * receivePause)
		if heard.times("i2") != 1 {
			t.Error("nothing is heard after errors")
		}
	})
}

// Without an interface there is nothing to start, and the error says so.
func TestStartSaysWhatIsMissing(t *testing.T) {
	c := testConfig("i1")
	c.Heard = func(Instance) {}
	if s, err := Start(c); err == nil {
		s.Close()
		t.Error("a speaker without an interface started")
	}
	c.Name = ""
	if s, err := Start(c); err == nil {
		s.Close()
		t.Error("a speaker without a name started")
	}
}
