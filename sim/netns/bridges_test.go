//go:build linux

package netns

import (
	"errors"
	"testing"
)

// TestBridges: where no switch in user space can be had, bridges of the kernel carry the hosts: devices find each other, can be set
// apart and meet again, and cables can be pulled. Weather is refused in words.
func TestBridges(t *testing.T) {
	slow(t, "10 s", false)
	t.Parallel()
	l, a, b := pairIn(t, openLab(t, NewBridged))
	travels := func(path string) {
		t.Helper()
		a.put(path, "1")
		b.await(meetMax, "a write arrives", func() bool { return b.value(path) == "1" })
	}
	travels("together")
	must(t, l.Split([]*Host{a.Host}))
	a.put("apart", "1")
	if b.value("apart") != "" {
		t.Error("a write crossed the split")
	}
	must(t, l.Heal())
	b.await(meetMax, "they meet", func() bool { return b.value("apart") == "1" })
	must(t, b.Host.Unplug())
	must(t, b.Host.Plug())
	travels("after the cable")
	if err := l.SetWeather(Weather{Loss: 1}); !errors.Is(err, ErrNoSwitch) {
		t.Errorf("weather on bridges: %v", err)
	}
	if _, err := l.Cut(true, []*Host{a.Host}); !errors.Is(err, ErrNoSwitch) {
		t.Errorf("a stall on bridges: %v", err)
	}
}
