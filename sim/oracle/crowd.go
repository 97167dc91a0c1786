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

// Crowds returns what somebody has to decide so that the devices can agree: the paths that sessions left out and on which they differ, each on the
// device that holds most there. As long as they differ on another path, which has to come by itself, it returns only those that are damaged
// somewhere: until such a one is repaired, sessions that have to carry it break off, and what lies behind it waits.
func (o *Oracle) Crowds() []Decision {
	var due, urgent []Decision
	wait := false
	for _, path := range o.paths {
		damaged := slices.ContainsFunc(o.devices, func(d *truth) bool { return slices.Contains(d.damaged, path) })
		if o.sameAt(path) && !damaged {
			continue
		}
		x, ok := o.decision(path)
		switch {
		case !ok:
			wait = true
		case damaged:
			urgent = append(urgent, x)
		default:
			due = append(due, x)
		}
	}
	if due = append(urgent, due...); wait {
		due = urgent
	}
	due = due[:min(len(due), decisionsMax-o.decisions)]
	o.decisions += len(due)
	for range due {
		o.Sometimes("decision on what was left out")
	}
	return due
}

// sameAt reports whether all devices run and have seen the same of a path.
func (o *Oracle) sameAt(path string) bool {
	return !slices.ContainsFunc(o.devices, func(d *truth) bool {
		return !d.up || !contextAt(d.parts, path).Equal(contextAt(o.devices[0].parts, path))
	})
}

// decision returns what is to be decided at a path. It reports false if no session left it out, or if nobody can read it.
func (o *Oracle) decision(path string) (x Decision, ok bool) {
	if !o.left[path] || crdt.IsSystemPath(path) {
		return x, false
	}
	var most set
	for i, d := range o.devices {
		if live := o.spec(path, d.app); d.up && !slices.Contains(d.damaged, path) && (!ok || live.len() > most.len()) {
			x.Device, most, ok = i, live, true
		}
	}
	x.Part = scenario.Part{Path: path, Verb: scenario.PutAll, LWW: most.len() > 0}
	for i := range most.all {
		x.Part.LWW = x.Part.LWW && o.entries[i].kind == crdt.LWW
	}
	return x, ok
}

func contextAt(p crdt.Parts, path string) crdt.Vector { return p[p.Of(path)].Context }
