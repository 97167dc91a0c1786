package node_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"syncline/gossip"
	"syncline/node"
	"syncline/node/nodetest"
)

// A deaf network opens no session: it waits until it need not any more, and tells why.
type deaf struct {
	gossip.Network
	opens, ended chan error
}

func (d *deaf) Open(ctx context.Context, _ gossip.SpaceID, _ gossip.DeviceID) (gossip.Stream, error) {
	d.opens <- nil
	<-ctx.Done()
	d.ended <- ctx.Err()
	return nil, ctx.Err()
}

// TestCloseDoesNotWaitForASessionThatDoesNotOpen.
func TestCloseDoesNotWaitForASessionThatDoesNotOpen(t *testing.T) {
	hub := new(nodetest.Hub)
	d := &deaf{Network: hub.New(), opens: make(chan error, 1000), ended: make(chan error, 1000)}
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
