package scenario

import "slices"

// Shrink takes away from a scenario whatever is not needed for fails to hold: operations, then the badness of the network, then
// parts of transactions. fails runs a scenario and reports whether it still shows what it is to show. Shrink leaves s alone.
//
// Operations are taken away in blocks of half the list, a quarter and so on (Zeller, Hildebrandt, "Simplifying and Isolating
// Failure-Inducing Input", IEEE TSE 2002). That the fate of a message depends on nothing but the message keeps what is left alike.
func Shrink(s *Scenario, fails func(*Scenario) bool) *Scenario {
	best := s.clone()
	try := func(edit func(*Scenario)) bool {
		c := best.clone()
		edit(c)
		if !fails(c) {
			return false
		}
		best = c
		return true
	}
	for size := (len(best.Ops) + 1) / 2; size > 0; size /= 2 {
		for i := 0; i < len(best.Ops); {
			if !try(func(c *Scenario) { c.Ops = slices.Delete(c.Ops, i, min(i+size, len(c.Ops))) }) {
				i += size
			}
		}
	}
	for _, edit := range []func(*Scenario){
		func(c *Scenario) { c.Network.Break = 0 },
		func(c *Scenario) { c.Network.Duplicate = 0 },
		func(c *Scenario) { c.Network.Loss = 0 },
		func(c *Scenario) { c.Network.Loss = 1 },
		func(c *Scenario) { c.Network.Links = nil },
		func(c *Scenario) { c.Network.LatencyMax = c.Network.LatencyMin + 1 },
	} {
		try(edit)
	}
	for i := range best.Devices {
		try(func(c *Scenario) { c.Devices[i] = Device{} })
	}
	best.shrinkParts(try)
	return best
}

func (s *Scenario) shrinkParts(try func(func(*Scenario)) bool) {
	for i := range s.Ops {
		for k := len(s.Ops[i].Parts) - 1; k >= 0 && len(s.Ops[i].Parts) > 1; k-- {
			try(func(c *Scenario) { c.Ops[i].Parts = slices.Delete(c.Ops[i].Parts, k, k+1) })
		}
	}
}

func (s *Scenario) clone() *Scenario {
	c := *s
	c.Devices, c.Paths, c.Ops = slices.Clone(s.Devices), slices.Clone(s.Paths), slices.Clone(s.Ops)
	for i := range c.Ops {
		c.Ops[i].Parts = slices.Clone(c.Ops[i].Parts)
	}
	return &c
}
