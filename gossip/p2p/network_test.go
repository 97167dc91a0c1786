package p2p

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	libp2pproto "github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/libp2p/go-libp2p/core/network"

	"syncline/gossip"
)

// Two members that know one address of each other connect, and the session stream between them carries messages.
func TestMembersConnectAndTalk(t *testing.T) {
	a, b, access := connected(t)
	for _, from := range []*node{a, b} {
		to := b
		if from == b {
			to = a
		}
		s, err := from.Open(t.Context(), access.Space, to.device)
		must(t, err)
		for _, msg := range [][]byte{[]byte("hello"), {}, bytes.Repeat([]byte("x"), 2<<20)} {
			must(t, s.Send(msg))
			got, err := s.Recv()
			must(t, err)
			if !bytes.Equal(got, msg) {
				t.Fatalf("echo of %d bytes came back as %d others", len(msg), len(got))
			}
		}
		must(t, s.Close())
	}
}

// An orderly close is io.EOF at the other end, after the last message.
func TestCloseIsEOF(t *testing.T) {
	a, b, access := connected(t)
	got := make(chan error, 1)
	b.session = func(_ gossip.SpaceID, _ gossip.DeviceID, s gossip.Stream) {
		if _, err := s.Recv(); err != nil {
			got <- err
			return
		}
		_, err := s.Recv()
		got <- err
	}
	s, err := a.Open(t.Context(), access.Space, b.device)
	must(t, err)
	must(t, s.Send([]byte("last")))
	must(t, s.Close())
	if err := next(t, got, "end of stream"); err != io.EOF {
		t.Fatalf("after Close the other end got %v, want io.EOF", err)
	}
}

// Published operations arrive in the order of their author.
func TestPublishArrivesInOrder(t *testing.T) {
	a, b, access := connected(t)
	awaitSubscribed(t, a, b, access)
	const count = 2000
	for i := range count {
		must(t, a.Publish(access.Space, fmt.Appendf(nil, "op %d", i)))
	}
	for i := 0; i < count; {
		f := next(t, b.frames, "frame")
		if f.Author != a.device || f.From != a.device || f.Space != access.Space {
			t.Fatalf("frame of %v from %v in %v", f.Author, f.From, f.Space)
		}
		for _, op := range f.Ops {
			if want := fmt.Sprintf("op %d", i); string(op) != want {
				t.Fatalf("got %q, want %q", op, want)
			}
			i++
		}
	}
}

// What is published before a peer subscribes is reported as lost to it, or arrives.
func TestPublishRightAfterPeerUpIsNotLostInSilence(t *testing.T) {
	a, b, access := connected(t)
	must(t, a.Publish(access.Space, []byte("early")))
	select {
	case <-b.frames:
	case l := <-a.losses:
		if l.peer != b.device {
			t.Fatalf("lost to %v, want %v", l.peer, b.device)
		}
	case l := <-b.losses:
		if l.peer != a.device {
			t.Fatalf("lost from %v, want %v", l.peer, a.device)
		}
	case <-time.After(patience):
		t.Fatal("neither frame nor loss")
	}
}

// What a device passes on for others, while it gossips to a new peer not yet, is reported as lost to that peer, for nobody else can know.
func TestARelayIsNotSilentAboutWhatDoesNotPassOn(t *testing.T) {
	hub, from, to := startNode(t, "hub"), startNode(t, "from"), startNode(t, "to")
	access := testAccess("one", hub.key, from.key, to.key)
	for _, n := range []*node{hub, from, to} {
		n.SetSpaces([]gossip.Access{access})
	}
	introduce(t, from, hub)
	awaitUp(t, hub, from)
	awaitSubscribed(t, from, hub, access)
	introduce(t, to, hub)
	awaitUp(t, hub, to)
	const count = 20
	for i := range count {
		must(t, from.Publish(access.Space, fmt.Append(nil, "op", i)))
		next(t, hub.frames, "frame at the hub")
	}
	for got, deadline := 0, time.After(patience); got < count; {
		select {
		case f := <-to.frames:
			got += len(f.Ops)
		case l := <-hub.losses:
			if l.peer == to.device {
				return
			}
		case l := <-to.losses:
			if l.peer == hub.device {
				return
			}
		case <-deadline:
			t.Fatalf("%d of %d frames arrived, and none is reported as lost", got, count)
		}
	}
}

// A device that is no member gets no connection, however often it dials.
func TestStrangerGetsNothing(t *testing.T) {
	a, b, access := connected(t)
	c := startNode(t, "c")
	c.SetSpaces([]gossip.Access{testAccess("one", a.key, b.key, c.key)}) // c believes that it is one
	introduce(t, c, a)
	if _, err := c.OpenJoin(t.Context(), a.device, a.Addrs()); !errors.Is(err, ErrJoinRefused) {
		t.Fatalf("OpenJoin = %v, want ErrJoinRefused", err)
	}
	awaitSubscribed(t, a, b, access)
	must(t, a.Publish(access.Space, []byte("secret")))
	next(t, b.frames, "frame at the member")
	select {
	case u := <-a.peersUp:
		t.Fatalf("the stranger came up at a: %v", u)
	case u := <-c.peersUp:
		t.Fatalf("a came up at the stranger: %v", u)
	case <-c.frames:
		t.Fatal("the stranger got a frame")
	default:
	}
}

// A member that holds another key is connected by nobody's standards.
func TestWrongKeyIsNoPeer(t *testing.T) {
	a, b := startNode(t, "a"), startNode(t, "b")
	access := testAccess("one", a.key, b.key)
	a.SetSpaces([]gossip.Access{access})
	other := access
	other.Key[0]++
	b.SetSpaces([]gossip.Access{other})
	introduce(t, a, b)
	// The connection proves nothing and is closed after HelloTimeout.
	eventually(t, "a connection", func() bool { return len(a.allLinks()) > 0 })
	first := a.allLinks()
	eventually(t, "the end of the unproven connection", func() bool {
		return !slices.ContainsFunc(first, func(l *link) bool { return !l.conn.IsClosed() })
	})
	if len(a.peersUp)+len(b.peersUp) > 0 {
		t.Fatal("came up with a wrong key")
	}
	if _, err := a.Open(t.Context(), access.Space, b.device); !errors.Is(err, ErrNotConnected) {
		t.Fatalf("Open = %v, want ErrNotConnected", err)
	}
	// Once the keys agree, the next hello passes.
	b.SetSpaces([]gossip.Access{access})
	awaitUp(t, a, b)
}

// While joinable, a stranger opens a join stream and nothing else; once it is a member, the same connection serves.
func TestStrangerMayOnlyJoin(t *testing.T) {
	a := startNode(t, "a")
	joiner := startNode(t, "joiner")
	a.SetSpaces([]gossip.Access{testAccess("one", a.key)})
	a.SetJoinable(true)

	s, err := joiner.OpenJoin(t.Context(), a.device, a.Addrs())
	must(t, err)
	must(t, s.Send([]byte("let me in")))
	if got, err := s.Recv(); err != nil || string(got) != "let me in" {
		t.Fatalf("join stream: %q, %v", got, err)
	}
	for _, protocol := range []string{string(sessionProtocol), "/meshsub/1.2.0"} {
		if !refused(t, joiner, a, protocol) {
			t.Errorf("a stranger opened %s", protocol)
		}
	}

	access := testAccess("one", a.key, joiner.key)
	a.SetSpaces([]gossip.Access{access})
	joiner.SetSpaces([]gossip.Access{access})
	awaitUp(t, a, joiner)
	must(t, s.Close())
}

// refused opens a raw stream from one node to another and reports whether nobody serves it.
func refused(t *testing.T, from, to *node, protocol string) bool {
	t.Helper()
	p, err := PeerID(to.device)
	must(t, err)
	conns := from.host.Network().ConnsToPeer(p)
	if len(conns) == 0 {
		t.Fatal("no connection")
	}
	raw, err := openStream(t.Context(), conns[0], libp2pproto.ID(protocol))
	must(t, err)
	s := newStream(raw, sessionMessageMax, sessionMessageMax)
	must(t, s.Send([]byte{0, 0}))
	return broken(t, s)
}

// A join request is bounded, and switching joining off ends what is not in progress.
func TestJoinIsBounded(t *testing.T) {
	a, joiner := startNode(t, "a"), startNode(t, "joiner")
	a.SetSpaces([]gossip.Access{testAccess("one", a.key)})
	a.SetJoinable(true)
	s, err := joiner.OpenJoin(t.Context(), a.device, a.Addrs())
	must(t, err)
	if err := s.Send(make([]byte, joinRequestMax+1)); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("Send = %v, want ErrTooLarge", err)
	}
	s.(*joinStream).sendMax = 2 * joinRequestMax
	must(t, s.Send(make([]byte, joinRequestMax+1)))
	if !broken(t, s) {
		t.Fatal("an oversize request was accepted")
	}
	must(t, s.Reset())
	a.SetJoinable(false)
	if _, err := joiner.OpenJoin(t.Context(), a.device, a.Addrs()); !errors.Is(err, ErrJoinRefused) {
		t.Fatalf("OpenJoin = %v, want ErrJoinRefused", err)
	}
}

// A join stream breaks when its handler neither returns nor asks for more time.
func TestJoinStreamHasALife(t *testing.T) {
	a, joiner := startNode(t, "a"), startNode(t, "joiner")
	ended := make(chan error, 1)
	a.join = func(_ gossip.DeviceID, s gossip.Stream) {
		must(t, s.SetDeadline(time.Now().Add(100*time.Millisecond)))
		_, err := s.Recv()
		ended <- err
	}
	a.SetSpaces([]gossip.Access{testAccess("one", a.key)})
	a.SetJoinable(true)
	s, err := joiner.OpenJoin(t.Context(), a.device, a.Addrs())
	must(t, err)
	if err := next(t, ended, "end of the join stream"); err == nil {
		t.Fatal("the stream outlived its deadline")
	}
	if !broken(t, s) {
		t.Fatal("the joiner's end is still open")
	}
}

// Removing a member closes its connection at once and keeps it out.
func TestRemovedMemberIsDisconnected(t *testing.T) {
	a, b, access := connected(t)
	a.SetSpaces([]gossip.Access{testAccess("one", a.key)})
	if got := next(t, a.peersDown, "PeerDown at a"); got.peer != b.device || got.space != access.Space {
		t.Fatalf("PeerDown %v", got)
	}
	if got := next(t, b.peersDown, "PeerDown at b"); got.peer != a.device {
		t.Fatalf("PeerDown %v", got)
	}
	if infos := a.Peers(); len(infos) != 0 {
		t.Fatalf("a still lists %v", infos)
	}
}

// A second space of two connected members comes up without a new connection, and goes down alone.
func TestSpacesComeAndGo(t *testing.T) {
	a, b, one := connected(t)
	two := testAccess("two", a.key, b.key)
	a.SetSpaces([]gossip.Access{one, two})
	b.SetSpaces([]gossip.Access{one, two})
	for _, n := range []*node{a, b} {
		if got := next(t, n.peersUp, "PeerUp in the second space"); got.space != two.Space {
			t.Fatalf("PeerUp in %v, want %v", got.space, two.Space)
		}
	}
	s, err := a.Open(t.Context(), two.Space, b.device)
	must(t, err)
	must(t, s.Close())
	a.SetSpaces([]gossip.Access{one})
	if got := next(t, a.peersDown, "PeerDown in the second space"); got.space != two.Space {
		t.Fatalf("PeerDown in %v, want %v", got.space, two.Space)
	}
	if _, err := a.Open(t.Context(), one.Space, b.device); err != nil {
		t.Fatalf("first space: %v", err)
	}
}

// Replacing the key on one device first does not part it from the others, who need a session to hear of the new key; frames
// flow again once both have it.
func TestKeyIsReplacedWithoutParting(t *testing.T) {
	a, b, access := connected(t)
	access.Key[0]++
	a.SetSpaces([]gossip.Access{access})
	s, err := b.Open(t.Context(), access.Space, a.device)
	must(t, err)
	must(t, s.Send([]byte("news?")))
	_, err = s.Recv()
	must(t, err)
	must(t, s.Close())
	b.SetSpaces([]gossip.Access{access})
	awaitSubscribed(t, a, b, access)
	must(t, a.Publish(access.Space, []byte("under the new key")))
	next(t, b.frames, "frame")
	if len(a.peersDown)+len(b.peersDown) > 0 {
		t.Error("the peers were parted")
	}
}

// Simultaneous dials leave two connections; the peer comes up once all the same.
func TestPeerComesUpOnce(t *testing.T) {
	a, b := startNode(t, "a"), startNode(t, "b")
	access := testAccess("one", a.key, b.key)
	introduce(t, a, b)
	introduce(t, b, a)
	a.SetSpaces([]gossip.Access{access})
	b.SetSpaces([]gossip.Access{access})
	awaitUp(t, a, b)
	s, err := a.Open(t.Context(), access.Space, b.device)
	must(t, err)
	must(t, s.Send([]byte("x")))
	_, err = s.Recv()
	must(t, err)
	must(t, s.Close())
	must(t, b.Close())
	next(t, a.peersDown, "PeerDown")
	if len(a.peersUp) != 0 || len(a.peersDown) != 0 {
		t.Fatalf("%d more PeerUp, %d more PeerDown", len(a.peersUp), len(a.peersDown))
	}
}

// A peer that restarts with the same key is found again and is not taken for a twin.
func TestReconnectAfterRestart(t *testing.T) {
	a, b, access := connected(t)
	addrs := b.Addrs()
	must(t, b.Close())
	next(t, a.peersDown, "PeerDown")
	b = startNode(t, "b", func(c *Config) { c.Listen = addrs })
	b.SetSpaces([]gossip.Access{access})
	awaitUp(t, a, b)
	select {
	case where := <-b.twins:
		t.Fatalf("a restart was taken for a twin at %s", where)
	default:
	}
}

// Two live processes with one key are told so by a peer that sees both.
// TestQUICThatComesToNothingIsFollowedByTCP: the other end ends every connection by QUIC as soon as it stands, as it does if one of the
// two clocks is outside the dates of the other's certificate.
func TestQUICThatComesToNothingIsFollowedByTCP(t *testing.T) {
	a, b := startNode(t, "a"), startNode(t, "b")
	b.host.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
		if isQUIC(c.LocalMultiaddr()) {
			go c.Close()
		}
	}})
	access := testAccess("shared", a.key, b.key)
	introduce(t, a, b) // but not b to a: it does not dial
	for _, n := range []*node{a, b} {
		n.SetSpaces([]gossip.Access{access})
	}
	for _, n := range []*node{a, b} {
		select {
		case <-n.peersUp:
		case <-time.After(patience):
			t.Fatal("the devices did not come together")
		}
	}
	if peers := a.Peers(); len(peers) != 1 || peers[0].Path != "lan tcp" {
		t.Errorf("connected: %+v", peers)
	}
}

func TestTwinsAreTold(t *testing.T) {
	a, b, access := connected(t)
	twin := startNode(t, "b")
	twin.SetSpaces([]gossip.Access{access})
	introduce(t, twin, a)
	for name, n := range map[string]*node{"first": b, "second": twin} {
		if where := next(t, n.twins, "Twin at the "+name); !strings.Contains(where, "127.0.0.1") {
			t.Errorf("twin of the %s is said to be at %q", name, where)
		}
	}
}

// A message longer than the other end accepts breaks the stream instead of the memory.
func TestOversizeMessageIsRefused(t *testing.T) {
	a, b, access := connected(t)
	s, err := a.Open(t.Context(), access.Space, b.device)
	must(t, err)
	if err := s.Send(make([]byte, sessionMessageMax+1)); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("Send = %v, want ErrTooLarge", err)
	}
	s.(*stream).sendMax = 2 * sessionMessageMax
	_ = s.Send(make([]byte, sessionMessageMax+1))
	if !broken(t, s) {
		t.Fatal("an oversize message was accepted")
	}
	if err := a.Publish(access.Space, make([]byte, frameMax)); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("Publish = %v, want ErrTooLarge", err)
	}
	next(t, a.losses, "loss of the oversize operation")
}

// The largest operation that Publish takes arrives.
func TestLargestOperationArrives(t *testing.T) {
	a, b, access := connected(t)
	awaitSubscribed(t, a, b, access)
	op := bytes.Repeat([]byte("y"), frameMax-frameMinimum-8)
	must(t, a.Publish(access.Space, op))
	if f := next(t, b.frames, "large frame"); len(f.Ops) != 1 || !bytes.Equal(f.Ops[0], op) {
		t.Fatal("the operation changed on the way")
	}
}

// A member cannot bring a forged frame: one sealed for the space but signed by a stranger, or tampered with.
func TestForgedFramesAreRejected(t *testing.T) {
	a, b, access := connected(t)
	awaitSubscribed(t, a, b, access)
	s, err := newSpace(access)
	must(t, err)
	forged := sealFrame(s, testKey("stranger"), [][]byte{[]byte("forged")})
	topic := a.gossip.channel(access.Space).topic
	must(t, topic.Publish(t.Context(), forged))
	must(t, a.Publish(access.Space, []byte("honest")))
	if f := next(t, b.frames, "frame"); string(f.Ops[0]) != "honest" {
		t.Fatalf("got %q first", f.Ops[0])
	}
}

// What a device wrote that is no member here yet is lost, and the bearer, which let it pass, is told of as the one to ask: who let the device in may
// not have been heard.
func TestAFrameOfANewMemberIsNotLostInSilence(t *testing.T) {
	hub, to, from := startNode(t, "hub"), startNode(t, "to"), startNode(t, "from")
	before, after := testAccess("one", hub.key, to.key), testAccess("one", hub.key, to.key, from.key)
	for _, n := range []*node{hub, from} {
		n.SetSpaces([]gossip.Access{after})
	}
	to.SetSpaces([]gossip.Access{before})
	introduce(t, to, hub)
	awaitUp(t, to, hub)
	introduce(t, from, hub)
	awaitUp(t, from, hub)
	awaitSubscribed(t, from, hub, after)
	awaitSubscribed(t, hub, to, after)
	count := 0
	eventually(t, "a loss", func() bool { // until the frames are passed on to it
		count++
		must(t, from.Publish(after.Space, fmt.Append(nil, "op", count)))
		select {
		case l := <-to.losses:
			return l.peer == hub.device
		case f := <-to.frames:
			t.Fatalf("a frame of a stranger came: %v", f)
		default:
		}
		return false
	})
}

// Garbage under the signature of a frame does not pass for the frame, which comes after it.
func TestGarbageDoesNotShadowAFrame(t *testing.T) {
	a, b, access := connected(t)
	awaitSubscribed(t, a, b, access)
	s, err := newSpace(access)
	must(t, err)
	frame := sealFrame(s, a.key, [][]byte{[]byte("true")})
	garbage := bytes.Clone(frame)
	garbage[len(garbage)-1]++
	topic := a.gossip.channel(access.Space).topic
	must(t, topic.Publish(t.Context(), garbage))
	must(t, topic.Publish(t.Context(), frame))
	must(t, a.Publish(access.Space, []byte("after")))
	if f := next(t, b.frames, "frame"); string(f.Ops[0]) != "true" {
		t.Errorf("got %q first", f.Ops[0])
	}
}

// The same frame is delivered once, however often it is sent.
func TestReplayedFrameIsDeliveredOnce(t *testing.T) {
	a, b, access := connected(t)
	awaitSubscribed(t, a, b, access)
	s, err := newSpace(access)
	must(t, err)
	frame := sealFrame(s, a.key, [][]byte{[]byte("once")})
	topic := a.gossip.channel(access.Space).topic
	for range 3 {
		must(t, topic.Publish(t.Context(), frame))
	}
	must(t, a.Publish(access.Space, []byte("after")))
	for _, want := range []string{"once", "after"} {
		if f := next(t, b.frames, "frame"); string(f.Ops[0]) != want {
			t.Fatalf("got %q, want %q", f.Ops[0], want)
		}
	}
}

// PeerInfo names the path and the addresses.
func TestPeersReportsThePath(t *testing.T) {
	a, b, _ := connected(t)
	infos := a.Peers()
	if len(infos) != 1 || infos[0].Device != b.device || !infos[0].Connected || infos[0].LastSeen.IsZero() {
		t.Fatalf("Peers = %+v", infos)
	}
	if !slices.Contains([]string{"lan tcp", "lan quic"}, infos[0].Path) {
		t.Errorf("path %q", infos[0].Path)
	}
	if len(infos[0].Addrs) == 0 {
		t.Error("no addresses")
	}
}

func TestBadAddressIsExplained(t *testing.T) {
	a := startNode(t, "a")
	b := deviceOfKey(testKey("b"))
	other, err := PeerID(deviceOfKey(testKey("c")))
	must(t, err)
	for bad, want := range map[string]string{
		"":                       "it is no multiaddr: empty multiaddr",
		"192.168.1.5:4001":       "it is no multiaddr: must begin with /",
		"/ip4/192.168.1.5":       "it is no address of TCP or QUIC",
		"/ip4/300.1.1.1/tcp/1":   `it is no multiaddr: invalid value "300.1.1.1" for protocol ip4`,
		"/ip4/10.0.0.1/tcp/x":    `it is no multiaddr: invalid value "x" for protocol tcp`,
		"/ip4/10.0.0.1/tcp/1/ws": "it is no address of TCP or QUIC",
		"/ip4/10.0.0.1/tcp/1/p2p/" + other.String(): "it is of another device than " + b.Short(),
	} {
		if err := a.AddAddr(b, bad); err == nil || err.Error() != want {
			t.Errorf("AddAddr(%q) = %v, want %s", bad, err, want)
		}
	}
}

func TestPortInUseIsRecognised(t *testing.T) {
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer tcp.Close()
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	must(t, err)
	defer udp.Close()
	for _, addr := range []string{
		fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", tcp.Addr().(*net.TCPAddr).Port),
		fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", udp.LocalAddr().(*net.UDPAddr).Port),
	} {
		cfg := testConfig()
		cfg.Listen = []string{addr}
		if err := New(cfg).Start(t.Context(), testKey("a"), newRecorder()); !errors.Is(err, ErrPortInUse) {
			t.Errorf("listen on %s: %v, want ErrPortInUse", addr, err)
		}
	}
	// Another Network counts as another process.
	first := startNode(t, "first")
	cfg := testConfig()
	cfg.Listen = first.Addrs()
	if err := New(cfg).Start(t.Context(), testKey("b"), newRecorder()); !errors.Is(err, ErrPortInUse) {
		t.Errorf("listen on a Network's port: %v, want ErrPortInUse", err)
	}
}

// A hand-added address is on disk at once and is dialled after a restart, without being told again.
func TestAddressBookSurvivesRestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "book.json")
	withBook := func(c *Config) { c.BookFile = file }
	a, b := startNode(t, "a", withBook), startNode(t, "b")
	introduce(t, a, b)
	must(t, a.Close())

	a = startNode(t, "a", withBook)
	access := testAccess("one", a.key, b.key)
	b.SetSpaces([]gossip.Access{access})
	a.SetSpaces([]gossip.Access{access})
	awaitUp(t, a, b)
}

// Nothing works after Close, and nothing hangs.
func TestClosedNetwork(t *testing.T) {
	a, b, access := connected(t)
	open := make(chan struct{})
	b.session = func(_ gossip.SpaceID, _ gossip.DeviceID, s gossip.Stream) {
		close(open)
		_, _ = s.Recv()
	}
	_, err := a.Open(t.Context(), access.Space, b.device)
	must(t, err)
	next(t, open, "session")
	must(t, b.Close())
	must(t, b.Close())
	if err := b.Publish(access.Space, []byte("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("Publish = %v, want ErrClosed", err)
	}
	if _, err := b.Open(t.Context(), access.Space, a.device); !errors.Is(err, ErrClosed) {
		t.Errorf("Open = %v, want ErrClosed", err)
	}
	b.SetSpaces(nil)
	b.SetJoinable(true)
	b.Redial()
}

// A connection whose other end falls silent is given up, although the transport believes in it for half a minute more, and
// the peer is reached another way.
func TestSilentConnectionIsGivenUp(t *testing.T) {
	a, b := startNode(t, "a"), startNode(t, "b", func(c *Config) { c.Listen = []string{"/ip4/127.0.0.1/tcp/0"} })
	wire := startProxy(t, b.host.Network().ListenAddresses()[0])
	access := testAccess("one", a.key, b.key)
	a.SetSpaces([]gossip.Access{access})
	b.SetSpaces([]gossip.Access{access})
	must(t, a.AddAddr(b.device, wire.addr))
	awaitUp(t, a, b)
	wire.cut()
	next(t, a.peersDown, "PeerDown at the dialer")
	introduce(t, a, b)
	next(t, a.peersUp, "PeerUp over another connection")
	// The listener may have seen the new connection before it gave up the old one, and then the peer was never down.
	eventually(t, "the listener to give up the silent connection", func() bool {
		return !slices.ContainsFunc(b.allLinks(), func(l *link) bool { return l.conn.RemoteMultiaddr().String() == wire.seenAs() })
	})
}

// A proxy carries TCP connections until it is cut: then it keeps them open and carries nothing.
type proxy struct {
	addr  string
	once  sync.Once
	dead  chan struct{}
	first sync.Once
	from  net.Addr // of the first connection, as the target sees it
}

func (p *proxy) seenAs() string {
	a, _ := manet.FromNetAddr(p.from)
	return a.String()
}

func (p *proxy) cut() { p.once.Do(func() { close(p.dead) }) }

func startProxy(t *testing.T, to ma.Multiaddr) *proxy {
	t.Helper()
	target, err := manet.ToNetAddr(to)
	must(t, err)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	p := &proxy{addr: fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", l.Addr().(*net.TCPAddr).Port), dead: make(chan struct{})}
	var conns sync.WaitGroup
	ended := make(chan struct{})
	conns.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { p.carry(near, target.String(), &conns, ended) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		close(ended)
		conns.Wait()
	})
	return p
}

func (p *proxy) carry(near net.Conn, to string, conns *sync.WaitGroup, ended <-chan struct{}) {
	defer near.Close()
	far, err := net.Dial("tcp4", to)
	if err != nil {
		return
	}
	defer far.Close()
	p.first.Do(func() { p.from = far.LocalAddr() })
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		conns.Go(func() {
			buf := make([]byte, 64<<10)
			for {
				n, err := way[0].Read(buf)
				if err != nil {
					return
				}
				select {
				case <-p.dead:
					continue
				default:
				}
				if _, err := way[1].Write(buf[:n]); err != nil {
					return
				}
			}
		})
	}
	<-ended
}

func TestOpenJoinGivesUpWithItsContext(t *testing.T) {
	a := startNode(t, "a")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := a.OpenJoin(ctx, deviceOfKey(testKey("nobody")), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("OpenJoin = %v, want a deadline error", err)
	}
}

// An inviter without a known address is reached once discovery finds it.
func TestOpenJoinUsesDiscovery(t *testing.T) {
	a, joiner := startNode(t, "a"), startNode(t, "joiner")
	a.SetSpaces([]gossip.Access{testAccess("one", a.key)})
	a.SetJoinable(true)
	opened := make(chan error, 1)
	go func() {
		_, err := joiner.OpenJoin(t.Context(), a.device, nil)
		opened <- err
	}()
	joiner.discovery.take("some-instance", a.discovery.records())
	must(t, next(t, opened, "join stream"))
}

// An advert with our own id proves nothing, whoever listens where it points; a process there that holds our key does.
func TestOnlyTheKeyProvesATwin(t *testing.T) {
	a, other := startNode(t, "a"), startNode(t, "other")
	tcp := func(n *node) ma.Multiaddr {
		addrs := slices.DeleteFunc(n.localAddrs(), isQUIC)
		return addrs[0]
	}
	for what, addr := range map[string]string{
		"a device with another key": tcp(other).String(),
		"a relay to ourselves":      startProxy(t, tcp(a)).addr,
		"nobody":                    "/ip4/127.0.0.1/tcp/1",
	} {
		a.discovery.take("forged", []string{txtDevice + a.device.String(), txtAddr + addr})
		awaitProbe(t, a)
		if a.caughtUp(); len(a.twins) != 0 {
			t.Fatalf("%s was taken for a twin", what)
		}
	}
	a.discovery.take("earlier-process", a.discovery.records())
	if !a.prober.last.IsZero() {
		t.Error("an own address was probed")
	}
	twin := startNode(t, "a")
	a.discovery.take("other-process", twin.discovery.records())
	if where := next(t, a.twins, "Twin"); where != tcp(twin).String() {
		t.Errorf("twin at %q, want %v", where, tcp(twin))
	}
}

// awaitProbe waits for the end of the probe that an advert caused, and lets the next one begin at once.
func awaitProbe(t *testing.T, n *node) {
	t.Helper()
	eventually(t, "the end of a probe", func() bool {
		n.prober.mu.Lock()
		defer n.prober.mu.Unlock()
		if n.prober.busy || n.prober.last.IsZero() {
			return false
		}
		n.prober.last = time.Time{}
		return true
	})
}

// An advert may name addresses of this network only, as numbers, and not our loopback.
func TestAdvertsNameTheLocalNetworkOnly(t *testing.T) {
	for text, want := range map[string]bool{
		"/ip4/192.168.1.5/tcp/1": true, "/ip4/10.1.2.3/udp/1/quic-v1": true, "/ip6/fd00::1/tcp/1": true,
		"/ip4/127.0.0.1/tcp/1": false, "/ip6/::1/tcp/1": false, "/ip4/203.0.113.9/tcp/1": false,
		"/dns4/nas.local/tcp/1": false, "/dns/example.org/tcp/1": false,
	} {
		if got := onLAN(ma.StringCast(text)); got != want {
			t.Errorf("onLAN(%s) = %v", text, got)
		}
	}
}

// The same advert again, or another one at once, does not make a member due.
func TestRepeatedAdvertsAreNoNews(t *testing.T) {
	a := startNode(t, "a")
	p, err := PeerID(deviceOfKey(testKey("b")))
	must(t, err)
	d := a.discovery
	if !d.isNews(p, []string{"x", "y"}) || d.isNews(p, []string{"y", "x"}) || d.isNews(p, []string{"z"}) {
		t.Error("news is what is new and not too soon")
	}
	d.news[p] = news{[]string{"x", "y"}, time.Now().Add(-2 * advertPause)}
	if d.isNews(p, []string{"y", "x"}) || !d.isNews(p, []string{"z"}) {
		t.Error("later, only another set of addresses is news")
	}
}

// A member that discovery finds is dialled at once.
func TestFoundMemberIsDialled(t *testing.T) {
	a, b := startNode(t, "a"), startNode(t, "b")
	access := testAccess("one", a.key, b.key)
	a.SetSpaces([]gossip.Access{access})
	b.SetSpaces([]gossip.Access{access})
	a.discovery.take("some-instance", b.discovery.records())
	awaitUp(t, a, b)
}

func TestReachableAddresses(t *testing.T) {
	listening := parseAddrs([]string{"/ip4/0.0.0.0/tcp/4001", "/ip4/127.0.0.1/tcp/4002"})
	lan := []iface{{addrs: []net.IP{net.ParseIP("192.168.1.5")}}}
	lo := []iface{{addrs: []net.IP{net.ParseIP("127.0.0.1")}}}
	for _, c := range []struct {
		ifaces []iface
		want   []string
	}{
		{lan, []string{"/ip4/192.168.1.5/tcp/4001"}},
		{lo, []string{"/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/tcp/4002"}},
		{nil, []string{"/ip4/127.0.0.1/tcp/4002"}},
	} {
		if got := addrStrings(reachable(listening, c.ifaces)); !slices.Equal(got, c.want) {
			t.Errorf("reachable over %v = %v, want %v", c.ifaces, got, c.want)
		}
	}
}

func TestPathNamesDistanceAndTransport(t *testing.T) {
	for addr, want := range map[string]string{
		"/ip4/192.168.1.5/tcp/1": "lan tcp", "/ip4/127.0.0.1/udp/1/quic-v1": "lan quic",
		"/ip4/203.0.113.9/tcp/1": "direct tcp", "/ip6/2001:db8::1/udp/1/quic-v1": "direct quic", "/ip6/fe80::1/tcp/1": "lan tcp",
	} {
		if got := path(ma.StringCast(addr)); got != want {
			t.Errorf("path(%s) = %q, want %q", addr, got, want)
		}
	}
}

func TestSleepIsWallTimeThatDidNotPass(t *testing.T) {
	for _, c := range []struct {
		wall, monotonic time.Duration
		want            bool
	}{
		{2 * time.Second, 2 * time.Second, false},
		{time.Minute, time.Minute, false}, // a busy machine
		{time.Hour, 2 * time.Second, true},
		{-time.Hour, 2 * time.Second, false}, // a clock set back
	} {
		if got := asleep(c.wall, c.monotonic); got != c.want {
			t.Errorf("asleep(%v, %v) = %v", c.wall, c.monotonic, got)
		}
	}
}
