package sim

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"syncline/crdt"
	"syncline/sim/des"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// A Config says what [Check] simulates. Paths and Value are needed; the zero value of every other field means its default.
type Config struct {
	// Seeds is how many scenarios are run, one for each seed from First on; 100 and 1.
	Seeds int
	First uint64
	// Devices is how many devices there are, at most 100, and Writes how many writes people make on them; 4 and 20.
	Devices, Writes int
	// Faults lists the kinds of faults that may happen; nil means all kinds, an empty list none.
	Faults []scenario.Action
	// Paths are those that are written.
	Paths []string
	// Value draws what somebody writes at a path. It must not be empty.
	Value func(r *rand.Rand, path string) []byte
	// Merge holds the functions that settle conflicts, by a pattern of paths: a * stands for any text without a slash, and /** at the end
	// for any path below. Of several patterns that match, the longest counts. Other conflicts stay open, unless somebody resolves them.
	Merge map[string]MergeFunc
	// MayRefuse says that a function may return an error, and so leave a conflict open to the end.
	MayRefuse bool
	// Invariant returns an error if a device must not hold what it does. state has the different contents of each path that has any, the
	// newest first: one, unless a conflict is open. It is asked about every device in the end; with Always, whenever a device changes, so
	// also while conflicts are open and other devices know more.
	Invariant func(state map[string][][]byte) error
	Always    bool
	// Deadline is how long one call of Merge or Invariant may take, in real time; 1 s.
	Deadline time.Duration
}

// Check runs scenarios drawn from seeds on simulated devices with all that can happen to them: networks that lose, delay, repeat and
// split, crashes, full disks, wrong clocks, backups. People write, overwrite, delete and resolve; on every device a program settles the
// conflicts at the paths of c.Merge a little after it sees them, with the values in the order in which [crdt.MergeValues] presents them,
// and what several devices made may conflict again. The replicas are real; links, disks and clocks are simulated, in virtual time.
//
// Check calls t.Errorf for the first seed in which a claim does not hold:
//
//   - every claim of package oracle: nothing acknowledged is lost, all devices agree in the end, conflicts are reported, and so on;
//   - each merged value is what the function makes of the values that it replaced, also when it is asked again;
//   - in the end no conflict is open at a path that is merged, and all devices hold the same value there;
//   - c.Invariant returns nil.
//
// It prints the scenario cut down to what is needed. A function that panics or does not return ends the check, and is named with the
// values that it was given. A run depends on its seed alone, as far as the functions do.
//
// Values have the type text/plain whatever a function says, and no functions run at the same time.
func Check(t testing.TB, c Config) {
	t.Helper()
	c.setDefaults()
	if err := c.check(); err != nil {
		t.Errorf("sim.Check: %v", err)
		return
	}
	merges := 0
	for seed := c.First; seed < c.First+uint64(c.Seeds); seed++ {
		s, err := c.scenario(seed)
		if err != nil {
			t.Errorf("sim.Check: seed %d: %v", seed, err)
			return
		}
		run := c.run(s, false)
		if len(run.Violations) > 0 {
			t.Errorf("%s", c.tell(t.Name(), s, run))
			return
		}
		merges += run.Coverage["merge"]
	}
	if len(c.Merge) > 0 && merges == 0 {
		t.Errorf("sim.Check: in %d scenarios no conflict was merged, so nothing was checked. Let c.Merge match paths of c.Paths, or raise Seeds or Writes", c.Seeds)
	}
}

func (c *Config) setDefaults() {
	c.Seeds, c.First = cmp.Or(c.Seeds, 100), cmp.Or(c.First, 1)
	c.Devices, c.Writes = cmp.Or(c.Devices, 4), cmp.Or(c.Writes, 20)
	c.Deadline = cmp.Or(c.Deadline, mergeDeadline)
}

// check refuses what cannot be run.
func (c *Config) check() error {
	switch {
	case len(c.Paths) == 0:
		return errors.New("Paths is empty; name the paths that are written")
	case c.Value == nil:
		return errors.New("Value is nil; give a function that draws what is written")
	case c.Devices < 1 || c.Devices > 100 || c.Writes < 0 || c.Seeds < 0:
		return fmt.Errorf("Devices is %d, Writes %d, Seeds %d; there may be 1 to 100 devices, and no number may be negative", c.Devices, c.Writes, c.Seeds)
	}
	for _, p := range c.Paths {
		if err := crdt.CheckPath(p); err != nil {
			return fmt.Errorf("the path %q: %w", p, err)
		}
	}
	for _, pattern := range slices.Sorted(maps.Keys(c.Merge)) {
		if c.Merge[pattern] == nil {
			return fmt.Errorf("the function for %q is nil", pattern)
		}
		if _, err := path.Match(strings.TrimSuffix(pattern, "/**"), ""); err != nil {
			return fmt.Errorf("the pattern %q: %w", pattern, err)
		}
	}
	return nil
}

// mergeFor returns the function for a path, nil if there is none.
func (c *Config) mergeFor(p string) MergeFunc {
	patterns := slices.SortedFunc(maps.Keys(c.Merge), func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	for _, pattern := range patterns {
		if matches(pattern, p) {
			return c.Merge[pattern]
		}
	}
	return nil
}

func matches(pattern, p string) bool {
	dir, below := strings.CutSuffix(pattern, "/**")
	if below {
		if segments := strings.Split(p, "/"); len(segments) > strings.Count(dir, "/")+1 {
			p = strings.Join(segments[:strings.Count(dir, "/")+1], "/")
		} else {
			return false
		}
	}
	ok, err := path.Match(dir, p)
	return err == nil && ok
}

// mergesPerWrite is how many times as many merges as writes there may be on each device before a run is taken for endless.
const mergesPerWrite = 8

// scenario draws the scenario of a seed, with the paths, values and faults of c.
func (c *Config) scenario(seed uint64) (*scenario.Scenario, error) {
	size := scenario.DefaultSize
	size.Devices, size.Writes, size.Reads = c.Devices, c.Writes, c.Writes/2
	s := scenario.Generate(seed, size)
	s.MergesMax = mergesPerWrite * (c.Writes + 1) * c.Devices
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
				data := c.Value(r, p.Path)
				if len(data) == 0 {
					return nil, fmt.Errorf("Value drew nothing for %q; it must not be empty", p.Path)
				}
				p.Value = string(data)
			}
			op.Parts = append(op.Parts, p)
		}
	}
	c.calm(s)
	return s, nil
}

// calm takes the faults that c does not list out of s.
func (c *Config) calm(s *scenario.Scenario) {
	if c.Faults == nil {
		return
	}
	none := func(a scenario.Action) bool { return !slices.Contains(c.Faults, a) }
	s.Ops = slices.DeleteFunc(s.Ops, func(o scenario.Op) bool {
		return o.Do != scenario.DoWrite && o.Do != scenario.DoRead && o.Do != scenario.DoSync && none(o.Do)
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

// A checkRun is one run of a scenario, with the merges that were made in it.
type checkRun struct {
	*Config
	*oracle.Report
	functions map[string]MergeFunc // by path
	// merges tells the first merges; hangs says that a function did not return.
	merges []string
	hangs  bool
}

// mergesTold is how many merges are told.
const mergesTold = 12

// run carries s out. first ends it at the first violation.
func (c *Config) run(s *scenario.Scenario, first bool) *checkRun {
	run := &checkRun{Config: c, functions: map[string]MergeFunc{}}
	for _, p := range s.Paths {
		run.functions[p] = c.mergeFor(p)
	}
	program := &oracle.Program{
		Merges:    func(p string) bool { return run.functions[p] != nil },
		Merge:     run.merge,
		MayRefuse: c.MayRefuse,
		Always:    c.Always,
	}
	if c.Invariant != nil {
		program.Invariant = run.invariant
	}
	run.Report = des.Run(s, des.Options{Program: program, First: first})
	return run
}

// merge calls the function for a path as a program on a device does.
func (r *checkRun) merge(p string, values []crdt.Value) ([]byte, error) {
	c := crdt.Conflict{Path: p, Siblings: values}
	var given []crdt.Value
	crdt.Resolve(c, crdt.MergeValues(func(vs []crdt.Value) (crdt.Value, error) { given = vs; return crdt.Value{}, nil }))
	out, fault := guarded(r.Deadline, func() outcome {
		v, err := crdt.Resolve(c, crdt.MergeValues(r.functions[p]))
		return outcome{v, err}
	})
	if fault != nil {
		r.hangs = r.hangs || fault.hangs
		return nil, &oracle.Fault{Text: fmt.Sprintf("the merge function %s\nIt was given, newest first:\n%s", fault.text, goLiteral(given))}
	}
	if m := fmt.Sprintf("%s: f(%s) = %v", p, list(given), out); len(r.merges) < mergesTold && !slices.Contains(r.merges, m) {
		r.merges = append(r.merges, m)
	}
	return slices.Clone(out.Data), out.err
}

func (r *checkRun) invariant(state map[string][][]byte) error {
	err, fault := guarded(r.Deadline, func() error { return r.Invariant(state) })
	if fault != nil {
		r.hangs = r.hangs || fault.hangs
		return &oracle.Fault{Text: "Invariant " + fault.text}
	}
	return err
}

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
		fmt.Fprintf(&text, "The scenario has %d operations. It was not cut down: each try would leave one more goroutine behind.\n", len(s.Ops))
	} else {
		fmt.Fprintf(&text, "What happens on %d devices, cut down from %d operations to %d:\n", len(small.Devices), len(s.Ops), len(small.Ops))
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

// shrink looks for a smaller scenario that breaks the same claim first, and returns it with its run.
func (c *Config) shrink(s *scenario.Scenario, run *checkRun) (*scenario.Scenario, *checkRun) {
	check, hung := run.Violations[0].Check, false
	small := scenario.Shrink(s, func(s *scenario.Scenario) bool {
		if hung {
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
	for _, op := range s.Ops {
		fmt.Fprintf(text, "    %s\n", op)
		for _, p := range op.Parts {
			if p.Value != "" {
				fmt.Fprintf(text, "                %s = %s\n", p.Path, literal([]byte(p.Value)))
			}
		}
	}
}
