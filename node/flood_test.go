package node_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncline/gossip"
	"syncline/gossip/p2p"
	"syncline/node"
)

// A sluggish network takes frames of gossip slowly, as a weak device does, until something is lost by that.
type sluggish struct {
	gossip.Network
	per    time.Duration // for each frame
	frames atomic.Int64
	lost   atomic.Int64
}

func (s *sluggish) Start(ctx context.Context, key ed25519.PrivateKey, h gossip.Handler) error {
	return s.Network.Start(ctx, key, sluggishHandler{h, s})
}

type sluggishHandler struct {
	gossip.Handler
	s *sluggish
}

func (h sluggishHandler) Frame(f gossip.Frame) {
	h.s.frames.Add(1)
	if h.s.lost.Load() == 0 {
		time.Sleep(h.s.per)
	}
	h.Handler.Frame(f)
}

func (h sluggishHandler) Lost(s gossip.SpaceID, p gossip.DeviceID) {
	h.s.lost.Add(1)
	h.Handler.Lost(s, p)
}

// TestAFloodOfGossipArrives: a device writes as fast as it can to one that is far slower. How many records a second that is depends on
// the machine, and is printed. Whatever it is, short queues overflow on the way; sessions bring what they lost, and in the end the other has everything.
func TestAFloodOfGossipArrives(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 160,000 records; run it without -short")
	}
	const writers, rounds, records, size = 16, 100, 100, 400
	loopback := func(per time.Duration) *sluggish {
		return &sluggish{per: per, Network: p2p.New(p2p.Config{NoLAN: true, PeerQueue: 16, Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}})}
	}
	fast, weak := loopback(0), loopback(300*time.Millisecond)
	a := open(t, node.Config{Name: "fast", Dir: t.TempDir(), Network: fast, Relaxed: true})
	b := open(t, node.Config{Name: "weak", Dir: t.TempDir(), Network: weak, Relaxed: true})
	join(t, a, b)
	put := func(path string) {
		t.Helper()
		if _, err := space(t, a).Put(within(t), path, node.Text("1")); err != nil {
			t.Fatal(err)
		}
	}
	put("first")
	await(t, space(t, b), "first", "1")

	value := make([]byte, size)
	rand.NewChaCha8([32]byte{}).Read(value)
	start := time.Now()
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			value := bytes.Clone(value)
			for i := range rounds {
				_, err := space(t, a).Tx(context.Background(), func(tx *node.Tx) error {
					for k := range records {
						binary.BigEndian.PutUint64(value, uint64(w*rounds*records+i*records+k))
						tx.Put(fmt.Sprintf("flood/%02d/%06d", w, i*records+k), node.Bytes(bytes.Clone(value)))
					}
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	took := time.Since(start)
	put("last")
	const count = writers * rounds * records
	awaitEntries(t, space(t, b), count+2)
	t.Logf("%d records in %v, %.0f a second; all there %v after the first; %d frames arrived, %d losses were told", count, took.Round(time.Millisecond),
		count/took.Seconds(), time.Since(start).Round(time.Millisecond), weak.frames.Load(), fast.lost.Load()+weak.lost.Load())
	if weak.lost.Load()+fast.lost.Load() == 0 {
		t.Error("no queue has overflowed: the test shows nothing")
	}
	put("after")
	await(t, space(t, b), "after", "1")
}
