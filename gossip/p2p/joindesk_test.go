package p2p

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"syncline/gossip"
)

// Joiners who wait for a person leave their slots to others, up to a bound; a device has one stream.
func TestJoinDesk(t *testing.T) {
	d := newJoinDesk()
	turns := make(map[gossip.DeviceID]*joinTurn)
	enter := func(dev gossip.DeviceID) *joinTurn {
		turn := d.enter(t.Context(), dev, func() { t.Error("an invited device was turned out") })
		if turn != nil {
			d.vouch(turn)
		}
		return turn
	}
	for i := range joinWaitersMax {
		dev := gossip.DeviceID{byte(i)}
		turns[dev] = enter(dev)
		if turns[dev] == nil || !d.settle(dev, turns[dev]) {
			t.Fatalf("joiner %d found no place", i)
		}
	}
	for i := range joinStreamsMax {
		dev := gossip.DeviceID{201, byte(i)}
		if turns[dev] = enter(dev); turns[dev] == nil || i > 0 && d.settle(dev, turns[dev]) {
			t.Fatalf("fresh joiner %d found no slot, or one waiter too many was let in", i)
		}
		if i == 0 {
			d.leave(dev, turns[dev])
			delete(turns, dev)
		}
	}
	last := gossip.DeviceID{202}
	if turns[last] = enter(last); turns[last] == nil {
		t.Fatal("the slot of a joiner that left is not free")
	}
	if enter(gossip.DeviceID{203}) != nil {
		t.Error("one fresh joiner too many")
	}
	if enter(last) != nil {
		t.Error("a device has two join streams")
	}
	go func() {
		time.Sleep(10 * time.Millisecond)
		d.leave(last, turns[last])
	}()
	again := enter(last)
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

// A full desk turns out whoever has waited longest without naming an invite.
func TestAFullDeskTurnsOutTheUnknown(t *testing.T) {
	d := newJoinDesk()
	var out []int
	turns := make([]*joinTurn, joinStreamsMax)
	for i := range turns {
		turns[i] = d.enter(t.Context(), gossip.DeviceID{byte(i)}, func() { out = append(out, i) })
	}
	d.vouch(turns[0])
	for i := range 2 {
		if turn := d.enter(t.Context(), gossip.DeviceID{100, byte(i)}, func() { t.Error("a newcomer was turned out") }); turn == nil {
			t.Fatalf("newcomer %d was refused", i)
		} else {
			d.vouch(turn)
		}
	}
	if !slices.Equal(out, []int{1, 2}) {
		t.Errorf("turned out %v, want 1 and 2", out)
	}
	if d.vouch(turns[1]); d.settle(gossip.DeviceID{1}, turns[1]) {
		t.Error("one that was turned out waits for a person")
	}
	d.leave(gossip.DeviceID{1}, turns[1])
	if d.fresh != joinStreamsMax {
		t.Errorf("%d places are taken, want %d", d.fresh, joinStreamsMax)
	}
}

// startInviter starts a node that lets strangers join. Its handler knows those who say "invited", and takes its time with them.
func startInviter(t *testing.T) *node {
	t.Helper()
	a := startNode(t, "a", func(c *Config) { c.HelloTimeout = time.Hour })
	a.join = func(_ gossip.DeviceID, s gossip.Stream) {
		msg, err := s.Recv()
		if err != nil {
			return
		}
		if string(msg) == "invited" {
			_ = s.SetDeadline(time.Now().Add(time.Hour))
		}
		if s.Send(msg) == nil {
			echo(s)
		}
	}
	a.SetSpaces([]gossip.Access{testAccess("one", a.key)})
	a.SetJoinable(true)
	return a
}

// askToJoin opens a join stream and says something, if that is not empty.
func askToJoin(t *testing.T, j, a *node, say string) gossip.Stream {
	t.Helper()
	s, err := j.OpenJoin(t.Context(), a.device, a.Addrs())
	must(t, err)
	if say != "" {
		must(t, s.Send([]byte(say)))
		_, err = s.Recv()
		must(t, err)
	}
	return s
}

// A household joins at once, one stranger more from its address is refused, and others still find a place.
func TestStrangersPerAddress(t *testing.T) {
	a := startInviter(t)
	for i := range strangersNetMax {
		askToJoin(t, startNode(t, fmt.Sprint("j", i)), a, "invited")
	}
	if _, err := startNode(t, "more").OpenJoin(t.Context(), a.device, a.Addrs()); !errors.Is(err, ErrJoinRefused) {
		t.Fatalf("OpenJoin of one too many = %v, want ErrJoinRefused", err)
	}
	if !a.gate.allow("192.0.2.1") {
		t.Error("who comes from elsewhere is refused as well")
	}
}

// Strangers who hold all places of an address and name no invite make room for whoever comes; those who named one stay.
func TestSilentStrangersMakeRoom(t *testing.T) {
	a := startInviter(t)
	invited := askToJoin(t, startNode(t, "first"), a, "invited")
	for i := range strangersNetMax - 1 {
		askToJoin(t, startNode(t, fmt.Sprint("silent", i)), a, "")
	}
	a.gate.mu.Lock()
	clear(a.gate.arrivals) // as if time had passed
	a.gate.mu.Unlock()
	askToJoin(t, startNode(t, "late"), a, "invited")
	must(t, invited.Send([]byte("still here")))
	if _, err := invited.Recv(); err != nil {
		t.Errorf("who had named an invite was turned out: %v", err)
	}
}

// A remoteConn is a connection from an address, and nothing else.
type remoteConn struct {
	network.Conn
	from ma.Multiaddr
}

func (c remoteConn) RemoteMultiaddr() ma.Multiaddr { return c.from }

// When all places are taken, or those of one address, the oldest of those who have named no invite makes room, once; who dialled us, or
// waits for a person, does not.
func TestRoomForStrangers(t *testing.T) {
	const places, each = 6, strangersMax / 6
	fill := func(change func(place, i int, l *link)) *Network {
		n := New(testConfig())
		n.gate = newGate(time.Now, n.hasRoom)
		for place := range places {
			for i := range each {
				l := &link{
					conn:   remoteConn{from: ma.StringCast(fmt.Sprintf("/ip4/10.0.0.%d/tcp/1", place))},
					opened: time.Unix(int64(places*each-i*places-place), 0), // the last of the last place came first
				}
				change(place, i, l)
				p := peer.ID(fmt.Sprint(place, i))
				n.peers[p] = append(n.peers[p], l)
			}
		}
		return n
	}
	n := fill(func(int, int, *link) {})
	first, ok := n.room("10.9.9.9")
	if !ok || first == nil || first.opened.Unix() != 1 {
		t.Fatalf("room by %v, %v; want the first who came to make it", first, ok)
	}
	first.out = true
	if last, ok := n.room("10.9.9.9"); !ok || last != nil {
		t.Error("after one made room it is asked to make it again")
	}
	for what, change := range map[string]func(l *link){
		"vouched": func(l *link) { l.vouched = true }, "dialled by us": func(l *link) { l.dialed = true },
	} {
		n := fill(func(_, _ int, l *link) { change(l) })
		if n.hasRoom("10.9.9.9") {
			t.Errorf("who is %s makes room", what)
		}
	}
	n = fill(func(int, int, *link) {})
	inviter := peer.ID(fmt.Sprint(places-1, each-1))
	defer n.gate.invite(inviter)()
	if last, ok := n.room("10.9.9.9"); !ok || last != nil {
		t.Error("the device that is to let us in takes a stranger's place")
	}
	if last, _ := n.room("10.0.0.5"); last == n.peers[inviter][0] {
		t.Error("the device that is to let us in makes room")
	}
	waiting := fill(func(_, _ int, l *link) { l.vouched, l.waits = true, true })
	if last, ok := waiting.room("10.9.9.9"); !ok || last != nil {
		t.Error("those who wait for a person leave no room for others")
	}
	crowd := fill(func(place, i int, l *link) {
		if place < 3 {
			l.conn = remoteConn{from: ma.StringCast("/ip4/10.7.7.7/tcp/1")}
		}
		l.vouched = place >= 3
	})
	if last, ok := crowd.room("10.7.7.7"); !ok || placeOf(last.conn.RemoteMultiaddr()) != "10.7.7.7" {
		t.Error("a full address does not make room by its own")
	}
}

// Whoever opens a join stream and says nothing is turned out before its place is needed.
func TestASilentStrangerIsTurnedOut(t *testing.T) {
	a := startInviter(t)
	if s := askToJoin(t, startNode(t, "silent"), a, ""); !broken(t, s) {
		t.Error("the stream stays")
	}
	eventually(t, "the end of the connection", func() bool { return len(a.allLinks()) == 0 })
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

// Of the hello streams that a stranger opens only the last is kept.
func TestAnEarlierHelloStreamEnds(t *testing.T) {
	a, stranger := startInviter(t), startNode(t, "stranger", func(c *Config) { c.HelloTimeout = time.Hour })
	askToJoin(t, stranger, a, "invited") // so that the connection stays
	p, err := PeerID(a.device)
	must(t, err)
	conn := stranger.host.Network().ConnsToPeer(p)[0]
	ended := make(chan error, 2) // streams may overtake each other
	for range 2 {
		raw, err := openStream(t.Context(), conn, helloProtocol)
		must(t, err)
		s := newStream(raw, helloMessageMax, helloMessageMax)
		must(t, s.Send(message{kind: kindPing}.encode()))
		go func() {
			_, err := s.Recv()
			ended <- err
		}()
	}
	if next(t, ended, "end of a stream"); conn.IsClosed() {
		t.Error("the earlier stream stays as long as the connection")
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
