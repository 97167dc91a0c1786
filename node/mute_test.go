package node_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"syncline/gossip"
	"syncline/gossip/p2p"
	"syncline/node"
)

// A mute is a network whose sessions fall silent in the middle while muted is set: after a few messages nothing is read any more and
// nothing is sent, and the connection stays. ended hears of each session that this device breaks off.
type mute struct {
	gossip.Network
	muted atomic.Bool
	stuck chan struct{} // a session has fallen silent
	ended chan struct{}
}

func newMute() *mute {
	return &mute{Network: p2p.New(p2p.Config{NoLAN: true, Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}}),
		stuck: make(chan struct{}, 100), ended: make(chan struct{}, 100)}
}

func (m *mute) Start(ctx context.Context, key ed25519.PrivateKey, h gossip.Handler) error {
	return m.Network.Start(ctx, key, muteHandler{h, m})
}

func (m *mute) Open(ctx context.Context, s gossip.SpaceID, p gossip.DeviceID) (gossip.Stream, error) {
	conn, err := m.Network.Open(ctx, s, p)
	if err != nil {
		return nil, err
	}
	return &muteStream{Stream: conn, m: m, over: make(chan struct{})}, nil
}

type muteHandler struct {
	gossip.Handler
	m *mute
}

func (h muteHandler) Session(s gossip.SpaceID, p gossip.DeviceID, conn gossip.Stream) {
	h.Handler.Session(s, p, &muteStream{Stream: conn, m: h.m, over: make(chan struct{})})
}

type muteStream struct {
	gossip.Stream
	m     *mute
	bytes atomic.Int64 // that were read
	reset atomic.Bool
	over  chan struct{}
}

// muteAfter is how much a session gets before it falls silent: the beginning of an answer.
const muteAfter = 300 << 10

func (s *muteStream) Recv() ([]byte, error) {
	if s.m.muted.Load() && s.bytes.Load() > muteAfter {
		s.m.stuck <- struct{}{}
		<-s.over
		return nil, io.ErrUnexpectedEOF
	}
	msg, err := s.Stream.Recv()
	s.bytes.Add(int64(len(msg)))
	return msg, err
}

func (s *muteStream) Reset() error {
	if s.reset.CompareAndSwap(false, true) {
		s.m.ended <- struct{}{}
		close(s.over)
	}
	return s.Stream.Reset()
}

// TestADeviceThatFallsSilentHoldsUpNobody: over real connections, a newcomer reads a part of a large answer and nothing more, while it
// stays connected. The device that answers serves another newcomer meanwhile, takes writes and hands them on, and keeps little for the
// silent one; it breaks that session off after its time, and the next one brings everything.
func TestADeviceThatFallsSilentHoldsUpNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the end of a silent session, which takes 30 s; run it without -short")
	}
	// Not in parallel: it measures the heap.
	const large, value = 24_000, 1000 // more than the windows of a connection hold
	host, silent, other := newMute(), newMute(), newMute()
	a := open(t, node.Config{Name: "host", Dir: t.TempDir(), Network: host})
	fill(t, a, "large", large, value)

	silent.muted.Store(true)
	b := open(t, node.Config{Name: "silent", Dir: t.TempDir(), Network: silent})
	join(t, a, b)
	expect(t, silent.stuck, "a session that falls silent")

	c := open(t, node.Config{Name: "other", Dir: t.TempDir(), Network: other})
	join(t, a, c)
	awaitEntries(t, space(t, c), large)
	before := heap()
	fill(t, a, "more", large, value)
	awaitEntries(t, space(t, c), 2*large)
	grown := int64(heap() - before)
	for end := time.Now().Add(10 * time.Second); grown > large*value/2 && time.Now().Before(end); grown = int64(heap() - before) {
		time.Sleep(50 * time.Millisecond) // a database holds a large batch until it has written it into a table
	}
	t.Logf("%d KiB more of heap after %d KiB that the silent device did not take", grown>>10, large*value>>10)
	if grown > large*value/2 {
		t.Errorf("what a silent device does not take is kept in memory: %d of %d bytes", grown, large*value)
	}
	if space(t, b).Head().Entries >= large {
		t.Fatal("the silent device has everything: the test shows nothing")
	}

	expect(t, host.ended, "the end of the silent session")
	silent.muted.Store(false)
	awaitEntries(t, space(t, b), 2*large)
}

// expect waits for something that needs longer than a request may take.
func expect(t testing.TB, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(2 * time.Minute):
		t.Fatalf("waited for %s in vain", what)
	}
}

// fill writes many values in transactions.
func fill(t testing.TB, n *node.Node, under string, count, size int) {
	t.Helper()
	value := make([]byte, size)
	rand.NewChaCha8([32]byte{}).Read(value)
	for i := 0; i < count; i += 1000 {
		_, err := space(t, n).Tx(context.Background(), func(tx *node.Tx) error {
			for k := i; k < min(i+1000, count); k++ {
				binary.BigEndian.PutUint64(value, uint64(k))
				tx.Put(fmt.Sprintf("%s/%06d", under, k), node.Bytes(bytes.Clone(value)))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
