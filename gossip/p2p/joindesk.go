package p2p

import (
	"context"
	"sync"
	"time"

	"syncline/gossip"
)

// A joinDesk bounds the join streams that are served: joinStreamsMax in their first joinLifetime, when machines talk, and
// joinWaitersMax later, when they wait for a person. Otherwise a few patient joiners would keep everybody else out.
type joinDesk struct {
	mu      sync.Mutex // guards what follows
	fresh   int
	waiting int
	devices map[gossip.DeviceID]*joinTurn
}

// A joinTurn is the one join stream of a device.
type joinTurn struct {
	done    chan struct{} // closed when it ends
	queued  bool          // another stream of the device waits for that
	settled bool          // counted as waiting
}

func newJoinDesk() *joinDesk { return &joinDesk{devices: make(map[gossip.DeviceID]*joinTurn)} }

// enter admits a device, or returns nil. A device that comes again at once, after a refusal, may overtake the end of its last
// stream; one of its streams waits for that, shortly.
func (d *joinDesk) enter(ctx context.Context, device gossip.DeviceID) *joinTurn {
	t, last := d.try(device)
	if last == nil {
		return t
	}
	timer := time.NewTimer(joinTurnWait)
	defer timer.Stop()
	select {
	case <-last:
		t, _ = d.try(device)
		return t
	case <-timer.C:
	case <-ctx.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.devices[device]; t != nil && t.done == last {
		t.queued = false
	}
	return nil
}

// try admits a device, or returns the end of its present turn if the caller may wait for that.
func (d *joinDesk) try(device gossip.DeviceID) (t *joinTurn, last chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.devices[device]; t != nil {
		if t.queued {
			return nil, nil
		}
		t.queued = true
		return nil, t.done
	}
	if d.fresh >= joinStreamsMax {
		return nil, nil
	}
	d.fresh++
	t = &joinTurn{done: make(chan struct{})}
	d.devices[device] = t
	return t, nil
}

// settle counts a turn among the waiting ones; it reports false if it is over or there are too many.
func (d *joinDesk) settle(device gossip.DeviceID, t *joinTurn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.devices[device] != t || d.waiting >= joinWaitersMax {
		return false
	}
	d.fresh--
	d.waiting++
	t.settled = true
	return true
}

func (d *joinDesk) leave(device gossip.DeviceID, t *joinTurn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t.settled {
		d.waiting--
	} else {
		d.fresh--
	}
	delete(d.devices, device)
	close(t.done)
}
