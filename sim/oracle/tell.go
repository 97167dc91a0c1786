package oracle

import (
	"fmt"
	"slices"
	"time"

	"syncline/crdt"
	"syncline/sim/scenario"
)

// This file says in events and words what all drivers tell alike.

// HealAfter is how long after the end of a scenario the last fault is over.
const HealAfter = 10 * time.Millisecond

// String says how a device came to run, as the Text of an EventStart.
func (s Start) String() string {
	switch s {
	case FirstStart:
		return "first"
	case AfterCrash:
		return "after a crash"
	case AfterClose:
		return "after a restart"
	case AfterRestore:
		return "from its backup"
	case AsClone:
		return "with a copy of another's data"
	}
	return fmt.Sprintf("Start(%d)", int(s))
}

// Why a device was closed, as the Text of an EventStop.
const (
	StopRestart = "restart"
	StopRestore = "its data are set back to the backup"
)

// TextHealed is the Text of the EventHeal after the end of a scenario.
const TextHealed = "all faults are over"

// toldElsewhere are the actions that are told when they succeed, by events of their own.
var toldElsewhere = []scenario.Action{scenario.DoWrite, scenario.DoRead, scenario.DoSync, scenario.DoJoin, scenario.DoClone, scenario.DoCrash,
	scenario.DoRestart, scenario.DoRestore}

// lasting are the actions that hold for a while, until they are healed at the latest.
var lasting = []scenario.Action{scenario.DoPartition, scenario.DoStall, scenario.DoDisconnect, scenario.DoLoss, scenario.DoDuplicate,
	scenario.DoReorder, scenario.DoSlow, scenario.DoDiskFull}

// FaultEvent tells of an operation that is carried out now. It reports false if others tell of it: writes, reads, and whatever
// starts or ends a device.
func FaultEvent(s *scenario.Scenario, op *scenario.Op, now time.Duration) (Event, bool) {
	if slices.Contains(toldElsewhere, op.Do) {
		return Event{}, false
	}
	e := Event{Kind: EventFault, Device: -1, Groups: op.Groups, Text: faultText(op)}
	if op.Do.OnDevice() {
		e.Device = op.Device
	}
	switch {
	case slices.Contains(lasting, op.Do):
		e.Until = Until(s, now, op.For)
	case op.Do == scenario.DoSyncFail:
		e.Until = now + op.For
	}
	switch op.Do {
	case scenario.DoHeal:
		e.Kind = EventHeal
	case scenario.DoDisconnect:
		e.Groups = Apart(op.Device, len(s.Devices))
	}
	return e, true
}

// Until returns when something ends that holds from now on, for a length of time, or until it is healed if that is 0; healing ends it in
// any case.
func Until(s *scenario.Scenario, now, length time.Duration) time.Duration {
	end := s.End + HealAfter
	for i := range s.Ops {
		if op := &s.Ops[i]; op.Do == scenario.DoHeal && op.At > now {
			end = min(end, op.At)
			break
		}
	}
	if length > 0 {
		end = min(end, now+length)
	}
	return max(end, now)
}

// Apart divides so many devices into one and all others.
func Apart(device, of int) [][]int {
	groups := [][]int{{device}, nil}
	for i := range of {
		if i != device {
			groups[1] = append(groups[1], i)
		}
	}
	return groups
}

// faultText says what a fault is, without where and how long.
func faultText(op *scenario.Op) string {
	amount := time.Duration(op.Amount) * time.Millisecond
	switch op.Do {
	case scenario.DoPolicy:
		return fmt.Sprintf("the policy of %s is %s", op.Path, op.Policy)
	case scenario.DoDamage:
		return "the record of " + op.Path + " is damaged"
	case scenario.DoRepair:
		return "damaged records are repaired"
	case scenario.DoDisconnect:
		return "disconnected"
	case scenario.DoHeal:
		return "partitions and stalls end"
	case scenario.DoLoss:
		return fmt.Sprintf("%g %% of gossip is lost", float64(op.Amount)/10)
	case scenario.DoDuplicate:
		return fmt.Sprintf("%g %% of gossip comes twice", float64(op.Amount)/10)
	case scenario.DoReorder:
		return fmt.Sprintf("gossip comes up to %v late", amount)
	case scenario.DoSlow:
		return fmt.Sprintf("all comes %v late", amount)
	case scenario.DoReset:
		return "all sessions break"
	case scenario.DoBackup:
		return "its data are copied"
	case scenario.DoDiskFull:
		return "disk full"
	case scenario.DoSyncFail:
		return "its disk confirms no sync"
	case scenario.DoClock:
		return fmt.Sprintf("clock jumps by %v", amount)
	}
	return string(op.Do)
}

// Writes tells a write part by part. Setting a policy is told as a fault is.
func (a *Attempt) Writes() []Event {
	var out []Event
	for i, e := range a.entries {
		if e.rule != nil {
			continue
		}
		w := Event{Kind: EventWrite, Device: a.device, Path: e.path, Text: string(a.verbs[i])}
		if e.put {
			w.Values = []string{e.data}
		}
		out = append(out, w)
	}
	return out
}

// Refused tells that the write failed.
func (a *Attempt) Refused(err error) Event {
	if e := a.entries[0]; e.rule != nil {
		return RefusedPolicyEvent(a.device, e.rule.pattern, err)
	}
	return Event{Kind: EventRefused, Device: a.device, Path: a.entries[0].path, Text: err.Error()}
}

// RefusedPolicyEvent tells that the policy of a pattern could not be set. A pattern is no path, so the event has none.
func RefusedPolicyEvent(device int, pattern string, err error) Event {
	return Event{Kind: EventRefused, Device: device, Text: fmt.Sprintf("the policy of %s: %v", pattern, err)}
}

// StateEvent tells what a path holds on a device, which names all that it holds by state; settled says that a policy leaves nothing open
// there.
func StateEvent(device int, path string, reg crdt.Register, settled bool, state string) Event {
	e := Event{Kind: EventState, Device: device, Path: path, Values: Contents(reg), State: state}
	if reg.Contending() > 0 && !settled {
		e.Text = StateOpen
	}
	return e
}

// Told returns the paths of which an EventState is due after a change of paths: those of users among them, and if a policy came, all where
// something competes, for it may be settled or open now.
func (o *Oracle) Told(device int, paths []string) []string {
	told := slices.DeleteFunc(slices.Clone(paths), crdt.IsSystemPath)
	if len(told) == len(paths) {
		return told
	}
	for _, path := range o.s.Paths {
		reg, err := o.devices[device].view.Get(path)
		if err == nil && reg.Contending() > 0 && !slices.Contains(told, path) {
			told = append(told, path)
		}
	}
	return told
}

// Settles reports whether a policy that a device has seen settles what competes at a path.
func (o *Oracle) Settles(device int, path string, reg crdt.Register) bool {
	_, settled := o.view(o.devices[device], path, reg)
	return settled
}

// ConflictEvent tells that a device reported a conflict.
func ConflictEvent(device int, c crdt.Conflict) Event {
	e := Event{Kind: EventConflict, Device: device, Path: c.Path, Values: Contents(crdt.Register{Live: c.Siblings})}
	switch {
	case c.Settled:
		e.Text = "settled by time"
	case c.Local.Dot.Counter == 0 || c.Remote.Dot.Counter == 0:
		e.Text = "a value won over a delete"
	}
	return e
}

// Broken tells of a violation.
func (v Violation) Broken() Event {
	return Event{Kind: EventBroken, Device: v.Device, Text: string(v.Check) + ": " + v.Text}
}

// Contents returns the different values of a register as text, the shown one first.
func Contents(reg crdt.Register) []string {
	var out []string
	for _, v := range reg.Newest() {
		if !slices.Contains(out, string(v.Data)) {
			out = append(out, string(v.Data))
		}
	}
	return out
}
