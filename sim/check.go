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
	// Value draws what somebody writes at a path: any bytes, at most crdt.ValueBytesMax.
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
// Values have the type text/plain whatever a function says, and no functions run at the same time. A value that won over a delete is given to
// its function alone; a policy of package node leaves it to people.
func Check(t testing.TB, c Config) {
	t.Helper()
	c.setDefaults()
	if err := c.check(); err != nil {
		t.Errorf("sim.Check: %v", err)
		return
	}
	merges := 0
	for seed := c.First; seed < c.First+uint64(c.Seeds); seed++ {
		s := c.scenario(seed)
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
		return errors.New("the field Paths is empty; name the paths that are written")
	case c.Value == nil:
		return errors.New("the field Value is nil; give a function that draws what is written")
	case c.Devices < 1 || c.Devices > 100 || c.Writes < 0 || c.Seeds < 0:
		return fmt.Errorf("the field Devices is %d, Writes %d, Seeds %d; there may be 1 to 100 devices, and no number may be negative", c.Devices, c.Writes, c.Seeds)
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
