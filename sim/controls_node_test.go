package sim_test

import (
	"context"
	"slices"

	"github.com/ipfs/go-datastore"

	"syncline/crdt"
	"syncline/gossip"
	"syncline/node"
	"syncline/sim/des"
	"syncline/sim/scenario"
)

// Mistakes of a node around its replica: what it writes, answers, shows and reports, and when it talks.

func earlyReply(*scenario.Scenario) des.Taps {
	return des.Taps{Early: func(_ int, out node.Output) bool { _, ok := out.(node.Reply); return ok }}
}

func earlySend(*scenario.Scenario) des.Taps {
	return des.Taps{Early: func(_ int, out node.Output) bool { _, ok := out.(node.Send); return ok }}
}

// outputTap changes the reports of changes in steps of one phase.
func outputTap(phase des.Phase, edit func(c *node.Changed)) des.Taps {
	return des.Taps{Output: func(_ int, how des.Phase, out []node.Output) []node.Output {
		for i, x := range out {
			if c, ok := x.(node.Changed); ok && how == phase {
				edit(&c)
				out[i] = c
			}
		}
		return out
	}}
}

func sessionConflictsDropped(*scenario.Scenario) des.Taps {
	return outputTap(des.PhaseSession, func(c *node.Changed) { c.Conflicts = nil })
}

func wonNotReported(*scenario.Scenario) des.Taps {
	return outputTap(des.PhaseGossip, func(c *node.Changed) {
		c.Conflicts = slices.DeleteFunc(slices.Clone(c.Conflicts), func(c crdt.Conflict) bool {
			return c.Local.Dot.Counter == 0 || c.Remote.Dot.Counter == 0
		})
	})
}

// writeTap changes what replicas are asked to write.
func writeTap(edit func(op *node.WriteOp)) des.Taps {
	return des.Taps{Input: func(_ int, in node.Input) node.Input {
		if w, ok := in.(node.Write); ok {
			w.Ops = slices.Clone(w.Ops)
			for i := range w.Ops {
				edit(&w.Ops[i])
			}
			return w
		}
		return in
	}}
}

func unseenReplaced(*scenario.Scenario) des.Taps {
	return writeTap(func(op *node.WriteOp) { op.All = !op.Sibling })
}

func blindWrite(*scenario.Scenario) des.Taps {
	return writeTap(func(op *node.WriteOp) { op.Sibling = !op.Delete })
}

func conditionIgnored(*scenario.Scenario) des.Taps {
	return writeTap(func(op *node.WriteOp) {
		if op.IfVersion != "" {
			op.IfVersion, op.All = "", true
		}
	})
}

func failureAcknowledged(*scenario.Scenario) des.Taps {
	return des.Taps{Output: func(_ int, _ des.Phase, out []node.Output) []node.Output {
		for i, x := range out {
			if r, ok := x.(node.Reply); ok && r.Err != nil && r.Err.Is(node.ErrDiskFull) {
				out[i] = node.Reply{Tag: r.Tag}
			}
		}
		return out
	}}
}

func staleReads(s *scenario.Scenario) des.Taps {
	type key struct {
		device int
		path   string
	}
	cache := map[key][]crdt.Value{}
	return des.Taps{Read: func(device int, path string, live []crdt.Value) []crdt.Value {
		k := key{device, path}
		if old, ok := cache[k]; ok {
			return old
		}
		cache[k] = live
		return live
	}}
}

func conflictsRepeated(s *scenario.Scenario) des.Taps {
	told := make([][]crdt.Conflict, len(s.Devices))
	return des.Taps{Output: func(device int, how des.Phase, out []node.Output) []node.Output {
		for _, x := range out {
			if c, ok := x.(node.Changed); ok {
				told[device] = append(told[device], c.Conflicts...)
			}
		}
		if how == des.PhaseStart {
			for _, c := range told[device] {
				out = append(out, node.Changed{Paths: []string{c.Path}, Conflicts: []crdt.Conflict{c}})
			}
		}
		return out
	}}
}

func peerGivenUp(s *scenario.Scenario) des.Taps {
	lost := make([]map[gossip.DeviceID]bool, len(s.Devices))
	return des.Taps{Input: func(device int, in node.Input) node.Input {
		if lost[device] == nil {
			lost[device] = map[gossip.DeviceID]bool{}
		}
		switch in := in.(type) {
		case node.PeerDown:
			lost[device][in.Peer] = true
		case node.PeerUp:
			if lost[device][in.Peer] {
				return nil
			}
		}
		return in
	}}
}

func restless(*scenario.Scenario) des.Taps {
	return des.Taps{Input: func(_ int, in node.Input) node.Input {
		if _, ok := in.(node.Tick); ok {
			return node.Lost{}
		}
		return in
	}}
}

// pollTap changes what devices that do not gossip are told.
func pollTap(s *scenario.Scenario, edit func(in node.Input) node.Input) des.Taps {
	return des.Taps{Input: func(device int, in node.Input) node.Input {
		if s.Gossips(device) {
			return in
		}
		return edit(in)
	}}
}

// pollsForgotten lets the time pass unnoticed on devices that poll.
func pollsForgotten(s *scenario.Scenario) des.Taps {
	return pollTap(s, func(in node.Input) node.Input {
		if _, ok := in.(node.Tick); ok {
			return nil
		}
		return in
	})
}

// pollsWithoutPause lets devices that poll begin again whenever time passes.
func pollsWithoutPause(s *scenario.Scenario) des.Taps {
	return pollTap(s, func(in node.Input) node.Input {
		if _, ok := in.(node.Tick); ok {
			return node.Lost{}
		}
		return in
	})
}

func resolutionRefused(*scenario.Scenario) des.Taps {
	return writeTap(func(op *node.WriteOp) {
		if op.Resolve {
			op.IfVersion = "another"
		}
	})
}

func resolvedOneSided(*scenario.Scenario) des.Taps {
	return writeTap(func(op *node.WriteOp) { op.Resolve = false })
}

func newcomerWins(*scenario.Scenario) des.Taps {
	return outputTap(des.PhaseGossip, func(c *node.Changed) {
		c.Conflicts = slices.DeleteFunc(slices.Clone(c.Conflicts), func(c crdt.Conflict) bool { return c.Remote.Time > c.Local.Time })
	})
}

func changesNotTold(*scenario.Scenario) des.Taps {
	return outputTap(des.PhaseSession, func(c *node.Changed) { c.Paths = nil })
}

func conflictsTwice(*scenario.Scenario) des.Taps {
	return outputTap(des.PhaseGossip, func(c *node.Changed) { c.Conflicts = append(slices.Clone(c.Conflicts), c.Conflicts...) })
}

// lastToldFirst turns the order of the reports of one step around.
func lastToldFirst(*scenario.Scenario) des.Taps {
	return des.Taps{Output: func(_ int, _ des.Phase, out []node.Output) []node.Output {
		var at []int
		for i, x := range out {
			if _, ok := x.(node.Changed); ok {
				at = append(at, i)
			}
		}
		for i, j := 0, len(at)-1; i < j; i, j = i+1, j-1 {
			out[at[i]], out[at[j]] = out[at[j]], out[at[i]]
		}
		return out
	}}
}

// lastSeenShown shows the value that a device saw last.
func lastSeenShown(*scenario.Scenario) des.Taps {
	type place struct {
		device int
		path   string
		dot    crdt.Dot
	}
	seen := map[place]int{}
	return des.Taps{Shown: func(device int, path string, live []crdt.Value, shown crdt.Value, settled bool) (crdt.Value, bool) {
		order := func(v crdt.Value) int { return seen[place{device, path, v.Dot}] }
		for _, v := range live {
			if order(v) == 0 {
				seen[place{device, path, v.Dot}] = len(seen) + 1
			}
		}
		if settled {
			return shown, settled
		}
		return slices.MaxFunc(live, func(v, w crdt.Value) int { return order(v) - order(w) }), false
	}}
}

// equalReported reports values of equal content as a conflict.
func equalReported(s *scenario.Scenario) des.Taps {
	disks := make([]des.Disk, len(s.Devices))
	return des.Taps{
		Datastore: func(device int, d des.Disk) datastore.Batching {
			disks[device] = d
			return d
		},
		Output: func(device int, _ des.Phase, out []node.Output) []node.Output {
			for i, x := range out {
				c, ok := x.(node.Changed)
				if !ok {
					continue
				}
				for _, path := range c.Paths {
					value, _ := disks[device].Get(context.Background(), datastore.RawKey(userValues+path))
					live, err := crdt.DecodeValues(value)
					if err != nil || len(live) < 2 {
						continue
					}
					for _, v := range live[1:] {
						if v.SameContent(live[0]) {
							c.Conflicts = append(slices.Clone(c.Conflicts), crdt.Conflict{Path: path, Local: live[0], Remote: v, Siblings: live})
						}
					}
				}
				out[i] = c
			}
			return out
		},
	}
}

// viewTap changes what is shown where a policy settles what competes.
func viewTap(edit func(live []crdt.Value, shown crdt.Value) (crdt.Value, bool)) des.Taps {
	return des.Taps{Shown: func(_ int, _ string, live []crdt.Value, shown crdt.Value, settled bool) (crdt.Value, bool) {
		if !settled {
			return shown, false
		}
		return edit(live, shown)
	}}
}

func newestOf(live []crdt.Value) crdt.Value {
	newest, _ := crdt.Register{Live: live}.Shown()
	return newest
}

func policyIgnored(*scenario.Scenario) des.Taps {
	return viewTap(func(live []crdt.Value, _ crdt.Value) (crdt.Value, bool) { return newestOf(live), false })
}

func policySettlesByTime(*scenario.Scenario) des.Taps {
	return viewTap(func(live []crdt.Value, _ crdt.Value) (crdt.Value, bool) { return newestOf(live), true })
}

// policyKept lets a device go by the first policies of a path for ever.
func policyKept(s *scenario.Scenario) des.Taps {
	type key struct {
		device int
		path   string
	}
	first := map[key]bool{}
	return des.Taps{Shown: func(device int, path string, live []crdt.Value, shown crdt.Value, settled bool) (crdt.Value, bool) {
		if (crdt.Register{Live: live}).Contending() == 0 {
			return shown, settled
		}
		k := key{device, path}
		if _, ok := first[k]; !ok {
			first[k] = settled
		}
		return shown, first[k]
	}}
}

// mergedTap changes the answers of merge functions.
func mergedTap(edit func(device int, m node.Merged) node.Input) des.Taps {
	return des.Taps{Input: func(device int, in node.Input) node.Input {
		if m, ok := in.(node.Merged); ok {
			return edit(device, m)
		}
		return in
	}}
}

func mergeUnanswered(*scenario.Scenario) des.Taps {
	return mergedTap(func(int, node.Merged) node.Input { return nil })
}

func mergeMadeUp(*scenario.Scenario) des.Taps {
	return mergedTap(func(_ int, m node.Merged) node.Input {
		m.Data = append(slices.Clone(m.Data), '!')
		return m
	})
}

// mergeWrittenBlindly writes the result of a merge over whatever stands there when it comes.
func mergeWrittenBlindly(*scenario.Scenario) des.Taps {
	taps := mergedTap(func(_ int, m node.Merged) node.Input {
		if m.Reason != "" {
			return m
		}
		kind := crdt.Multi
		return node.Write{Ops: []node.WriteOp{{Path: m.Path, Content: m.Content, Kind: &kind, Resolve: true}}}
	})
	taps.Output = func(_ int, _ des.Phase, out []node.Output) []node.Output {
		return slices.DeleteFunc(out, func(x node.Output) bool { r, ok := x.(node.Reply); return ok && r.Tag == 0 })
	}
	return taps
}

// repairMadeUp mends whatever is lost as if it had been deleted.
func repairMadeUp(*scenario.Scenario) des.Taps {
	return des.Taps{Input: func(_ int, in node.Input) node.Input {
		if r, ok := in.(node.Repair); ok {
			r.GiveUp = true
			return r
		}
		return in
	}}
}

// repairOfOthers is about other paths than those that are damaged.
func repairOfOthers(*scenario.Scenario) des.Taps {
	return des.Taps{Input: func(_ int, in node.Input) node.Input {
		if r, ok := in.(node.Repair); ok {
			r.Paths = []string{"another"}
			return r
		}
		return in
	}}
}
