package node

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"syncline/crdt"
	"syncline/gossip"
)

// Merges by functions are writes, so one device should make each: the author of the newest value comes first, then those that are
// connected follow in an order of the Conflict's own, a step after each other, if it is still open then.
const (
	mergeFirst = 100 * time.Millisecond
	mergeStep  = 2 * time.Second
	mergeSteps = 8
	// mergesMax bounds the functions that run at the same time, differMax the results that may differ at one path in a row.
	mergesMax = 8
	differMax = 2
	// differPathsMax bounds the paths of which it is remembered.
	differPathsMax = 4096
)

// A merging is a Conflict that a function of this device may settle.
type merging struct {
	policy  Policy
	version Version
	due     time.Duration
	asked   bool // the function runs
}

// mergeNames takes over which functions this device has.
func (r *Replica) mergeNames(in MergeNames) {
	r.functions = map[string]bool{}
	for _, name := range in.Names {
		r.functions[name] = true
	}
	r.rescanMerges()
}

// rescanMerges lets the next step look at everything that competes, if some of it may be merged, or may no more.
func (r *Replica) rescanMerges() {
	r.rescan = len(r.merges)+len(r.tried) > 0 || len(r.functions) > 0 && r.rules.merges()
}

// scanConflicts looks at everything that competes, after the policies or the functions have changed. What failed is tried again. What a damaged
// file keeps from being listed is left to other devices: this one has to go on without it.
func (r *Replica) scanConflicts() error {
	r.rescan = false
	clear(r.merges)
	clear(r.tried)
	for path, err := range r.store.Conflicts("", "") {
		if unreadable(err) {
			r.emit(Alarm{Code: AlarmCorrupt, Text: fmt.Sprintf("what competes is not merged: %v", err)})
			return nil
		} else if err != nil {
			return err
		}
		reg, err := r.tx.Register(path)
		if err != nil {
			continue // a damaged record stays as it is
		}
		if err := r.lookMerge(path, reg); err != nil {
			return err
		}
	}
	return nil
}

// lookMerge plans a merge of what competes at a path, or forgets one.
func (r *Replica) lookMerge(path string, reg crdt.Register) error {
	switch {
	case len(r.functions) == 0 || crdt.IsSystemPath(path):
		return nil
	case len(reg.Live) < 2 && len(r.merges)+len(r.tried)+len(r.differed) == 0: // nearly always
		return nil
	}
	settled := func(v crdt.Value) bool { return v.Resolved }
	if !slices.ContainsFunc(reg.Live, settled) {
		delete(r.differed, path)
	}
	policy := r.rules.policy(path)
	name, _ := policy.Merge()
	if reg.Contending() < 2 || !r.functions[name] {
		delete(r.merges, path)
		delete(r.tried, path)
		return nil
	}
	m := &merging{policy: policy, version: versionOf(reg)}
	if old := r.merges[path]; old != nil && old.version == m.version || r.tried[path] == m.version {
		return nil
	}
	delete(r.tried, path)
	r.merges[path] = m
	if !slices.ContainsFunc(reg.Live, func(v crdt.Value) bool { return !v.Resolved }) { // results that met
		if r.differed[path]++; len(r.differed) > differPathsMax {
			clear(r.differed)
		}
	}
	if r.differed[path] >= differMax {
		r.mergeFailed(path, m.version, "the results of two devices differed twice running; it is not tried again")
		return nil
	}
	newest, _ := reg.Shown()
	author, _, err := r.deviceOf(newest.Dot.Replica)
	if unreadable(err) {
		err = nil // then anybody is first
	}
	m.due = r.now.Mono + mergeFirst + mergeStep*time.Duration(r.place(m.version, author))
	return err
}

// mergeFailed notes that what competes at a path stays open until it changes, and says so.
func (r *Replica) mergeFailed(path string, v Version, reason string) {
	delete(r.merges, path)
	r.tried[path] = v
	r.emit(MergeFailed{Path: path, Version: v, Reason: reason})
}

// place returns how many devices may merge what competes in v before this one: the author of the newest value, and of those that are
// connected whoever comes earlier in the order of a digest over each of them and v, which all of them compute alike.
func (r *Replica) place(v Version, author gossip.DeviceID) int {
	if author == r.self {
		return 0
	}
	rank := func(d gossip.DeviceID) [sha256.Size]byte { return sha256.Sum256(append(d[:], v...)) }
	before, own := 1, rank(r.self)
	for d := range r.peers {
		if theirs := rank(d); d != author && bytes.Compare(theirs[:], own[:]) < 0 {
			before++
		}
	}
	return min(before, mergeSteps)
}

// mergeDue asks for the merges whose time has come.
func (r *Replica) mergeDue() {
	for len(r.merges) > 0 && len(r.running) < mergesMax && r.now.Mono >= r.mergesAt {
		path := r.nextMerge()
		if path == "" {
			return
		}
		m := r.merges[path]
		m.asked = true
		ask := Merge{Path: path, Version: m.version, Policy: m.policy}
		r.running[ask] = true
		r.emit(ask)
	}
}

// nextMerge returns the first path whose merge is due, "" if there is none.
func (r *Replica) nextMerge() (first string) {
	for path, m := range r.merges {
		if !m.asked && m.due <= r.now.Mono && (first == "" || path < first) {
			first = path
		}
	}
	return first
}

// mergeWake returns when the next merge is due.
func (r *Replica) mergeWake() (at time.Duration, ok bool) {
	if r.rescan {
		return r.now.Mono, true
	}
	if len(r.running) >= mergesMax {
		return 0, false
	}
	for _, m := range r.merges {
		if !m.asked && (!ok || m.due < at) {
			at, ok = max(m.due, r.mergesAt), true
		}
	}
	return at, ok
}

// merged writes the result of a function, if what it was given still is what competes.
func (r *Replica) merged(in Merged) error {
	delete(r.running, in.Merge)
	m := r.merges[in.Path]
	if m == nil || m.version != in.Version || m.policy != in.Policy || !m.asked {
		return nil // what competes, or what settles it, is something else by now
	}
	if in.Reason != "" {
		r.mergeFailed(in.Path, in.Version, in.Reason)
		return nil
	}
	delete(r.merges, in.Path)
	r.tried[in.Path] = in.Version
	reg, err := r.tx.Register(in.Path)
	if r.damaged(err) {
		return nil // it is looked at anew when it is repaired
	}
	if err != nil {
		return err
	}
	kind := reg.Kind()
	changes, _, problem, err := r.plan([]WriteOp{{Path: in.Path, Content: in.Content, Kind: &kind, Resolve: true, IfVersion: in.Version}})
	if err != nil || problem != nil {
		return err // the entry changed, and was looked at anew
	}
	changes[0].Policy = string(m.policy)
	op, effects, err := r.commitOp(changes)
	if err != nil {
		return err
	}
	r.publish(op)
	return r.changed(effects, false)
}
