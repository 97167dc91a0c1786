package p2p

import (
	"fmt"
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Whoever forges adverts of many devices does not push out the one that this device waits for, and does not wake it.
func TestTheExpectedDeviceIsKept(t *testing.T) {
	f := newFoundDevices()
	inviter := peer.ID("inviter")
	release := f.expect(inviter)
	changed := f.changes(inviter)
	f.add(inviter, []string{"x"})
	<-changed
	changed = f.changes(inviter)
	f.add(inviter, []string{"x"}) // the same again is no news
	for i := range 3 * foundDevicesMax {
		f.add(peer.ID(fmt.Sprint("forged", i)), []string{"y"})
	}
	select {
	case <-changed:
		t.Error("adverts of others are news of the expected device")
	default:
	}
	if got := f.addrs(inviter); !slices.Equal(got, []string{"x"}) {
		t.Errorf("the expected device is at %q", got)
	}
	if len(f.byPeer) != foundDevicesMax || len(f.order) != foundDevicesMax {
		t.Errorf("%d devices are remembered, want %d", len(f.byPeer), foundDevicesMax)
	}
	release()
	for i := range foundDevicesMax {
		f.add(peer.ID(fmt.Sprint("more", i)), []string{"y"})
	}
	if f.addrs(inviter) != nil || len(f.expected) != 0 {
		t.Error("a device that is expected no more is kept")
	}
}
