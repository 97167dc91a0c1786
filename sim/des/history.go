package des

import (
	"fmt"
	"slices"
	"time"

	"syncline/crdt"
	"syncline/node"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// A history tells what happens as events. A nil history tells nothing and costs nothing. Telling reads and never changes: a run that
// is told has the same trace as one that is not.
type history struct {
	w    *world
	to   func(oracle.Event)
	told int // violations
}

// event tells one event, now.
func (h *history) event(e oracle.Event) {
	if h != nil {
		e.At = h.w.now
		h.to(e)
	}
}

// violations tells what the oracle found since the last call.
func (h *history) violations() {
	if h == nil {
		return
	}
	for _, v := range h.w.oracle.Violations[h.told:] {
		h.event(oracle.Event{Kind: oracle.EventBroken, Device: v.Device, Text: string(v.Check) + ": " + v.Text})
	}
	h.told = len(h.w.oracle.Violations)
}

// startTexts says how a device came to run.
var startTexts = map[oracle.Start]string{oracle.FirstStart: "first", oracle.AfterCrash: "after a crash", oracle.AfterClose: "after a restart",
	oracle.AfterRestore: "from its backup", oracle.AsClone: "with a copy of another's data"}

// started tells that a device runs, and all that it holds.
func (h *history) started(d *device, how oracle.Start) {
	if h == nil {
		return
	}
	h.event(oracle.Event{Kind: oracle.EventStart, Device: d.index, Text: startTexts[how], State: stateOf(d)})
	for _, path := range h.w.s.Paths {
		if reg, err := d.store.Get(path); err == nil && len(reg.Live) > 0 {
			h.state(d, path, reg)
		}
	}
}

// stepped tells what changed on a device in one step, and which conflicts it reported.
func (h *history) stepped(d *device, out []node.Output) {
	if h == nil {
		return
	}
	for _, o := range out {
		c, ok := o.(node.Changed)
		if !ok {
			continue
		}
		for _, path := range c.Paths {
			if crdt.IsSystemPath(path) {
				continue
			}
			if reg, err := d.store.Get(path); err == nil {
				h.state(d, path, reg)
			}
		}
		for _, x := range c.Conflicts {
			if crdt.IsSystemPath(x.Path) {
				continue
			}
			h.event(oracle.Event{Kind: oracle.EventConflict, Device: d.index, Path: x.Path, Values: contents(crdt.Register{Live: x.Siblings}), Text: conflictText(x)})
		}
	}
}

func conflictText(c crdt.Conflict) string {
	switch {
	case c.Settled:
		return "settled by time"
	case c.Local.Dot.Counter == 0 || c.Remote.Dot.Counter == 0:
		return "a value won over a delete"
	}
	return ""
}

func (h *history) state(d *device, path string, reg crdt.Register) {
	text := ""
	if _, settled, _ := d.shown(path, reg); reg.Contending() > 0 && !settled {
		text = oracle.StateOpen
	}
	h.event(oracle.Event{Kind: oracle.EventState, Device: d.index, Path: path, Values: contents(reg), State: stateOf(d), Text: text})
}

// stateOf is a short name of what a device holds.
func stateOf(d *device) string {
	return fmt.Sprintf("%06x", d.store.Head().Digest[0]&0xffffff)
}

// contents returns the values of a register as text, the shown one first.
func contents(reg crdt.Register) []string {
	var out []string
	for _, v := range reg.Newest() {
		if !slices.Contains(out, string(v.Data)) {
			out = append(out, string(v.Data))
		}
	}
	return out
}

// write tells what a person asks a device for, each part by itself.
func (h *history) write(d *device, parts []scenario.Part, a *oracle.Attempt) {
	if h == nil {
		return
	}
	for i, p := range parts {
		e := oracle.Event{Kind: oracle.EventWrite, Device: d.index, Path: p.Path, Text: string(p.Verb)}
		if op := a.Ops[i]; !op.Delete {
			e.Values = []string{string(op.Data)}
		}
		h.event(e)
	}
}

// read tells what a person is shown.
func (h *history) read(d *device, path string, live []crdt.Value) {
	if h != nil {
		h.event(oracle.Event{Kind: oracle.EventRead, Device: d.index, Path: path, Values: contents(crdt.Register{Live: live})})
	}
}

// refused tells that a write failed, if it did.
func (h *history) refused(d *device, a *oracle.Attempt, err *node.Problem) {
	if h != nil && a != nil && err != nil {
		h.event(oracle.Event{Kind: oracle.EventRefused, Device: d.index, Path: a.Ops[0].Path, Text: err.Error()})
	}
}

// gossip tells that an operation is on its way.
func (h *history) gossip(from, to *device, ops frame, way time.Duration) {
	if h != nil {
		h.event(oracle.Event{Kind: oracle.EventGossip, Device: from.index, Peer: to.index, Until: h.w.arrival(from, to, h.w.now+way), Size: ops.size()})
	}
}

// messageNames are what people call the messages of a session, by their type.
var messageNames = []string{1: "hello", "ok", "vector", "rows", "end", "ask", "live", "kill", "done", "busy", "bye", "opens"}

// message tells that a message of a session is on its way.
func (h *history) message(from, to *device, msg []byte, at time.Duration) {
	if h == nil || len(msg) < 2 {
		return
	}
	name := fmt.Sprintf("type %d", msg[1])
	if int(msg[1]) < len(messageNames) && messageNames[msg[1]] != "" {
		name = messageNames[msg[1]]
	}
	h.event(oracle.Event{Kind: oracle.EventMessage, Device: from.index, Peer: to.index, Until: h.w.arrival(from, to, at), Text: name, Size: len(msg)})
}

// down tells that a device ends, for a while.
func (h *history) down(d *device, kind oracle.Kind, text string, length time.Duration) {
	if h != nil {
		h.event(oracle.Event{Kind: kind, Device: d.index, Until: h.w.now + length, Text: text})
	}
}

// lost tells that something will never arrive.
func (h *history) lost(from, to *device, what string) {
	if h != nil {
		h.event(oracle.Event{Kind: oracle.EventLost, Device: from.index, Peer: to.index, Text: what})
	}
}

// arrival returns when something gets through that would arrive at a time, as far as the stalls that hold now tell.
func (w *world) arrival(from, to *device, at time.Duration) time.Duration {
	for _, c := range w.cuts {
		if c.stall && c.until > at && c.separates(from.index, to.index) {
			at = c.until
		}
	}
	return at
}

// until returns when something ends that lasts for a length of time, or until it is healed if that is 0; healing ends it in any case.
func (h *history) until(length time.Duration) time.Duration {
	if h == nil {
		return 0
	}
	s, now := h.w.s, h.w.now
	end := s.End + healAfter
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

// toldElsewhere are the actions that tell of themselves when they succeed.
var toldElsewhere = []scenario.Action{scenario.DoWrite, scenario.DoRead, scenario.DoSync, scenario.DoJoin, scenario.DoClone, scenario.DoCrash, scenario.DoRestart, scenario.DoRestore}

// fault tells that a fault of the scenario begins.
func (h *history) fault(op *scenario.Op) {
	if h == nil || slices.Contains(toldElsewhere, op.Do) {
		return
	}
	e := oracle.Event{Kind: oracle.EventFault, Device: -1, Groups: op.Groups, Text: faultText(op)}
	if op.Do.OnDevice() {
		e.Device = op.Device
	}
	switch op.Do {
	case scenario.DoPartition, scenario.DoStall, scenario.DoDisconnect, scenario.DoLoss, scenario.DoDuplicate, scenario.DoReorder, scenario.DoSlow, scenario.DoDiskFull:
		e.Until = h.until(op.For)
	}
	switch op.Do {
	case scenario.DoHeal:
		e.Kind = oracle.EventHeal
	case scenario.DoDisconnect:
		e.Groups = apart(op.Device, len(h.w.devices))
	}
	h.event(e)
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
	case scenario.DoClock:
		return fmt.Sprintf("clock jumps by %v", amount)
	}
	return string(op.Do)
}

// apart divides devices into one and all others.
func apart(device, of int) [][]int {
	groups := [][]int{{device}, nil}
	for i := range of {
		if i != device {
			groups[1] = append(groups[1], i)
		}
	}
	return groups
}
