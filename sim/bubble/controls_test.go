package bubble

import (
	"testing"
	"time"

	"syncline/crdt"
	"syncline/gossip"
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
	} {
		t.Run(name, func(t *testing.T) {
			put := func(at time.Duration, device int) scenario.Op {
				return scenario.Op{At: at, Do: scenario.DoWrite, Device: device, Parts: []scenario.Part{{Path: "a", Verb: scenario.Put}}}
			}
			s := &scenario.Scenario{Seed: 1, Devices: make([]scenario.Device, 2), Paths: []string{"a"}, AntiEntropy: 5 * time.Second, DeleteLog: 8,
				Network: scenario.Network{LatencyMin: time.Millisecond, LatencyMax: 2 * time.Millisecond, SyncMin: time.Millisecond, SyncMax: 2 * time.Millisecond},
				Ops:     []scenario.Op{put(time.Second, 0), put(2*time.Second, 1), {At: 3 * time.Second, Do: scenario.DoCrash, Device: 1, For: time.Second}},
				End:     10 * time.Second, ConvergeMax: 2 * time.Minute}
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
