package node_test

import (
	"errors"
	"testing"

	"syncline/node"
	"syncline/node/nodetest"
	"syncline/store/mem"
)

// TestAClosedInviteLetsNobodyIn: neither at once nor after a restart, and whoever waits is turned away.
func TestAClosedInviteLetsNobodyIn(t *testing.T) {
	var hub nodetest.Hub
	dir := t.TempDir()
	a := open(t, node.Config{Name: "laptop", Dir: dir, Network: hub.New()})
	b := open(t, node.Config{Name: "desktop", Network: hub.New()})
	ctx := within(t)
	leaked, err := a.Invite(ctx, nil, node.InviteOptions{AutoAccept: true})
	if err != nil {
		t.Fatal(err)
	}
	asked, err := a.Invite(ctx, nil, node.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	joined := make(chan error, 1)
	go func() {
		_, err := b.Join(ctx, asked.Ticket)
		joined <- err
	}()
	if asked, err = a.AwaitInvite(ctx, asked.ID, asked); err != nil || asked.Request == nil {
		t.Fatalf("%+v, %v: want a device that waits", asked, err)
	}
	for _, id := range []string{leaked.ID, asked.ID} {
		if inv, err := a.CloseInvite(ctx, id); err != nil || inv.ID != id || inv.Ticket != "" {
			t.Fatalf("close: %+v, %v", inv, err)
		}
		if _, err := a.CloseInvite(ctx, id); !errors.Is(err, node.ErrTicketUnknown) {
			t.Errorf("close again: %v, want ErrTicketUnknown", err)
		}
	}
	if err := <-joined; !errors.Is(err, node.ErrJoinDenied) {
		t.Errorf("the device that waited: %v, want ErrJoinDenied", err)
	}
	for range 2 {
		if all, err := a.Invites(ctx); err != nil || len(all) != 0 {
			t.Errorf("open invites: %+v, %v", all, err)
		}
		for _, with := range []string{leaked.Ticket, asked.Ticket} {
			if _, err := b.Join(ctx, with); !errors.Is(err, node.ErrTicketUnknown) {
				t.Errorf("join: %v, want ErrTicketUnknown", err)
			}
		}
		a.Close()
		a = open(t, node.Config{Dir: dir, Network: hub.New()})
	}
}

// TestAnInviteThatWasUsedIsNotClosed: the device is a member, and the answer says so.
func TestAnInviteThatWasUsedIsNotClosed(t *testing.T) {
	var hub nodetest.Hub
	a := open(t, node.Config{Name: "laptop", Network: hub.New()})
	b := open(t, node.Config{Name: "desktop", Network: hub.New()})
	ctx := within(t)
	inv, err := a.Invite(ctx, nil, node.InviteOptions{AutoAccept: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Join(ctx, inv.Ticket); err != nil {
		t.Fatal(err)
	}
	if _, err := a.CloseInvite(ctx, inv.ID); !errors.Is(err, node.ErrTicketSpent) {
		t.Errorf("close: %v, want ErrTicketSpent", err)
	}
}

// TestAnInviteThatCannotBeClosedStaysOpen: while the disk is full its record would come back with the next start.
func TestAnInviteThatCannotBeClosedStaysOpen(t *testing.T) {
	var hub nodetest.Hub
	a := newPatient(t, &hub, "laptop")
	b := open(t, node.Config{Name: "desktop", Network: hub.New()})
	ctx := within(t)
	inv, err := a.n.Invite(ctx, nil, node.InviteOptions{AutoAccept: true})
	if err != nil {
		t.Fatal(err)
	}
	a.ds.Inject(mem.DiskFull)
	if _, err := a.n.CloseInvite(ctx, inv.ID); !errors.Is(err, node.ErrDiskFull) {
		t.Errorf("close: %v, want ErrDiskFull", err)
	}
	a.ds.Inject(nil)
	if _, err := b.Join(ctx, inv.Ticket); err != nil {
		t.Errorf("join: %v", err)
	}
}

// TestADeviceThatWaitsForALeftSpaceIsTurnedAway: its inviter joined another space, and dropped the one that the invite is to.
func TestADeviceThatWaitsForALeftSpaceIsTurnedAway(t *testing.T) {
	var hub nodetest.Hub
	a := open(t, node.Config{Name: "laptop", Network: hub.New()})
	b := open(t, node.Config{Name: "desktop", Network: hub.New()})
	c := open(t, node.Config{Name: "phone", Network: hub.New()})
	ctx := within(t)
	inv, err := b.Invite(ctx, nil, node.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	joined := make(chan error, 1)
	go func() {
		_, err := c.Join(ctx, inv.Ticket)
		joined <- err
	}()
	if asked, err := b.AwaitInvite(ctx, inv.ID, inv); err != nil || asked.Request == nil {
		t.Fatalf("%+v, %v: want a device that waits", asked, err)
	}
	if _, err := b.Join(ctx, ticket(t, a)); err != nil {
		t.Fatal(err)
	}
	if err := <-joined; !errors.Is(err, node.ErrJoinDenied) {
		t.Errorf("the device that waited: %v, want ErrJoinDenied", err)
	}
}

// TestInvitesOfASpaceThatIsKeptStay: the space could not be removed, and was opened anew.
func TestInvitesOfASpaceThatIsKeptStay(t *testing.T) {
	var hub nodetest.Hub
	dir := t.TempDir()
	a := open(t, node.Config{Name: "laptop", Network: hub.New()})
	b := open(t, node.Config{Name: "desktop", Dir: dir, Network: hub.New()})
	c := open(t, node.Config{Name: "phone", Network: hub.New()})
	ctx := within(t)
	inv, err := b.Invite(ctx, nil, node.InviteOptions{AutoAccept: true})
	if err != nil {
		t.Fatal(err)
	}
	defer block(t, spaceRecordOf(dir, space(t, b)))()
	if res, err := b.Join(ctx, ticket(t, a)); err != nil || res.Kept == nil {
		t.Fatalf("join: %+v, %v", res, err)
	}
	if all, err := b.Invites(ctx); err != nil || len(all) != 1 || all[0].ID != inv.ID {
		t.Errorf("open invites: %+v, %v", all, err)
	}
	if res, err := c.Join(ctx, inv.Ticket); err != nil || res.Space.ID != inv.Space.ID {
		t.Errorf("join: %+v, %v", res, err)
	}
}
