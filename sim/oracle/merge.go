package oracle

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"syncline/crdt"
	"syncline/node"
	"syncline/sim/scenario"
)

// CoverMerge is what the coverage calls a result of a merge function that was written.
const CoverMerge = "merge by a policy"

// A Merge is what a device wants a merge function to make one value of.
type Merge struct {
	device int
	path   string
	name   string
	// live are the values as they were when the device asked.
	live []crdt.Value
}

// Asked takes note that a device wants a function called with what competes at a path now. It returns nil if it should not.
func (o *Oracle) Asked(device int, m node.Merge) *Merge {
	o.Checked++
	d := o.devices[device]
	name, _ := m.Policy.Merge()
	reg, err := d.view.Get(m.Path)
	switch {
	case err != nil:
		o.Unread(device, m.Path, err)
		return nil
	case string(m.Policy) != d.policy(m.Path):
		o.Fail(Merged, device, "a merge of %s by %s, and the policy there is %s", m.Path, m.Policy, d.policy(m.Path))
		return nil
	case reg.Contending() < 2:
		o.Fail(Merged, device, "a merge of %s, where nothing competes", m.Path)
		return nil
	}
	return &Merge{device, m.Path, name, slices.Clone(reg.Live)}
}

// Result returns what the function makes of the values, or why it makes nothing of them.
func (m *Merge) Result() (data, reason string) {
	var contents []string
	for _, v := range m.live {
		contents = append(contents, string(v.Data))
	}
	return Combine(m.name, m.device, contents)
}

// Combine is what the merge functions of scenarios make of contents on a device, or why they make nothing of them. They are: join, the same
// on all devices; differ, something else on each; fail and hang, never anything.
func Combine(function string, device int, contents []string) (data, reason string) {
	contents = slices.Compact(slices.Sorted(slices.Values(contents)))
	h := fnv.New64a()
	h.Write([]byte(strings.Join(contents, "\x00")))
	switch function {
	case "join":
		return fmt.Sprintf("join.%016x", h.Sum64()), ""
	case "differ":
		return fmt.Sprintf("differ.%d.%016x", device, h.Sum64()), ""
	}
	return "", "the function " + function + " made nothing of the values"
}

// Answered prepares the write by which a device takes over a result: of exactly the values that the function was given, or of none. It
// returns nil if there is no result.
func (o *Oracle) Answered(m *Merge, wall int64) *Attempt {
	data, reason := m.Result()
	if reason != "" {
		return nil
	}
	a := o.Attempt(m.device, []scenario.Part{{Path: m.path, Verb: scenario.Merge, Value: data}}, wall)
	if a == nil {
		return nil
	}
	a.entries[0].settledBy = "merge:" + m.name
	a.merge, a.expect = true, either // the policy or the functions may have changed
	if reg, err := o.devices[m.device].view.Get(m.path); err != nil || liveKey(reg.Live) != liveKey(m.live) {
		o.Sometimes("merge of what changed meanwhile")
		a.expect = refusal
	}
	return a
}

// settleMerge looks at what became of a result.
func (o *Oracle) settleMerge(device int, a *Attempt, out []node.Output, context crdt.Vector) {
	o.Checked++
	d := o.devices[device]
	var fresh []crdt.Dot
	for top := range context.Above(d.context).All() {
		fresh = append(fresh, top)
	}
	if len(fresh) == 0 {
		return
	}
	if a.expect == refusal || len(fresh) > 1 {
		o.Fail(Merged, device, "the result of a merge was written at %s, which had changed since", a.entries[0].path)
	}
	o.enter(a, fresh[0], timeOf(out))
	o.remember(device, a, node.Reply{})
	o.Sometimes(CoverMerge)
	if o.merges++; o.merges > o.s.Merges() {
		o.Fail(Merged, device, "%d results of merges: they conflict again and again, as at %s", o.merges, a.entries[0].path)
	}
}

// Unmerged returns a path at which values compete that a function should have combined, "" if there is none. Where results are among the
// values, those of two devices may have differed, and then they wait for a person.
func (o *Oracle) Unmerged() string {
	d := o.devices[0] // all agree
	for _, path := range o.s.Paths {
		if len(d.rules) == 0 || d.policy(path) != "merge:join" {
			continue
		}
		reg, err := d.view.Get(path)
		result := func(v crdt.Value) bool { e := o.identify(path, v); return e == nil || e.resolve }
		if err == nil && reg.Contending() > 1 && !slices.ContainsFunc(reg.Live, result) {
			return path
		}
	}
	return ""
}
