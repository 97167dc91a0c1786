package node

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"syncline/gossip"
	"syncline/node/nodetest"
)

// TestALargeSpaceAdmits: a space of more members than one answer holds lets a device in, and it learns of all of them.
func TestALargeSpaceAdmits(t *testing.T) {
	const members = 1000
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var hub nodetest.Hub
	start := func(name string) *Node {
		n, err := Open(ctx, Config{Name: name, Network: hub.New()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		return n
	}
	a, b := start("laptop"), start("desktop")
	s, err := a.Space("")
	if err != nil {
		t.Fatal(err)
	}
	var w Write
	for i := range members - 2 {
		d := gossip.DeviceID(sha256.Sum256([]byte(fmt.Sprint(i))))
		w.Ops = append(w.Ops, newMember(d, strings.Repeat("n", NameBytesMax), a.id, time.Now()).op())
	}
	if _, err := s.write(ctx, w); err != nil {
		t.Fatal(err)
	}
	inv, err := a.Invite(ctx, nil, InviteOptions{AutoAccept: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Join(ctx, inv.Ticket); err != nil {
		t.Fatal(err)
	}
	joined, err := b.Space("")
	if err != nil {
		t.Fatal(err)
	}
	for {
		changed := joined.pulse()
		if len(joined.roster.Load().members) == members {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%d members are known, want %d", len(joined.roster.Load().members), members)
		}
	}
}
