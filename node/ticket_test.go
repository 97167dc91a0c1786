package node

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"syncline/gossip"
)

func sampleTicket() ticket {
	return ticket{space: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, inviter: gossip.DeviceID{9, 9}, secret: [16]byte{7}, expires: time.Unix(1_800_000_000, 0),
		addrs: []string{"/ip4/192.168.1.23/udp/4001/quic-v1", "/ip4/192.168.1.23/tcp/4001"}}
}

func TestTicketSurvivesItsText(t *testing.T) {
	want := sampleTicket()
	for _, text := range []string{want.String(), strings.ToUpper(want.String()), " " + want.String()[:40] + "\n  " + want.String()[40:] + "\n"} {
		got, err := parseTicket(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got.space != want.space || got.inviter != want.inviter || got.secret != want.secret || !got.expires.Equal(want.expires) || !slices.Equal(got.addrs, want.addrs) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	only := want
	only.addrs = []string{"/dns4/nas.example/tcp/4001"}
	if got, err := parseTicket(only.String()); err != nil || !slices.Equal(got.addrs, only.addrs) {
		t.Errorf("got %+v, %v, want %+v", got, err, only)
	}
	t.Logf("a ticket with two addresses has %d characters", len(want.String()))
}

// Every single character of a ticket is protected: whatever is mistyped is noticed.
func TestMistypedTicketIsRefused(t *testing.T) {
	text := sampleTicket().String()
	bad := []string{"", "peer:", "hello", text[:len(text)-1], text[:60], text + "a", text[5:]}
	for i := len(ticketPrefix); i < len(text); i++ {
		other := byte('a')
		if text[i] == other {
			other = 'b'
		}
		bad = append(bad, text[:i]+string(other)+text[i+1:])
	}
	for _, b := range bad {
		if got, err := parseTicket(b); !errors.Is(err, ErrTicketBad) {
			// The last character holds bits that are no part of the ticket; such a change may be no change at all.
			if got.String() != text {
				t.Errorf("%q: %v, want ErrTicketBad", b, err)
			}
		}
	}
}

func FuzzParseTicket(f *testing.F) {
	f.Add(sampleTicket().String())
	f.Add("peer:")
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := parseTicket(text); err == nil {
			if again, err := parseTicket(got.String()); err != nil || again.String() != got.String() {
				t.Errorf("%q reads as %+v, which reads as %+v, %v", text, got, again, err)
			}
		}
	})
}
