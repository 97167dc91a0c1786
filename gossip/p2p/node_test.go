package p2p

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"syncline/gossip"
)

// patience bounds every wait of a test; nothing is expected to take a tenth of it.
const patience = 30 * time.Second

// testKey derives the key of a device from its name.
func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("device " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func testAccess(name string, members ...ed25519.PrivateKey) gossip.Access {
	a := gossip.Access{Space: sha256.Sum256([]byte("space " + name)), Key: sha256.Sum256([]byte("key " + name))}
	for _, m := range members {
		a.Members = append(a.Members, deviceOfKey(m))
	}
	return a
}

type peerEvent struct {
	space gossip.SpaceID
	peer  gossip.DeviceID
}

// A recorder is a Handler that queues what it hears for a test to wait for.
type recorder struct {
	peersUp, peersDown, losses chan peerEvent
	frames                     chan gossip.Frame
	sluggish                   atomic.Int64 // how long each frame takes, a time.Duration
	twins                      chan string
	session                    func(gossip.SpaceID, gossip.DeviceID, gossip.Stream)
	join                       func(gossip.DeviceID, gossip.Stream)
}

func newRecorder() *recorder {
	return &recorder{
		peersUp: make(chan peerEvent, 4096), peersDown: make(chan peerEvent, 4096), losses: make(chan peerEvent, 4096),
		frames: make(chan gossip.Frame, 65536), twins: make(chan string, 64),
		session: func(_ gossip.SpaceID, _ gossip.DeviceID, s gossip.Stream) { echo(s) },
		join:    func(_ gossip.DeviceID, s gossip.Stream) { echo(s) },
	}
}

// echo sends back every message until the other end closes.
func echo(s gossip.Stream) {
	for {
		msg, err := s.Recv()
		if err != nil || s.Send(msg) != nil {
			return
		}
	}
}

func (r *recorder) PeerUp(s gossip.SpaceID, p gossip.DeviceID)   { r.peersUp <- peerEvent{s, p} }
func (r *recorder) PeerDown(s gossip.SpaceID, p gossip.DeviceID) { r.peersDown <- peerEvent{s, p} }
func (r *recorder) Lost(s gossip.SpaceID, p gossip.DeviceID)     { r.losses <- peerEvent{s, p} }
func (r *recorder) Frame(f gossip.Frame) {
	time.Sleep(time.Duration(r.sluggish.Load()))
	r.frames <- f
}
func (r *recorder) Twin(where string)                       { r.twins <- where }
func (r *recorder) Join(p gossip.DeviceID, s gossip.Stream) { r.join(p, s) }
func (r *recorder) Session(id gossip.SpaceID, p gossip.DeviceID, s gossip.Stream) {
	r.session(id, p, s)
}

// A node is a Network under test with its handler and identity.
type node struct {
	*Network
	*recorder
	key    ed25519.PrivateKey
	device gossip.DeviceID
}

// testConfig listens on loopback only and reacts fast.
func testConfig() Config {
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("P2P_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return Config{
		Listen:    []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"},
		NoLAN:     true,
		Logger:    log,
		RedialMin: 50 * time.Millisecond, RedialMax: 200 * time.Millisecond,
		PingEvery: 500 * time.Millisecond, PingTimeout: time.Second, HelloTimeout: 3 * time.Second,
	}
}

func startNode(t testing.TB, name string, change ...func(*Config)) *node {
	t.Helper()
	cfg := testConfig()
	for _, c := range change {
		c(&cfg)
	}
	n := &node{Network: New(cfg), recorder: newRecorder(), key: testKey(name)}
	n.device = deviceOfKey(n.key)
	if err := n.Start(t.Context(), n.key, n.recorder); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	n.discovery.credible = dialable // also loopback, where all nodes of a test are
	t.Cleanup(func() { _ = n.Network.Close() })
	return n
}

func (n *node) Close() error { return n.Network.Close() }

// introduce tells a where b listens.
func introduce(t testing.TB, a, b *node) {
	t.Helper()
	for _, addr := range b.Addrs() {
		if err := a.AddAddr(b.device, addr); err != nil {
			t.Fatal(err)
		}
	}
}

// connected starts two nodes that share the space and waits until each reports the other.
func connected(t testing.TB, change ...func(*Config)) (a, b *node, access gossip.Access) {
	t.Helper()
	a, b = startNode(t, "a", change...), startNode(t, "b", change...)
	access = testAccess("one", a.key, b.key)
	a.SetSpaces([]gossip.Access{access})
	b.SetSpaces([]gossip.Access{access})
	introduce(t, a, b)
	awaitUp(t, a, b)
	return a, b, access
}

func awaitUp(t testing.TB, a, b *node) {
	t.Helper()
	if got := next(t, a.peersUp, "PeerUp at the first"); got.peer != b.device {
		t.Fatalf("PeerUp for %v, want %v", got.peer, b.device)
	}
	if got := next(t, b.peersUp, "PeerUp at the second"); got.peer != a.device {
		t.Fatalf("PeerUp for %v, want %v", got.peer, a.device)
	}
}

// next waits for one value of c.
func next[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s within %v", what, patience)
		panic("unreachable")
	}
}

// awaitSubscribed returns once the gossip stream from a to b carries the space: before, what a publishes is lost to b.
func awaitSubscribed(t testing.TB, a, b *node, access gossip.Access) {
	t.Helper()
	p, err := PeerID(b.device)
	if err != nil {
		t.Fatal(err)
	}
	topic := a.gossip.channel(access.Space).topic
	eventually(t, "the gossip subscription", func() bool { return slices.Contains(topic.ListPeers(), p) })
}

// eventually waits for a condition that no event announces.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited %v in vain for %s", patience, what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// broken reports whether the other end ended the stream within the test's patience.
func broken(t testing.TB, s gossip.Stream) bool {
	t.Helper()
	if err := s.SetDeadline(time.Now().Add(patience)); err != nil {
		return true
	}
	_, err := s.Recv()
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var _ io.Reader = zeroReader{}

// zeroReader makes golden bytes reproducible.
type zeroReader struct{}

func (zeroReader) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
