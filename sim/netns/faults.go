//go:build linux

package netns

import (
	"time"

	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// faults are what is wrong in a run at the moment. One goroutine uses them.
type faults struct {
	run    *run
	active []*fault
}

// A fault lasts until its end.
type fault struct {
	until   time.Duration
	weather Weather      // it adds to the network's
	end     func() error // nil if the weather is all
}

// begin makes the network what it is throughout the run.
func (f *faults) begin() error {
	if links := f.run.s.Network.Links; links != nil {
		var pairs [][2]*Host
		for _, l := range links {
			pairs = append(pairs, [2]*Host{f.host(l[0]), f.host(l[1])})
		}
		if _, err := f.run.lab.Sparse(pairs); err != nil {
			return err
		}
	}
	return f.change()
}

func (f *faults) host(device int) *Host { return f.run.actors[device].peer.Host }

// change makes the weather what the network and all faults together say.
func (f *faults) change() error {
	n := f.run.s.Network
	w := Weather{Loss: n.Loss, Duplicate: n.Duplicate, Delay: n.LatencyMin, Jitter: n.LatencyMax - n.LatencyMin}
	for _, x := range f.active {
		w.Loss += x.weather.Loss
		w.Duplicate += x.weather.Duplicate
		w.Delay += x.weather.Delay
		w.Jitter += x.weather.Jitter
	}
	return f.run.lab.SetWeather(w)
}

// add begins a fault.
func (f *faults) add(o *scenario.Op) error {
	if o.Do == scenario.DoHeal {
		return f.heal()
	}
	x := &fault{until: f.run.s.End}
	if o.For > 0 {
		x.until = o.At + o.For
	}
	share, millis := float64(o.Amount)/1000, time.Duration(o.Amount)*time.Millisecond
	var err error
	switch o.Do {
	case scenario.DoPartition, scenario.DoStall:
		var groups [][]*Host
		for _, g := range o.Groups {
			var hosts []*Host
			for _, d := range g {
				hosts = append(hosts, f.host(d))
			}
			groups = append(groups, hosts)
		}
		x.end, err = f.cut(o.Do == scenario.DoStall, groups)
	case scenario.DoDisconnect:
		x.end, err = f.cut(false, [][]*Host{{f.host(o.Device)}})
	case scenario.DoDiskFull:
		x.end, err = f.run.actors[o.Device].fillDisk()
	case scenario.DoLoss:
		x.weather.Loss = share
	case scenario.DoDuplicate:
		x.weather.Duplicate = share
	case scenario.DoReorder:
		x.weather.Jitter = millis
	case scenario.DoSlow:
		x.weather.Delay = millis
	}
	if err != nil {
		return err
	}
	device := -1
	if o.Do.OnDevice() {
		device = o.Device
	}
	f.run.tell(oracle.Event{Kind: oracle.EventFault, Device: device, Until: x.until, Groups: o.Groups, Text: string(o.Do)})
	f.run.judge(func(w *oracle.Witness) { w.Sometimes(string(o.Do)) })
	f.active = append(f.active, x)
	return f.change()
}

func (f *faults) cut(hold bool, groups [][]*Host) (func() error, error) {
	end, err := f.run.lab.Cut(hold, groups...)
	return func() error { end(); return nil }, err
}

// next returns the first end of a fault before a time, or that time.
func (f *faults) next(at time.Duration) (next time.Duration, ends bool) {
	next = at
	for _, x := range f.active {
		if x.until <= next {
			next, ends = x.until, true
		}
	}
	return next, ends
}

// heal ends all faults.
func (f *faults) heal() error { return f.endAt(1<<63 - 1) }

// endAt ends the faults that last until a time at most.
func (f *faults) endAt(at time.Duration) error {
	var left []*fault
	for _, x := range f.active {
		if x.until > at {
			left = append(left, x)
			continue
		}
		if x.end == nil {
			continue
		}
		if err := x.end(); err != nil {
			return err
		}
	}
	f.active = left
	return f.change()
}
