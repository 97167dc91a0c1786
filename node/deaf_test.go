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

// A deaf network opens no session, from when on is set: it waits until it need not any more, and tells why.
type deaf struct {
	gossip.Network
	on           atomic.Bool
	opens, ended chan error
}

func newDeaf(hub *nodetest.Hub) *deaf {
	return &deaf{Network: hub.New(), opens: make(chan error, 1000), ended: make(chan error, 1000)}
}

func (d *deaf) Open(ctx context.Context, s gossip.SpaceID, p gossip.DeviceID) (gossip.Stream, error) {
	if !d.on.Load() {
		return d.Network.Open(ctx, s, p)
	}
	d.opens <- nil
	<-ctx.Done()
	d.ended <- ctx.Err()
	return nil, ctx.Err()
}

// TestCloseDoesNotWaitForASessionThatDoesNotOpen.
func TestCloseDoesNotWaitForASessionThatDoesNotOpen(t *testing.T) {
	hub := new(nodetest.Hub)
	d := newDeaf(hub)
	d.on.Store(true)
	a := open(t, node.Config{Name: "laptop", Network: d, AntiEntropy: 100 * time.Millisecond})
	b := open(t, node.Config{Name: "desktop", Network: hub.New(), AntiEntropy: time.Hour})
	join(t, a, b)
	<-d.opens
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	close(d.ended)
	var last error
	for err := range d.ended {
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("the last session ended with %v, want the end of the node", last)
	}
}

// TestWhatADeviceHeldBeforeItCameBackIsNotTakenForGranted: meanwhile it may have lost its disk. What it holds is known after a session.
func TestWhatADeviceHeldBeforeItCameBackIsNotTakenForGranted(t *testing.T) {
	hub := new(nodetest.Hub)
	nets := []*deaf{newDeaf(hub), newDeaf(hub)}
	a := open(t, node.Config{Name: "laptop", Network: nets[0]})
	b := open(t, node.Config{Name: "desktop", Network: nets[1]})
	join(t, a, b)
	s := space(t, a)
	mustPut(t, s, "x", "1")
	caughtUp(t, s, "desktop")
	hub.Cut(b.ID())
	for {
		if all, err := s.Devices(within(t)); err != nil {
			t.Fatal(err)
		} else if all[1].State == node.StateOffline {
			break
		}
		time.Sleep(time.Millisecond) // no event tells of it
	}
	if res, err := s.WaitSync(within(t), node.SyncOptions{Device: "desktop"}); err != nil || !res.CaughtUp {
		t.Errorf("while it is away: %+v, %v", res, err)
	}
	for _, d := range nets {
		d.on.Store(true)
	}
	hub.Heal()
	<-nets[0].opens
	soon, cancel := context.WithTimeout(within(t), 100*time.Millisecond)
	defer cancel()
	if res, err := s.WaitSync(soon, node.SyncOptions{Device: "desktop"}); !errors.Is(err, node.ErrNotCaughtUp) {
		t.Errorf("before a session: %+v, %v", res, err)
	}
	if all, err := s.Devices(within(t)); err != nil || all[1].State != node.StateSyncing {
		t.Errorf("before a session: %+v, %v", all, err)
	}
}
