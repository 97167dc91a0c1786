package oracle

import (
	"fmt"
	"slices"

	"syncline/crdt"
	"syncline/sim/scenario"
)

// Healed takes note that the last fault is over: what living stores hold now must be everywhere in the end.
func (o *Oracle) Healed() {
	o.survived = newSet(o.limit)
	for _, d := range o.devices {
		o.survived.join(d.app)
	}
}

// Agree reports whether all devices have seen the same.
func (o *Oracle) Agree() bool {
	for _, d := range o.devices {
		if !d.up || !samePaths(d.parts, o.devices[0].parts) {
			return false
		}
	}
	return true
}

// samePaths reports whether the same was seen of every path. Devices whose parts stay different for ever, because what would have made
// them one was lost with its only holder, agree, too (rule 17).
func samePaths(a, b crdt.Parts) bool {
	if len(a) == 1 && len(b) == 1 {
		return a[0].Context.Equal(b[0].Context)
	}
	for _, p := range append(a[:len(a):len(a)], b...) {
		if !a[a.Of(p.From)].Context.Equal(b[b.Of(p.From)].Context) {
			return false
		}
	}
	return true
}

// Ranges reports whether a device has several parts.
func (o *Oracle) Ranges() bool {
	return slices.ContainsFunc(o.devices, func(d *truth) bool { return len(d.parts) > 1 })
}

// NotConverged notes that the devices did not agree in time, and who lacks what.
func (o *Oracle) NotConverged() {
	for i, d := range o.devices {
		var lacks []*write
		for i := range o.survived.minus(d.app).all {
			if w := o.entries[i].write; len(lacks) == 0 || lacks[len(lacks)-1] != w { // its entries follow each other
				lacks = append(lacks, w)
			}
		}
		switch len(lacks) {
		case 0:
		case 1:
			o.Fail(Convergence, i, "still without %s", lacks[0])
		default:
			o.Fail(Convergence, i, "still without %d writes, the first %s", len(lacks), lacks[0])
		}
	}
	if !slices.ContainsFunc(o.Violations, func(v Violation) bool { return v.Check == Convergence }) {
		o.Fail(Convergence, 0, "the devices do not agree")
	}
}

// Finish compares the devices with the truth and with each other, once nothing happens any more.
func (o *Oracle) Finish() {
	for i, d := range o.devices {
		d.view.pass()
		for _, path := range o.paths {
			o.checkPath(i, path, true)
		}
		o.checkDigest(i)
		if j := o.survived.less(d.app); j >= 0 {
			o.Fail(LostUpdate, i, "%s was on a living device when the last fault was over and is not here", o.entries[j].write)
		}
		for _, e := range o.entries {
			o.checkKept(i, d, e)
		}
		o.checkCounts(i, d)
		o.checkSettled(i)
		o.checkIncarnations(i, d)
	}
	o.checkMerges()
}

// HeldBack takes note of how many operations a device still holds back in the end. Each waits for one that was lost with its writer.
func (o *Oracle) HeldBack(device, n int) {
	lost := 0
	for _, w := range o.writes {
		if slices.ContainsFunc(w.entries, func(e *entry) bool { return !o.devices[device].app.has(e.index) }) {
			lost++
		}
	}
	if n > lost {
		o.Fail(Metadata, device, "%d operations are held back, of %d that are not here", n, lost)
	}
}

// checkIncarnations bounds the replica ids of a device, each of which is an entry of every vector for ever: one for each start that
// writes, and one whenever its clock was set back.
func (o *Oracle) checkIncarnations(device int, d *truth) {
	ids, max := map[crdt.ReplicaID]bool{}, d.starts
	for _, w := range o.writes {
		if w.device == device {
			ids[w.dot.Replica] = true
		}
	}
	for i := range o.s.Ops {
		if op := &o.s.Ops[i]; op.Do == scenario.DoClock && op.Device == device {
			max++
		}
	}
	if len(ids) > max {
		o.Fail(Metadata, device, "%d replica ids after %d starts and jumps of the clock", len(ids), max)
	}
}

// Final returns the contents at each path of a device, sorted.
func (o *Oracle) Final(device int) map[string][]string {
	out := map[string][]string{}
	for _, path := range o.s.Paths {
		reg, err := o.devices[device].view.Get(path)
		if err != nil {
			continue
		}
		for _, v := range reg.Live {
			out[path] = append(out[path], string(v.Data))
		}
		slices.Sort(out[path])
	}
	return out
}

// checkKept says whether a value that a device has, or that was acknowledged by a device that was never set back, is live or superseded
// there.
func (o *Oracle) checkKept(device int, d *truth, e *entry) {
	o.Checked++
	if !o.survived.has(e.index) || !e.put || o.isOver(e, d.app) {
		return
	}
	reg, err := d.view.Get(e.path)
	if err != nil || !slices.ContainsFunc(reg.Live, func(v crdt.Value) bool { return o.identify(e.path, v) == e }) {
		o.Fail(LostUpdate, device, "%s is gone from %s and nothing supersedes it", e.write, e.path)
	}
}

// checkCounts compares the head of a store with its registers, and its records with each other.
func (o *Oracle) checkCounts(device int, d *truth) {
	o.Checked++
	if err := d.view.Check(); err != nil {
		o.Fail(Metadata, device, "%v", err)
	}
	var digest crdt.Digest
	entries, deletes, conflicts := 0, 0, 0
	for _, path := range o.paths {
		reg, err := d.view.Get(path)
		if err != nil {
			continue
		}
		for _, v := range reg.Live {
			digest.Add(path, v)
		}
		if len(reg.Live) > 0 && !crdt.IsSystemPath(path) {
			entries++
		}
		if reg.Contending() > 0 {
			conflicts++
		}
		deletes += len(reg.Deletes)
	}
	h := d.view.Head()
	got := fmt.Sprint(h.Entries, h.Deletes, h.Conflicts)
	if want := fmt.Sprint(entries, deletes, conflicts); got != want || deletes > o.s.DeleteLog {
		o.Fail(Metadata, device, "the store counts entries, deletes, conflicts as %s; they are %s", got, want)
	}
	if h.Digest != digest {
		o.Fail(Metadata, device, "the store's digest is not that of its values")
	}
}
