package sim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"syncline/crdt"
	"syncline/sim/des"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// parsed reads a scenario of two devices, laptop and phone, whose operations are given.
func parsed(t *testing.T, at string) *scenario.Scenario {
	t.Helper()
	s, err := scenario.Parse("test.toml", []byte("seed = 2\ndevices = [\"laptop\", \"phone\"]\nend = \"60s\"\nanti-entropy = \"2s\"\n[network]\nlatency = \"1ms\"\ndisk = \"1ms\"\n"+at))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// arrival returns when phone has a value from laptop, in seconds; -1 if never.
func arrival(t *testing.T, s *scenario.Scenario) float64 {
	t.Helper()
	at := -1.0
	var now float64
	taps := des.Taps{Read: func(device int, _ string, live []crdt.Value) []crdt.Value {
		if device == 1 && len(live) > 0 && at < 0 {
			at = now
		}
		return live
	}}
	mustHold(t, "a fault", s, des.Options{Taps: taps, Trace: func(line string) { fmt.Sscanf(strings.TrimSpace(line), "%f", &now) }})
	return at
}

// TestFaultsLastUntilTheyAreHealed: a fault without a length ends with an operation that heals, or with the end of the scenario; one with
// a length ends then.
func TestFaultsLastUntilTheyAreHealed(t *testing.T) {
	for _, fault := range []string{`partition = "laptop | phone"`, `stall = "laptop | phone"`, `disconnect = "phone"`} {
		for _, x := range []struct {
			length, heal string
			from, to     float64 // when the write reaches phone
		}{
			{"", "", 59, -1},
			{"for = \"20s\"\n", "", 19, 30},
			{"", "[[at]]\nt = \"30s\"\nheal = true\n", 29, 40},
			{"for = \"40s\"\n", "[[at]]\nt = \"30s\"\nheal = true\n", 29, 40},
		} {
			text := "[[at]]\nt = \"1s\"\n" + fault + "\n" + x.length + "[[at]]\nt = \"2s\"\nwrite = \"a\"\non = \"laptop\"\n"
			reads := ""
			for at := 3; at <= 60; at++ {
				if at == 30 {
					reads += x.heal
				}
				reads += fmt.Sprintf("[[at]]\nt = \"%ds\"\nread = \"a\"\non = \"phone\"\n", at)
			}
			got := arrival(t, parsed(t, text+reads))
			if x.to < 0 && got >= 0 && got < x.from-2 || x.to >= 0 && (got < x.from || got > x.to) {
				t.Errorf("%s, %q %q: the write arrives after %v s, want between %v and %v", fault, x.length, x.heal, got, x.from, x.to)
			}
		}
	}
}

// TestDisksAreFullUntilTheyAreHealed: a write to a full disk is refused, and one after the healing is not.
func TestDisksAreFullUntilTheyAreHealed(t *testing.T) {
	const text = "[[at]]\nt = \"1s\"\ndisk-full = \"laptop\"\n[[at]]\nt = \"20s\"\nwrite = \"a\"\non = \"laptop\"\n%s[[at]]\nt = \"40s\"\nwrite = \"a\"\non = \"laptop\"\n"
	for heal, want := range map[string]int{"": 0, "[[at]]\nt = \"30s\"\nheal = true\n": 1} {
		r := mustHold(t, "a full disk", parsed(t, fmt.Sprintf(text, heal)), des.Options{})
		if got := r.Coverage["acknowledged"]; got != want {
			t.Errorf("with %q: %d writes, want %d", heal, got, want)
		}
	}
}

// TestABadNetworkIsHealed: what makes the network worse ends with a healing, and comes back with nothing.
func TestABadNetworkIsHealed(t *testing.T) {
	const text = "[[at]]\nt = \"1s\"\nloss = \"100%%\"\n%s%s[[at]]\nt = \"40s\"\nwrite = \"a\"\non = \"laptop\"\n"
	for _, x := range []struct {
		length, heal string
		lost         bool
	}{{"", "", true}, {"for = \"39500ms\"\n", "", true}, {"for = \"20s\"\n", "", false}, {"", "[[at]]\nt = \"30s\"\nheal = true\n", false},
		{"for = \"39500ms\"\n", "[[at]]\nt = \"30s\"\nheal = true\n", false}} {
		r := mustHold(t, "loss", parsed(t, fmt.Sprintf(text, x.length, x.heal)), des.Options{})
		if lost := r.Coverage["gossip lost"] > 0; lost != x.lost {
			t.Errorf("%q %q: gossip was lost: %v, want %v", x.length, x.heal, lost, x.lost)
		}
	}
}

// TestContentsAreWhatTheScenarioSays, and equal contents that were written apart are no conflict.
func TestContentsAreWhatTheScenarioSays(t *testing.T) {
	const text = `
[[at]]
t = "1s"
partition = "laptop | phone"
for = "5s"
[[at]]
t = "2s"
write = ["title", "page"]
value = "the same"
on = "laptop"
[[at]]
t = "3s"
write = ["title", { path = "page", value = "another" }]
value = "the same"
on = "phone"
[[at]]
t = "4s"
write = "page"
how = "putall"
value = "a third"
on = "phone"
`
	r := mustHold(t, "contents", parsed(t, text), des.Options{})
	if got := fmt.Sprint(r.Final); got != "map[page:[a third the same] title:[the same the same]]" {
		t.Errorf("in the end there is %s", got)
	}
	if r.Coverage["conflict"] == 0 {
		t.Error("the page is in no conflict")
	}
	equal := mustHold(t, "equal contents", parsed(t, strings.NewReplacer("another", "the same", "a third", "the same").Replace(text)), des.Options{})
	if equal.Coverage["conflict"] != 0 {
		t.Errorf("equal contents were a conflict %d times", equal.Coverage["conflict"])
	}
}

// TestLargeContentsTravel: a value that is too large for gossip travels by session.
func TestLargeContentsTravel(t *testing.T) {
	s := parsed(t, "[[at]]\nt = \"5s\"\nwrite = \"a\"\non = \"laptop\"\n[[at]]\nt = \"30s\"\nwrite = \"a\"\non = \"phone\"\n")
	s.Ops[0].Parts[0].Value = strings.Repeat("x", 300_000)
	r := mustHold(t, "a large value", s, des.Options{})
	if len(r.Final["a"]) != 1 || r.Final["a"][0] != "v1.0" {
		t.Errorf("in the end there is %.80q", r.Final["a"])
	}
}

// TestViolationsNameTheirDevices, and long contents are cut short.
func TestViolationsNameTheirDevices(t *testing.T) {
	s := parsed(t, "[[at]]\nt = \"5s\"\nwrite = \"a\"\non = \"phone\"\n[[at]]\nt = \"5s\"\ncrash = \"phone\"\nfor = \"1s\"\n")
	s.Ops[0].Parts[0].Value = strings.Repeat("long ", 1000)
	s.Ops[1].At += 100 * time.Millisecond
	r := des.Run(s, des.Options{Taps: lyingDisk(s), First: true})
	if len(r.Violations) == 0 {
		t.Fatal("nothing was violated")
	}
	text := r.Violations[0].String()
	if !strings.Contains(text, "phone") || strings.Contains(text, "device 1") || len(text) > 300 || !strings.Contains(text, "(5000 bytes)") {
		t.Errorf("%s", text)
	}
}

// TestWhatCannotRunIsRefused: des takes nothing that does not pass its check.
func TestWhatCannotRunIsRefused(t *testing.T) {
	defer func() {
		if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "there is no device 7") {
			t.Errorf("got %v", r)
		}
	}()
	s := parsed(t, "[[at]]\nt = \"5s\"\nsync = \"phone\"\n")
	s.Ops[0].Device = 7
	des.Run(s, des.Options{})
}

// lostToAll is a scenario after which a record is damaged, and nobody has what was in it: the only other device that had it was set back.
const lostToAll = `
[[at]]
t = "1s"
backup = "laptop"
[[at]]
t = "2s"
write = "a"
on = "phone"
[[at]]
t = "5s"
partition = "laptop | phone"
[[at]]
t = "6s"
damage = "a"
on = "phone"
[[at]]
t = "7s"
restore = "laptop"
for = "1s"
`

// TestARunWithoutAVerdictSaysWhy: what nobody can repair leaves nothing to be judged, which is not that all is well.
func TestARunWithoutAVerdictSaysWhy(t *testing.T) {
	r := mustHold(t, "what was lost to all", parsed(t, lostToAll), des.Options{})
	if r.Final != nil || !strings.Contains(r.Undecided, "damaged") {
		t.Errorf("undecided because %q, in the end there is %v", r.Undecided, r.Final)
	}
}

// TestAPolicySettlesWhatIsOpen: that a policy arrives is told of every path where something competed until then, and that it goes, too.
func TestAPolicySettlesWhatIsOpen(t *testing.T) {
	const text = `
[[at]]
t = "1s"
partition = "laptop | phone"
for = "5s"
[[at]]
t = "2s"
write = "a"
on = "laptop"
[[at]]
t = "3s"
write = "a"
on = "phone"
[[at]]
t = "20s"
policy = "a"
is = "newest"
on = "laptop"
`
	for more, want := range map[string]string{"": "", "[[at]]\nt = \"30s\"\npolicy = \"a\"\nis = \"manual\"\non = \"phone\"\n": oracle.StateOpen} {
		last, opened := [2]string{}, 0
		s := parsed(t, text+more)
		mustHold(t, "a policy", s, des.Options{Events: func(e oracle.Event) {
			if e.Kind == oracle.EventState && e.Path == "a" {
				if last[e.Device] = e.Text; e.Text == oracle.StateOpen {
					opened++
				}
			}
		}})
		if last != [2]string{want, want} || opened == 0 {
			t.Errorf("with %q: in the end the path is told to be %q, want %q; it was open %d times", more, last, want, opened)
		}
	}
}
