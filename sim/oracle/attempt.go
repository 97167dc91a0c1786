package oracle

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"syncline/crdt"
	"syncline/node"
	"syncline/sim/scenario"
)

// contentType is that of every value.
const contentType = node.MediaTypeText

// An Attempt is a write that a device was asked for, with what the person saw just before.
type Attempt struct {
	// Ops is what the device is to be asked for.
	Ops     []node.WriteOp
	device  int
	entries []*entry
	verbs   []scenario.Verb // of the entries
	ctx     set
	expect  expectation
	wall    int64
	written *write
	// merge says that it is the result of a merge function, which nobody waits for.
	merge bool
}

// An expectation says what the harness knows of the outcome beforehand.
type expectation int

const (
	either  expectation = iota
	success             // unless the disk fails
	refusal
)

// Attempt prepares a write: it reads what the device shows and derives what the write will supersede. wall is the device's clock.
func (o *Oracle) Attempt(device int, parts []scenario.Part, wall int64) *Attempt {
	d := o.devices[device]
	d.view.pass()
	a := &Attempt{device: device, ctx: d.app, expect: success, wall: wall}
	unread := false
	for i, p := range parts {
		if p.Verb == scenario.PutIf && d.versions[p.Path].name == "" {
			p.Verb = scenario.Put
		}
		reg, err := d.view.Get(p.Path)
		if err != nil {
			o.Unread(device, p.Path, err)
			unread = true
		}
		a.plan(o, p, i, reg)
	}
	if unread {
		a.expect = refusal
	}
	return a
}

// plan derives one part.
func (a *Attempt) plan(o *Oracle, p scenario.Part, i int, reg crdt.Register) {
	e := &entry{path: p.Path, mime: contentType, put: p.Verb != scenario.Delete && p.Verb != scenario.DeleteAll, resolve: p.Verb == scenario.Resolve || p.Verb == scenario.Keep || p.Verb == scenario.Merge,
		preds: newSet(o.limit), below: newSet(o.limit), kept: newSet(o.limit)}
	op := node.WriteOp{Path: p.Path, Delete: !e.put, Sibling: p.Verb == scenario.Sibling, All: p.Verb == scenario.PutAll || p.Verb == scenario.DeleteAll, Resolve: e.resolve}
	if e.put {
		e.data = fmt.Sprintf("v%d.%d", len(o.writes), i)
		e.data += strings.Repeat(".", max(0, p.Size-len(e.data)))
	}
	if e.put && p.Value != "" {
		e.data = o.Program.content(p.Value)
	}
	if p.Verb == scenario.Merge {
		e.data = p.Value
		if o.Program != nil {
			e.inputs = o.inputs(p.Path, reg)
		}
	}
	op.Content = node.Content{Data: []byte(e.data)}
	if e.put {
		op.Content.Type = contentType
	}
	if p.Verb == scenario.Keep && len(reg.Live) > 0 {
		v := reg.Live[0] // whoever keeps one keeps this one, so that several devices may settle a conflict alike
		op.Keep, op.Content = node.ValueID(v.Dot), node.Content{}
		e.data = string(v.Data)
	}
	if p.LWW && e.put {
		e.kind = crdt.LWW
	} else if e.put {
		e.kind = crdt.Multi
	}
	if e.put {
		op.Kind = &e.kind
	}
	gone := superseded(p.Verb, reg.Live)
	if _, viewed := o.view(o.devices[a.device], p.Path, reg); viewed && (p.Verb == scenario.Put || p.Verb == scenario.Delete) {
		gone = reg.Live // the view is of all of them
	}
	for _, v := range reg.Live {
		f := o.identify(p.Path, v)
		if f == nil {
			continue // reported elsewhere
		}
		if slices.ContainsFunc(gone, func(w crdt.Value) bool { return w.Dot == v.Dot }) {
			e.preds.add(f.index)
		} else {
			e.kept.add(f.index)
		}
	}
	for _, f := range o.byPath[p.Path] {
		if !f.put && a.ctx.has(f.index) {
			e.preds.add(f.index)
		}
	}
	for q := range e.preds.all {
		e.below.add(q)
		e.below.join(o.entries[q].below)
	}
	a.condition(o, &op, p, reg)
	a.entries, a.verbs, a.Ops = append(a.entries, e), append(a.verbs, p.Verb), append(a.Ops, op)
}

// condition derives whether a part must be refused.
func (a *Attempt) condition(o *Oracle, op *node.WriteOp, p scenario.Part, reg crdt.Register) {
	want := success
	switch {
	case p.Verb == scenario.PutIf:
		v := o.devices[a.device].versions[p.Path]
		op.IfVersion = v.name
		if v.live != o.versionKey(o.devices[a.device], p.Path, reg) {
			want = refusal
		}
	case op.Delete && len(reg.Live) == 0, op.Resolve && reg.Contending() == 0:
		want = refusal
	}
	if want == refusal || a.expect == success {
		a.expect = want
	}
}

// superseded returns what a verb replaces: without an explicit wish, what a person is shown and no value they never saw.
func superseded(verb scenario.Verb, live []crdt.Value) []crdt.Value {
	switch verb {
	case scenario.Sibling:
		return nil
	case scenario.PutAll, scenario.DeleteAll, scenario.Resolve, scenario.Keep, scenario.Merge, scenario.PutIf:
		return live
	}
	if len(live) == 0 {
		return nil
	}
	shown := newest(live)
	var same []crdt.Value
	open := false
	for _, v := range live {
		if string(v.Data) == string(shown.Data) {
			same = append(same, v)
		}
		open = open || v.Kind != crdt.LWW
	}
	if !open {
		return live
	}
	return same
}

// newest returns the value that a plain read must show.
func newest(live []crdt.Value) crdt.Value {
	return slices.MaxFunc(live, func(v, w crdt.Value) int {
		if v.Time != w.Time {
			if v.Time < w.Time {
				return -1
			}
			return 1
		}
		return v.Dot.Compare(w.Dot)
	})
}

// versionKey is equal for what has one version: the values and, where a view settles what competes, its policy.
func (o *Oracle) versionKey(d *truth, path string, reg crdt.Register) string {
	if _, viewed := o.view(d, path, reg); viewed {
		return liveKey(reg.Live) + d.policy(path)
	}
	return liveKey(reg.Live)
}

// liveKey is equal for equal live sets.
func liveKey(live []crdt.Value) string {
	key := make([]byte, 0, 16*len(live))
	for i := range live {
		key = append(key, live[i].Dot.Replica[:]...)
		key = binary.BigEndian.AppendUint64(key, live[i].Dot.Counter)
	}
	return string(key)
}

// enter makes an attempt that succeeded part of the truth, under the dot by which the device's context grew.
func (o *Oracle) enter(a *Attempt, d crdt.Dot, t crdt.Timestamp) *write {
	if t == 0 {
		t = o.timeHere(a, d)
	}
	w := &write{index: len(o.writes), device: a.device, by: o.s.DeviceName(a.device), dot: d, time: t, entries: a.entries, ctx: a.ctx}
	if len(o.entries)+len(a.entries) > o.limit {
		panic("sim: more writes than the scenario holds")
	}
	if old := o.byDot[d]; old != nil {
		o.Fail(DotReuse, a.device, "%v names %s and %s", d, old, w)
	}
	o.writes = append(o.writes, w)
	o.byDot[d] = w
	o.replicas[d.Replica] = true
	for _, e := range a.entries {
		if e.put && !e.descent.IsKnown() {
			e.descent = o.descentOf(e, d)
		}
		e.write, e.index = w, len(o.entries)
		o.entries = append(o.entries, e)
		o.byPath[e.path] = append(o.byPath[e.path], e)
		if c := (content{e.path, e.data}); e.put {
			o.byData[c] = append(o.byData[c], e)
		}
	}
	a.written = w
	return w
}

// descentOf returns what a value written under a dot has to say that it was written over: what the last value of its replica says, if it replaced that
// and nothing else, or what it replaced.
func (o *Oracle) descentOf(e *entry, d crdt.Dot) crdt.Descent {
	var from []crdt.Dot
	var last *entry
	for i := range e.preds.all {
		if f := o.entries[i]; f.put {
			from, last = append(from, f.dot), f
		}
	}
	switch {
	case len(from) == 1 && last.dot.Replica == d.Replica && last.descent.IsKnown():
		return last.descent
	case len(from) > crdt.DescentMax, len(from) == 0 && e.kept.len() > 0:
		return crdt.Descent{}
	}
	slices.SortFunc(from, crdt.Dot.Compare)
	return crdt.Descent{Since: d.Counter, From: from}
}

// timeHere returns the timestamp of a write that was not gossiped: that of its values on the device that wrote it. A delete leaves none;
// then it is that of the device's clock, which stands at its last write.
func (o *Oracle) timeHere(a *Attempt, d crdt.Dot) crdt.Timestamp {
	for _, e := range a.entries {
		reg, err := o.devices[a.device].view.Get(e.path)
		if i := slices.IndexFunc(reg.Live, func(v crdt.Value) bool { return v.Dot == d }); err == nil && i >= 0 {
			return reg.Live[i].Time
		}
	}
	return o.devices[a.device].view.Head().Clock
}
