package bubble

import (
	"testing"
	"time"

	"syncline/crdt"
	"syncline/gossip"
	"syncline/node"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// TestPlantedMistakesAreNoticed: the oracle sees what real devices do, and not only what it expects of them.
func TestPlantedMistakesAreNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		taps  taps
		check oracle.Check
	}{
		"no mistake": {},
		"the disk confirms what it has not synced": {taps{lyingDisk: true}, oracle.Durability},
		"a value changes on its way":               {taps{frame: changed}, oracle.Phantom},
		"a merge function is not what it was":      {taps{result: func(string) string { return "another result" }}, oracle.Phantom},
		"a read does not heed the policy":          {taps{shown: func(e node.Entry) node.Entry { e.View = nil; return e }}, oracle.Views},
	} {
		t.Run(name, func(t *testing.T) {
			do := func(at time.Duration, device int, verb scenario.Verb, path string) scenario.Op {
				return scenario.Op{At: at, Do: scenario.DoWrite, Device: device, Parts: []scenario.Part{{Path: path, Verb: verb}}}
			}
			s := &scenario.Scenario{Seed: 1, Devices: make([]scenario.Device, 2), Paths: []string{"a", "least", "merged"}, AntiEntropy: 5 * time.Second, DeleteLog: 8,
				Network: scenario.Network{LatencyMin: time.Millisecond, LatencyMax: 2 * time.Millisecond, SyncMin: time.Millisecond, SyncMax: 2 * time.Millisecond},
				Ops: []scenario.Op{
					{At: 100 * time.Millisecond, Do: scenario.DoPolicy, Device: 0, Path: "least", Policy: "min"},
					{At: 100 * time.Millisecond, Do: scenario.DoPolicy, Device: 0, Path: "merged", Policy: "merge:join"},
					do(time.Second, 0, scenario.Put, "a"), do(1100*time.Millisecond, 0, scenario.Put, "least"), do(1100*time.Millisecond, 0, scenario.Put, "merged"),
					do(1500*time.Millisecond, 1, scenario.Sibling, "least"), do(1500*time.Millisecond, 1, scenario.Sibling, "merged"), do(2*time.Second, 1, scenario.Put, "a"),
					{At: 3 * time.Second, Do: scenario.DoCrash, Device: 1, For: time.Second},
					{At: 8 * time.Second, Do: scenario.DoRead, Device: 0, Path: "least"},
				},
				End: 10 * time.Second, ConvergeMax: 2 * time.Minute}
			r, err := Driver{taps: c.taps}.Run(t.Context(), s, nil)
			switch {
			case err != nil:
				t.Fatal(err)
			case c.check == "" && len(r.Violations) > 0:
				t.Errorf("violations without a mistake: %v", r.Violations)
			case c.check != "" && !r.Failed(c.check):
				t.Errorf("%s does not fail; what does is %v", c.check, r.Violations)
			}
		})
	}
}

// changed alters the values of the scenario in a frame that was opened and verified.
func changed(f gossip.Frame) gossip.Frame {
	for i, b := range f.Ops {
		op, err := crdt.DecodeOp(b)
		if err != nil || crdt.IsSystemPath(op.Entries[0].Path) {
			continue
		}
		op.Entries[0].Data = []byte("another value")
		f.Ops[i] = op.Encode()
	}
	return f
}
