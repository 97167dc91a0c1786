package sim_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"syncline/crdt"
	"syncline/node"
	"syncline/sim"
	"syncline/sim/des"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// linesAt is a configuration in which one function merges words.
func linesAt(f sim.MergeFunc) sim.Config {
	return sim.Config{
		Seeds: 20,
		Paths: []string{"cart/mine", "cart/yours", "note"},
		Value: func(r *rand.Rand, _ string) []byte { return words(r) },
		Merge: map[string]sim.MergeFunc{"cart/*": f},
	}
}

// oneValue says that nothing competes below cart.
func oneValue(state map[string][][]byte) error {
	for path, contents := range state {
		if strings.HasPrefix(path, "cart/") && len(contents) != 1 {
			return fmt.Errorf("%s has %d values", path, len(contents))
		}
	}
	return nil
}

// TestCheckAcceptsWhatMergesRightly: functions that obey the laws settle all conflicts, whatever happens to the devices.
func TestCheckAcceptsWhatMergesRightly(t *testing.T) {
	t.Run("union of lines", func(t *testing.T) {
		c := linesAt(ofBytes(union))
		c.Invariant = oneValue
		sim.Check(t, c)
	})
	t.Run("maximum", func(t *testing.T) {
		asked := 0
		sim.Check(t, sim.Config{
			Seeds: 20, Devices: 3, Writes: 12, Paths: []string{"high/score"},
			Value: func(r *rand.Rand, _ string) []byte { return number(r) },
			Merge: map[string]sim.MergeFunc{"high/**": ofNumbers(func(ns []int64) int64 { return slices.Max(ns) })},
			Invariant: func(state map[string][][]byte) error {
				asked++
				for _, data := range state["high/score"] {
					if _, err := strconv.ParseInt(string(data), 10, 32); err != nil {
						return err
					}
				}
				return nil
			},
			Always: true,
		})
		if asked < 20*12 {
			t.Errorf("the invariant was asked about %d states", asked)
		}
	})
	t.Run("a function that may refuse", func(t *testing.T) {
		c := linesAt(func(vs []crdt.Value) (crdt.Value, error) {
			if len(vs) > 2 {
				return crdt.Value{}, errors.New("too many")
			}
			return ofBytes(union)(vs)
		})
		c.MayRefuse = true
		sim.Check(t, c)
	})
	t.Run("any bytes", func(t *testing.T) {
		c := linesAt(ofBytes(longest))
		written := []string{"", "\xff\x00", "text", `bytes "text"`, "bytes"}
		c.Value = func(r *rand.Rand, _ string) []byte { return []byte(written[r.IntN(len(written))]) }
		seen := map[string]bool{}
		c.Always, c.Invariant = true, func(state map[string][][]byte) error {
			for _, data := range slices.Concat(state["cart/mine"], state["cart/yours"]) {
				seen[string(data)] = true
			}
			return nil
		}
		sim.Check(t, c)
		for _, w := range written {
			if !seen[w] {
				t.Errorf("%q was never seen", w)
			}
			delete(seen, w)
		}
		if len(seen) > 0 {
			t.Errorf("nobody wrote %v", seen)
		}
	})
	t.Run("no faults", func(t *testing.T) {
		c := linesAt(ofBytes(longest))
		c.Faults = []scenario.Action{}
		sim.Check(t, c)
	})
}

// TestCheckNamesWhatIsWrong: each mistake breaks the claim that is named for it, and the text says how.
func TestCheckNamesWhatIsWrong(t *testing.T) {
	n := 0
	for _, w := range []struct {
		mistake, claim, text string
		config               sim.Config
	}{
		{"a counter is in the result", "phantom", "asked again, the program makes", linesAt(ofBytes(func(data [][]byte) []byte { n++; return fmt.Appendf(nil, "%s %d", data[0], n) }))},
		{"the time is in the result", "phantom", "asked again, the program makes", linesAt(ofBytes(func([][]byte) []byte { return []byte(time.Now().Format(time.RFC3339Nano)) }))},
		{"it panics for more than two values", "merged", "It was given, newest first", linesAt(ofBytes(func(data [][]byte) []byte {
			if len(data) > 2 {
				panic("three at once")
			}
			return union(data)
		}))},
		{"it never returns", "merged", "has not returned after 200ms", func() sim.Config {
			c := linesAt(ofBytes(func(data [][]byte) []byte { select {} }))
			c.Deadline = 200 * time.Millisecond
			return c
		}()},
		{"it returns an error for some values", "merged", "no tea", linesAt(func(vs []crdt.Value) (crdt.Value, error) {
			if bytes.Contains(vs[0].Data, []byte("tea")) {
				return crdt.Value{}, errors.New("no tea")
			}
			return ofBytes(union)(vs)
		})},
		{"it makes more than a value may have", "merged", "a value has at most 1048576", linesAt(ofBytes(func(data [][]byte) []byte { return make([]byte, 1<<20+1) }))},
		{"an invariant does not hold in the end", "invariant", "tea is out", func() sim.Config {
			c := linesAt(ofBytes(union))
			c.Invariant = func(state map[string][][]byte) error {
				for _, data := range state["cart/mine"] {
					if bytes.Contains(data, []byte("tea")) {
						return errors.New("tea is out")
					}
				}
				return nil
			}
			return c
		}()},
		{"an invariant does not hold while a conflict is open", "invariant", "has 2 values", func() sim.Config {
			c := linesAt(ofBytes(union))
			c.Invariant, c.Always = oneValue, true
			return c
		}()},
		{"an invariant panics", "invariant", "Invariant panicked", func() sim.Config {
			c := linesAt(ofBytes(union))
			c.Invariant = func(map[string][][]byte) error { panic("no state") }
			return c
		}()},
		{"an invariant does not hold on one device", "invariant", "What happens on 1 device, cut down from", func() sim.Config {
			c := linesAt(ofBytes(union))
			c.Invariant, c.Always = func(map[string][][]byte) error { return errors.New("never") }, true
			return c
		}()},
	} {
		t.Run(w.mistake, func(t *testing.T) {
			r := &recorder{}
			sim.Check(r, w.config)
			if len(r.said) != 1 || !strings.Contains(r.said[0], fmt.Sprintf("breaks the claim %q", w.claim)) || !strings.Contains(r.said[0], w.text) {
				t.Fatalf("said %q, want the claim %q and the text %q", r.said, w.claim, w.text)
			}
			t.Log(r.said[0])
		})
	}
}

// TestCheckRefusesWhatProvesNothing: a configuration that cannot be run, or in which nothing is merged, is told so.
func TestCheckRefusesWhatProvesNothing(t *testing.T) {
	good := linesAt(ofBytes(union))
	edit := func(f func(*sim.Config)) sim.Config { c := good; c.Seeds = 2; f(&c); return c }
	for want, c := range map[string]sim.Config{
		"Paths is empty":         edit(func(c *sim.Config) { c.Paths = nil }),
		"Value is nil":           edit(func(c *sim.Config) { c.Value = nil }),
		"1 to 100 devices":       edit(func(c *sim.Config) { c.Devices = 1000 }),
		`the path "/": `:         edit(func(c *sim.Config) { c.Paths = []string{"/"} }),
		`the function for "a"`:   edit(func(c *sim.Config) { c.Merge = map[string]sim.MergeFunc{"a": nil} }),
		`the pattern "[": `:      edit(func(c *sim.Config) { c.Merge = map[string]sim.MergeFunc{"[": ofBytes(union)} }),
		"no conflict was merged": edit(func(c *sim.Config) { c.Merge = map[string]sim.MergeFunc{"other": ofBytes(union)} }),
	} {
		r := &recorder{}
		sim.Check(r, c)
		if len(r.said) != 1 || !strings.Contains(r.said[0], want) {
			t.Errorf("said %q, want %q", r.said, want)
		}
	}
}

// TestCheckIsTheSameForASeed: a failure is told in the same words whenever it is run.
func TestCheckIsTheSameForASeed(t *testing.T) {
	run := func() []string {
		c := linesAt(func(vs []crdt.Value) (crdt.Value, error) { return crdt.Value{}, errors.New("never") })
		r := &recorder{}
		sim.Check(r, c)
		return r.said
	}
	if first, again := run(), run(); len(first) != 1 || !slices.Equal(first, again) {
		t.Errorf("said %q, then %q", first, again)
	}
}

// TestOracleNoticesMergesThatAreNotMade: a program that is not told of conflicts leaves them open, and a value that is not what the
// program makes of its inputs is found.
func TestOracleNoticesMergesThatAreNotMade(t *testing.T) {
	s := scenario.Generate(3, scenario.Size{Devices: 3, Writes: 30, Chaos: 10 * time.Second})
	s.MergesMax = 500
	program := &oracle.Program{
		Merges: func(path string) bool { return path != "lww" },
		Merge:  func(_ string, vs []crdt.Value) ([]byte, error) { return bytes.Clone(vs[0].Data), nil },
	}
	if r := des.Run(s, des.Options{Program: program}); len(r.Violations) > 0 || r.Coverage["merge"] == 0 {
		t.Fatalf("%d merges, %v", r.Coverage["merge"], r.Violations)
	}
	deaf := des.Taps{Output: func(_ int, _ des.Phase, out []node.Output) []node.Output {
		return slices.DeleteFunc(slices.Clone(out), func(o node.Output) bool { _, ok := o.(node.Changed); return ok })
	}}
	if r := des.Run(s, des.Options{Program: program, Taps: deaf}); !r.Failed(oracle.Merged) {
		t.Errorf("nobody noticed conflicts that were left open: %v", r.Checks())
	}
	program.Merge = func(_ string, vs []crdt.Value) ([]byte, error) { return fmt.Appendf(nil, "%s.", vs[0].Data), nil }
	changed := des.Taps{Input: func(_ int, in node.Input) node.Input {
		if w, ok := in.(node.Write); ok && bytes.HasSuffix(w.Ops[0].Data, []byte(".")) {
			w.Ops = slices.Clone(w.Ops)
			w.Ops[0].Data = []byte("else")
			return w
		}
		return in
	}}
	if r := des.Run(s, des.Options{Program: program, Taps: changed}); !r.Failed(oracle.Phantom) {
		t.Errorf("nobody noticed that something else was written: %v", r.Checks())
	}
	s.MergesMax = 1
	if r := des.Run(s, des.Options{Program: program}); !r.Failed(oracle.Merged) {
		t.Errorf("nobody noticed that there was no end of merges: %v", r.Checks())
	}
}
