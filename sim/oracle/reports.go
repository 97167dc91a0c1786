package oracle

import (
	"slices"

	"syncline/crdt"
	"syncline/node"
)

// checkReports says whether a device told of everything that changed in a step, of each conflict once, and in the order in which things
// happened. before is what it had seen, added the writes that it saw in the step.
func (o *Oracle) checkReports(device int, before set, added []*write, changes []node.Changed) {
	d := o.devices[device]
	for _, w := range added {
		for _, e := range w.entries {
			told := slices.ContainsFunc(changes, func(c node.Changed) bool { return slices.Contains(c.Paths, e.path) })
			if !told && !slices.Equal(o.spec(e.path, before), o.spec(e.path, d.app)) {
				o.Fail(Reports, device, "%s changed %s and nobody was told", w, e.path)
			}
		}
	}
	var earlier []crdt.Conflict
	for _, c := range changes {
		for _, c := range c.Conflicts {
			o.checkOnce(device, c)
			for _, old := range earlier {
				o.checkOrder(device, old, c)
			}
			earlier = append(earlier, c)
		}
	}
}

// checkOnce says whether a conflict between values was told before. That a value won over a delete may be told for each delete.
func (o *Oracle) checkOnce(device int, c crdt.Conflict) {
	if c.Local.Dot.Counter == 0 || c.Remote.Dot.Counter == 0 {
		return
	}
	d := o.devices[device]
	key := told{c.Path, c.Local.Dot, c.Remote.Dot, liveKey(c.Siblings)}
	if d.once[key] {
		o.Fail(Reports, device, "the conflict at %s between %.24q and %.24q is told a second time", c.Path, c.Local.Data, c.Remote.Data)
	}
	d.once[key] = true
}

// checkOrder says whether a conflict that is told after another may have come after it: its values do not lie before those of the other.
func (o *Oracle) checkOrder(device int, old, c crdt.Conflict) {
	if old.Path != c.Path {
		return
	}
	for _, v := range old.Siblings {
		e := o.identify(c.Path, v)
		for _, w := range c.Siblings {
			if f := o.identify(c.Path, w); e != nil && f != nil && e.over(f) {
				o.Fail(Reports, device, "at %s a conflict of %s is told after one of %s, which superseded it", c.Path, f.write, e.write)
			}
		}
	}
}
