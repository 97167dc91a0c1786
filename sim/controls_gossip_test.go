package sim_test

import (
	"strings"

	"syncline/crdt"
	"syncline/node"
	"syncline/sim/des"
	"syncline/sim/scenario"
)

// Mistakes of gossip.

// gossipTap changes operations on their way.
func gossipTap(edit func(op *crdt.Op)) des.Taps {
	return des.Taps{Gossip: func(_, _ int, encoded []byte) []byte {
		op, err := crdt.DecodeOp(encoded)
		if err != nil {
			return encoded
		}
		edit(op)
		return op.Encode()
	}}
}

func entriesTap(edit func(e *crdt.OpEntry)) des.Taps {
	return gossipTap(func(op *crdt.Op) {
		for i := range op.Entries {
			edit(&op.Entries[i])
		}
	})
}

func alsoNotSent(*scenario.Scenario) des.Taps {
	return entriesTap(func(e *crdt.OpEntry) { e.Also = nil })
}

func predsNotSent(*scenario.Scenario) des.Taps {
	return entriesTap(func(e *crdt.OpEntry) {
		if !e.Delete {
			e.Preds, e.Descent = nil, crdt.Descent{} // which names them, too
		}
	})
}

func deletesNotNamed(*scenario.Scenario) des.Taps {
	return entriesTap(func(e *crdt.OpEntry) { e.PredDeletes = nil })
}

func depsNotSent(*scenario.Scenario) des.Taps {
	return gossipTap(func(op *crdt.Op) { op.Deps = crdt.Vector{} })
}

func transactionTorn(*scenario.Scenario) des.Taps {
	return gossipTap(func(op *crdt.Op) {
		if len(op.Entries) > 1 {
			op.Entries = op.Entries[:len(op.Entries)-1]
		}
	})
}

func gossipChanged(*scenario.Scenario) des.Taps {
	return entriesTap(func(e *crdt.OpEntry) {
		if !e.Delete && !strings.HasSuffix(string(e.Data), "!") {
			e.Data = append(e.Data, '!')
		}
	})
}

func authorForged(*scenario.Scenario) des.Taps {
	return des.Taps{Input: func(_ int, in node.Input) node.Input {
		if ops, ok := in.(node.Ops); ok {
			ops.Author = ops.From
			return ops
		}
		return in
	}}
}

// policyNotNamed takes a conflict that a policy settled for one that a person did.
func policyNotNamed(*scenario.Scenario) des.Taps {
	return entriesTap(func(e *crdt.OpEntry) { e.Policy = "" })
}

// inputTap changes the operations that a device takes from gossip.
func inputTap(edit func(device int, op *crdt.Op) []*crdt.Op) des.Taps {
	return des.Taps{Input: func(device int, in node.Input) node.Input {
		ops, ok := in.(node.Ops)
		if !ok {
			return in
		}
		var out [][]byte
		for _, encoded := range ops.Ops {
			op, err := crdt.DecodeOp(encoded)
			if err != nil {
				out = append(out, encoded)
				continue
			}
			for _, op := range edit(device, op) {
				out = append(out, op.Encode())
			}
		}
		ops.Ops = out
		return ops
	}}
}

// alsoNotAwaited drops from operations what their writers left alone, if gossip has not brought that to the device.
func alsoNotAwaited(s *scenario.Scenario) des.Taps {
	heard := make([]map[crdt.Dot]bool, len(s.Devices))
	return inputTap(func(device int, op *crdt.Op) []*crdt.Op {
		if heard[device] == nil {
			heard[device] = map[crdt.Dot]bool{}
		}
		heard[device][op.Dot] = true
		for i := range op.Entries {
			e := &op.Entries[i]
			var also []crdt.Dot
			for _, d := range e.Also {
				if heard[device][d] {
					also = append(also, d)
				}
			}
			e.Also = also
		}
		return []*crdt.Op{op}
	})
}

// uselessKept hands on, with every operation, one that can never be applied.
func uselessKept(*scenario.Scenario) des.Taps {
	return inputTap(func(_ int, op *crdt.Op) []*crdt.Op {
		never := *op
		never.Dot.Counter += 1000
		never.Open = nil
		return []*crdt.Op{op, &never}
	})
}

// clockInfected lets a device take the newest time that it heard of for its own.
func clockInfected(s *scenario.Scenario) des.Taps {
	heard := make([]int64, len(s.Devices))
	taps := inputTap(func(device int, op *crdt.Op) []*crdt.Op {
		heard[device] = max(heard[device], op.Time.WallMillis())
		return []*crdt.Op{op}
	})
	taps.Wall = func(device int, wall int64) int64 { return max(wall, heard[device]) }
	return taps
}

// gossipForEver lets devices say their last operation again and again.
func gossipForEver(s *scenario.Scenario) des.Taps {
	last := make([]node.Output, len(s.Devices))
	return des.Taps{Output: func(device int, how des.Phase, out []node.Output) []node.Output {
		for _, x := range out {
			if p, ok := x.(node.Publish); ok {
				last[device] = p
			}
		}
		if how == des.PhaseOther && last[device] != nil {
			out = append(out, last[device])
		}
		return out
	}}
}
