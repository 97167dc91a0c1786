package sim_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"syncline/crdt"
	"syncline/sim"
)

// A recorder is a testing.TB that keeps what it is told.
type recorder struct {
	testing.TB
	said []string
}

func (r *recorder) Helper()      {}
func (r *recorder) Name() string { return "TestMerge" }
func (r *recorder) Errorf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}
func (r *recorder) Logf(string, ...any) {}

// words draws a few short lines.
func words(r *rand.Rand) []byte {
	var lines []string
	for range 1 + r.IntN(3) {
		lines = append(lines, []string{"milk", "bread", "tea", "a longer line"}[r.IntN(4)])
	}
	return []byte(strings.Join(lines, "\n"))
}

// number draws a decimal number.
func number(r *rand.Rand) []byte { return strconv.AppendInt(nil, r.Int64N(2000)-1000, 10) }

// ofBytes makes a merge function of one on the data alone.
func ofBytes(f func(data [][]byte) []byte) sim.MergeFunc {
	return func(vs []crdt.Value) (crdt.Value, error) {
		var data [][]byte
		for _, v := range vs {
			data = append(data, v.Data)
		}
		return crdt.Value{Data: f(data)}, nil
	}
}

// ofNumbers makes a merge function of one on numbers; what is no number stays open.
func ofNumbers(f func(ns []int64) int64) sim.MergeFunc {
	return func(vs []crdt.Value) (crdt.Value, error) {
		var ns []int64
		for _, v := range vs {
			n, err := strconv.ParseInt(string(v.Data), 10, 32)
			if err != nil {
				return crdt.Value{}, err
			}
			ns = append(ns, n)
		}
		return crdt.Value{Data: strconv.AppendInt(nil, f(ns), 10)}, nil
	}
}

// union is the set of all lines, sorted.
func union(data [][]byte) []byte {
	var lines []string
	for _, d := range data {
		lines = append(lines, strings.Split(string(d), "\n")...)
	}
	slices.Sort(lines)
	return []byte(strings.Join(slices.Compact(lines), "\n"))
}

// jsonUnion is the set of the strings in JSON arrays.
func jsonUnion(vs []crdt.Value) (crdt.Value, error) {
	set := []string{}
	for _, v := range vs {
		var s []string
		if err := json.Unmarshal(v.Data, &s); err != nil {
			return crdt.Value{}, err
		}
		set = append(set, s...)
	}
	slices.Sort(set)
	data, err := json.Marshal(slices.Compact(set))
	return crdt.Value{Type: "application/json", Data: data}, err
}

// longest is the longest value, of several the greatest.
func longest(data [][]byte) []byte {
	return slices.MaxFunc(data, func(a, b []byte) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return bytes.Compare(a, b)
	})
}

// TestCheckMergeAcceptsWhatObeysTheLaws: no law is broken by functions that break none.
func TestCheckMergeAcceptsWhatObeysTheLaws(t *testing.T) {
	array := func(r *rand.Rand) []byte {
		b, _ := json.Marshal(strings.Fields(string(words(r))))
		return b
	}
	for _, c := range []struct {
		name string
		f    sim.MergeFunc
		gen  func(*rand.Rand) []byte
	}{
		{"maximum", ofNumbers(func(ns []int64) int64 { return slices.Max(ns) }), number},
		{"union of lines", ofBytes(union), words},
		{"union of JSON arrays", jsonUnion, array},
		{"longest", ofBytes(longest), words},
		{"bitwise or, of any length", ofBytes(func(data [][]byte) []byte {
			var out []byte
			for _, d := range data {
				out = append(out, make([]byte, max(0, len(d)-len(out)))...)
				for i, b := range d {
					out[i] |= b
				}
			}
			return out
		}), words},
		{"one value for all", ofBytes(func([][]byte) []byte { return []byte("reset") }), words},
		{"one value is left as it is", func(vs []crdt.Value) (crdt.Value, error) {
			if len(vs) == 1 {
				return vs[0], nil
			}
			return ofBytes(union)(vs)
		}, func(r *rand.Rand) []byte { return union([][]byte{words(r)}) }},
	} {
		t.Run(c.name, func(t *testing.T) { sim.CheckMerge(t, c.f, c.gen) })
	}
}

// wrongMerges lists mistakes, each with the law that it breaks. Each is made anew for a run: some remember things.
var wrongMerges = []struct {
	mistake string
	law     string
	gen     func(*rand.Rand) []byte
	make    func() sim.MergeFunc
}{
	{"the last one of the slice wins", "commutative", words, func() sim.MergeFunc {
		return ofBytes(func(data [][]byte) []byte { return data[len(data)-1] })
	}},
	{"lines are joined in the order of the slice", "commutative", words, func() sim.MergeFunc {
		return ofBytes(func(data [][]byte) []byte {
			var out []string
			for _, d := range data {
				for _, line := range strings.Split(string(d), "\n") {
					if !slices.Contains(out, line) {
						out = append(out, line)
					}
				}
			}
			return []byte(strings.Join(out, "\n"))
		})
	}},
	{"the time of day is in the result", "deterministic", words, func() sim.MergeFunc {
		return ofBytes(func([][]byte) []byte { return []byte(time.Now().Format(time.RFC3339Nano)) })
	}},
	{"a map is walked in its own order", "deterministic", words, func() sim.MergeFunc {
		return ofBytes(func(data [][]byte) []byte {
			set := map[string]bool{}
			for _, line := range strings.Split(string(bytes.Join(data, []byte("\n"))), "\n") {
				set[line] = true
			}
			var out []string
			for line := range set {
				out = append(out, line)
			}
			return []byte(strings.Join(out, "\n"))
		})
	}},
	{"a global counter is in the result", "deterministic", words, func() sim.MergeFunc {
		n := 0
		return ofBytes(func(data [][]byte) []byte { n++; return fmt.Appendf(nil, "%s %d", union(data), n) })
	}},
	{"an error comes now and then", "deterministic", words, func() sim.MergeFunc {
		n := 0
		return func(vs []crdt.Value) (crdt.Value, error) {
			if n++; n%13 == 0 {
				return crdt.Value{}, errors.New("busy")
			}
			return ofBytes(union)(vs)
		}
	}},
	{"the slice is sorted in place", "no-mutation", words, func() sim.MergeFunc {
		return func(vs []crdt.Value) (crdt.Value, error) {
			slices.SortFunc(vs, func(a, b crdt.Value) int { return bytes.Compare(a.Data, b.Data) })
			return vs[0], nil
		}
	}},
	{"the data are changed to lower case in place", "no-mutation", func(r *rand.Rand) []byte { return bytes.ToUpper(words(r)) }, func() sim.MergeFunc {
		return ofBytes(func(data [][]byte) []byte {
			for _, d := range data {
				copy(d, bytes.ToLower(d))
			}
			return union(data)
		})
	}},
	{"data are appended to what was given", "no-mutation", words, func() sim.MergeFunc {
		return ofBytes(func(data [][]byte) []byte {
			sum := append(data[0], '\n')
			return union([][]byte{sum, union(data)})
		})
	}},
	{"a value is kept and changed by the next call", "no-mutation", words, func() sim.MergeFunc {
		var kept []byte
		return ofBytes(func(data [][]byte) []byte {
			clear(kept)
			kept = longest(data)
			return bytes.Clone(kept)
		})
	}},
	{"the result is in a buffer that the next call uses again", "no-mutation", words, func() sim.MergeFunc {
		var buffer []byte
		return ofBytes(func(data [][]byte) []byte {
			buffer = append(buffer[:0], union(data)...)
			return buffer
		})
	}},
	{"each merge adds a line", "bounded", words, func() sim.MergeFunc {
		return ofBytes(func(data [][]byte) []byte { return slices.Concat(longest(data), []byte("\nmerged")) })
	}},
	{"the result is twice as long as the values", "bounded", words, func() sim.MergeFunc {
		return ofBytes(func(data [][]byte) []byte { return bytes.Repeat(longest(data), 2*len(data)) })
	}},
	{"an empty value is not expected", "no-panic", words, func() sim.MergeFunc {
		return ofBytes(func(data [][]byte) []byte {
			slices.SortFunc(data, func(a, b []byte) int { return int(a[0]) - int(b[0]) })
			return union(data)
		})
	}},
	{"a single value is not expected", "no-panic", words, func() sim.MergeFunc {
		return ofBytes(func(data [][]byte) []byte { return union([][]byte{data[0], data[1]}) })
	}},
	{"the goroutine is ended", "no-panic", words, func() sim.MergeFunc {
		return func([]crdt.Value) (crdt.Value, error) { t := &testing.T{}; t.SkipNow(); return crdt.Value{}, nil }
	}},
	{"it waits for what never comes", "ends", words, func() sim.MergeFunc {
		return ofBytes(func(data [][]byte) []byte {
			if !bytes.ContainsRune(data[0], 'a') && len(data[0]) > 0 {
				select {}
			}
			return longest(data)
		})
	}},
	{"the average", "associative", number, func() sim.MergeFunc {
		return ofNumbers(func(ns []int64) int64 {
			sum := int64(0)
			for _, n := range ns {
				sum += n
			}
			return sum / int64(len(ns))
		})
	}},
	{"the value written last by the writers' clocks", "associative", words, func() sim.MergeFunc {
		return func(vs []crdt.Value) (crdt.Value, error) {
			return slices.MaxFunc(vs, func(a, b crdt.Value) int { return int(a.Time) - int(b.Time) }), nil
		}
	}},
	{"the sum", "idempotent", number, func() sim.MergeFunc {
		return ofNumbers(func(ns []int64) int64 {
			sum := int64(0)
			for _, n := range ns {
				sum += n
			}
			return sum
		})
	}},
	{"what exactly one side has", "idempotent", words, func() sim.MergeFunc {
		return ofBytes(func(data [][]byte) []byte {
			odd := map[string]bool{}
			for _, d := range data {
				for _, line := range strings.Split(string(union([][]byte{d})), "\n") {
					odd[line] = !odd[line]
				}
			}
			var out []string
			for line, in := range odd {
				if in {
					out = append(out, line)
				}
			}
			slices.Sort(out)
			return []byte(strings.Join(out, "\n"))
		})
	}},
}

// TestCheckMergeNamesTheLawThatIsBroken: each mistake is found, and named by the law that it breaks, whatever the seed.
func TestCheckMergeRefusesNothing(t *testing.T) {
	first := func(vs []crdt.Value) (crdt.Value, error) { return vs[0], nil }
	for name, check := range map[string]func(testing.TB){
		"no generator":       func(t testing.TB) { sim.CheckMerge(t, first, nil) },
		"no function":        func(t testing.TB) { sim.CheckMerge(t, nil, words) },
		"no function (base)": func(t testing.TB) { sim.CheckMergeBase(t, nil, words) },
	} {
		r := &recorder{TB: t}
		if check(r); len(r.said) != 1 || !strings.Contains(r.said[0], "must not be nil") {
			t.Errorf("%s: it says %q", name, r.said)
		}
	}
}

func TestCheckMergeNamesTheLawThatIsBroken(t *testing.T) {
	for _, w := range wrongMerges {
		t.Run(w.mistake, func(t *testing.T) {
			seeds := uint64(3)
			if w.law == "ends" {
				seeds = 1 // each leaves a goroutine behind
			}
			for seed := range seeds {
				said := checkRecorded(w.make(), w.gen, sim.MergeSeed(seed))
				if len(said) != 1 || !strings.Contains(said[0], fmt.Sprintf("breaks the law %q", w.law)) {
					t.Fatalf("seed %d: said %q, want the law %q", seed, said, w.law)
				}
				if seed == 0 {
					t.Log(said[0])
				}
			}
		})
	}
}

func checkRecorded(f sim.MergeFunc, gen func(*rand.Rand) []byte, opts ...sim.MergeOption) []string {
	r := &recorder{}
	sim.CheckMerge(r, f, gen, opts...)
	return r.said
}

// TestCheckMergePrintsTheCallThatHangs: the values to paste are those of the call, which a law may have made from the input.
func TestCheckMergePrintsTheCallThatHangs(t *testing.T) {
	for law, act := range map[string]func(){"ends": func() { select {} }, "no-panic": func() { panic("of results") }} {
		var called atomic.Int32 // how many values the call had
		f := ofBytes(union)
		said := checkRecorded(func(vs []crdt.Value) (crdt.Value, error) {
			if len(vs) > 1 && vs[0].Dot.Replica[0] == 0xff { // the result of an earlier call, which is in no input
				called.Store(int32(len(vs)))
				act()
			}
			return f(vs)
		}, words, sim.MergeDeadline(100*time.Millisecond))
		if len(said) != 1 || !strings.Contains(said[0], fmt.Sprintf("%q", law)) {
			t.Fatalf("said %q, want the law %q", said, law)
		}
		if got := strings.Count(said[0], "{Data: "); got != int(called.Load()) || !strings.Contains(said[0], "crdt.ReplicaID{255}") {
			t.Errorf("%s: %d values are printed, the call had %d:\n%s", law, got, called.Load(), said[0])
		}
	}
}

// TestCheckMergeFindsADateInTheResult runs a check that must fail in a process of its own, since it takes a real T to try a function on
// another day.
func TestCheckMergeFindsADateInTheResult(t *testing.T) {
	const inside = "SYNCLINE_CHECK_DATE"
	if os.Getenv(inside) != "" {
		sim.CheckMerge(t, ofBytes(func([][]byte) []byte { return []byte(time.Now().Format(time.DateOnly)) }), words)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), inside+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte(`breaks the law "deterministic"`)) || !bytes.Contains(out, []byte("36 hours later")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestCheckMergeInABubble: a test that runs in virtual time itself can check functions, too.
func TestCheckMergeInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { sim.CheckMerge(t, ofBytes(union), words, sim.MergeCases(5)) })
}

// TestCheckMergeWantsSomethingMerged: a function that always returns an error breaks no law and yet does not pass.
func TestCheckMergeWantsSomethingMerged(t *testing.T) {
	never := func([]crdt.Value) (crdt.Value, error) { return crdt.Value{}, errors.New("not today") }
	onlyEmpty := func(vs []crdt.Value) (crdt.Value, error) {
		if size := len(vs[0].Data) + len(vs[len(vs)-1].Data); size > 0 {
			return crdt.Value{}, errors.New("not empty")
		}
		return crdt.Value{}, nil
	}
	for _, f := range []sim.MergeFunc{never, onlyEmpty} {
		if said := checkRecorded(f, words); len(said) != 1 || !strings.Contains(said[0], "nothing was checked") {
			t.Errorf("said %q", said)
		}
	}
}

// TestCheckMergeIsTheSameForASeed: a seed draws the same inputs and finds the same.
func TestCheckMergeIsTheSameForASeed(t *testing.T) {
	last := ofBytes(func(data [][]byte) []byte { return data[len(data)-1] })
	said := checkRecorded(last, words, sim.MergeSeed(7))
	if again := checkRecorded(last, words, sim.MergeSeed(7)); !slices.Equal(said, again) {
		t.Errorf("said %q, then %q", said, again)
	}
	if other := checkRecorded(last, words, sim.MergeSeed(8)); slices.Equal(said, other) {
		t.Errorf("seeds 7 and 8 both say %q", said)
	}
}

// TestMergeOptions: a bound that is wider lets pass what the usual one does not; a type is given to every value.
func TestMergeOptions(t *testing.T) {
	framed := ofBytes(func(data [][]byte) []byte {
		for i, d := range data {
			data[i] = bytes.TrimLeft(d, "-\n")
		}
		return slices.Concat(bytes.Repeat([]byte("-"), 100), []byte("\n"), longest(data))
	})
	if said := checkRecorded(framed, words); len(said) != 1 || !strings.Contains(said[0], `"bounded"`) {
		t.Errorf("said %q", said)
	}
	sim.CheckMerge(t, framed, words, sim.MergeBound(func(sum int) int { return 2*sum + 256 }))
	typed := func(vs []crdt.Value) (crdt.Value, error) {
		for _, v := range vs {
			if v.Type != "text/plain" {
				panic("type " + v.Type)
			}
		}
		v, err := ofBytes(union)(vs)
		v.Type = "text/plain"
		return v, err
	}
	sim.CheckMerge(t, typed, words, sim.MergeType("text/plain"))
	slow := ofBytes(func(data [][]byte) []byte { select {} })
	if said := checkRecorded(slow, words, sim.MergeDeadline(time.Millisecond)); len(said) != 1 || !strings.Contains(said[0], "after 1ms") {
		t.Errorf("said %q", said)
	}
}

// TestCheckMergeBase: of a merge with a base the two sides may change places; the base may not, and merging in steps is not demanded.
func TestCheckMergeBase(t *testing.T) {
	// lines keeps a line of the base that both sides have, and every line that one side added.
	lines := func(base, a, b crdt.Value) (crdt.Value, error) {
		in := func(v crdt.Value, line string) bool {
			return slices.Contains(strings.Split(string(v.Data), "\n"), line)
		}
		var out []string
		for _, line := range strings.Split(string(union([][]byte{base.Data, a.Data, b.Data})), "\n") {
			if in(a, line) && in(b, line) || !in(base, line) {
				out = append(out, line)
			}
		}
		return crdt.Value{Data: []byte(strings.Join(out, "\n"))}, nil
	}
	sim.CheckMergeBase(t, lines, words)
	for law, f := range map[string]func(base, a, b crdt.Value) (crdt.Value, error){
		"commutative": func(base, a, b crdt.Value) (crdt.Value, error) { return a, nil },
		"no-mutation": func(base, a, b crdt.Value) (crdt.Value, error) { clear(base.Data); return lines(base, a, b) },
		"bounded": func(base, a, b crdt.Value) (crdt.Value, error) {
			return crdt.Value{Data: bytes.Repeat(base.Data, 50)}, nil
		},
	} {
		r := &recorder{}
		sim.CheckMergeBase(r, f, words)
		if len(r.said) != 1 || !strings.Contains(r.said[0], fmt.Sprintf("%q", law)) {
			t.Errorf("said %q, want the law %q", r.said, law)
		}
	}
}

// TestMergeFuncsAreStrategies: a function that was checked is used as it is.
func TestMergeFuncsAreStrategies(t *testing.T) {
	var f sim.MergeFunc = ofBytes(union)
	c := crdt.Conflict{Path: "cart", Siblings: []crdt.Value{{Dot: crdt.Dot{Counter: 2}, Data: []byte("tea")}, {Dot: crdt.Dot{Counter: 1}, Data: []byte("milk")}}}
	if v, err := crdt.Resolve(c, crdt.MergeValues(f)); err != nil || string(v.Data) != "milk\ntea" {
		t.Errorf("got %q, %v", v.Data, err)
	}
}
