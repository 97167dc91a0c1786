package oracle

import (
	"slices"
	"strings"

	"syncline/crdt"
	"syncline/node"
)

// Replied takes note that a device told the outcome of an attempt.
func (o *Oracle) Replied(device int, a *Attempt, err *node.Problem) {
	o.Checked++
	if a == nil {
		o.Fail(Reports, device, "an answer to nothing that was asked")
		return
	}
	if err != nil || a.written == nil {
		if err == nil {
			o.Fail(LostUpdate, device, "%s was acknowledged and never happened", describe(a))
		}
		return
	}
	d := o.devices[device]
	for _, e := range a.written.entries {
		d.told.add(e.index)
		o.see(d, e.path, e.index)
	}
	if first := a.written.entries[0]; !d.durable.has(first.index) {
		o.Fail(Durability, device, "%s was acknowledged before it was durable", a.written)
	}
	o.Sometimes("acknowledged")
}

func (o *Oracle) see(d *truth, path string, index int) {
	if d.frontier[path] == nil {
		d.frontier[path] = newSet(o.limit)
	}
	d.frontier[path].add(index)
}

// Read compares what a device shows at a path with what it showed and wrote there before. live is what the reader got.
func (o *Oracle) Read(device int, path string, live []crdt.Value) {
	o.Checked++
	d := o.devices[device]
	o.Sometimes("read")
	es := o.identifyAll(device, path, live)
	got := newSet(o.limit)
	for _, e := range es {
		got.add(e.index)
	}
	if f := d.frontier[path]; f != nil {
		for i := range f.all {
			e := o.entries[i]
			if got.has(i) || o.isOver(e, d.app) && !o.goesBack(es, e) || !e.put {
				continue
			}
			check := Monotonic
			if e.device == device {
				check = ReadYourWrites
			}
			o.Fail(check, device, "%s was read or written here and %s shows %s", e.write, path, o.names(got))
		}
	}
	for _, e := range es {
		if o.isOver(e, d.app) {
			o.Fail(Monotonic, device, "%s shows %s, which is superseded here", path, e.write)
		}
		o.see(d, path, e.index)
	}
}

// goesBack reports whether one of the values read is older than e.
func (o *Oracle) goesBack(es []*entry, e *entry) bool {
	return slices.ContainsFunc(es, func(f *entry) bool { return e.over(f) })
}

// Held compares what a device is said to have on disk with what its disk confirmed.
func (o *Oracle) Held(device, peer int, v crdt.Vector) {
	o.Checked++
	held := o.seen(device, crdt.Parts{{Context: v}})
	if i := held.less(o.devices[peer].ever); i >= 0 {
		o.Fail(HeldClaim, device, "%s is said to have %s on disk", o.s.DeviceName(peer), o.entries[i].write)
	}
}

// Alarm judges an alarm. peer is the device that it is about, -1 if the driver knows of none; what is told of it calls the device as the
// scenario does, for its id means nothing to people.
func (o *Oracle) Alarm(device, peer int, a node.Alarm) {
	o.Checked++
	if peer >= 0 {
		a.Text = strings.ReplaceAll(a.Text, a.Peer.Short(), o.s.DeviceName(peer))
	}
	switch {
	case a.Code == node.AlarmClock, a.Code == node.AlarmUnkept && o.devices[device].full, a.Code == node.AlarmValues && o.s.AnswerMemory > 0, o.maySay(device, a):
		o.Sometimes("alarm " + a.Code)
	default:
		o.Fail(NoAlarm, device, "%s: %s", a.Code, a.Text)
	}
}
