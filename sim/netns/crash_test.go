//go:build linux

package netns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"syncline/node"
	"syncline/node/api/client"
)

const (
	crashes    = 20 // of a writing daemon
	crashMax   = 700 * time.Millisecond
	crashPaths = 40

	firstSyncStep = 60 * time.Millisecond
	firstSyncs    = 6 // kills during a first synchronisation, each a step later after the start
	firstSyncKB   = 24 << 10
)

// TestAcknowledgedWritesSurviveKill: what put has acknowledged is there after SIGKILL at any moment, and reaches the other
// device. Nothing else is made of it: no fork, no divergence.
func TestAcknowledgedWritesSurviveKill(t *testing.T) {
	slow(t, "50 s", false)
	t.Parallel()
	_, a, b := pair(t)
	w := &writer{acked: map[string]int{}, tried: map[string]int{}}
	for range crashes {
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- w.run(ctx, b) }()
		time.Sleep(50*time.Millisecond + rand.N(crashMax))
		must(t, b.Kill())
		stop()
		must(t, <-done)
		b.up()
		w.check(t, b)
	}
	b.await(meetMax, "they meet again", func() bool { return a.sees(b) && b.sees(a) })
	b.caughtUp()
	a.caughtUp()
	w.check(t, a)
	same(t, a, b)
	a.calm()
	b.calm()
	t.Logf("%d kills, %d acknowledged writes, all there on both", crashes, w.count)
}

// A writer writes rising numbers to some paths, each as soon as the one before is acknowledged, and remembers which were.
type writer struct {
	under string // its paths; "crash" if empty

	mu    sync.Mutex // guards what follows
	acked map[string]int
	tried map[string]int
	count int
	next  int
}

// run writes until the daemon is gone or ctx ends, over four connections, each of which has paths of its own: which of two writes under way
// is the later one, nobody outside can tell.
func (w *writer) run(ctx context.Context, d *device) error {
	var all sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		all.Go(func() { errs[i] = w.loop(ctx, i, client.New(d.Socket(), "")) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (w *writer) loop(ctx context.Context, number int, c *client.Client) error {
	defer c.Close()
	for ctx.Err() == nil {
		path, n := w.take(number)
		_, err := c.Put(ctx, path, node.Text(fmt.Sprint(n)), client.PutOptions{})
		switch {
		case err == nil:
			w.ack(path, n)
		case errors.Is(err, client.ErrCutOff), errors.Is(err, client.ErrNotRunning), ctx.Err() != nil:
			return nil // killed
		default:
			return err
		}
	}
	return nil
}

func (w *writer) take(loop int) (string, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next++
	path := fmt.Sprintf("%s/%d-%d", cmp.Or(w.under, "crash"), loop, w.next%crashPaths)
	w.tried[path] = w.next
	return path, w.next
}

func (w *writer) ack(path string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acked[path] = max(w.acked[path], n)
	w.count++
}

// check reads every path: it holds the last acknowledged number or one that was tried after it.
func (w *writer) check(t *testing.T, d *device) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for path, acked := range w.acked {
		var got int
		fmt.Sscan(d.value(path), &got)
		if got < acked || got > w.tried[path] {
			t.Errorf("%s: %s holds %d; %d was acknowledged, %d tried", d.Name(), path, got, acked, w.tried[path])
		}
	}
}

// TestKillDuringFirstSynchronisation: a device that joins and is killed again and again while it receives a large state ends
// with all of it.
func TestKillDuringFirstSynchronisation(t *testing.T) {
	slow(t, "30 s", false)
	t.Parallel()
	testEndDuringFirstSynchronisation(t, func(b *device) { must(t, b.Kill()) })
}

// TestSIGTERMDuringFirstSynchronisation: the same with a device that is told to end, as by systemd or a shutdown. It ends by itself.
func TestSIGTERMDuringFirstSynchronisation(t *testing.T) {
	slow(t, "30 s", false)
	t.Parallel()
	testEndDuringFirstSynchronisation(t, func(b *device) {
		pid, err := b.PID()
		must(t, err)
		must(t, b.Signal(syscall.SIGTERM))
		b.await(commandMax, "the daemon ends", func() bool { return !running(pid) })
		if _, err := os.Stat(b.Socket()); err == nil {
			t.Error("the daemon left its socket behind")
		}
	})
}

func testEndDuringFirstSynchronisation(t *testing.T, end func(b *device)) {
	l := labFor(t)
	a, b := newDevice(t, l, "laptop"), newDevice(t, l, "desktop")
	a.up()
	a.feed(0, largeState(), "import")
	b.up()
	ticket := a.invite("--auto-accept").Ticket
	b.run("join", ticket)
	ended := 0
	for i := range firstSyncs {
		time.Sleep(time.Duration(i) * firstSyncStep)
		if b.value("large/end") == "" {
			ended++
		}
		end(b)
		b.up()
	}
	if ended == 0 {
		t.Error("no end came before all had arrived: the test shows nothing")
	}
	took := b.await(30*time.Second, "the state is whole", func() bool { return b.value("large/end") == "1" })
	a.caughtUp()
	same(t, a, b)
	a.calm()
	b.calm()
	t.Logf("ended %d times, %d of them before all had arrived; %d MiB whole %v after the last start", firstSyncs, ended, firstSyncKB>>10, took.Round(time.Millisecond))
}

// largeState is an import of firstSyncKB values of 1 KiB.
func largeState() string {
	var b strings.Builder
	for i := range firstSyncKB {
		fmt.Fprintf(&b, "{\"path\":\"large/%06d\",\"value\":\"%d %s\"}\n", i, i, noise(1000))
	}
	return b.String() + "{\"path\":\"large/end\",\"value\":\"1\"}\n"
}

// noise is text that cannot be compressed well.
func noise(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(rand.N(26))
	}
	return string(b)
}
