package sim

import (
	"fmt"
	"strings"

	"syncline/sim/scenario"
)

// violationsTold is how many violations of a run are told; most that come after the first are its consequences.
const violationsTold = 4

// tell cuts s down and tells what went wrong in it.
func (c *Config) tell(test string, s *scenario.Scenario, run *checkRun) string {
	check, small := run.Violations[0].Check, s
	if !run.hangs {
		small, run = c.shrink(s, run)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "sim.Check: seed %d breaks the claim %q:\n", s.Seed, check)
	for _, v := range run.Violations[:min(len(run.Violations), violationsTold)] {
		fmt.Fprintf(&text, "    %s\n", strings.ReplaceAll(strings.TrimSpace(v.String()), "\n", "\n    "))
	}
	if run.hangs {
		fmt.Fprintf(&text, "The scenario has %s. It was not cut down: each try would leave one more goroutine behind.\n", plural(len(s.Ops), "operation"))
	} else {
		fmt.Fprintf(&text, "What happens on %s, cut down from %s to %d:\n", plural(len(small.Devices), "device"), plural(len(s.Ops), "operation"), len(small.Ops))
		tellOps(&text, small)
	}
	if len(run.merges) > 0 {
		text.WriteString("What was merged, first:\n")
		for _, m := range run.merges {
			fmt.Fprintf(&text, "    %s\n", m)
		}
	}
	fmt.Fprintf(&text, "Reproduce with First: %d, Seeds: 1 in the Config: %s.", s.Seed, goTest(test))
	return text.String()
}

// plural writes a number with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// shrink looks for a smaller scenario that breaks the same claim first, and returns it with its run.
func (c *Config) shrink(s *scenario.Scenario, run *checkRun) (*scenario.Scenario, *checkRun) {
	check, hung := run.Violations[0].Check, false
	small := scenario.Shrink(s, func(s *scenario.Scenario) bool {
		if hung || s.Check() != nil {
			return false
		}
		r := c.run(s, true)
		hung = r.hangs
		return !hung && len(r.Violations) > 0 && r.Violations[0].Check == check
	})
	if r := c.run(small, true); len(r.Violations) > 0 {
		return small, r
	}
	return s, run // the functions are not deterministic
}

func tellOps(text *strings.Builder, s *scenario.Scenario) {
	for i := range s.Ops {
		fmt.Fprintf(text, "    %s\n", s.Tell(&s.Ops[i]))
		for _, p := range s.Ops[i].Parts {
			if p.Value != "" {
				fmt.Fprintf(text, "                %s = %s\n", p.Path, literal([]byte(decodeValue(p.Value))))
			}
		}
	}
}
