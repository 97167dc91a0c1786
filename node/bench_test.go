package node_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncline/gossip/p2p"
	"syncline/node"
	"syncline/node/nodetest"
)

// The benchmarks go through the Go API with 64-byte values; docs/PERFORMANCE.md compares them with the targets.

var value64 = node.Bytes([]byte("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"))

func benchPuts(b *testing.B, cfg node.Config, writers, paths int) {
	cfg.Dir = b.TempDir()
	sp := space(b, open(b, cfg))
	ctx := context.Background()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if _, err := sp.Put(ctx, fmt.Sprintf("bench/%06d", i%int64(paths)), value64); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
}

// BenchmarkPut writes 100,000 paths in turn, "again" 10,000, which a device that writes the same entries over and over is nearer to, and
// "turns" as many as peer dev --bench.
func BenchmarkPut(b *testing.B) {
	for _, writers := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("synced/writers=%d", writers), func(b *testing.B) { benchPuts(b, node.Config{}, writers, 100_000) })
		b.Run(fmt.Sprintf("relaxed/writers=%d", writers), func(b *testing.B) { benchPuts(b, node.Config{Relaxed: true}, writers, 100_000) })
		b.Run(fmt.Sprintf("relaxed/again/writers=%d", writers), func(b *testing.B) { benchPuts(b, node.Config{Relaxed: true}, writers, 10_000) })
		b.Run(fmt.Sprintf("relaxed/turns/writers=%d", writers), func(b *testing.B) { benchPuts(b, node.Config{Relaxed: true}, writers, 25_600) })
	}
}

func BenchmarkPutTx1000(b *testing.B) {
	for _, relaxed := range []bool{false, true} {
		b.Run(map[bool]string{false: "synced", true: "relaxed"}[relaxed], func(b *testing.B) {
			sp := space(b, open(b, node.Config{Dir: b.TempDir(), Relaxed: relaxed}))
			b.ResetTimer()
			for i := 0; i < b.N; i++ {
				putThousand(b, sp, i)
			}
			b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "puts/s")
		})
	}
}

// putThousand writes the i-th thousand of a hundred thousand keys as one transaction.
func putThousand(b testing.TB, sp *node.Space, i int) {
	_, err := sp.Tx(context.Background(), func(tx *node.Tx) error {
		for k := range 1000 {
			tx.Put(fmt.Sprintf("bench/%06d", (i*1000+k)%100_000), value64)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

func BenchmarkGet(b *testing.B) {
	sp := space(b, open(b, node.Config{Dir: b.TempDir()}))
	for i := range 100 {
		putThousand(b, sp, i)
	}
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		if _, err := sp.Get(context.Background(), fmt.Sprintf("bench/%06d", i*7919%100_000)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCatchUp measures how long an empty device needs for 100,000 entries that another holds, from the moment they are
// joined, over the network in memory and over libp2p on loopback.
func BenchmarkCatchUp(b *testing.B) {
	hub := new(nodetest.Hub)
	nets := map[string]func() node.Config{
		"memory": func() node.Config { return node.Config{Network: hub.New()} },
		"p2p":    func() node.Config { return node.Config{Network: p2p.New(p2p.Config{NoLAN: true})} },
	}
	for _, kind := range []string{"memory", "p2p"} {
		b.Run(kind, func(b *testing.B) {
			cfg := nets[kind]()
			cfg.Dir = b.TempDir()
			a := open(b, cfg)
			for i := range 100 {
				putThousand(b, space(b, a), i)
			}
			b.ResetTimer()
			for i := 0; i < b.N; i++ {
				b.StopTimer()
				cfg := nets[kind]()
				cfg.Dir = b.TempDir()
				c := open(b, cfg)
				b.StartTimer()
				join(b, a, c)
				awaitEntries(b, space(b, c), 100_000)
				b.StopTimer()
				c.Close()
				b.StartTimer()
			}
		})
	}
}

func awaitEntries(b testing.TB, sp *node.Space, n int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		page, err := sp.Changes(ctx, node.ChangesOptions{Since: node.CursorNow})
		if err != nil {
			b.Fatal(err)
		}
		st := sp.Head()
		if st.Entries >= n {
			return
		}
		if _, err = sp.Changes(ctx, node.ChangesOptions{Since: page.Cursor, Limit: 1, Wait: time.Second}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPutVisible measures the time from the begin of a put on one device until another shows it, one put at a time with a pause between,
// as a person writes. BenchmarkPublishVisible of package p2p measures bare gossipsub in the same way.
func BenchmarkPutVisible(b *testing.B) {
	a := open(b, node.Config{Dir: b.TempDir(), Network: p2p.New(p2p.Config{NoLAN: true})})
	c := open(b, node.Config{Dir: b.TempDir(), Network: p2p.New(p2p.Config{NoLAN: true})})
	join(b, a, c)
	sa, sc := space(b, a), space(b, c)
	seen := make(chan string, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for ev, err := range sc.Watch(ctx, "ping", "") {
			if err != nil {
				return
			}
			if e := ev.Change.Entry; e != nil {
				seen <- string(e.Shown().Data)
			}
		}
	}()
	put := func(i int) {
		want := fmt.Sprintf("%064d", i)
		if _, err := sa.Put(ctx, "ping", node.Text(want)); err != nil {
			b.Fatal(err)
		}
		for got := range seen {
			if got == want {
				return
			}
		}
	}
	put(-1)
	var all []time.Duration
	for i := 0; b.Loop(); i++ {
		time.Sleep(5 * time.Millisecond)
		start := time.Now()
		put(i)
		all = append(all, time.Since(start))
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
}
