package bubble

import (
	"encoding/hex"
	"iter"
	"slices"

	"syncline/crdt"
	"syncline/gossip"
	"syncline/node"
	"syncline/sim/oracle"
	"syncline/store"
)

// An observer tells the oracle what one life of a device does. What it does after it lost power is nobody's business.
type observer struct {
	d    *device
	life int
}

var _ node.StepObserver = (*observer)(nil)

// watches reports whether the observer's life goes on, and is about the shared space. The caller holds the world's mutex.
func (o *observer) watches(space gossip.SpaceID) bool {
	w := o.d.w
	if w.space.IsZero() {
		w.space = space // the founder's
	}
	return o.life == o.d.life && space == w.space
}

// Stepping implements [node.StepObserver].
func (o *observer) Stepping(space gossip.SpaceID, committed node.Committed, now node.Time, in []node.Input) {
	d, w := o.d, o.d.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if !o.watches(space) {
		return
	}
	if !d.started {
		d.started = true
		d.tellDamage()
		w.oracle.Started(d.index, d.how, view{committed, w.oracle})
		if d.view = committed; w.events != nil {
			w.emit(oracle.Event{Kind: oracle.EventStart, Device: d.index, Text: d.how.String(), State: d.state()})
			d.holds(w.s.Paths, false)
		}
	}
	d.stepping, d.current, d.view = true, nil, committed
	d.gossip = len(in) == 1
	for _, i := range in {
		switch i := i.(type) {
		case node.Write:
			d.plan(i, now)
		case node.Merged:
			d.current = d.answered(i, now)
		case node.PeerUp:
			w.emit(oracle.Event{Kind: oracle.EventConnect, Device: d.index, Peer: w.deviceOf(i.Peer)})
		case node.PeerDown:
			w.emit(oracle.Event{Kind: oracle.EventLose, Device: d.index, Peer: w.deviceOf(i.Peer)})
		}
		_, brought := i.(node.Ops)
		d.gossip = d.gossip && brought
	}
}

// plan tells the oracle of a write that a person asked for. What the device writes for itself is none.
func (d *device) plan(write node.Write, now node.Time) {
	if len(write.Ops) == 0 || d.w.oracle.Foreign(write.Ops[0].Path) {
		return
	}
	d.current = d.w.oracle.Planned(d.index, write.Ops, now.Wall)
	d.attempts[write.Tag] = d.current
	for _, e := range d.current.Writes() {
		d.w.emit(e)
	}
}

// Stepped implements [node.StepObserver].
func (o *observer) Stepped(space gossip.SpaceID, out []node.Output, err error) {
	d, w := o.d, o.d.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if !o.watches(space) {
		return
	}
	d.stepping = false
	d.steps++
	w.steps++
	if err != nil {
		w.oracle.StepFailed(d.index, err)
	}
	out = w.userOnly(out)
	w.oracle.Stepped(d.index, out, d.current, d.gossip)
	if bad := d.disk.Damaged(); !slices.Equal(bad, d.bad) {
		w.oracle.Sometimes("repair")
		d.tellDamage()
	}
	for _, x := range out {
		switch x := x.(type) {
		case node.Alarm:
			w.oracle.Alarm(d.index, w.deviceOf(x.Peer), x)
		case node.Synced:
			d.synced(x)
		case node.Changed:
			d.changed(x)
		case node.Merge:
			d.asked(x)
		case node.MergeFailed:
			w.oracle.Sometimes("merge given up")
		}
	}
	w.emitBroken()
}

// userOnly returns outputs without those that are about paths which are no part of the scenario, and tells the oracle of operations
// there. The caller holds mu.
func (w *world) userOnly(out []node.Output) []node.Output {
	var kept []node.Output
	for _, x := range out {
		switch o := x.(type) {
		case node.Publish:
			if op, err := crdt.DecodeOp(o.Op); err == nil && w.oracle.Foreign(op.Entries[0].Path) {
				w.oracle.Aside(op.Dot)
				continue
			}
		case node.Changed:
			o.Paths = slices.DeleteFunc(slices.Clone(o.Paths), w.oracle.Foreign)
			o.Conflicts = slices.DeleteFunc(slices.Clone(o.Conflicts), func(c crdt.Conflict) bool { return w.oracle.Foreign(c.Path) })
			if len(o.Paths) == 0 {
				continue
			}
			x = o
		}
		kept = append(kept, x)
	}
	return kept
}

// synced hands the oracle what a session found out.
func (d *device) synced(s node.Synced) {
	o := d.w.oracle
	if peer := d.w.deviceOf(s.Peer); peer >= 0 {
		o.Held(d.index, peer, s.Result.Held)
	}
	o.LeftOut(d.index, s.Result.Left)
	switch {
	case s.Result.Busy:
		o.Sometimes("session refused for another")
	case s.Result.Equal:
		o.Sometimes("session between equals")
	default:
		o.Sometimes("session")
	}
}

// changed tells what paths hold now, and what competes at them.
func (d *device) changed(c node.Changed) {
	w := d.w
	if w.events == nil {
		return
	}
	d.holds(w.oracle.Told(d.index, c.Paths), true)
	for _, x := range c.Conflicts {
		if !crdt.IsSystemPath(x.Path) {
			w.emit(oracle.ConflictEvent(d.index, x))
		}
	}
}

// holds tells what paths hold, those that hold nothing only if empty is set.
func (d *device) holds(paths []string, empty bool) {
	for _, path := range paths {
		reg, err := d.view.Get(path)
		if err != nil || len(reg.Live) == 0 && !empty {
			continue
		}
		d.w.emit(oracle.StateEvent(d.index, path, reg, d.w.oracle.Settles(d.index, path, reg), d.state()))
	}
}

// state is a short name of what the device holds.
func (d *device) state() string {
	digest := view{d.view, d.w.oracle}.Head().Digest.Short()
	return hex.EncodeToString(digest[:])
}

func texts(live []crdt.Value) []string {
	var out []string
	for _, v := range live {
		out = append(out, string(v.Data))
	}
	slices.Sort(out)
	return out
}

// Replied implements [node.StepObserver].
func (o *observer) Replied(space gossip.SpaceID, r node.Reply) {
	d, w := o.d, o.d.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if !o.watches(space) {
		return
	}
	if a := d.attempts[r.Tag]; a != nil {
		delete(d.attempts, r.Tag)
		w.oracle.Replied(d.index, a, r.Err)
		w.emitBroken()
	}
}

// A view is what the oracle sees of a store: without what the system keeps there that is no part of the scenario.
type view struct {
	node.Committed
	oracle *oracle.Oracle
}

// Head leaves what the system keeps out of the digest; the counts never hold it.
func (v view) Head() store.Head {
	h := v.Committed.Head()
	for path, live := range v.system() {
		for _, x := range live {
			h.Digest.Remove(path, x)
		}
	}
	return h
}

func (v view) system() iter.Seq2[string, []crdt.Value] {
	return func(yield func(string, []crdt.Value) bool) {
		for e, err := range v.ListSystem("", "") {
			if err == nil && !v.oracle.Foreign(e.Path) {
				continue
			}
			if err != nil || !yield(e.Path, e.Live) {
				return // a record that cannot be read leaves the digest wrong, which is noticed
			}
		}
	}
}
