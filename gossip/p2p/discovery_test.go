package p2p

import (
	"fmt"
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
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

// What adverts say of a device is added up, within bounds, newest first: one that is forged does not push out what another said.
func TestAdvertsOfOneDeviceAddUp(t *testing.T) {
	f := newFoundDevices()
	inviter := peer.ID("inviter")
	advert := func(k int) (addrs []string) {
		for i := range advertAddrsMax {
			addrs = append(addrs, fmt.Sprintf("/ip4/10.0.%d.%d/tcp/1", k, i))
		}
		return addrs
	}
	f.add(inviter, advert(0))
	f.add(inviter, advert(1))
	f.add(inviter, advert(1))
	if got, want := f.addrs(inviter), slices.Concat(advert(1), advert(0)); !slices.Equal(got, want) {
		t.Errorf("after two adverts it is at %q, want %q", got, want)
	}
	for k := range 100 {
		f.add(inviter, advert(2+k))
	}
	if got := f.addrs(inviter); len(got) != foundAddrsMax || !slices.Equal(got[:advertAddrsMax], advert(101)) {
		t.Errorf("after many adverts %d addresses are remembered, want the newest %d", len(got), foundAddrsMax)
	}
}

// However much adverts say, each attempt to join dials what is known from elsewhere, all at once, and in turn what was found.
func TestAJoinDialsTheTicketFirst(t *testing.T) {
	addrs := func(from, n int) (out []ma.Multiaddr) {
		for i := range n {
			out = append(out, ma.StringCast(fmt.Sprintf("/ip4/10.0.0.%d/tcp/1", from+i)))
		}
		return out
	}
	ticket, found := addrs(0, 3), addrs(100, foundAddrsMax)
	dialled := map[string]bool{}
	for turn := range foundAddrsMax {
		got := joinAddrs(ticket, found, turn)
		if len(got) > joinAddrsMax || !slices.EqualFunc(got[:3], ticket, ma.Multiaddr.Equal) {
			t.Errorf("attempt %d dials %v", turn, got)
		}
		for _, a := range got {
			dialled[a.String()] = true
		}
	}
	if len(dialled) != len(ticket)+len(found) {
		t.Errorf("%d addresses were dialled in the end, want all %d", len(dialled), len(ticket)+len(found))
	}
	if got := joinAddrs(ticket, found[:2], 7); len(got) != 5 {
		t.Errorf("few addresses are not dialled all: %v", got)
	}
	if got := joinAddrs(addrs(0, 20), found, 0); len(got) != 20+joinFoundMin {
		t.Errorf("many that were given leave no room for what is found: %v", got)
	}
	if got := joinAddrs(nil, nil, 3); len(got) != 0 {
		t.Errorf("nothing is known and %v is dialled", got)
	}
}
