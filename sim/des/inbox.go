package des

import (
	"slices"
	"time"

	"syncline/node"
)

// A node takes what has come while its loop was busy in one step. So does every fourth device here, with what comes within inboxMax. A write is a
// step of its own all the same, after what came before it: the oracle has to know what its writer was shown.
const inboxMax = 8 * time.Millisecond

// An inbox is what waits for a device's next step.
type inbox struct {
	in  []node.Input
	how []Phase
}

// collects reports whether several inputs may be one step on the device.
func (d *device) collects() bool { return (d.w.s.Seed/3+uint64(d.index))%4 == 0 }

// step feeds an input to the replica, at once or with what comes soon after it.
func (d *device) step(how Phase, in node.Input) {
	if how == PhaseStart || !d.collects() {
		d.stepFor(how, nil, in)
		return
	}
	d.inbox.in, d.inbox.how = append(d.inbox.in, in), append(d.inbox.how, how)
	if len(d.inbox.in) > 1 {
		return
	}
	life := d.life
	d.w.after(d.w.fate(fateInbox, d.index, 0, uint64(how)).between(0, inboxMax), func() {
		if d.life == life {
			d.takeIn()
		}
	})
}

// takeIn takes what waits in one step. It is about a session if anything of it is.
func (d *device) takeIn() {
	x := d.inbox
	d.inbox = inbox{}
	if len(x.in) == 0 {
		return
	}
	how := x.how[0]
	if slices.ContainsFunc(x.how, func(h Phase) bool { return h != how }) {
		if how = PhaseOther; slices.Contains(x.how, PhaseSession) {
			how = PhaseSession
		}
	}
	if len(x.in) > 1 {
		d.w.oracle.Sometimes("several inputs in a step")
	}
	d.stepFor(how, nil, x.in...)
}

// again takes each input of a step that failed by itself, as a node does, so that one bad record does not stop the others.
func (d *device) again(in []node.Input) {
	life := d.life
	for _, i := range in {
		if d.life == life {
			d.stepFor(PhaseSession, nil, i)
		}
	}
}

// withoutAnswers leaves out the replies to inputs whose turn to be answered is still to come.
func withoutAnswers(out []node.Output, in []node.Input) []node.Output {
	return slices.DeleteFunc(out, func(o node.Output) bool {
		reply, ok := o.(node.Reply)
		return ok && slices.ContainsFunc(in, func(i node.Input) bool { r, ok := i.(node.Repair); return ok && r.Tag == reply.Tag })
	})
}
