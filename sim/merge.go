package sim

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"syncline/crdt"
)

// A MergeFunc combines the values that compete in a Conflict into the content of the one that replaces them: its kind, type and data.
// [crdt.MergeValues] makes a strategy of it. An error leaves the Conflict open for people.
//
// Every device calls it for itself, at a time of its own, with the values that it knows of, and what one device made of them may be
// merged again on another. So it must obey the laws that [CheckMerge] checks. It must not change the values or the slice; its result
// may share memory with them.
type MergeFunc func(values []crdt.Value) (crdt.Value, error)

// A MergeOption changes what [CheckMerge] does.
type MergeOption func(*mergeCheck)

// MergeSeed says which inputs are drawn; 1 unless it is given. The same seed draws the same inputs.
func MergeSeed(seed uint64) MergeOption { return func(c *mergeCheck) { c.seed = seed } }

// MergeCases says how many inputs are drawn besides the fixed ones; 200 unless it is given.
func MergeCases(n int) MergeOption { return func(c *mergeCheck) { c.cases = n } }

// MergeType is the media type of all values; empty unless it is given.
func MergeType(mediaType string) MergeOption { return func(c *mergeCheck) { c.mediaType = mediaType } }

// MergeBound says how many bytes a result may have, from the bytes of all values that went into it. Unless it is given, that is their
// sum and 64 more.
func MergeBound(bytesMax func(sum int) int) MergeOption {
	return func(c *mergeCheck) { c.bound = bytesMax }
}

// MergeDeadline is how long one call may take, in real time; 1 s unless it is given.
func MergeDeadline(d time.Duration) MergeOption { return func(c *mergeCheck) { c.deadline = d } }

// The defaults of the options.
const (
	mergeCases    = 200
	mergeSlack    = 64
	mergeDeadline = time.Second
)

// CheckMerge checks that f obeys the laws without which devices that merge do not agree, or not on something that makes sense:
//
//   - deterministic: the same values give the same bytes, now and later, or an error each time;
//   - commutative: the order in which the values are presented does not matter;
//   - associative: merging some of the values first, and the result with the others, gives the same as merging all at once;
//   - idempotent: merging a result with a value that is in it, or with itself, changes nothing;
//   - bounded: the result is not much larger than the values in it, and merging again and again does not make it grow;
//   - no-mutation: no value is changed, not even later, and no result is;
//   - no-panic: whatever bytes the values have; other devices can write any;
//   - ends: each call returns within [MergeDeadline].
//
// A step in which f returns an error is no breach if f returns it whenever it is asked so. But if f merges nothing at all, CheckMerge
// fails: then it proves nothing.
//
// gen draws the data of one value. Besides what gen draws, f is given single values, empty ones, many, large ones and such as are no
// UTF-8. Every value has a dot and a time of its own; a result that is merged again has newer ones, as a device would give it.
//
// CheckMerge calls t.Errorf at the first law that is broken, with the smallest values that it found to break it.
func CheckMerge(t testing.TB, f MergeFunc, gen func(*rand.Rand) []byte, opts ...MergeOption) {
	t.Helper()
	newMergeCheck(f, gen, opts).run(t)
}

// CheckMergeBase checks a merge of two values that were made from a common base. Its result is never merged with the base of another, so
// f need not be associative or idempotent; the other laws of [CheckMerge] hold, and commutative means that a and b may change places.
func CheckMergeBase(t testing.TB, f func(base, a, b crdt.Value) (crdt.Value, error), gen func(*rand.Rand) []byte, opts ...MergeOption) {
	t.Helper()
	c := newMergeCheck(nil, gen, opts)
	if f != nil {
		c.f = func(vs []crdt.Value) (crdt.Value, error) { return f(vs[0], vs[1], vs[2]) }
	}
	c.laws = []func(*mergeCheck, []crdt.Value){(*mergeCheck).repeats, (*mergeCheck).swaps}
	c.base = true
	c.run(t)
}

// A mergeCheck is one run of CheckMerge.
type mergeCheck struct {
	f         MergeFunc
	gen       func(*rand.Rand) []byte
	seed      uint64
	cases     int
	mediaType string
	bound     func(sum int) int
	deadline  time.Duration
	laws      []func(*mergeCheck, []crdt.Value)
	// base says that the first of three values is the base of the others.
	base bool
	// repeat is how often determinism is tried.
	repeat int
	// lent are the last calls, whose values must stay as they are; merged counts calls without an error.
	lent   []*loan
	merged int
}

func newMergeCheck(f MergeFunc, gen func(*rand.Rand) []byte, opts []MergeOption) *mergeCheck {
	c := &mergeCheck{f: f, gen: gen, seed: 1, cases: mergeCases, bound: func(sum int) int { return sum + mergeSlack }, deadline: mergeDeadline, repeat: 2}
	// The order matters: a breach is named by the first law that notices it.
	c.laws = []func(*mergeCheck, []crdt.Value){(*mergeCheck).repeats, (*mergeCheck).swaps, (*mergeCheck).staysSmall, (*mergeCheck).doubles, (*mergeCheck).groups, (*mergeCheck).absorbs}
	for _, o := range opts {
		o(c)
	}
	return c
}

// run checks the fixed inputs and the drawn ones, and reports the first breach.
func (c *mergeCheck) run(t testing.TB) {
	t.Helper()
	if c.f == nil || c.gen == nil {
		t.Errorf("sim.CheckMerge: the merge function and the generator of values must not be nil")
		return
	}
	inputs := c.inputs()
	for i, vs := range inputs {
		if i == len(inputs)-c.cases {
			c.merged = 0 // that it merges what nobody would write does not count
		}
		if b := c.judge(vs); b != nil {
			small, b := c.shrink(vs, b)
			t.Errorf("%s", c.report(t.Name(), i, len(inputs), small, b))
			return
		}
	}
	if b, i := c.later(t, inputs); b != nil {
		t.Errorf("%s", c.report(t.Name(), i, len(inputs), inputs[i], b))
		return
	}
	if c.merged == 0 {
		t.Errorf("sim.CheckMerge: the merge function returned an error for each of %d inputs, so nothing was checked. "+
			"Let gen draw values that it can merge, for example %s", len(inputs), literal(c.gen(c.random(0))))
	}
}

// judge returns the first law that vs show to be broken, nil if none.
func (c *mergeCheck) judge(vs []crdt.Value) (b *breach) {
	b = c.catch(func() {
		for _, check := range c.laws {
			check(c, vs)
		}
	})
	if b == nil || b.law == ends || b.law == noPanic || b.law == deterministic {
		return b
	}
	// A function that is not deterministic can seem to break any law. So try that harder before another is named.
	old := c.repeat
	c.repeat = 200
	defer func() { c.repeat = old }()
	if d := c.catch(func() { c.repeats(vs) }); d != nil {
		return d
	}
	return b
}

func (c *mergeCheck) catch(check func()) (b *breach) {
	defer func() {
		if r := recover(); r != nil {
			var ok bool
			if b, ok = r.(*breach); !ok {
				panic(r)
			}
		}
	}()
	check()
	return nil
}

// An outcome is what a call returned.
type outcome struct {
	crdt.Value
	err error
}

func (o outcome) same(p outcome) bool {
	if o.err != nil || p.err != nil {
		return o.err != nil && p.err != nil
	}
	return o.Kind == p.Kind && o.Type == p.Type && bytes.Equal(o.Data, p.Data)
}

func (o outcome) String() string {
	if o.err != nil {
		return fmt.Sprintf("error %q", o.err)
	}
	text := literal(o.Data)
	if o.Type != "" {
		text += fmt.Sprintf(" of type %q", o.Type)
	}
	if o.Kind != crdt.Multi {
		text += fmt.Sprintf(" of kind %v", o.Kind)
	}
	return text
}

// call calls f with a copy of vs, and checks what holds for every call.
func (c *mergeCheck) call(vs ...crdt.Value) outcome { return c.callOn(lend(vs)) }

// loansMax is how many calls are looked at again after each one.
const loansMax = 16

func (c *mergeCheck) callOn(l *loan) outcome {
	out, fault := guarded(c.deadline, func() outcome {
		v, err := c.f(l.values)
		return outcome{v, err}
	})
	switch {
	case fault != nil && fault.hangs:
		ends.brokenBy(l.was, "f(%s) has not returned after %v. Its goroutine cannot be stopped: it goes on until the test program ends", list(l.was), c.deadline)
	case fault != nil:
		noPanic.brokenBy(l.was, "f(%s) %s", list(l.was), fault.text)
	}
	if what := l.changed(); what != "" {
		noMutation.broken("f(%s) changed memory that is not its own: %s. Clone what must be sorted, appended to or edited", list(l.was), what)
	}
	for _, old := range c.lent {
		if what := old.changed(); what != "" {
			noMutation.broken("f(%s) = %v, and a later call changed memory of this one: %s", list(old.was), old.result, what)
		}
	}
	if out.err != nil {
		return outcome{err: out.err}
	}
	c.merged++
	if n, most := len(out.Data), c.bound(size(l.was)); n > most {
		bounded.broken("f(%s) has %d bytes; the values have %d together, the bound is %d", list(l.was), n, size(l.was), most)
	}
	// The result is seen by the checks as a device would write it: under a new dot, at a later time.
	l.returned, l.result = out.Data, outcome{Value: crdt.Value{Kind: out.Kind, Type: out.Type, Data: slices.Clone(out.Data), Dot: resultDot, Time: latest(l.was) + 1}}
	c.lent = append(c.lent[max(0, len(c.lent)-loansMax+1):], l)
	return l.result
}

// resultDot is the dot of results that are merged again.
var resultDot = crdt.Dot{Replica: crdt.ReplicaID{0xff}, Counter: 1}

func latest(vs []crdt.Value) crdt.Timestamp {
	return slices.MaxFunc(vs, func(v, w crdt.Value) int { return int(v.Time) - int(w.Time) }).Time
}

func size(vs []crdt.Value) int {
	n := 0
	for _, v := range vs {
		n += len(v.Data)
	}
	return n
}
