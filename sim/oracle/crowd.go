package oracle

import (
	"slices"

	"syncline/crdt"
	"syncline/sim/scenario"
)

// decisionsMax bounds the decisions that a run may take for the devices to agree on what sessions leave out.
const decisionsMax = 64

// LeftOut judges the paths that a session left out: only what has several values can be too much for an answer. All others were exchanged, and
// that they were is seen by [Oracle.Crowds].
func (o *Oracle) LeftOut(device int, paths []string) {
	o.Checked++
	for _, path := range paths {
		o.Sometimes("path left out")
		if o.left[path] = true; o.s.AnswerMemory == 0 || !o.crowded[path] {
			o.Fail(NoAlarm, device, "%s was left out of a session, and no device ever held several values there", path)
		}
	}
}

// A Decision is a write over all values of a path that somebody makes on a device.
type Decision struct {
	Device int
	Part   scenario.Part
}

// Crowds returns what somebody has to decide so that the devices can agree: the paths on which they differ, each on the device that holds most
// there. It returns nothing as long as they differ on a path that no session left out: that has to come by itself.
func (o *Oracle) Crowds() []Decision {
	var out []Decision
	for _, path := range o.paths {
		same := !slices.ContainsFunc(o.devices, func(d *truth) bool {
			return !d.up || !contextAt(d.parts, path).Equal(contextAt(o.devices[0].parts, path))
		})
		if same {
			continue
		}
		if !o.left[path] || crdt.IsSystemPath(path) || o.decisions+len(out) >= decisionsMax {
			return nil
		}
		most, values := -1, set(nil)
		for i, d := range o.devices {
			if live := o.spec(path, d.app); d.up && !slices.Contains(d.damaged, path) && (most < 0 || live.len() > values.len()) {
				most, values = i, live
			}
		}
		if most < 0 {
			return nil
		}
		lww := values.len() > 0
		for i := range values.all {
			lww = lww && o.entries[i].kind == crdt.LWW
		}
		out = append(out, Decision{most, scenario.Part{Path: path, Verb: scenario.PutAll, LWW: lww}})
	}
	o.decisions += len(out)
	for range out {
		o.Sometimes("decision on what was left out")
	}
	return out
}

func contextAt(p crdt.Parts, path string) crdt.Vector { return p[p.Of(path)].Context }
