package oracle

import (
	"slices"
	"strings"

	"syncline/crdt"
	"syncline/node"
)

// Stepped compares a device with the truth after one step. a is the write that the step was asked for, nil if none; via says
// whether the step took operations from gossip.
func (o *Oracle) Stepped(device int, out []node.Output, a *Attempt, via bool) {
	d := o.devices[device]
	d.view.pass()
	context, parts := d.view.Context(), d.parts
	if o.ranged || !context.Equal(d.context) {
		parts = o.partsOf(d.view)
	}
	before := d.app
	if a != nil && a.merge {
		o.settleMerge(device, a, out, context)
	} else if a != nil {
		o.settle(device, a, out, context)
	}
	o.adopt(device, out)
	if !context.Equal(d.context) || len(parts) > 1 || len(d.parts) > 1 {
		o.advance(device, context, parts)
	}
	changes := ChangesIn(out)
	if len(changes) == 0 && slices.Equal(d.app, before) {
		return
	}
	var paths []string
	var added []*write
	for i := range d.app.beyond(before) {
		e := o.entries[i]
		paths = append(paths, e.path)
		if len(added) == 0 || added[len(added)-1] != e.write { // its entries follow each other
			added = append(added, e.write)
		}
	}
	for _, c := range changes {
		paths = append(paths, c.Paths...)
	}
	slices.Sort(paths)
	if slices.ContainsFunc(paths, crdt.IsSystemPath) {
		o.learn(device)
	}
	o.checkConflicts(device, before, changes)
	o.checkReports(device, before, added, changes)
	for _, path := range slices.Compact(paths) {
		o.checkArrivals(device, path, before, changes)
		o.checkPath(device, path, slices.Contains(d.damaged, path)) // one that can be read again may have been open before
	}
	if via && len(added) == 1 {
		o.checkDeleteUpdate(device, added[0], before, changes)
		o.checkCarried(device, before, changes)
	}
	if len(added) > 0 || len(changes) > 0 {
		o.checkDigest(device)
		o.checkState(device)
	}
}

// StepFailed judges a step that failed with err: that takes a disk that refuses writes, or a record that cannot be read.
func (o *Oracle) StepFailed(device int, err error) {
	o.Checked++
	o.Sometimes("step that failed")
	if d := o.devices[device]; !d.fails && len(d.damaged) == 0 {
		o.Fail(Available, device, "a step failed: %v", err)
	}
}

// ChangesIn returns the changes that a step told of.
func ChangesIn(out []node.Output) []node.Changed {
	var cs []node.Changed
	for _, x := range out {
		if c, ok := x.(node.Changed); ok {
			cs = append(cs, c)
		}
	}
	return cs
}

// settle looks at the outcome of an attempt, and enters it if it succeeded.
func (o *Oracle) settle(device int, a *Attempt, out []node.Output, context crdt.Vector) {
	o.Checked++
	d := o.devices[device]
	i := slices.IndexFunc(out, func(x node.Output) bool { _, ok := x.(node.Reply); return ok })
	if i < 0 {
		o.Fail(Available, device, "a write has no reply")
		return
	}
	reply := out[i].(node.Reply)
	var fresh []crdt.Dot
	for top := range context.Above(d.context).All() {
		fresh = append(fresh, top)
	}
	switch {
	case reply.Err != nil && len(fresh) > 0:
		o.Fail(Available, device, "a write failed (%v) and yet happened", reply.Err)
	case reply.Err != nil:
		if a.expect == success && !d.fails {
			o.Fail(Available, device, "%s: %v", describe(a), reply.Err)
		}
	case len(fresh) != 1:
		o.Fail(Available, device, "%s: a write that succeeded left the dots %v", describe(a), fresh)
	default:
		if a.expect == refusal {
			o.Fail(Conditional, device, "%s succeeded", describe(a))
		}
		o.enter(a, fresh[0], timeOf(out))
		o.Sometimes("write")
		if len(a.entries) > 1 {
			o.Sometimes("transaction")
		}
		o.remember(device, a, reply)
	}
}

func describe(a *Attempt) string {
	var parts []string
	for _, e := range a.entries {
		verb := "delete"
		if e.put {
			verb = "put"
		}
		parts = append(parts, verb+" "+e.path)
	}
	return strings.Join(parts, ", ")
}

// timeOf returns the timestamp of the operation that was published; 0 if it was too large for that.
func timeOf(out []node.Output) crdt.Timestamp {
	for _, x := range out {
		if p, ok := x.(node.Publish); ok {
			if op, err := crdt.DecodeOp(p.Op); err == nil {
				return op.Time
			}
		}
	}
	return 0
}

// remember keeps the versions that a writer was told, and checks that the times under one replica id go
// forward and near the device's own clock.
func (o *Oracle) remember(device int, a *Attempt, reply node.Reply) {
	d := o.devices[device]
	if r, t := a.written.dot.Replica, a.written.time; t <= o.clocks[r] {
		o.Fail(ClockOrder, device, "%s has time %v, and one before it under the same replica id had %v", a.written, t, o.clocks[r])
	} else {
		o.clocks[r] = t
	}
	if t := a.written.time.WallMillis(); t > max(a.wall, 0)+crdt.ClockAheadMax {
		o.Fail(ClockOrder, device, "%s has time %v: the device follows a clock that is far ahead of its own", a.written, a.written.time)
	}
	for i, e := range a.entries {
		reg, err := d.view.Get(e.path)
		if err == nil && i < len(reply.Results) {
			d.versions[e.path] = version{reply.Results[i].Version, o.versionKey(d, e.path, reg)}
		}
	}
}

// adopt enters the writes that a device made by itself: after it was set back it writes what it had written since once more.
func (o *Oracle) adopt(device int, out []node.Output) {
	if !slices.ContainsFunc(out, func(x node.Output) bool { a, ok := x.(node.Alarm); return ok && a.Code == node.AlarmRolledBack }) {
		return
	}
	d := o.devices[device]
	for _, x := range out {
		p, ok := x.(node.Publish)
		if !ok {
			continue
		}
		op, err := crdt.DecodeOp(p.Op)
		if err != nil || o.byDot[op.Dot] != nil || o.asides[op.Dot] {
			continue
		}
		a := &Attempt{device: device, ctx: d.app}
		for i := range op.Entries {
			a.entries = append(a.entries, o.reissued(&op.Entries[i]))
		}
		o.enter(a, op.Dot, op.Time)
		d.app = d.app.clone()
		for _, e := range a.entries {
			d.app.add(e.index)
		}
		o.Sometimes("write under a new id")
	}
}

func (o *Oracle) reissued(e *crdt.OpEntry) *entry {
	out := &entry{path: e.Path, put: !e.Delete, resolve: e.Clear, settledBy: e.Policy, descent: e.Descent, data: string(e.Data), mime: e.Type, kind: e.Kind,
		preds: newSet(o.limit), below: newSet(o.limit), kept: newSet(o.limit)}
	for _, d := range slices.Concat(e.Preds, e.PredDeletes) {
		if w := o.byDot[d]; w != nil {
			f := w.at(e.Path)
			out.preds.add(f.index)
			out.below.add(f.index)
			out.below.join(f.below)
		}
	}
	for _, d := range e.Also {
		if w := o.byDot[d]; w != nil {
			out.kept.add(w.at(e.Path).index)
		}
	}
	return out
}

// advance follows what a device says that it has seen.
func (o *Oracle) advance(device int, context crdt.Vector, parts crdt.Parts) {
	d := o.devices[device]
	app := d.app.clone()
	if ranges := len(parts) > 1 || len(d.parts) > 1; ranges {
		app = o.seen(device, parts)
		o.Sometimes("filled range by range")
	} else {
		for top := range context.Above(d.context).All() {
			o.addDots(device, app, parts, top.Replica, d.context.Get(top.Replica), top.Counter)
		}
	}
	if !d.context.Within(context) || d.app.less(app) >= 0 {
		o.Fail(Monotonic, device, "the device has forgotten that it has seen something")
		d.app, d.context, d.parts = o.seen(device, parts), context, parts
		return
	}
	for i := range app.beyond(d.app) {
		e := o.entries[i]
		for _, named := range []set{e.preds, e.kept} {
			if q := named.less(app); q >= 0 {
				o.Fail(Causal, device, "%s is here without %s, which its writer knew", e.write, o.entries[q].write)
			}
		}
	}
	d.app, d.context, d.parts = app, context, parts
}

// checkPath compares what a device holds at a path with the truth. fresh says that the device has just started: nothing has been
// reported yet, and nothing needs to be.
func (o *Oracle) checkPath(device int, path string, fresh bool) {
	o.Checked++
	d := o.devices[device]
	reg, err := d.view.Get(path)
	if err != nil {
		o.Unread(device, path, err)
		return
	}
	if !reg.IsEmpty() {
		context, floor := d.context, d.view.Floor()
		if len(d.parts) > 1 {
			part := d.parts[d.parts.Of(path)]
			context, floor = part.Context, part.Floor
		}
		if err := crdt.CheckRegister(path, reg, context, floor); err != nil {
			o.Fail(Metadata, device, "%v", err)
		}
	}
	es := o.identifyAll(device, path, reg.Live)
	live := newSet(o.limit)
	for _, e := range es {
		live.add(e.index)
	}
	o.crowded[path] = o.crowded[path] || len(es) > 1
	o.checkTransactions(device, path, live)
	if want := o.spec(path, d.app); !slices.Equal(live, want) {
		o.checkResurrection(device, path, live.minus(want))
		o.Fail(Exact, device, "%s holds %s, want %s", path, o.names(live), o.names(want))
	}
	o.checkPairs(device, path, es)
	for _, v := range reg.Live {
		if e := o.identify(path, v); e != nil {
			o.checkMarks(device, e, v)
		}
	}
	o.checkOpen(device, path, es, fresh)
}

// checkMarks compares what a value says of itself, beside its content, with the truth.
func (o *Oracle) checkMarks(device int, e *entry, v crdt.Value) {
	if v.Won && !o.mayBeMarked(e) {
		o.Fail(DeleteUpdate, device, "%s is marked as having won over a delete; there was none", e.write)
	}
	if v.Resolved != e.resolve || v.Policy != e.settledBy {
		o.Fail(Phantom, device, "%s says of having settled a conflict %v, by the policy %q; it was written with %v, %q", e.write, v.Resolved, v.Policy, e.resolve, e.settledBy)
	}
	if v.Descent.Since != e.descent.Since || !slices.Equal(v.Descent.From, e.descent.From) {
		o.Fail(Phantom, device, "%s says that it was written over %v; it was over %v", e.write, v.Descent, e.descent)
	}
}

// checkTransactions says whether all of each transaction of which a part stands here has been seen.
func (o *Oracle) checkTransactions(device int, path string, live set) {
	o.Checked++
	d := o.devices[device]
	for i := range live.all {
		w := o.entries[i].write
		if len(w.entries) < 2 {
			continue
		}
		for _, e := range w.entries {
			if e.path == path || !e.put {
				continue
			}
			if len(d.parts) > 1 && d.parts.Of(e.path) != d.parts.Of(path) && !d.app.has(e.index) {
				o.Sometimes("transaction seen in one range")
				continue // rule 16: as a whole within one range
			}
			reg, err := d.view.Get(e.path)
			if err != nil || slices.ContainsFunc(reg.Live, func(v crdt.Value) bool { return v.Dot == w.dot }) {
				continue
			}
			if !o.isOver(e, d.app) {
				o.Fail(Atomic, device, "of %s, %s is here and %s is not", w, path, e.path)
			}
		}
	}
}

// isOver reports whether one of the writes seen supersedes e.
func (o *Oracle) isOver(e *entry, seen set) bool {
	return slices.ContainsFunc(o.byPath[e.path], func(f *entry) bool { return seen.has(f.index) && f.over(e) })
}

// checkResurrection gives values that stand though they were resolved a name of their own.
func (o *Oracle) checkResurrection(device int, path string, extra set) {
	for i := range extra.all {
		e := o.entries[i]
		for _, f := range o.byPath[path] {
			if f.resolve && o.devices[device].app.has(f.index) && f.over(e) {
				o.Fail(Finality, device, "%s stands at %s though %s resolved it", e.write, path, f.write)
			}
		}
	}
}

func (o *Oracle) checkPairs(device int, path string, es []*entry) {
	o.Checked++
	for _, e := range es {
		for _, f := range es {
			if e != f && e.settled(f) {
				o.Fail(Settled, device, "at %s stand %s and %s, whose writer had seen the first one go", path, f.write, e.write)
			}
		}
	}
}

// checkDigest says whether devices that have seen the same have equal digests.
func (o *Oracle) checkDigest(device int) {
	o.Checked++
	d := o.devices[device]
	if len(d.damaged) > 0 {
		return // it is made anew with the last record that is mended
	}
	key, digest := d.app.key(), d.view.Head().Digest
	if old, ok := o.digests[key]; ok && old != digest {
		o.Fail(SEC, device, "the digest differs from that of another device that has seen the same")
	}
	o.digests[key] = digest
}
