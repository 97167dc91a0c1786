package report

import (
	"maps"
	"slices"

	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// A First is the first step at which a claim was broken: what the device held then, and what another one did.
type First struct {
	Violation
	// Sides are the device and, if any other runs, one that holds something else, or else the same.
	Sides []Side `json:"sides"`
}

// A Side is what one device held.
type Side struct {
	Device int    `json:"device"`
	Name   string `json:"device_name"`
	// Values are the values at each path that holds any, the shown one first.
	Values map[string][]string `json:"values"`
}

// sides follows what each device holds until the first violation.
type sides struct {
	s      *scenario.Scenario
	states map[int]string // of the devices that run
	values map[int]map[string][]string
	first  *First
}

func (x *sides) follow(e oracle.Event) {
	if x.first != nil {
		return
	}
	switch e.Kind {
	case oracle.EventStart:
		x.states[e.Device], x.values[e.Device] = e.State, map[string][]string{}
	case oracle.EventStop, oracle.EventCrash:
		delete(x.states, e.Device)
	case oracle.EventState:
		if x.values[e.Device] == nil {
			x.values[e.Device] = map[string][]string{}
		}
		x.states[e.Device] = e.State
		if x.values[e.Device][e.Path] = e.Values; len(e.Values) == 0 {
			delete(x.values[e.Device], e.Path)
		}
	case oracle.EventBroken:
		x.first = &First{Sides: []Side{x.side(e.Device)}}
		if other, ok := x.other(e.Device); ok {
			x.first.Sides = append(x.first.Sides, x.side(other))
		}
	}
}

// side shortens long values, as a page does.
func (x *sides) side(device int) Side {
	s := Side{device, x.s.DeviceName(device), map[string][]string{}}
	for path, values := range x.values[device] {
		for _, v := range values {
			s.Values[path] = append(s.Values[path], shorten(v))
		}
	}
	return s
}

// other picks the device to compare with.
func (x *sides) other(device int) (int, bool) {
	running := slices.Sorted(maps.Keys(x.states))
	running = slices.DeleteFunc(running, func(d int) bool { return d == device })
	if len(running) == 0 {
		return 0, false
	}
	if i := slices.IndexFunc(running, func(d int) bool { return x.states[d] != x.states[device] }); i >= 0 {
		return running[i], true
	}
	return running[0], true
}
