package des_test

import (
	"strings"
	"testing"
	"time"

	"syncline/sim/des"
	"syncline/sim/scenario"
)

// away is a scenario in which one device is cut off and writes meanwhile. Sessions are half a minute apart.
func away(devices int, links [][2]int) *scenario.Scenario {
	s := &scenario.Scenario{Seed: 1, Devices: make([]scenario.Device, devices), Paths: []string{"a", "b"}, AntiEntropy: 30 * time.Second, DeleteLog: 16,
		Network: scenario.Network{Links: links, LatencyMin: time.Millisecond, LatencyMax: 20 * time.Millisecond, SyncMin: time.Millisecond, SyncMax: 4 * time.Millisecond},
		End:     40 * time.Second, ConvergeMax: 2 * time.Minute}
	write := func(at time.Duration, device int, path string) scenario.Op {
		return scenario.Op{At: at, Do: scenario.DoWrite, Device: device, Parts: []scenario.Part{{Path: path, Verb: scenario.Put}}}
	}
	s.Ops = []scenario.Op{
		write(time.Second, 0, "a"),
		{At: 10 * time.Second, Do: scenario.DoDisconnect, Device: 1, For: 30 * time.Second},
		write(20*time.Second, 1, "b"),
	}
	return s
}

// TestWhatASessionBringsGoesOn: in a star, and along a line, what a session brought to a device in the middle is with the others
// within seconds, and not a period later at each device on the way.
func TestWhatASessionBringsGoesOn(t *testing.T) {
	for name, links := range map[string][][2]int{
		"star": {{0, 1}, {0, 2}, {0, 3}, {0, 4}, {0, 5}},
		"line": {{0, 1}, {0, 2}, {2, 3}, {3, 4}, {4, 5}},
	} {
		r := des.Run(away(6, links), des.Options{})
		for _, v := range r.Violations {
			t.Errorf("%s: %v", name, v)
		}
		if r.Converged > 10*time.Second {
			t.Errorf("%s: all have it %v after the device came back", name, r.Converged)
		}
		t.Logf("%s: all have it %v after the device came back", name, r.Converged)
	}
}

// TestGoingOnIsNoStorm: where everybody is connected to everybody, telling the others costs each pair one session at most.
func TestGoingOnIsNoStorm(t *testing.T) {
	const devices = 12
	s := away(devices, nil)
	s.Seed = 8 // one that is watched for what is said when all agree
	ends := 0
	r := des.Run(s, des.Options{Trace: func(line string) {
		if at, err := time.ParseDuration(strings.TrimSpace(line[:10]) + "s"); err == nil && at > s.End && at < s.End+5*time.Second {
			ends += strings.Count(line, "synced with")
		}
	}})
	for _, v := range r.Violations {
		t.Error(v)
	}
	// Regular sessions go on meanwhile.
	if pairs := devices * (devices - 1) / 2; ends == 0 || ends/2 > 2*pairs {
		t.Errorf("%d sessions after the device came back, of %d pairs", ends/2, pairs)
	}
	t.Logf("%d sessions", ends/2)
}

// TestWhatBringsNothingIsNotToldOn: a device in the middle that only gives has no news for the others.
func TestWhatBringsNothingIsNotToldOn(t *testing.T) {
	s := away(6, [][2]int{{0, 1}, {0, 2}, {0, 3}, {0, 4}, {0, 5}})
	s.Seed, s.Ops[2].Device, s.AntiEntropy = 8, 0, time.Hour // as above; all but the one that is away have it by gossip
	ends := 0
	r := des.Run(s, des.Options{Trace: func(line string) {
		if at, err := time.ParseDuration(strings.TrimSpace(line[:10]) + "s"); err == nil && at > s.End && at < s.End+5*time.Second {
			ends += strings.Count(line, "synced with")
		}
	}})
	for _, v := range r.Violations {
		t.Error(v)
	}
	if ends != 2 {
		t.Errorf("%d ends of sessions after the device came back, want those of its own", ends)
	}
}
