package oracle

import (
	"bytes"
	"slices"

	"syncline/crdt"
	"syncline/node"
	"syncline/sim/scenario"
)

// Planned is [Oracle.Attempt] for a write that was worded before it is carried out, when the device may have shown something else:
// it derives from what the device holds now what ops will supersede. A device with goroutines calls it on the loop that takes the
// write, just before it does.
func (o *Oracle) Planned(device int, ops []node.WriteOp, wall int64) *Attempt {
	d := o.devices[device]
	d.view.pass()
	a := &Attempt{device: device, ctx: d.app, expect: success, wall: wall}
	unread := false
	for i, op := range ops {
		reg, err := d.view.Get(op.Path)
		if err != nil {
			o.Unread(device, op.Path, err)
			unread = true
		}
		before := a.expect
		a.plan(o, partOf(op, reg), i, reg)
		a.Ops[i] = op
		if rule, ok := o.ruleOf(op); ok {
			a.entries[i].mime, a.entries[i].rule = op.Content.Type, &rule
		}
		if op.Keep == "" {
			a.entries[i].data = string(op.Data)
		} else if k := slices.IndexFunc(reg.Live, func(v crdt.Value) bool { return node.ValueID(v.Dot) == op.Keep }); k >= 0 {
			a.entries[i].data = string(reg.Live[k].Data)
		} else {
			a.expect = refusal
		}
		switch {
		case op.IfAbsent && len(reg.Live) > 0:
			a.expect = refusal
		case op.IfVersion != "" && (op.Resolve || op.IfVersion != d.versions[op.Path].name):
			a.expect = either // of a version that somebody else was told, nothing is known
			if before == refusal {
				a.expect = refusal
			}
		}
	}
	if unread {
		a.expect = refusal
	}
	return a
}

// ruleOf finds the policy of the scenario that op sets, if it sets one.
func (o *Oracle) ruleOf(op node.WriteOp) (rule, bool) {
	for i := range o.s.Ops {
		if s := &o.s.Ops[i]; s.Do == scenario.DoPolicy {
			sets := node.PolicyRule{Pattern: s.Path, Policy: node.Policy(s.Policy)}.Op()
			if sets.Path == op.Path && bytes.Equal(sets.Data, op.Data) {
				return rule{s.Path, s.Policy}, true
			}
		}
	}
	return rule{}, false
}

// partOf says in the words of a scenario what op does at a path that holds reg.
func partOf(op node.WriteOp, reg crdt.Register) scenario.Part {
	kind := reg.Kind()
	if op.Kind != nil {
		kind = *op.Kind
	}
	p := scenario.Part{Path: op.Path, Verb: scenario.Put, LWW: kind == crdt.LWW}
	switch {
	case op.Sibling:
		p.Verb = scenario.Sibling
	case op.Delete && op.All:
		p.Verb = scenario.DeleteAll
	case op.Delete:
		p.Verb = scenario.Delete
	case op.Resolve && op.Keep != "":
		p.Verb = scenario.Keep
	case op.Resolve:
		p.Verb = scenario.Resolve
	case op.IfVersion != "":
		p.Verb = scenario.PutIf
	case op.All:
		p.Verb = scenario.PutAll
	}
	return p
}

// Version returns what a device was told after its last write at a path, "" if it has not written there since it started.
func (o *Oracle) Version(device int, path string) node.Version {
	return o.devices[device].versions[path].name
}

// Foreign reports whether the system keeps something at path that is no part of the scenario, as the record of a member is. Policies of
// the scenario are part of it.
func (o *Oracle) Foreign(path string) bool {
	return crdt.IsSystemPath(path) && !slices.Contains(o.policyPaths, path)
}

// Aside takes note of an operation that is no part of the scenario, as the record of a new member is.
func (o *Oracle) Aside(d crdt.Dot) { o.asides[d] = true }
