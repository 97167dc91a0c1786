package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"syncline/gossip"
	"syncline/gossip/p2p"
	"syncline/node"
	"syncline/store"
)

// TestFirstSyncRunsInBoundedMemory: a newcomer takes over a state that is larger than what either end may hold in memory beyond what it
// holds when idle. The giver is a process of its own, so that each is measured apart. SYNCLINE_FILL_MIB sets another size of the state,
// for measurements.
func TestFirstSyncRunsInBoundedMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it writes 192 MiB to disk and takes some seconds; run without -short")
	}
	mib, most := 192, 128
	if n, err := strconv.Atoi(os.Getenv("SYNCLINE_FILL_MIB")); err == nil {
		mib = n
	}
	dir := t.TempDir()
	entries := fillDir(t, dir, mib)
	giver, ticket := startGiver(t, dir)
	half := &halfFilled{seen: make(chan struct{})}
	b := open(t, node.Config{Dir: t.TempDir(), Network: loopback(), Relaxed: true, Observe: half})
	taker, begin := watchHeap(), time.Now()
	if _, err := b.Join(within(t), ticket); err != nil {
		t.Fatal(err)
	}
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
	for sb.Filling("").Ranges > 0 || sb.Head().Entries < entries {
		if _, err := sb.Changes(whole, node.ChangesOptions{Since: node.CursorNow, Wait: 50 * time.Millisecond}); err != nil {
			t.Fatalf("%d of %d entries came: %v", sb.Head().Entries, entries, err)
		}
	}
	if _, err := sb.WaitSync(whole, node.SyncOptions{}); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin).Round(time.Millisecond)
	for who, grown := range map[string]grown{"giver": giver(), "newcomer": taker()} {
		t.Logf("%d MiB in %v; heap of the %s %d MiB idle, at most %d MiB more meanwhile", mib, took, who, grown.Idle, grown.More)
		if grown.More > most {
			t.Errorf("the %s took %d MiB more than when idle, want at most %d", who, grown.More, most)
		}
	}
}

// fillDir makes a device of a data directory that holds about so many MiB, and returns the number of its entries.
func fillDir(t *testing.T, dir string, mib int) int {
	t.Helper()
	const each = 4 << 10
	entries := mib << 20 / each
	n, err := node.Open(within(t), node.Config{Dir: dir, RuntimeDir: t.TempDir(), Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	noise := rand.NewChaCha8([32]byte{1})
	for i := 0; i < entries; i += 1000 {
		_, err := space(t, n).Tx(within(t), func(tx *node.Tx) error {
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
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	return entries
}

func loopback() gossip.Network {
	return p2p.New(p2p.Config{NoLAN: true, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
}

// giverVariable makes this program the giver: it names the data directory.
const giverVariable = "SYNCLINE_TEST_GIVER"

// startGiver lets another process give what a data directory holds to whoever has the ticket. The function that it returns ends it.
func startGiver(t *testing.T, dir string) (end func() grown, ticket string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestGiverOfAFirstSync$", "-test.timeout=10m")
	cmd.Env, cmd.Stderr = append(os.Environ(), giverVariable+"="+dir), os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		io.Copy(io.Discard, stdout)
		cmd.Wait()
	})
	out := json.NewDecoder(stdout)
	if err := out.Decode(&ticket); err != nil {
		t.Fatalf("the giver does not begin: %v", err)
	}
	return func() (g grown) {
		stdin.Close()
		if err := out.Decode(&g); err != nil {
			t.Fatalf("the giver does not tell what it took: %v", err)
		}
		return g
	}, ticket
}

// TestGiverOfAFirstSync is the other process of TestFirstSyncRunsInBoundedMemory: it prints a ticket, and when its input ends what it took.
func TestGiverOfAFirstSync(t *testing.T) {
	dir := os.Getenv(giverVariable)
	if dir == "" {
		t.Skip("it is the other process of TestFirstSyncRunsInBoundedMemory, which starts it")
	}
	n := open(t, node.Config{Dir: dir, Network: loopback(), Relaxed: true})
	inv, err := n.Invite(within(t), nil, node.InviteOptions{AutoAccept: true})
	if err != nil {
		t.Fatal(err)
	}
	took, out := watchHeap(), json.NewEncoder(os.Stdout)
	if err := out.Encode(inv.Ticket); err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, os.Stdin)
	if err := out.Encode(took()); err != nil {
		t.Fatal(err)
	}
}

// grown is the heap of an end when idle, and the most that it was beyond, garbage included, in MiB.
type grown struct{ Idle, More int }

// watchHeap looks at the heap until the function that it returns is called.
func watchHeap() func() grown {
	idle, peak := heap(), uint64(0)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			peak = max(peak, inUse())
			time.Sleep(3 * time.Millisecond)
		}
	}()
	return func() grown {
		stop()
		<-done
		return grown{int(idle >> 20), int(peak-min(idle, peak)) >> 20}
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
