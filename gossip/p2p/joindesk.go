package p2p

import (
	"context"
	"sync"
	"time"

	"syncline/gossip"
)

// A joinDesk bounds the join streams that are served: joinStreamsMax in their first joinLifetime, when machines talk, and
// joinWaitersMax later, when they wait for a person. Otherwise a few patient joiners would keep everybody else out. Of the first, those
// for which the handler has not vouched make room for others: anybody can open a stream and say nothing.
type joinDesk struct {
	mu      sync.Mutex // guards what follows
	fresh   int
	waiting int
	devices map[gossip.DeviceID]*joinTurn
	entered uint64 // turns until now
}

// A joinTurn is the one join stream of a device.
type joinTurn struct {
	turnOut func()        // breaks the stream
	number  uint64        // in the order of entering
	done    chan struct{} // closed when it ends
	queued  bool          // another stream of the device waits for that
	vouched bool          // the handler knows what it asks for
	settled bool          // counted as waiting
	out     bool          // not counted any more
}

func newJoinDesk() *joinDesk { return &joinDesk{devices: make(map[gossip.DeviceID]*joinTurn)} }

// enter admits a device, or returns nil. A device that comes again at once, after a refusal, may overtake the end of its last
// stream; one of its streams waits for that, shortly. turnOut is called if the place is needed for another.
func (d *joinDesk) enter(ctx context.Context, device gossip.DeviceID, turnOut func()) *joinTurn {
	t, last := d.try(device, turnOut)
	if last == nil {
		return t
	}
	timer := time.NewTimer(joinTurnWait)
	defer timer.Stop()
	select {
	case <-last:
		t, _ = d.try(device, turnOut)
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
func (d *joinDesk) try(device gossip.DeviceID, turnOut func()) (t *joinTurn, last chan struct{}) {
	makeRoom := func() {}
	defer func() { makeRoom() }() // once the desk is unlocked
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
		oldest := d.oldestUnknown()
		if oldest == nil {
			return nil, nil
		}
		oldest.out = true
		d.fresh--
		makeRoom = oldest.turnOut
	}
	d.fresh++
	d.entered++
	t = &joinTurn{turnOut: turnOut, number: d.entered, done: make(chan struct{})}
	d.devices[device] = t
	return t, nil
}

// oldestUnknown returns the first turn that has not settled and for which nobody has vouched, or nil. The caller holds mu.
func (d *joinDesk) oldestUnknown() (oldest *joinTurn) {
	for _, t := range d.devices {
		if !t.vouched && !t.settled && !t.out && (oldest == nil || t.number < oldest.number) {
			oldest = t
		}
	}
	return oldest
}

// vouch keeps a turn from being turned out for another.
func (d *joinDesk) vouch(t *joinTurn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t.vouched = true
}

// settle counts a turn among the waiting ones; it reports false if it is over or there are too many.
func (d *joinDesk) settle(device gossip.DeviceID, t *joinTurn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.devices[device] != t || t.out || d.waiting >= joinWaitersMax {
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
	switch {
	case t.out:
	case t.settled:
		d.waiting--
	default:
		d.fresh--
	}
	delete(d.devices, device)
	close(t.done)
}
