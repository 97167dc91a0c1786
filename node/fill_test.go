package node_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"syncline/node"
	"syncline/node/nodetest"
)

// TestFirstSyncRunsInBoundedMemory: a newcomer takes over a state that is larger than what both ends together may hold in memory beyond
// what they hold when idle. SYNCLINE_FILL_MIB sets another size of the state, for measurements.
func TestFirstSyncRunsInBoundedMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it writes 192 MiB to disk and takes some seconds; run without -short")
	}
	mib, most := 192, 2*128
	if n, err := strconv.Atoi(os.Getenv("SYNCLINE_FILL_MIB")); err == nil {
		mib = n
	}
	const each = 4 << 10
	entries := mib << 20 / each
	var hub nodetest.Hub
	a := open(t, node.Config{Dir: t.TempDir(), Network: hub.New(), Relaxed: true})
	b := open(t, node.Config{Dir: t.TempDir(), Network: hub.New(), Relaxed: true})
	noise := rand.NewChaCha8([32]byte{1})
	for i := 0; i < entries; i += 1000 {
		_, err := space(t, a).Tx(within(t), func(tx *node.Tx) error {
			for k := i; k < min(i+1000, entries); k++ {
				data := make([]byte, each)
				noise.Read(data)
				tx.Put(fmt.Sprintf("files/%07d", k), node.Bytes(data))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	idle := heap()
	var peak atomic.Uint64
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if n := inUse(); n > peak.Load() {
				peak.Store(n)
			}
			time.Sleep(3 * time.Millisecond)
		}
	}()
	begin := time.Now()
	join(t, a, b)
	sb, parts, wrote := space(t, b), 0, false
	for deadline := time.Now().Add(5 * time.Minute); sb.Head().Entries < entries; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d entries came", sb.Head().Entries, entries)
		}
		if n := sb.Head().Entries; n > 0 {
			parts++
			if !wrote { // while it fills it reads and writes
				wrote = true
				if _, err := sb.Get(within(t), "files/0000000"); err != nil {
					t.Error(err)
				}
				if _, err := sb.Put(within(t), fmt.Sprintf("files/%07d", entries-1), node.Text("mine")); err != nil {
					t.Error(err)
				}
			}
		}
	}
	stop()
	<-done
	grown := int(peak.Load()-min(idle, peak.Load())) >> 20
	t.Logf("%d MiB in %v; heap of both ends %d MiB idle, at most %d MiB more meanwhile; seen half filled %d times", mib, time.Since(begin).Round(time.Millisecond), idle>>20, grown, parts)
	if grown > most {
		t.Errorf("both ends took %d MiB more than when idle, want at most %d", grown, most)
	}
	if !wrote {
		t.Error("it was never seen half filled")
	}
}

// inUse returns the bytes of the heap, garbage included.
func inUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func heap() uint64 {
	runtime.GC()
	return inUse()
}
