package oracle

import (
	"slices"

	"syncline/crdt"
	"syncline/node"
)

// mayBeMarked reports whether some delete was concurrent with e, or with a value that e inherited the mark from.
func (o *Oracle) mayBeMarked(e *entry) bool {
	for _, f := range o.byPath[e.path] {
		if !f.put && f.apart(e) {
			return true
		}
	}
	for q := range e.preds.all {
		if f := o.entries[q]; f.put && o.mayBeMarked(f) {
			return true
		}
	}
	return false
}

// contents returns the number of different contents.
func contents(es []*entry) int {
	n := 0
	for i, e := range es {
		if !slices.ContainsFunc(es[:i], func(f *entry) bool { return f.data == e.data }) {
			n++
		}
	}
	return n
}

// checkOpen says whether a conflict that is open was reported since it came up, and counts what was seen.
func (o *Oracle) checkOpen(device int, path string, es []*entry, fresh bool) {
	o.Checked++
	d := o.devices[device]
	n := contents(es)
	if n < 2 {
		d.open[path] = false
		return
	}
	o.Sometimes("conflict")
	if n > 2 {
		o.Sometimes("conflict of three")
	}
	if fresh {
		d.open[path] = true
	}
	if !d.open[path] {
		d.open[path] = true
		o.Fail(MissedConflict, device, "%d values compete at %s and nobody was told", n, path)
	}
}

// checkArrivals says whether each pair of values that met and were written apart was reported.
func (o *Oracle) checkArrivals(device int, path string, before set, changes []node.Changed) {
	o.Checked++
	d := o.devices[device]
	reg, err := d.view.Get(path)
	if err != nil {
		return
	}
	reported := conflictsAt(path, changes)
	if len(reported) > 0 {
		d.open[path] = true
	}
	for _, v := range reg.Live {
		e := o.identify(path, v)
		if e == nil || before.has(e.index) {
			continue
		}
		for _, w := range reg.Live {
			f := o.identify(path, w)
			if f != nil && f.data != e.data && e.apart(f) && !d.reported[pairOf(e, f)] {
				o.Fail(MissedConflict, device, "%s and %s met at %s and nobody was told", e.write, f.write, path)
			}
		}
	}
}

func conflictsAt(path string, changes []node.Changed) []crdt.Conflict {
	var cs []crdt.Conflict
	for _, ch := range changes {
		for _, c := range ch.Conflicts {
			if c.Path == path {
				cs = append(cs, c)
			}
		}
	}
	return cs
}

// checkConflicts says whether what was reported as conflicts are some.
func (o *Oracle) checkConflicts(device int, before set, changes []node.Changed) {
	for _, ch := range changes {
		for _, c := range ch.Conflicts {
			o.checkConflict(device, before, c)
		}
	}
}

func (o *Oracle) checkConflict(device int, before set, c crdt.Conflict) {
	o.Checked++
	es := o.identifyAll(device, c.Path, c.Siblings)
	for _, e := range es {
		for _, f := range es {
			o.devices[device].reported[pairOf(e, f)] = true
		}
		for _, f := range o.byPath[c.Path] {
			if f.over(e) && before.has(f.index) {
				check := FalseConflict
				if f.resolve {
					check = Finality
				}
				o.Fail(check, device, "%s is reported in a conflict at %s after %s", e.write, c.Path, f.write)
			}
		}
	}
	if c.Settled {
		o.Sometimes("conflict settled by time")
	}
	if c.Local.Dot.Counter == 0 || c.Remote.Dot.Counter == 0 {
		o.checkWonReport(device, c)
		return
	}
	e, f := o.identify(c.Path, c.Local), o.identify(c.Path, c.Remote)
	switch {
	case e == nil || f == nil:
		o.Fail(Phantom, device, "the conflict at %s is between values that nobody wrote", c.Path)
	case e.data == f.data:
		o.Fail(FalseConflict, device, "%s and %s at %s have the same content", e.write, f.write, c.Path)
	case e.over(f) || f.over(e):
		o.Fail(FalseConflict, device, "of %s and %s at %s one supersedes the other", e.write, f.write, c.Path)
	case e.settled(f) || f.settled(e):
		o.Fail(FalseConflict, device, "of %s and %s at %s one writer had seen the other go", e.write, f.write, c.Path)
	}
}

// checkCarried says whether what one operation of gossip brought to light is new. A conflict that its writer knew and left open goes on,
// and is told only if there are more contents than before.
func (o *Oracle) checkCarried(device int, before set, changes []node.Changed) {
	for _, ch := range changes {
		for _, c := range ch.Conflicts {
			e, f := o.identify(c.Path, c.Local), o.identify(c.Path, c.Remote)
			if e == nil || f == nil || e.apart(f) {
				continue
			}
			var old []*entry
			for i := range o.spec(c.Path, before).all {
				old = append(old, o.entries[i])
			}
			if contents(o.identifyAll(device, c.Path, c.Siblings)) <= contents(old) {
				o.Fail(FalseConflict, device, "%s and %s at %s are reported as new, and one writer knew the other and left it alone", e.write, f.write, c.Path)
			}
		}
	}
}

// checkWonReport judges the report that a value won over a concurrent delete.
func (o *Oracle) checkWonReport(device int, c crdt.Conflict) {
	o.Checked++
	o.Sometimes("delete/update conflict")
	v := c.Local
	if v.Dot.Counter == 0 {
		v = c.Remote
	}
	if e := o.identify(c.Path, v); e == nil || !o.mayBeMarked(e) {
		o.Fail(DeleteUpdate, device, "%.24q at %s is reported to have won over a delete; there was none", v.Data, c.Path)
	}
}

// checkDeleteUpdate says whether one operation that gossip brought was reported if it met a concurrent delete of what it replaced,
// or the other way round.
func (o *Oracle) checkDeleteUpdate(device int, w *write, before set, changes []node.Changed) {
	o.Checked++
	d := o.devices[device]
	for _, x := range w.entries {
		if before.has(x.index) { // with the range of its path
			continue
		}
		apart := false
		for i := range o.spec(x.path, before).all {
			apart = apart || x.apart(o.entries[i])
		}
		must := false
		for _, y := range o.byPath[x.path] {
			if y.put == x.put || !before.has(y.index) || !x.apart(y) || !o.share(x, y) || o.isOver(y, d.app) {
				continue
			}
			must = must || !x.put || !apart
		}
		if must && len(conflictsAt(x.path, changes)) == 0 {
			o.Fail(DeleteUpdate, device, "%s met a concurrent delete or update at %s and nobody was told", w, x.path)
		}
	}
}

// share reports whether a value that x replaces is also superseded by y.
func (o *Oracle) share(x, y *entry) bool {
	for q := range x.preds.all {
		if f := o.entries[q]; f.put && y.over(f) {
			return true
		}
	}
	return false
}
