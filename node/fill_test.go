package node_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncline/gossip"
	"syncline/node"
	"syncline/node/nodetest"
	"syncline/store"
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
	half := &halfFilled{seen: make(chan struct{})}
	b := open(t, node.Config{Dir: t.TempDir(), Network: hub.New(), Relaxed: true, Observe: half})
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
	sb := space(t, b)
	select {
	case <-half.seen: // while it fills it reads and writes
	case <-within(t).Done():
		t.Fatal("it was never seen half filled")
	}
	if _, err := sb.Get(within(t), "files/0000000"); err != nil {
		t.Error(err)
	}
	if _, err := sb.Put(within(t), fmt.Sprintf("files/%07d", entries-1), node.Text("mine")); err != nil {
		t.Error(err)
	}
	whole, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if _, err := space(t, a).WaitSync(whole, node.SyncOptions{Device: b.ID().String()}); err != nil {
		t.Fatal(err)
	}
	if n := sb.Head().Entries; n < entries {
		t.Errorf("%d of %d entries came", n, entries)
	}
	stop()
	<-done
	grown := int(peak.Load()-min(idle, peak.Load())) >> 20
	t.Logf("%d MiB in %v; heap of both ends %d MiB idle, at most %d MiB more meanwhile", mib, time.Since(begin).Round(time.Millisecond), idle>>20, grown)
	if grown > most {
		t.Errorf("both ends took %d MiB more than when idle, want at most %d", grown, most)
	}
}

// halfFilled is an observer that closes seen when a space is only partly there.
type halfFilled struct {
	seen chan struct{}
	once sync.Once
}

func (h *halfFilled) Stepping(_ gossip.SpaceID, c node.Committed, _ node.Time, _ []node.Input) {
	if c.(*store.Store).Parted() {
		h.once.Do(func() { close(h.seen) })
	}
}

func (h *halfFilled) Stepped(gossip.SpaceID, []node.Output, error) {}
func (h *halfFilled) Replied(gossip.SpaceID, node.Reply)           {}

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
