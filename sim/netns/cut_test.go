//go:build linux

package netns

import (
	"testing"
	"time"
)

// Lengths of a cut: connections survive the short one, the long one outlives every time-out of the transports.
const (
	cutShort = 5 * time.Second
	cutLong  = 40 * time.Second
)

// TestACutHealsByItself: devices that were cut apart meet again without help, list the same conflicts, and a decision on one
// is a decision on both.
func TestACutHealsByItself(t *testing.T) {
	t.Run("short", func(t *testing.T) {
		slow(t, "10 s", false)
		t.Parallel()
		testCut(t, cutShort)
	})
	t.Run("long", func(t *testing.T) {
		slow(t, "50 s", false)
		t.Parallel()
		testCut(t, cutLong)
	})
}

func testCut(t *testing.T, cut time.Duration) {
	l, a, b := pair(t)
	for _, path := range []string{"both", "update-delete", "delete-delete", "gone", "kept"} {
		a.put(path, "before")
	}
	a.caughtUp()
	must(t, l.Split([]*Host{a.Host}, []*Host{b.Host}))
	healed := time.Now().Add(cut)
	writeApart(a, b)
	time.Sleep(time.Until(healed))
	if cut == cutLong {
		a.await(meetMax, "the dead connection is noticed", func() bool { return !a.sees(b) && !b.sees(a) })
	}
	must(t, l.Heal())
	took := a.await(meetMax, "they meet and hold the same", func() bool {
		return a.sees(b) && b.sees(a) && a.value("from/desktop") == "1" && b.value("from/laptop") == "1"
	})
	t.Logf("cut of %v: each has what the other wrote %v after the heal", cut, took.Round(time.Millisecond))
	a.caughtUp()
	b.caughtUp()
	agree(t, a, b)
	decide(t, a, b)
}

// writeApart writes on both sides: on paths of their own, on one path, and deletes.
func writeApart(a, b *device) {
	a.put("from/laptop", "1")
	b.put("from/desktop", "1")
	a.put("both", "laptop")
	b.put("both", "desktop")
	a.put("same", "equal")
	b.put("same", "equal")
	a.put("update-delete", "kept alive")
	b.run("del", "update-delete")
	a.run("del", "delete-delete")
	b.run("del", "delete-delete")
	a.run("del", "gone")
}

// agree checks what both devices must say of the writes of writeApart.
func agree(t *testing.T, a, b *device) {
	t.Helper()
	same(t, a, b)
	x, y := a.run("conflicts", "--json"), b.run("conflicts", "--json")
	if x != y {
		t.Errorf("conflicts differ:\n%s%s", x, y)
	}
	if n := a.status().Conflicts; n != 2 {
		t.Errorf("%d conflicts, want 2: %s", n, x)
	}
	for path, want := range map[string]string{
		"same": "equal", "update-delete": "kept alive", "delete-delete": "", "gone": "", "kept": "before",
	} {
		if got := b.value(path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
}

// decide closes one conflict on each device and waits until both are closed on both.
func decide(t *testing.T, a, b *device) {
	t.Helper()
	a.run("resolve", "both", "--keep", "desktop")
	b.run("resolve", "update-delete", "--value", "decided", "-y")
	closed := func(d *device) bool {
		r, err := d.Run(d.within(commandMax), "conflicts", "--exit-code")
		return err == nil && r.Code == 0
	}
	took := a.await(meetMax, "both conflicts are closed on both", func() bool { return closed(a) && closed(b) })
	t.Logf("decided on one, closed on both after %v", took.Round(time.Millisecond))
	if got := a.value("both"); got != "desktop" {
		t.Errorf("both is %q after keeping what desktop wrote", got)
	}
	same(t, a, b)
	a.calm()
	b.calm()
}
