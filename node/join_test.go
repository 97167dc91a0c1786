package node_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"syncline/gossip"
	"syncline/node"
	"syncline/node/nodetest"
)

func TestJoinWaitsForAPersonsAnswer(t *testing.T) {
	for _, admit := range []bool{true, false} {
		hub := new(nodetest.Hub)
		a := open(t, node.Config{Name: "laptop", Network: hub.New()})
		b := open(t, node.Config{Name: "desktop", Network: hub.New()})
		ctx := within(t)
		inv, err := a.Invite(ctx, nil, node.InviteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		joined := make(chan error, 1)
		go func() {
			_, err := b.Join(ctx, inv.Ticket)
			joined <- err
		}()
		asked, err := a.AwaitInvite(ctx, inv.ID, inv)
		if err != nil || asked.Request == nil || asked.Request.Device.Name != "desktop" {
			t.Fatalf("invite %+v, %v: want the request of desktop", asked, err)
		}
		if _, err := a.AnswerInvite(ctx, inv.ID, asked.Request.Device.ID, admit); err != nil {
			t.Fatal(err)
		}
		err = <-joined
		if admit && err != nil || !admit && !errors.Is(err, node.ErrJoinDenied) {
			t.Errorf("admit %v: join: %v", admit, err)
		}
	}
}

func TestATicketThatIsNoGoodSaysWhy(t *testing.T) {
	hub := new(nodetest.Hub)
	start := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	var passed atomic.Int64 // nanoseconds
	now := func() time.Time { return start.Add(time.Duration(passed.Load())) }
	a := open(t, node.Config{Name: "laptop", Network: hub.New(), Clock: now})
	b := open(t, node.Config{Name: "desktop", Network: hub.New(), Clock: now})
	c := open(t, node.Config{Name: "phone", Network: hub.New(), Clock: now})
	ctx := within(t)
	invite := func(n *node.Node) string {
		inv, err := n.Invite(ctx, nil, node.InviteOptions{AutoAccept: true})
		if err != nil {
			t.Fatal(err)
		}
		return inv.Ticket
	}
	want := func(n *node.Node, ticket string, want error) {
		t.Helper()
		if _, err := n.Join(ctx, ticket); !errors.Is(err, want) {
			t.Errorf("join: %v, want %v", err, want)
		}
	}
	spent := invite(a)
	want(a, spent, node.ErrTicketBad) // its own
	want(b, spent[:len(spent)-3], node.ErrTicketBad)
	want(b, spent, nil)
	want(c, spent, node.ErrTicketSpent)
	want(b, invite(a), node.ErrMember)

	stale := invite(a)
	passed.Store(int64(11 * time.Minute))
	want(c, stale, node.ErrTicketExpired)

	// A ticket of a space that the inviter has given up: it joined another one meanwhile.
	d := open(t, node.Config{Name: "nas", Network: hub.New(), Clock: now})
	other := invite(d)
	want(d, invite(a), nil)
	want(c, other, node.ErrTicketUnknown)
}

func TestThirdDeviceBecomesKnownToTheSecond(t *testing.T) {
	hub := new(nodetest.Hub)
	a, b := pair(t, hub)
	hub.Cut(b.ID())
	c := open(t, node.Config{Name: "phone", Network: hub.New()})
	join(t, a, c)
	ctx := within(t)
	if _, err := space(t, a).WaitSync(ctx, node.SyncOptions{Device: "phone"}); err != nil {
		t.Fatal(err)
	}
	hub.Heal()
	if _, err := space(t, a).WaitSync(ctx, node.SyncOptions{Device: "desktop"}); err != nil {
		t.Fatal(err)
	}
	hub.Cut(a.ID()) // b and c are alone now
	if _, err := space(t, c).Put(ctx, "from", node.Text("phone")); err != nil {
		t.Fatal(err)
	}
	await(t, space(t, b), "from", "phone")
	e, err := space(t, b).Get(ctx, "from")
	if err != nil || e.Shown().Device.Name != "phone" {
		t.Errorf("the value is by %+v, %v; want phone", e.Shown().Device, err)
	}
}

func TestAnUntouchedSpaceIsDroppedAndAUsedOneIsKept(t *testing.T) {
	for _, used := range []bool{false, true} {
		hub := new(nodetest.Hub)
		a := open(t, node.Config{Name: "laptop", Network: hub.New()})
		b := open(t, node.Config{Name: "desktop", Network: hub.New(), Dir: t.TempDir()})
		ctx := within(t)
		if used {
			if _, err := space(t, b).Put(ctx, "mine", node.Text("kept")); err != nil {
				t.Fatal(err)
			}
		}
		inv, err := a.Invite(ctx, nil, node.InviteOptions{AutoAccept: true})
		if err != nil {
			t.Fatal(err)
		}
		res, err := b.Join(ctx, inv.Ticket)
		if err != nil {
			t.Fatal(err)
		}
		if (res.Kept != nil) != used || len(b.Spaces()) != map[bool]int{false: 1, true: 2}[used] {
			t.Errorf("used %v: kept %v, spaces %v", used, res.Kept, b.Spaces())
		}
		if used {
			old, err := b.Space(res.Kept.Name)
			if err != nil {
				t.Fatal(err)
			}
			if e, err := old.Get(ctx, "mine"); err != nil || string(e.Shown().Data) != "kept" {
				t.Errorf("what was written before: %v, %v", e, err)
			}
		}
	}
}

// A joiner that was let in and restarts before its first session still knows whom to talk to.
func TestMembersAreKnownAfterARestartBeforeTheFirstSession(t *testing.T) {
	hub := new(nodetest.Hub)
	a := open(t, node.Config{Name: "laptop", Network: hub.New()})
	dir := t.TempDir()
	b := open(t, node.Config{Name: "desktop", Network: hub.New(), Dir: dir})
	ctx := within(t)
	inv, err := a.Invite(ctx, nil, node.InviteOptions{AutoAccept: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Join(ctx, inv.Ticket); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, node.Config{Network: hub.New(), Dir: dir})
	if _, err := space(t, a).Put(ctx, "hello", node.Text("again")); err != nil {
		t.Fatal(err)
	}
	await(t, space(t, b), "hello", "again")
}

func TestCancelledJoinLeavesNothingBehind(t *testing.T) {
	hub := new(nodetest.Hub)
	a := open(t, node.Config{Name: "laptop", Network: hub.New()})
	b := open(t, node.Config{Name: "desktop", Network: hub.New()})
	ctx := within(t)
	inv, err := a.Invite(ctx, nil, node.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithCancel(ctx)
	go func() {
		a.AwaitInvite(ctx, inv.ID, inv)
		cancel()
	}()
	if _, err := b.Join(short, inv.Ticket); !errors.Is(err, context.Canceled) {
		t.Errorf("join: %v, want context.Canceled", err)
	}
	if len(b.Spaces()) != 1 {
		t.Errorf("spaces %v after a cancelled join", b.Spaces())
	}
	// The same ticket is still good.
	asked, err := a.AwaitInvite(ctx, inv.ID, node.Invite{Request: &node.JoinRequest{Device: node.DeviceRef{ID: b.ID()}}})
	if err != nil || asked.Request != nil {
		t.Fatalf("invite %+v, %v: want no request", asked, err)
	}
	go func() {
		a.AwaitInvite(ctx, inv.ID, asked)
		a.AnswerInvite(ctx, inv.ID, gossip.DeviceID{}, true)
	}()
	if _, err := b.Join(ctx, inv.Ticket); err != nil {
		t.Errorf("join with the same ticket: %v", err)
	}
}
