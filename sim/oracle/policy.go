package oracle

import (
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"syncline/crdt"
	"syncline/node"
	"syncline/sim/scenario"
)

// This file says a second time, in the plainest way, what policies mean: which of them holds at a path, and what is shown there. It
// shares nothing with package node but the record of a policy, which it takes as it is written.

// A rule is a policy that a device has seen.
type rule struct{ pattern, policy string }

// policyPath is where the policy of a pattern is kept.
func policyPath(pattern string) string {
	return node.PolicyRule{Pattern: pattern}.Op().Path
}

// policyPaths returns where the policies of a scenario are kept, sorted.
func policyPaths(s *scenario.Scenario) []string {
	var paths []string
	for i := range s.Ops {
		if o := &s.Ops[i]; o.Do == scenario.DoPolicy {
			paths = append(paths, policyPath(o.Path))
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// Policy prepares the write by which somebody sets a policy on a device; see [Oracle.Attempt].
func (o *Oracle) Policy(device int, pattern, policy string, wall int64) *Attempt {
	op := node.PolicyRule{Pattern: pattern, Policy: node.Policy(policy)}.Op()
	a := o.Attempt(device, []scenario.Part{{Path: op.Path, Verb: scenario.PutAll, LWW: true}}, wall)
	if a != nil {
		e := a.entries[0]
		e.data, e.mime, e.rule = string(op.Data), op.Content.Type, &rule{pattern, policy}
		a.Ops[0] = op
	}
	return a
}

// learn makes the rules of a device anew: of each pattern the newest policy that it has seen, the most specific first.
func (o *Oracle) learn(device int) {
	d := o.devices[device]
	d.rules = nil
	for _, path := range o.policyPaths {
		var newest *entry
		for i := range o.spec(path, d.app).all {
			e := o.entries[i]
			if newest == nil || cmp.Or(cmp.Compare(e.time, newest.time), e.dot.Compare(newest.dot)) > 0 {
				newest = e
			}
		}
		if newest != nil && newest.rule != nil {
			d.rules = append(d.rules, *newest.rule)
		}
	}
	slices.SortFunc(d.rules, func(a, b rule) int { return moreSpecific(a.pattern, b.pattern) })
}

// moreSpecific orders patterns as [node.PolicyRule] says.
func moreSpecific(a, b string) int {
	rank := func(p string) []int {
		stars := strings.Count(p, "*")
		before := strings.IndexByte(p+"*", '*')
		return []int{-before, stars - len(p), strings.Count(p, "**"), stars}
	}
	return cmp.Or(slices.Compare(rank(a), rank(b)), strings.Compare(a, b))
}

// fits reports whether segments of a path fit those of a pattern.
func fits(pattern, path []string) bool {
	switch {
	case len(pattern) == 0:
		return len(path) == 0
	case pattern[0] == "**":
		return fits(pattern[1:], path) || len(path) > 0 && fits(pattern, path[1:])
	case len(path) == 0:
		return false
	}
	one := regexp.MustCompile("^(?s:" + strings.ReplaceAll(regexp.QuoteMeta(pattern[0]), `\*`, ".*") + ")$")
	return one.MatchString(path[0]) && fits(pattern[1:], path[1:])
}

// policy returns the policy that holds at a path, as far as a device can know.
func (d *truth) policy(path string) string {
	if crdt.IsSystemPath(path) {
		return "manual"
	}
	for _, r := range d.rules {
		if fits(strings.Split(r.pattern, "/"), strings.Split(path, "/")) {
			return r.policy
		}
	}
	return "manual"
}

// view returns the content that a policy makes of the values at a path on a device. It reports false if nothing competes there, or if the
// policy leaves that open.
func (o *Oracle) view(d *truth, path string, reg crdt.Register) (content string, ok bool) {
	if len(d.rules) == 0 || reg.Contending() == 0 {
		return "", false
	}
	all := contentsOf(reg)
	numbers := !slices.ContainsFunc(all, func(v crdt.Value) bool { _, ok := numberOf(v.Data); return !ok })
	less := func(v, w crdt.Value) int {
		byNumber := 0
		if numbers {
			x, _ := numberOf(v.Data)
			y, _ := numberOf(w.Data)
			byNumber = cmp.Compare(x, y)
		}
		return cmp.Or(byNumber, strings.Compare(string(v.Data), string(w.Data)))
	}
	switch d.policy(path) {
	case "newest":
		return string(newest(reg.Live).Data), true
	case "max":
		return string(slices.MaxFunc(all, less).Data), true
	case "min":
		return string(slices.MinFunc(all, less).Data), true
	case "union":
		if len(all) == 1 {
			return string(all[0].Data), true
		}
		lines := map[string]bool{}
		for _, v := range all {
			for _, line := range strings.Split(strings.ReplaceAll(string(v.Data)+"\n", "\r\n", "\n"), "\n") {
				lines[line] = line != ""
			}
		}
		var out []string
		for line, some := range lines {
			if some {
				out = append(out, line+"\n")
			}
		}
		slices.Sort(out)
		return strings.Join(out, ""), true
	}
	return "", false
}

// numberOf reads a text that is a number of JSON.
func numberOf(data []byte) (float64, bool) {
	text := strings.TrimSpace(string(data))
	if text == "" || !strings.ContainsAny(text[:1], "-0123456789") || !json.Valid([]byte(text)) {
		return 0, false
	}
	x, err := strconv.ParseFloat(text, 64)
	return x, err == nil
}

// CheckShown compares what a device shows at paths with what it must: the view of the policy that it has seen, else the newest value.
// shown returns what it shows, and whether a policy settles what competes.
func (o *Oracle) CheckShown(device int, paths []string, shown func(path string, reg crdt.Register) (v crdt.Value, settled, ok bool)) {
	if len(o.policyPaths) == 0 {
		return
	}
	changed := slices.ContainsFunc(paths, crdt.IsSystemPath)
	if changed {
		paths = o.s.Paths
	}
	for _, path := range paths {
		reg, err := o.devices[device].view.Get(path)
		if err != nil {
			continue
		}
		if v, settled, ok := shown(path, reg); ok {
			o.Shown(device, path, reg.Live, v, settled)
			if changed && reg.Contending() > 0 {
				o.Sometimes("policy changed over a conflict")
			}
		}
	}
}

// Shown compares the value that a plain read returns with what all devices with the same values and policies must show, and whether a
// policy settles what competes there.
func (o *Oracle) Shown(device int, path string, live []crdt.Value, shown crdt.Value, settled bool) {
	o.Checked++
	want, ok := o.view(o.devices[device], path, crdt.Register{Live: live})
	switch {
	case ok != settled:
		o.Fail(Views, device, "%s is settled by a policy: %v; that is wrong, the policy is %q", path, settled, o.devices[device].policy(path))
	case ok:
		o.Sometimes("view of a policy")
		if want != string(shown.Data) {
			o.Fail(Views, device, "%s shows %.24q under the policy %q, not %.24q", path, shown.Data, o.devices[device].policy(path), want)
		}
	case newest(live).Dot != shown.Dot:
		o.Fail(SEC, device, "%s shows %.24q, not %.24q", path, shown.Data, newest(live).Data)
	}
}
