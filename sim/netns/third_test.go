//go:build linux

package netns

import (
	"testing"
	"time"
)

// TestAThirdDeviceIsKnownToAll: the second device was away when the third joined through the first. It learns of the third
// from the first, and the two go on without it.
func TestAThirdDeviceIsKnownToAll(t *testing.T) {
	slow(t, "10 s", false)
	t.Parallel()
	l, a, b := pair(t)
	c := newDevice(t, l, "phone")
	a.put("early", "1")
	a.caughtUp()
	b.run("down")
	c.up()
	a.admit(c)
	c.put("from/phone", "1")
	c.caughtUp()
	must(t, c.Host.Leave()) // so that the second can learn of it from the first only
	c.await(meetMax, "the first device misses it", func() bool { return !a.sees(c) })

	b.up()
	took := b.await(meetMax, "the second device has learned of the third", func() bool {
		doc, err := b.api.Device(b.within(commandMax), "phone")
		return err == nil && doc.Name == "phone" && b.value("from/phone") == "1"
	})
	t.Logf("the second device knows the third %v after its up", took.Round(time.Millisecond))

	a.run("down")
	must(t, c.Host.Arrive(c.Host.Addr()))
	took = b.await(meetMax, "second and third are connected", func() bool { return b.sees(c) && c.sees(b) })
	t.Logf("second and third are connected %v after the third came back, without the first", took.Round(time.Millisecond))
	b.put("without", "the first")
	c.await(meetMax, "a write travels without the first", func() bool { return c.value("without") == "the first" })
	same(t, b, c)

	a.up()
	a.await(meetMax, "the first catches up", func() bool { return a.value("without") == "the first" && a.sees(b) && a.sees(c) })
	if x := same(t, a, b); x != same(t, b, c) {
		t.Error("three devices are not equal")
	}
	for _, d := range []*device{a, b, c} {
		d.calm()
	}
}

// TestTwoInvitedDevicesMeet: two devices that were let in by the same third one find each other on the LAN, though each came by as a
// stranger first.
func TestTwoInvitedDevicesMeet(t *testing.T) {
	slow(t, "5 s", false)
	t.Parallel()
	_, a, b := pair(t)
	c := newDevice(t, a.Host.lab, "phone")
	c.up()
	a.admit(c)
	took := b.await(2*meetMax, "second and third are connected", func() bool { return b.sees(c) && c.sees(b) })
	t.Logf("second and third are connected %v after the first was connected with the third", took.Round(time.Millisecond))
}
