package sim

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"syncline/sim/scenario"
)

// mergesPerWrite is how many times as many merges as writes there may be on each device before a run is taken for endless.
const mergesPerWrite = 8

// scenario draws the scenario of a seed, with the paths, values and faults of c.
func (c *Config) scenario(seed uint64) *scenario.Scenario {
	size := scenario.DefaultSize
	size.Devices, size.Writes, size.Reads = c.Devices, c.Writes, c.Writes/2
	s := scenario.Generate(seed, size)
	s.AnswerMemory = 0 // what is too much is for people to decide, and programs do it here
	s.MergesMax = mergesPerWrite * (c.Writes + 1) * c.Devices
	s.Ops = slices.DeleteFunc(s.Ops, func(o scenario.Op) bool { return o.Do == scenario.DoPolicy || o.Do == scenario.DoDamage }) // programs settle the conflicts
	drawn := s.Paths
	s.Paths = slices.Compact(slices.Sorted(slices.Values(c.Paths)))
	as := func(p string) string { return s.Paths[max(0, slices.Index(drawn, p))%len(s.Paths)] }
	r := rand.New(rand.NewPCG(seed, 0x7a1e5))
	for i := range s.Ops {
		op := &s.Ops[i]
		if op.Path != "" {
			op.Path = as(op.Path)
		}
		parts := op.Parts
		op.Parts = nil
		for _, p := range parts {
			p.Path, p.LWW = as(p.Path), false
			if slices.ContainsFunc(op.Parts, func(q scenario.Part) bool { return q.Path == p.Path }) {
				continue
			}
			if p.Verb != scenario.Delete && p.Verb != scenario.DeleteAll && p.Verb != scenario.Keep {
				p.Value, p.Size = encodeValue(c.Value(r, p.Path)), 0
			}
			op.Parts = append(op.Parts, p)
		}
	}
	c.calm(s)
	return s
}

// A scenario is text and takes an empty value for none, so other values stand in it as Go literals after this.
const bytesMark = "bytes "

// encodeValue returns what stands for data in a scenario.
func encodeValue(data []byte) string {
	if len(data) == 0 || !utf8.Valid(data) || bytes.HasPrefix(data, []byte(bytesMark)) {
		return bytesMark + strconv.Quote(string(data))
	}
	return string(data)
}

func decodeValue(value string) string {
	if quoted, ok := strings.CutPrefix(value, bytesMark); ok {
		if data, err := strconv.Unquote(quoted); err == nil {
			return data
		}
	}
	return value
}

// noFaults are the actions that may happen without being asked for.
var noFaults = []scenario.Action{scenario.DoWrite, scenario.DoRead, scenario.DoSync, scenario.DoBackup}

// calm takes the faults that c does not list out of s.
func (c *Config) calm(s *scenario.Scenario) {
	if c.Faults == nil {
		return
	}
	none := func(a scenario.Action) bool { return !slices.Contains(c.Faults, a) }
	s.Ops = slices.DeleteFunc(s.Ops, func(o scenario.Op) bool {
		return !slices.Contains(noFaults, o.Do) && none(o.Do)
	})
	if none(scenario.DoLoss) {
		s.Network.Loss = 0
	}
	if none(scenario.DoDuplicate) {
		s.Network.Duplicate = 0
	}
	if none(scenario.DoReset) {
		s.Network.Break = 0
	}
	if none(scenario.DoClock) {
		for i := range s.Devices {
			s.Devices[i].Skew = 0
		}
	}
}
