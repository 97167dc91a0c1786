package des

import (
	"fmt"
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
		h.event(v.Broken())
	}
	h.told = len(h.w.oracle.Violations)
}

// started tells that a device runs, and all that it holds.
func (h *history) started(d *device, how oracle.Start) {
	if h == nil {
		return
	}
	h.event(oracle.Event{Kind: oracle.EventStart, Device: d.index, Text: how.String(), State: stateOf(d)})
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
		for _, path := range h.w.oracle.Told(d.index, c.Paths) {
			if reg, err := d.store.Get(path); err == nil {
				h.state(d, path, reg)
			}
		}
		for _, x := range c.Conflicts {
			if crdt.IsSystemPath(x.Path) {
				continue
			}
			h.event(oracle.ConflictEvent(d.index, x))
		}
	}
}

func (h *history) state(d *device, path string, reg crdt.Register) {
	_, settled, _ := d.shown(path, reg)
	h.event(oracle.StateEvent(d.index, path, reg, settled, stateOf(d)))
}

// stateOf is a short name of what a device holds.
func stateOf(d *device) string {
	return fmt.Sprintf("%06x", d.store.Head().Digest[0]&0xffffff)
}

// write tells what a person asks a device for, each part by itself.
func (h *history) write(a *oracle.Attempt) {
	if h == nil {
		return
	}
	for _, e := range a.Writes() {
		h.event(e)
	}
}

// read tells what a person is shown.
func (h *history) read(d *device, path string, live []crdt.Value) {
	if h != nil {
		h.event(oracle.Event{Kind: oracle.EventRead, Device: d.index, Path: path, Values: oracle.Contents(crdt.Register{Live: live})})
	}
}

// refused tells that a write failed, if it did.
func (h *history) refused(a *oracle.Attempt, err *node.Problem) {
	if h != nil && a != nil && err != nil {
		h.event(a.Refused(err))
	}
}

// gossip tells that an operation is on its way.
func (h *history) gossip(from, to *device, ops frame, way time.Duration) {
	if h != nil {
		h.event(oracle.Event{Kind: oracle.EventGossip, Device: from.index, Peer: to.index, Until: h.w.arrival(from, to, h.w.now+way), Size: ops.size()})
	}
}

// messageNames are what people call the messages of a session, by their type.
var messageNames = []string{1: "hello", "ok", "vector", "rows", "end", "ask", "live", "kill", "done", "busy", "bye", "opens", "more", "floor", "dead", "left"}

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

// until is [oracle.Until] from now on; without a history nobody asks.
func (h *history) until(length time.Duration) time.Duration {
	if h == nil {
		return 0
	}
	return oracle.Until(h.w.s, h.w.now, length)
}

// fault tells that a fault of the scenario begins.
func (h *history) fault(op *scenario.Op) {
	if h == nil {
		return
	}
	if e, ok := oracle.FaultEvent(h.w.s, op, h.w.now); ok {
		h.event(e)
	}
}
