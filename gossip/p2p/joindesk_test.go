package p2p

import (
	"errors"
	"fmt"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"syncline/gossip"
)

// Joiners who wait for a person leave their slots to others, up to a bound; a device has one stream.
func TestJoinDesk(t *testing.T) {
	d := newJoinDesk()
	turns := make(map[gossip.DeviceID]*joinTurn)
	for i := range joinWaitersMax {
		dev := gossip.DeviceID{byte(i)}
		turns[dev] = d.enter(t.Context(), dev)
		if turns[dev] == nil || !d.settle(dev, turns[dev]) {
			t.Fatalf("joiner %d found no place", i)
		}
	}
	for i := range joinStreamsMax {
		dev := gossip.DeviceID{201, byte(i)}
		if turns[dev] = d.enter(t.Context(), dev); turns[dev] == nil || i > 0 && d.settle(dev, turns[dev]) {
			t.Fatalf("fresh joiner %d found no slot, or one waiter too many was let in", i)
		}
		if i == 0 {
			d.leave(dev, turns[dev])
			delete(turns, dev)
		}
	}
	last := gossip.DeviceID{202}
	if turns[last] = d.enter(t.Context(), last); turns[last] == nil {
		t.Fatal("the slot of a joiner that left is not free")
	}
	if d.enter(t.Context(), gossip.DeviceID{203}) != nil {
		t.Error("one fresh joiner too many")
	}
	if d.enter(t.Context(), last) != nil {
		t.Error("a device has two join streams")
	}
	go func() {
		time.Sleep(10 * time.Millisecond)
		d.leave(last, turns[last])
	}()
	again := d.enter(t.Context(), last)
	if again == nil {
		t.Fatal("a device that comes again at once is refused")
	}
	turns[last] = again
	for dev, turn := range turns {
		d.leave(dev, turn)
	}
	if d.fresh != 0 || d.waiting != 0 || len(d.devices) != 0 {
		t.Errorf("left behind: %+v", d)
	}
}

// A household joins at once, one stranger more from its address is refused, and others still find a place.
func TestStrangersPerAddress(t *testing.T) {
	a := startNode(t, "a", func(c *Config) { c.HelloTimeout = time.Hour })
	a.SetSpaces([]gossip.Access{testAccess("one", a.key)})
	a.SetJoinable(true)
	for i := range strangersNetMax {
		j := startNode(t, fmt.Sprint("j", i))
		s, err := j.OpenJoin(t.Context(), a.device, a.Addrs())
		must(t, err)
		must(t, s.Send([]byte("hold")))
		_, err = s.Recv()
		must(t, err)
	}
	if _, err := startNode(t, "more").OpenJoin(t.Context(), a.device, a.Addrs()); !errors.Is(err, ErrJoinRefused) {
		t.Fatalf("OpenJoin of one too many = %v, want ErrJoinRefused", err)
	}
	if !a.gate.allow("192.0.2.1") {
		t.Error("who comes from elsewhere is refused as well")
	}
}

// Whoever has connected to join is not sent away because another device became a member just then.
func TestAStrangerStaysWhenAnotherIsLetIn(t *testing.T) {
	a, joiner := startNode(t, "a"), startNode(t, "joiner")
	a.SetSpaces([]gossip.Access{testAccess("one", a.key)})
	a.SetJoinable(true)
	p, err := PeerID(a.device)
	must(t, err)
	defer joiner.gate.invite(p)()
	must(t, joiner.connect(t.Context(), p, a.localAddrs()))
	eventually(t, "the stranger", func() bool { return len(a.allLinks()) > 0 })
	links := a.allLinks()
	a.SetSpaces([]gossip.Access{testAccess("one", a.key, testKey("other"))})
	for _, l := range links {
		if l.conn.IsClosed() {
			t.Error("the connection of a device that is about to join was closed")
		}
	}
}

func TestIdleStrangerIsDisconnected(t *testing.T) {
	a := startNode(t, "a", func(c *Config) { c.HelloTimeout = time.Hour })
	a.SetSpaces([]gossip.Access{testAccess("one", a.key)})
	a.SetJoinable(true)
	idle := startNode(t, "idle", func(c *Config) { c.HelloTimeout = time.Hour })
	p, err := PeerID(a.device)
	must(t, err)
	defer idle.gate.invite(p)()
	must(t, idle.connect(t.Context(), p, a.localAddrs()))
	eventually(t, "the stranger", func() bool { return len(a.allLinks()) > 0 })
	start := time.Now()
	eventually(t, "its end", func() bool { return len(idle.host.Network().ConnsToPeer(p)) == 0 })
	if took := time.Since(start); took > 2*strangerLife {
		t.Errorf("an idle stranger was kept %v", took)
	}
}

func TestPlaceOf(t *testing.T) {
	for text, want := range map[string]string{
		"/ip4/10.0.0.1/tcp/1": "10.0.0.1", "/ip6/2001:db8::1:2:3:4/tcp/1": "2001:db8::", "/dns/x/tcp/1": "",
	} {
		if got := placeOf(ma.StringCast(text)); got != want {
			t.Errorf("placeOf(%s) = %q, want %q", text, got, want)
		}
	}
}
