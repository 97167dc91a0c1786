package p2p

import (
	"fmt"
	"slices"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"syncline/gossip"
)

// benchmarkOp is about as long as one small put.
var benchmarkOp = []byte("an operation of about one hundred bytes: a dot, a timestamp, a path, a value and what it supersedes...")

// numbered returns benchmarkOp, different for each n, because a message whose content was seen before does not travel again.
func numbered(n int) []byte {
	return fmt.Appendf(benchmarkOp[:len(benchmarkOp):len(benchmarkOp)], "%d", n)
}

// reportMedian times calls of once, one at a time with a pause between, as a person writes.
func reportMedian(b *testing.B, once func()) {
	var all []time.Duration
	for b.Loop() {
		start := time.Now()
		once()
		all = append(all, time.Since(start))
		time.Sleep(2 * time.Millisecond)
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkPublishVisible compares, between the same kind of hosts on loopback, how long an operation takes from Publish to
// the other end's handler with what bare gossipsub needs for the same bytes.
func BenchmarkPublishVisible(b *testing.B) {
	for _, transport := range []string{"tcp/0", "udp/0/quic-v1"} {
		listen := func(c *Config) { c.Listen = []string{"/ip4/127.0.0.1/" + transport} }
		name := transport[:3]
		b.Run("syncline/"+name, func(b *testing.B) {
			from, to, access := connected(b, listen)
			awaitSubscribed(b, from, to, access)
			count := 0
			reportMedian(b, func() {
				count++
				must(b, from.Publish(access.Space, numbered(count)))
				next(b, to.frames, "frame")
			})
		})
		for policy, options := range map[string][]pubsub.Option{
			"unsigned": {pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor()},
			"signed":   {pubsub.WithMessageSignaturePolicy(pubsub.StrictSign)}, // gossipsub's default
		} {
			b.Run("bare-"+policy+"/"+name, func(b *testing.B) {
				publish, arrived := barePair(b, listen, options)
				reportMedian(b, func() {
					publish()
					next(b, arrived, "message")
				})
			})
		}
	}
}

// barePair connects two hosts by gossipsub alone, without our frames and admission.
func barePair(b *testing.B, listen func(*Config), options []pubsub.Option) (publish func(), arrived <-chan *pubsub.Message) {
	from, to := startNode(b, "bare a", listen), startNode(b, "bare b", listen)
	access := testAccess("bare", from.key, to.key)
	for _, n := range []*node{from, to} {
		r, err := newRoster(n.device, []gossip.Access{access})
		must(b, err)
		n.gate.setMembers(r)
	}
	var topics []*pubsub.Topic
	for _, n := range []*node{from, to} {
		ps, err := pubsub.NewGossipSub(b.Context(), n.host, append(options, pubsub.WithGossipSubParams(gossipParams()),
			pubsub.WithMessageIdFn(func(m *pb.Message) string { return string(m.GetData()) }))...)
		must(b, err)
		topic, err := ps.Join("bare")
		must(b, err)
		topics = append(topics, topic)
	}
	sub, err := topics[1].Subscribe()
	must(b, err)
	must(b, from.host.Connect(b.Context(), peer.AddrInfo{ID: to.host.ID(), Addrs: to.localAddrs()}))
	eventually(b, "subscription", func() bool { return len(topics[0].ListPeers()) == 1 })
	out := make(chan *pubsub.Message, 1)
	go func() {
		for {
			m, err := sub.Next(b.Context())
			if err != nil {
				return
			}
			out <- m
		}
	}()
	count := 0
	return func() {
		count++
		must(b, topics[0].Publish(b.Context(), numbered(count)))
	}, out
}

// BenchmarkPublishThroughput reports how many small operations a second arrive when the publisher keeps at most a window of
// them on the way.
func BenchmarkPublishThroughput(b *testing.B) {
	from, to, access := connected(b)
	awaitSubscribed(b, from, to, access)
	const window = 4096
	sent, got := 0, 0
	b.ResetTimer()
	start := time.Now()
	for got < b.N {
		for sent < b.N && sent-got < window {
			must(b, from.Publish(access.Space, numbered(sent)))
			sent++
		}
		got += len(next(b, to.frames, "frame").Ops)
	}
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "ops/s")
}

func BenchmarkSealFrame(b *testing.B) {
	key := testKey("a")
	s := testSpace(b, "one", key)
	ops := [][]byte{benchmarkOp}
	b.ReportAllocs()
	for b.Loop() {
		sealFrame(s, key, ops)
	}
}

func BenchmarkOpenFrame(b *testing.B) {
	key := testKey("a")
	s := testSpace(b, "one", key)
	frame := sealFrame(s, key, [][]byte{benchmarkOp})
	b.ReportAllocs()
	for b.Loop() {
		_, _, err := openFrame(s, frame)
		must(b, err)
	}
}
