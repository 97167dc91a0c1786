package bubble

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"syncline/gossip"
	"syncline/node"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// A Driver carries scenarios out on real devices. The zero Driver is ready to use; it implements sim.Driver.
type Driver struct {
	// Logger receives what the devices have to say; default: nothing.
	Logger *slog.Logger

	taps taps
}

// Taps are where tests plant mistakes, to show that the oracle notices.
type taps struct {
	// lyingDisk lets syncs make nothing durable.
	lyingDisk bool
	// frame changes what gossip brought, if it is not nil.
	frame func(gossip.Frame) gossip.Frame
	// result changes what a merge function returns, shown what a plain read does, if they are not nil.
	result func(string) string
	shown  func(node.Entry) node.Entry
}

// Run carries s out and judges it. It returns an error, and no verdict, if s holds something that this driver cannot carry out, if the
// devices could not be brought together before it began, if the bubble broke or hung, or if ctx ended. events, if not nil, gets what
// happened, in order, one at a time; it must not block. Messages are not among it.
//
// Devices differ in some ways from those of package des: a replica remembers at least one delete; a value is written beside others by
// an import, and in a transaction not at all, but put; a device that joins runs for the scenario once it was let in; packets are lost, too, and not only frames of gossip.
func (r Driver) Run(ctx context.Context, s *scenario.Scenario, events func(oracle.Event)) (*oracle.Report, error) {
	if err := check(s); err != nil {
		return nil, err
	}
	c := *s
	c.DeleteLog = max(1, s.DeleteLog) // for a node, 0 is the default
	w, err := newWorld(ctx, &c, r.Logger, events)
	if err != nil {
		return nil, err
	}
	w.taps = r.taps
	var report *oracle.Report
	defer w.remove()
	if err := bubble(&w.pulse, hangMax, func() { report, err = w.run() }); err != nil {
		return nil, fmt.Errorf("seed %d: %w", s.Seed, err)
	}
	return report, err
}

// actions are what this driver can do.
var actions = []scenario.Action{scenario.DoWrite, scenario.DoRead, scenario.DoSync, scenario.DoJoin, scenario.DoClone, scenario.DoPartition,
	scenario.DoDisconnect, scenario.DoStall, scenario.DoHeal, scenario.DoLoss, scenario.DoDuplicate, scenario.DoReorder, scenario.DoSlow, scenario.DoReset,
	scenario.DoCrash, scenario.DoRestart, scenario.DoBackup, scenario.DoRestore, scenario.DoDiskFull, scenario.DoSyncFail,
	scenario.DoClock, scenario.DoPolicy, scenario.DoDamage, scenario.DoRepair}

var verbs = []scenario.Verb{scenario.Put, scenario.Delete, scenario.PutAll, scenario.Sibling, scenario.Resolve, scenario.Keep, scenario.PutIf, scenario.DeleteAll}

// Bounds of a scenario.
const (
	// devicesMax is as many devices as an address book holds, this one included.
	devicesMax = 256
	// endMax bounds its length: devices that are connected send packets every few seconds, and each costs real time.
	endMax = 24 * time.Hour
)

// check says what of a scenario this driver cannot carry out.
func check(s *scenario.Scenario) error {
	if n := len(s.Devices); n == 0 || n > devicesMax {
		return fmt.Errorf("this driver runs 1 to %d devices, not %d: an address book holds no more", devicesMax, n)
	}
	if s.End > endMax {
		return fmt.Errorf("this driver runs scenarios of up to %.0f hours, not %.0f: connected devices send packets every few seconds, and each costs real time", endMax.Hours(), s.End.Hours())
	}
	for _, op := range s.Ops {
		if !slices.Contains(actions, op.Do) {
			return fmt.Errorf("this driver cannot carry out the action %q at %v", op.Do, op.At)
		}
		for _, p := range op.Parts {
			if !slices.Contains(verbs, p.Verb) {
				return fmt.Errorf("this driver cannot carry out a write of the kind %q at %v", p.Verb, op.At)
			}
		}
	}
	if founder(s) < 0 {
		return fmt.Errorf("no device runs from the beginning")
	}
	return nil
}

// founder returns the first device that runs from the beginning, -1 if there is none.
func founder(s *scenario.Scenario) int {
	for i := range s.Devices {
		if s.Start(i) == nil {
			return i
		}
	}
	return -1
}
