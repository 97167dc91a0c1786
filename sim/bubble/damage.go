package bubble

import (
	"context"
	"time"

	"syncline/node"
	"syncline/store"
)

// damage spoils the record of the values at a path, if there is one and another device has them.
func (d *device) damage(path string) {
	w := d.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.still(d)
	if !d.started || !w.oracle.HeldElsewhere(d.index, path) || !d.disk.Damage(string(store.RecordKey(path))) {
		return
	}
	w.oracle.Sometimes("damaged record")
	d.tellDamage()
}

// tellDamage tells the oracle what cannot be read. The caller holds the world's mutex.
func (d *device) tellDamage() {
	d.bad = d.disk.Damaged()
	d.w.oracle.Damaged(d.index, d.bad)
}

// repair lets a person repair what is damaged, unless somebody does already.
func (d *device) repair() {
	w := d.w
	w.mu.Lock()
	defer w.mu.Unlock()
	space := d.space
	if !d.up || d.repairing {
		return
	}
	d.repairing = true
	w.people.Go(func() {
		_, _ = space.Repair(context.Background(), "", node.RepairOptions{}) // whether that mends anything is seen in the steps
		w.mu.Lock()
		defer w.mu.Unlock()
		d.repairing = false
	})
}

// repairEvery is how often damage is looked for once the faults are over.
const repairEvery = time.Second

// keepRepairing repairs what is damaged, again and again, until it is told to stop.
func (w *world) keepRepairing(stop <-chan struct{}) {
	tick := time.NewTicker(repairEvery)
	defer tick.Stop()
	for {
		for _, d := range w.devices {
			w.mu.Lock()
			damaged := len(d.bad) > 0
			w.mu.Unlock()
			if damaged {
				d.repair()
			}
		}
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}
