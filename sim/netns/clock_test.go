//go:build linux

package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"syncline/gossip/p2p"
	"syncline/node"
	"syncline/node/api"
)

// runWrongClock is a device whose clock is off as ClockVariable says. The binary cannot be told the time, so this is the same node and
// network, put together as cmd/peer does. It runs until it is told to end.
func runWrongClock() int {
	var off atomic.Int64
	file := os.Getenv(ClockVariable)
	if err := readClock(file, &off); err != nil {
		return complain(err)
	}
	go func() {
		for {
			time.Sleep(10 * time.Millisecond)
			readClock(file, &off)
		}
	}()
	p := &Peer{Home: os.Getenv("HOME")}
	clock := func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
	if err := os.MkdirAll(p.Data(), 0o700); err != nil {
		return complain(err)
	}
	n, err := node.Open(context.Background(), node.Config{
		Dir: p.Data(), Name: os.Getenv("PEER_NAME"), Clock: clock,
		Network: p2p.New(p2p.Config{BookFile: filepath.Join(p.Data(), "addresses.json"), Clock: clock}),
	})
	if err != nil {
		return complain(err)
	}
	if err := os.MkdirAll(filepath.Dir(p.Socket()), 0o700); err != nil {
		return complain(err)
	}
	os.Remove(p.Socket()) // what a kill left; nobody else uses this home
	listener, err := api.Listen(p.Socket())
	if err != nil {
		return complain(err)
	}
	server := api.New(api.Config{Node: n, Address: p.Socket(), Shutdown: func() {}})
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	select {
	case err := <-ended:
		return complain(err)
	case <-asked:
	}
	if err := errors.Join(server.Close(context.Background()), n.Close()); err != nil {
		return complain(err)
	}
	return 0
}

// readClock reads how far the clock is off.
func readClock(file string, off *atomic.Int64) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	d, err := time.ParseDuration(string(b))
	off.Store(int64(d))
	return err
}

// upWrong starts a device whose clock is off.
func (d *device) upWrong(off time.Duration) {
	d.t.Helper()
	self, err := os.Executable()
	must(d.t, err)
	file := filepath.Join(d.Home, "clock")
	must(d.t, SetClock(file, off))
	ctx, cancel := context.WithCancel(context.Background())
	cmd := d.Host.Command(ctx, self)
	cmd.Env, cmd.Stderr = append(d.Environment(), ClockVariable+"="+file), os.Stderr
	must(d.t, cmd.Start())
	d.t.Cleanup(func() {
		cancel()
		cmd.Wait()
	})
	d.await(commandMax, "the API answers", func() bool { _, err := d.api.Version(d.within(time.Second)); return err == nil })
}

// TestAWrongClockDoesNotKeepDevicesApart: nothing that is acknowledged is lost and both devices end equal, whatever the clock
// of one says; the person is told.
func TestAWrongClockDoesNotKeepDevicesApart(t *testing.T) {
	slow(t, "25 s", false)
	const century = 100 * 365 * 24 * time.Hour
	for _, off := range []time.Duration{24 * time.Hour, -24 * time.Hour, century, -century} {
		t.Run(fmt.Sprint(off), func(t *testing.T) {
			t.Parallel()
			testWrongClock(t, off)
		})
	}
}

func testWrongClock(t *testing.T, off time.Duration) {
	l := labFor(t)
	right, wrong := newDevice(t, l, "right"), newDevice(t, l, "wrong")
	right.up()
	wrong.upWrong(off)
	right.admit(wrong)

	wrong.put("by/wrong", "1")
	right.put("by/right", "1")
	right.await(meetMax, "the writes arrive", func() bool { return right.value("by/wrong") == "1" && wrong.value("by/right") == "1" })

	// Whoever was shown a value replaces it, whatever the clocks say.
	right.put("by/wrong", "2")
	right.await(meetMax, "the replacement arrives", func() bool { return wrong.value("by/wrong") == "2" })
	wrong.put("by/right", "2")
	right.await(meetMax, "the replacement arrives", func() bool { return right.value("by/right") == "2" })

	must(t, l.Split([]*Host{wrong.Host}))
	wrong.put("both", "wrong")
	right.put("both", "right")
	must(t, l.Heal())
	right.await(40*time.Second, "both list the conflict", func() bool {
		return right.status().Conflicts == 1 && wrong.status().Conflicts == 1
	})
	same(t, right, wrong)
	right.run("resolve", "both", "--value", "decided", "-y")
	right.await(meetMax, "the decision arrives", func() bool { return wrong.value("both") == "decided" && wrong.status().Conflicts == 0 })
	same(t, right, wrong)
	if !right.warns("clock_skew") && !wrong.warns("clock_skew") {
		t.Errorf("clocks differ by %v and nobody warns: %v, %v", off, right.status().Warnings, wrong.status().Warnings)
	}
	t.Logf("clock off by %v: path %q, warnings here %v, there %v", off, right.path(wrong), right.status().Warnings, wrong.status().Warnings)
}
