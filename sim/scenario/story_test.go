package scenario_test

import (
	"strings"
	"testing"

	"syncline/sim/scenario"
)

// TestStories tells scenarios as people would.
func TestStories(t *testing.T) {
	for _, x := range []struct{ text, want string }{
		{`devices = 4
[[at]]
t = "1s"
write = "p1"
on = 3
[[at]]
t = "1006ms"
crash = 3
for = "2s"
[[at]]
t = "5s"
write = ["p1", { path = "p2", how = "delete" }]
on = 3
[[at]]
t = "6s"
read = "p1"
on = 0`, `Device 3 writes p1.
Six milliseconds later its power fails for two seconds, and nothing of what was not yet on disk survives.
Four seconds later it writes p1 and deletes p2 in one transaction.
One second later device 0 reads p1.`},
		{`devices = ["laptop", "phone", "nas"]
gossip = false
delete-log = 1
[clocks]
nas = "-100y"
[[at]]
t = "1s"
partition = "laptop, phone | nas"
[[at]]
t = "1s"
write = ["a", "b"]
newest = true
on = "nas"
[[at]]
t = "1d1s"
delete = "a"
how = "deleteall"
on = "phone"
[[at]]
t = "1d1500ms"
heal = true
[[at]]
t = "1d1500ms"
clock = "nas"
by = "90m"
[[at]]
t = "1d2s"
restart = "nas"
for = "1m"`, `From the start, nobody gossips, a device remembers one delete and the clock of nas is 100 years slow. The connections between laptop and phone on one side and nas on the other are cut, until it is healed.
At the same moment nas writes a and b (the newest wins) in one transaction.
One day later phone deletes every value of a.
500 milliseconds later all faults end.
At the same moment the clock of nas jumps forward by 90 minutes.
500 milliseconds later it is closed in order and started again one minute later.`},
	} {
		s, err := scenario.Parse("x.toml", []byte(x.text))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(scenario.Story(s), "\n"); got != x.want {
			t.Errorf("got\n%s\nwant\n%s", got, x.want)
		}
	}
}

// TestStoriesHaveAStepForEachOperation, so that whoever counts the steps of a scenario counts what is listed.
func TestStoriesHaveAStepForEachOperation(t *testing.T) {
	for seed := range uint64(30) {
		s := scenario.Generate(seed, scenario.DefaultSize)
		if steps := scenario.Story(s); len(steps) != len(s.Ops) {
			t.Errorf("seed %d: %d steps for %d operations", seed, len(steps), len(s.Ops))
		}
	}
}

// TestOperationsNameTheirDevices, by name where they have one.
func TestOperationsNameTheirDevices(t *testing.T) {
	s, err := scenario.Builtin("two-laptops", 1, scenario.Overrides{Devices: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		op   scenario.Op
		want string
	}{
		{s.Ops[0], "    1.000s  write on laptop: put title"},
		{s.Ops[3], "    5.000s  partition laptop, 2 | desktop for 10s"},
		{scenario.Op{Do: scenario.DoDisconnect, Device: 1}, "    0.000s  disconnect desktop until it is healed"},
		{scenario.Op{Do: scenario.DoCrash, Device: 2, For: 1e6}, "    0.000s  crash device 2 for 1ms"},
		{scenario.Op{Do: scenario.DoClone, Device: 2, Of: 1}, "    0.000s  clone device 2 from desktop"},
		{scenario.Op{Do: scenario.DoLoss, Amount: 305}, "    0.000s  loss 30.5% until it is healed"},
	} {
		if got := s.Tell(&x.op); got != x.want {
			t.Errorf("got  %q\nwant %q", got, x.want)
		}
	}
	if got := s.Ops[0].String(); got != "    1.000s  write on device 0: put title" {
		t.Errorf("without the scenario: %q", got)
	}
}

// TestUnknownScenarios are answered with the nearest name and the list.
func TestUnknownScenarios(t *testing.T) {
	for name, want := range map[string]string{
		"flakywifi": `there is no scenario "flakywifi"; did you mean "flaky-wifi"?; there are clock-wrong, `,
		"what":      `there is no scenario "what"; there are clock-wrong, `,
	} {
		if _, err := scenario.Builtin(name, 1, scenario.Overrides{}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s…", err, want)
		}
	}
	if _, err := scenario.Builtin("two-laptops", 1, scenario.Overrides{Devices: 1}); err == nil || !strings.Contains(err.Error(), "names 2 devices and cannot be run with 1") {
		t.Errorf("one device: %v", err)
	}
	if _, err := scenario.Builtin("two-laptops", 1, scenario.Overrides{Ops: -1}); err == nil {
		t.Error("-1 writes were accepted")
	}
	s, err := scenario.Builtin("two-laptops", 9, scenario.Overrides{Devices: 5, Ops: 12})
	if err != nil || len(s.Devices) != 5 || s.Seed != 9 || s.Writes() != 7+12 {
		t.Errorf("%v, %+v", err, s)
	}
}
