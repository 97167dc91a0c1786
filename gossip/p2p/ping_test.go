package p2p

import (
	"context"
	"errors"
	"testing"
)

func TestPingMeasuresAConnectionThatIsThere(t *testing.T) {
	a, b, _ := connected(t)
	if took, err := a.Ping(b.device); err != nil || took <= 0 {
		t.Errorf("ping: %v, %v", took, err)
	}
	if _, err := a.Ping(deviceOfKey(testKey("nobody"))); !errors.Is(err, ErrNotConnected) {
		t.Errorf("ping of nobody: %v", err)
	}
	must(t, b.Close())
	next(t, a.peersDown, "PeerDown")
	if _, err := a.Ping(b.device); !errors.Is(err, ErrNotConnected) {
		t.Errorf("ping of one that left: %v", err)
	}
	must(t, a.Close())
	if _, err := a.Ping(b.device); !errors.Is(err, ErrClosed) {
		t.Errorf("ping after the end: %v", err)
	}
}

// A look at the local network ends with its context, whatever network there is, and changes nothing for a Network beside it.
func TestProbeLANEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if probe, err := ProbeLAN(ctx); probe.HeardSelf && len(probe.Interfaces) == 0 {
		t.Errorf("heard itself on no interface: %+v, %v", probe, err)
	}
}
