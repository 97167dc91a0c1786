package des

import (
	"slices"
	"time"

	"syncline/gossip"
	"syncline/node"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
	"syncline/store"
)

// damage spoils the record of the values at a path, if there is one and another device has them, and on every other device that of the
// remembered deletes.
func (d *device) damage(path string) {
	if !d.w.oracle.HeldElsewhere(d.index, path) {
		return
	}
	if d.disk.Damage(string(store.RecordKey(path))) {
		d.w.oracle.Sometimes("damaged record")
	}
	if (d.w.s.Seed+uint64(d.index))%2 == 0 && d.disk.Damage(string(store.DeletesKey(path))) {
		d.w.oracle.Sometimes("damaged record of deletes")
	}
	d.tellDamage()
}

// tellDamage tells the oracle what cannot be read.
func (d *device) tellDamage() { d.w.oracle.Damaged(d.index, d.disk.Damaged()) }

// repairEvery is how often a device tries once the faults are over.
const repairEvery = time.Second

// keepRepairing repairs until nothing is damaged.
func (d *device) keepRepairing() {
	if len(d.disk.Damaged()) > 0 {
		d.repair()
		d.w.after(repairEvery, d.keepRepairing)
	}
}

// repair asks one connected device after the other for what was lost, as node.Space.Repair does.
func (d *device) repair() {
	if !d.up || d.repairing {
		return
	}
	var peers []gossip.DeviceID
	for _, p := range d.pairs {
		if p.known(d) != nil {
			peers = append(peers, p.other(d).id)
		}
	}
	d.repairing = true
	d.repairFrom(peers)
}

func (d *device) repairFrom(peers []gossip.DeviceID) {
	var paths []string
	for path, err := range d.store.Damaged("") {
		if path == "" {
			d.w.oracle.Fail(oracle.Available, d.index, "look for damage: %v", err)
			return
		}
		paths = append(paths, path)
	}
	if len(paths) == 0 || len(peers) == 0 {
		d.repairing = false
		return
	}
	d.tag++
	d.repairs[d.tag] = peers
	d.step(PhaseSession, node.Repair{Tag: d.tag, Paths: paths, Peer: peers[0]})
}

// repaired goes on with the next device after one has answered.
func (d *device) repaired(r node.Reply) {
	asked, peers := d.w.byID[d.repairs[r.Tag][0]], d.repairs[r.Tag][1:]
	delete(d.repairs, r.Tag)
	if len(r.Mended) > 0 {
		d.w.oracle.Sometimes("repair")
		if len(asked.disk.Damaged()) > 0 {
			d.w.oracle.Sometimes("repair by a damaged device")
		}
	}
	if len(r.Unread) > 0 {
		d.w.oracle.Sometimes("damage on both ends")
	}
	life := d.life
	d.w.after(time.Millisecond, func() {
		if d.life == life {
			d.repairFrom(peers)
		}
	})
}

// cacheBytes returns how much a store may remember of what it wrote lately: little, so that it forgets, too. Where records are damaged it is
// nothing: whether a write meets the damage would depend on what is remembered.
func (w *world) cacheBytes() int {
	if slices.ContainsFunc(w.s.Ops, func(op scenario.Op) bool { return op.Do == scenario.DoDamage }) {
		return 0
	}
	return 1024
}
