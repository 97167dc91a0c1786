package oracle

import (
	"slices"
	"time"

	"syncline/node"
	"syncline/store"
)

// Damaged takes note of the records on a device that cannot be read now, by their keys, sorted: what was there is asked for neither in reads nor in writes,
// and everything else works as if nothing had happened.
func (o *Oracle) Damaged(device int, keys []string) {
	d := o.devices[device]
	var paths []string
	for _, path := range o.s.Paths {
		_, live := slices.BinarySearch(keys, string(store.RecordKey(path)))
		if _, deletes := slices.BinarySearch(keys, string(store.DeletesKey(path))); live || deletes {
			paths = append(paths, path)
		}
	}
	mended := slices.DeleteFunc(d.damaged, func(p string) bool { return slices.Contains(paths, p) })
	d.damaged = paths
	if len(mended) > 0 {
		o.differs = o.now() + underWay
	}
	for _, path := range mended {
		if d.up {
			o.checkPath(device, path, true)
		}
	}
}

// Unread judges an error of a device that was asked for a path.
func (o *Oracle) Unread(device int, path string, err error) {
	if slices.Contains(o.devices[device].damaged, path) {
		o.Sometimes("read of a damaged record")
		return
	}
	o.Fail(Available, device, "read %s: %v", path, err)
}

// HeldElsewhere reports whether what a device has at a path is also on another one that runs and can read it, whatever else is damaged there.
func (o *Oracle) HeldElsewhere(device int, path string) bool {
	live := o.spec(path, o.devices[device].app)
	return slices.ContainsFunc(o.devices, func(d *truth) bool {
		return d != o.devices[device] && d.up && live.less(d.app) < 0 && !slices.Contains(d.damaged, path)
	})
}

// Damage reports whether a record of some device cannot be read, and whether what was in one of them is nowhere else any more: the device
// that had it was set back.
func (o *Oracle) Damage() (some, lost bool) {
	for i, d := range o.devices {
		for _, path := range d.damaged {
			some, lost = true, lost || !o.HeldElsewhere(i, path)
		}
	}
	return some, lost
}

// LostToAll is why a run is undecided in which Damage says that something is lost.
const LostToAll = "a record is damaged, and no other device has what was in it: the one that had it was set back"

// Unrepaired notes that damage stayed though other devices have what was lost.
func (o *Oracle) Unrepaired() {
	for i, d := range o.devices {
		for _, path := range d.damaged {
			o.Fail(Repaired, i, "%s is damaged to the end, and another device has what was there", path)
		}
	}
}

// underWay is how long the end of a session may be under way that was sent before a record was mended.
const underWay = 30 * time.Second

// maySay reports whether an alarm is about damage that there is. A store that has mended one of two damaged records leaves the other out of
// its digest, which differs then from those of other devices; that may be heard when the other is mended, too.
func (o *Oracle) maySay(device int, a node.Alarm) bool {
	damaged := func(d *truth) bool { return len(d.damaged) > 0 }
	return a.Code == node.AlarmCorrupt && damaged(o.devices[device]) ||
		a.Code == node.AlarmDiverged && (slices.ContainsFunc(o.devices, damaged) || o.now() < o.differs)
}
