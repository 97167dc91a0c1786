//go:build linux

package netns

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// asleepFor is longer than every time-out of a connection.
const asleepFor = 40 * time.Second

// TestDevicesThatComeAndGo: whatever happened to a device's network, it is connected within ten seconds after the end of it,
// and writes of both sides arrive.
func TestDevicesThatComeAndGo(t *testing.T) {
	scenes := []struct {
		name, takes string
		play        func(t *testing.T, l *Lab, a, b *device)
	}{
		{"new address", "10 s", newAddress},
		{"new address while away", "40 s", newAddressAway},
		{"no network at start", "10 s", noNetworkAtStart},
		{"flapping interface", "15 s", flap},
		{"cable pulled", "25 s", cablePulled},
		{"asleep", "55 s", asleep},
		{"restart", "10 s", restart},
	}
	for _, s := range scenes {
		t.Run(s.name, func(t *testing.T) {
			slow(t, s.takes, false)
			t.Parallel()
			l, a, b := pair(t)
			s.play(t, l, a, b)
			meet(t, a, b)
		})
	}
}

// meet measures how long the devices take to be connected and to exchange writes, from now.
func meet(t *testing.T, a, b *device) {
	t.Helper()
	a.put("meet/laptop", "1")
	b.put("meet/desktop", "1")
	took := a.await(meetMax, "they are connected and exchange writes", func() bool {
		return a.sees(b) && b.sees(a) && a.value("meet/desktop") == "1" && b.value("meet/laptop") == "1"
	})
	t.Logf("%s: connected, and both writes arrived, after %v; path %q", filepath.Base(t.Name()), took.Round(time.Millisecond), a.path(b))
	same(t, a, b)
	a.calm()
	b.calm()
}

func newAddress(t *testing.T, _ *Lab, _, b *device) { must(t, b.Host.Arrive("10.77.0.50")) }

// newAddressAway moves a device while its connections are dead, so that nothing can migrate.
func newAddressAway(t *testing.T, _ *Lab, a, b *device) {
	must(t, b.Host.Leave())
	a.await(cutLong, "both notice", func() bool { return !a.sees(b) && !b.sees(a) })
	must(t, b.Host.Arrive("10.77.0.60"))
}

// noNetworkAtStart starts a device that has an interface without address or carrier.
func noNetworkAtStart(t *testing.T, _ *Lab, a, b *device) {
	b.run("down")
	must(t, b.Host.Leave())
	b.up()
	b.put("alone", "1")
	if got := b.value("alone"); got != "1" {
		t.Errorf("without a network a write reads %q", got)
	}
	time.Sleep(2 * time.Second) // discovery has failed at least once
	must(t, b.Host.Arrive("10.77.0.70"))
}

func flap(t *testing.T, _ *Lab, _, b *device) {
	for range 5 {
		must(t, b.Host.Leave())
		time.Sleep(700 * time.Millisecond)
		must(t, b.Host.Arrive(b.Host.Addr()))
		time.Sleep(700 * time.Millisecond)
	}
}

func cablePulled(t *testing.T, _ *Lab, a, b *device) {
	must(t, b.Host.Unplug())
	a.await(cutLong, "both notice", func() bool { return !a.sees(b) && !b.sees(a) })
	must(t, b.Host.Plug())
}

func asleep(t *testing.T, _ *Lab, a, b *device) {
	must(t, b.Signal(syscall.SIGSTOP))
	woken := time.Now().Add(asleepFor)
	noticed := a.await(asleepFor, "the other notices", func() bool { return !a.sees(b) })
	t.Logf("a device that stopped is seen as gone after %v", noticed.Round(time.Millisecond))
	a.put("while/asleep", "1")
	time.Sleep(time.Until(woken))
	must(t, b.Signal(syscall.SIGCONT))
}

func restart(t *testing.T, _ *Lab, _, b *device) {
	b.run("down")
	b.up()
}
