package oracle

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"syncline/sim/scenario"
)

// A play is a short history that a witness hears of, with devices that answer as the test says.
type play struct {
	*Witness
	clock time.Duration
}

func newPlay() *play {
	p := &play{}
	s := &scenario.Scenario{Devices: make([]scenario.Device, 2)}
	p.Witness = NewWitness(s, func() time.Duration { p.clock += time.Millisecond; return p.clock })
	return p
}

// wants asks for a write.
func (p *play) wants(device int, verb scenario.Verb, shown Answer, path string) *Wish {
	return p.Ask(device, []scenario.Part{{Path: path, Verb: verb}}, []Answer{shown})
}

// puts asks for a value at "a" and returns what stands there when it is granted.
func (p *play) puts(device int, shown Answer) Answer {
	x := p.wants(device, scenario.Put, shown, "a")
	p.Granted(x, "")
	return p.values(x)
}

// values is what is shown if the given writes stand at their first path.
func (p *play) values(xs ...*Wish) Answer {
	var a Answer
	for _, x := range xs {
		a.Values = append(a.Values, Sighting{Name: fmt.Sprint("n", x.index), Data: x.Parts[0].Data, Writer: x.device})
		a.Version += fmt.Sprint("v", x.index)
	}
	return a
}

// ends lets both devices show the same at "a" in the end; conflict says whether it is listed as one.
func (p *play) ends(a Answer, conflict bool) {
	page := Page{Paths: map[string]Answer{}, Conflicts: map[string]string{}}
	if len(a.Values) > 0 {
		page.Paths["a"], page.Entries = a, 1
	}
	if conflict {
		page.Conflicts["a"], page.ConflictCount = a.Version, 1
	}
	p.Finish([]Page{page, page})
}

// TestWitnessNotices: each history breaks one claim, and the check of that claim fails first. Those without a name break none.
func TestWitnessNotices(t *testing.T) {
	for _, c := range []struct {
		what  string
		check Check
		play  func(p *play)
	}{
		{"one value replaces another", "", func(p *play) {
			one := p.puts(0, Answer{})
			p.Read(1, "a", one)
			two := p.puts(1, one)
			p.Read(0, "a", two)
			p.ends(two, false)
		}},
		{"two values were written apart", "", func(p *play) {
			x, y := p.wants(0, scenario.Put, Answer{}, "a"), p.wants(1, scenario.Put, Answer{}, "a")
			p.Granted(x)
			p.Granted(y)
			p.ends(p.values(x, y), true)
		}},
		{"a write was never answered and did not happen", "", func(p *play) {
			one := p.puts(0, Answer{})
			p.Unanswered(p.wants(0, scenario.Put, one, "a"))
			p.Started(0, AfterCrash, 0)
			p.Read(0, "a", one)
			p.ends(one, false)
		}},
		{"a write was never answered and happened", "", func(p *play) {
			x := p.wants(0, scenario.Put, p.puts(0, Answer{}), "a")
			p.Unanswered(x)
			p.Started(0, AfterCrash, 0)
			p.Read(0, "a", p.values(x))
			p.ends(p.values(x), false)
		}},
		{"what nobody was seen to have is lost with a restore", "", func(p *play) {
			one := p.puts(0, Answer{})
			p.BackedUp(0)
			p.puts(0, one)
			p.Started(0, AfterRestore, 0)
			p.Read(0, "a", one)
			p.ends(one, false)
		}},
		{"somebody kept a value while another wrote over one of two", "", func(p *play) {
			x, y := p.wants(0, scenario.Put, Answer{}, "a"), p.wants(1, scenario.Put, Answer{}, "a")
			p.Granted(x)
			p.Granted(y)
			both := p.values(x, y)
			p.Read(0, "a", both)
			keep, over := p.wants(1, scenario.Keep, both, "a"), p.wants(0, scenario.Put, both, "a")
			p.Granted(keep)
			p.Granted(over)
			p.ends(p.values(over), false)
		}},
		{"an acknowledged value is gone at once", ReadYourWrites, func(p *play) {
			p.puts(0, Answer{})
			p.Read(0, "a", Answer{})
		}},
		{"a value that was read is gone", Monotonic, func(p *play) {
			p.Read(1, "a", p.puts(0, Answer{}))
			p.Read(1, "a", Answer{})
		}},
		{"a replaced value is back", Monotonic, func(p *play) {
			one := p.puts(0, Answer{})
			x := p.wants(0, scenario.Put, one, "a")
			p.Granted(x)
			p.Read(0, "a", Answer{"v", false, append(one.Values, p.values(x).Values...)})
		}},
		{"a replaced value stands beside its successor elsewhere", Exact, func(p *play) {
			one := p.puts(0, Answer{})
			x := p.wants(0, scenario.Put, one, "a")
			p.Granted(x)
			p.Read(1, "a", Answer{"v", false, append(p.values(x).Values, one.Values...)})
		}},
		{"a deleted value is back in the end", Monotonic, func(p *play) {
			one := p.puts(0, Answer{})
			p.Granted(p.wants(0, scenario.Delete, one, "a"))
			p.ends(one, false)
		}},
		{"a resolved value is back", Finality, func(p *play) {
			x, y := p.wants(0, scenario.Put, Answer{}, "a"), p.wants(1, scenario.Put, Answer{}, "a")
			p.Granted(x)
			p.Granted(y)
			z := p.wants(0, scenario.Resolve, p.values(x, y), "a")
			p.Granted(z)
			p.Read(0, "a", p.values(z, y))
		}},
		{"an acknowledged value did not survive a kill", Durability, func(p *play) {
			p.puts(0, Answer{})
			p.Started(0, AfterCrash, 0)
			p.Read(0, "a", Answer{})
		}},
		{"an acknowledged value is nowhere in the end", ReadYourWrites, func(p *play) {
			p.puts(0, Answer{})
			p.ends(Answer{}, false)
		}},
		{"what another was seen to have is lost with a restore", LostUpdate, func(p *play) {
			one := p.puts(0, Answer{})
			p.BackedUp(0)
			two := p.puts(0, one)
			p.Read(1, "a", two)
			p.Started(0, AfterRestore, 0)
			p.Started(1, AfterCrash, 0)
			p.ends(one, false)
		}},
		{"a peer was said to hold what it does not", HeldClaim, func(p *play) {
			p.puts(0, Answer{})
			p.Holds(0, 1)
			p.Read(1, "a", Answer{})
		}},
		{"a value that nobody wrote", Phantom, func(p *play) {
			p.Read(0, "a", Answer{"v", false, []Sighting{{"n", "x", -1, false}}})
		}},
		{"a value of another writer", Phantom, func(p *play) {
			one := p.puts(0, Answer{})
			one.Values[0].Writer = 1
			p.Read(1, "a", one)
		}},
		{"a refused write happened", Phantom, func(p *play) {
			x := p.wants(0, scenario.Put, Answer{}, "a")
			p.Denied(x, true, errors.New("changed"))
			p.Read(1, "a", p.values(x))
		}},
		{"half a transaction", Atomic, func(p *play) {
			x := p.Ask(0, []scenario.Part{{Path: "a", Verb: scenario.Put}, {Path: "b", Verb: scenario.Put}}, make([]Answer, 2))
			p.Granted(x)
			p.Read(1, "a", p.values(x))
			p.Read(1, "b", Answer{})
		}},
		{"a name stands for two values", DotReuse, func(p *play) {
			one, two := p.puts(0, Answer{}), p.puts(0, Answer{})
			two.Values[0].Name = one.Values[0].Name
			p.Read(1, "a", one)
			p.Read(1, "a", two)
		}},
		{"a version stands for two sets of values", SEC, func(p *play) {
			one := p.puts(0, Answer{})
			two := p.puts(0, one)
			two.Version = one.Version
			p.Read(1, "a", one)
			p.Read(1, "a", two)
		}},
		{"a condition was ignored", Conditional, func(p *play) {
			x := p.wants(0, scenario.Put, Answer{}, "a")
			p.Granted(x, "v0")
			two := p.puts(1, p.values(x))
			p.Read(0, "a", two)
			p.Granted(p.wants(0, scenario.PutIf, two, "a"))
		}},
		{"a write failed without a reason", Available, func(p *play) {
			p.Denied(p.wants(0, scenario.Put, Answer{}, "a"), false, errors.New("broken"))
		}},
		{"a conflict is not listed", MissedConflict, func(p *play) {
			x, y := p.wants(0, scenario.Put, Answer{}, "a"), p.wants(1, scenario.Put, Answer{}, "a")
			p.Granted(x)
			p.Granted(y)
			p.ends(p.values(x, y), false)
		}},
		{"a conflict is listed that is none", FalseConflict, func(p *play) { p.ends(p.puts(0, Answer{}), true) }},
		{"devices end apart", Convergence, func(p *play) {
			one := p.puts(0, Answer{})
			p.Finish([]Page{{Paths: map[string]Answer{"a": one}, Entries: 1}, {}})
		}},
		{"an alarm", NoAlarm, func(p *play) { p.Finish([]Page{{Alarms: []string{"fork"}}, {}}) }},
		{"a count that is wrong", Metadata, func(p *play) { p.Finish([]Page{{Entries: 1}, {}}) }},
	} {
		t.Run(c.what, func(t *testing.T) {
			p := newPlay()
			c.play(p)
			var got []Check
			for _, v := range p.Violations {
				got = append(got, v.Check)
			}
			if c.check == "" && len(got) > 0 || c.check != "" && (len(got) == 0 || got[0] != c.check) {
				t.Errorf("checks %v failed, want %q first: %v", got, c.check, p.Violations)
			}
		})
	}
}

// TestWitnessComparesThoseWhoAreThere: what a device that is away has written may be on it alone; what others have written may not be
// missing among them.
func TestWitnessComparesThoseWhoAreThere(t *testing.T) {
	p := newPlay()
	p.puts(0, Answer{})
	p.Compare(map[int]Page{1: {}})
	if len(p.Violations) > 0 {
		t.Errorf("what is on the device that is away alone is missed: %v", p.Violations)
	}
	p.Compare(map[int]Page{0: {}, 1: {}})
	if len(p.Violations) == 0 || !slices.ContainsFunc(p.Violations, func(v Violation) bool { return v.Check == LostUpdate }) {
		t.Errorf("nobody misses what was acknowledged: %v", p.Violations)
	}
}

// TestWitnessKeepsTheFirstViolations: a history of many violations keeps the first ones only.
func TestWitnessKeepsTheFirstViolations(t *testing.T) {
	p := newPlay()
	for range 2 * violationsMax {
		p.Read(0, "a", Answer{"v", false, []Sighting{{"n", "x", -1, false}}})
	}
	if len(p.Violations) != violationsMax || slices.ContainsFunc(p.Violations, func(v Violation) bool { return v.Check != Phantom }) {
		t.Errorf("%d violations are kept: %v", len(p.Violations), p.Violations)
	}
}
