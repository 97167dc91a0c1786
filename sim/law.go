package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"syncline/crdt"
)

// A law is what a breach is named by, and what it consists in.
type law struct{ name, breach string }

var (
	deterministic = law{"deterministic", "the same values gave different results"}
	commutative   = law{"commutative", "the order in which the values are presented changes the result"}
	associative   = law{"associative", "merging some of the values first gives another result than merging all at once"}
	idempotent    = law{"idempotent", "merging a result with what is in it already changes it"}
	bounded       = law{"bounded", "the result is larger than the values in it allow"}
	noMutation    = law{"no-mutation", "what it was given, or gave, did not stay as it was"}
	noPanic       = law{"no-panic", "a call panicked, or ended its goroutine"}
	ends          = law{"ends", "a call did not return"}
)

// A breach is one broken law. It is thrown by the checks and caught by judge.
type breach struct {
	law
	how string // what was called, and what came of it
	// call holds the values of the one call that breaks the law, where one does by itself; else it takes all values of the input.
	call []crdt.Value
}

func (l law) broken(format string, args ...any) {
	panic(&breach{law: l, how: fmt.Sprintf(format, args...)})
}

// brokenBy is broken for a law that a call breaks by itself. vs are the values that it was given.
func (l law) brokenBy(vs []crdt.Value, format string, args ...any) {
	panic(&breach{l, fmt.Sprintf(format, args...), vs})
}

// repeats checks deterministic: with the same memory again, and with copies.
func (c *mergeCheck) repeats(vs []crdt.Value) {
	l := lend(vs)
	first := c.callOn(l)
	if again := c.callOn(l); !again.same(first) {
		deterministic.broken("f(%s) = %v\nf(%s) = %v, when it was called again", list(vs), first, list(vs), again)
	}
	for range c.repeat {
		if again := c.call(vs...); !again.same(first) {
			deterministic.broken("f(%s) = %v\nf(%s) = %v, when it was called again with a copy", list(vs), first, list(vs), again)
		}
	}
}

// swaps checks commutative.
func (c *mergeCheck) swaps(vs []crdt.Value) {
	first := c.call(vs...)
	free := vs
	if c.base {
		free = vs[1:]
	}
	for order := range orders(len(free)) {
		p := slices.Clone(vs)
		for i, k := range order {
			p[len(vs)-len(free)+i] = free[k]
		}
		if got := c.call(p...); !got.same(first) {
			commutative.broken("f(%s) = %v\nf(%s) = %v", list(vs), first, list(p), got)
		}
	}
}

// orders yields every order of up to four things, and some orders of more.
func orders(n int) func(yield func([]int) bool) {
	return func(yield func([]int) bool) {
		r := rand.New(rand.NewPCG(uint64(n), 0x0bde5))
		order := r.Perm(n)
		if n > 4 {
			for range 12 {
				if !yield(r.Perm(n)) {
					return
				}
			}
			return
		}
		var rec func(k int) bool
		rec = func(k int) bool {
			if k == n {
				return yield(order)
			}
			for i := k; i < n; i++ {
				order[k], order[i] = order[i], order[k]
				if !rec(k + 1) {
					return false
				}
				order[k], order[i] = order[i], order[k]
			}
			return true
		}
		rec(0)
	}
}

// staysSmall checks that merging the same values in again and again does not make the result grow.
func (c *mergeCheck) staysSmall(vs []crdt.Value) {
	r, most := c.call(vs...), c.bound(size(vs))
	for i := 0; i <= mergeSlack && r.err == nil; i++ {
		next := c.call(r.Value, vs[i%len(vs)])
		if next.err == nil && len(next.Data) > most {
			bounded.broken("f(%s), merged %d times more with one of these values, has %d bytes; the values have %d together, the bound is %d",
				list(vs), i+1, len(next.Data), size(vs), most)
		}
		if next.same(r) && i >= len(vs) {
			return
		}
		r = next
	}
}

// doubles checks idempotent for single values. What f makes of a value and itself need not be that value: f may bring it into a normal
// form, in which it then stays.
func (c *mergeCheck) doubles(vs []crdt.Value) {
	for _, v := range vs[:min(len(vs), 4)] {
		twin := v
		twin.Dot.Counter++
		r := c.call(v, twin)
		if r.err != nil {
			continue
		}
		for _, w := range []crdt.Value{v, r.Value} {
			if got := c.call(r.Value, w); !got.same(r) {
				idempotent.broken("f(%s) = %v\nf(%s) = %v", list([]crdt.Value{v, twin}), r, list([]crdt.Value{r.Value, w}), got)
			}
		}
	}
}

// groups checks associative.
func (c *mergeCheck) groups(vs []crdt.Value) {
	all := c.call(vs...)
	n := len(vs)
	for _, k := range slices.Compact([]int{1, min(2, n-1), n / 2, n - 1}) {
		if k < 1 || k >= n {
			continue
		}
		for _, halves := range [][2][]crdt.Value{{vs[:k], vs[k:]}, {vs[k:], vs[:k]}} {
			first := c.call(halves[0]...)
			if first.err != nil {
				continue
			}
			rest := append([]crdt.Value{first.Value}, halves[1]...)
			if got := c.call(rest...); !got.same(all) {
				associative.broken("f(%s) = %v\nf(%s) = %v\nf(%s) = %v", list(vs), all, list(halves[0]), first, list(rest), got)
			}
		}
	}
}

// absorbs checks idempotent for the results of several values, and associative for a value that comes twice.
func (c *mergeCheck) absorbs(vs []crdt.Value) {
	r := c.call(vs...)
	if r.err != nil || len(vs) < 2 {
		return
	}
	for _, v := range append([]crdt.Value{r.Value}, vs[:min(len(vs), 8)]...) {
		got := c.call(r.Value, v)
		more := append(slices.Clone(vs), v)
		if all := c.call(more...); !got.same(r) && !got.same(all) {
			associative.broken("f(%s) = %v\nf(%s) = %v\nf(%s) = %v", list(more), all, list(vs), r, list([]crdt.Value{r.Value, v}), got)
		}
		if !got.same(r) {
			idempotent.broken("f(%s) = %v\nf(%s) = %v", list(vs), r, list([]crdt.Value{r.Value, v}), got)
		}
	}
}

// laterInputs is how many inputs are merged once more, a good while later.
const laterInputs = 24

// later calls f again a day and a half later, in a bubble of virtual time, so that a function that looks at the clock is found however
// coarsely it looks. That takes a *testing.T outside any bubble; with another t, only what changes within the run is found.
func (c *mergeCheck) later(t testing.TB, inputs [][]crdt.Value) (b *breach, at int) {
	real, ok := t.(*testing.T)
	if !ok {
		return nil, 0
	}
	defer func() { recover() }() // t is in a bubble already
	synctest.Test(real, func(*testing.T) {
		once := func(vs []crdt.Value) (o outcome) {
			defer func() {
				if r := recover(); r != nil {
					o.err = fmt.Errorf("panic: %v", r)
				}
			}()
			v, err := c.f(lend(vs).values)
			v.Data = slices.Clone(v.Data)
			return outcome{v, err}
		}
		var first []outcome
		for _, vs := range inputs[:min(len(inputs), laterInputs)] {
			first = append(first, once(vs))
		}
		time.Sleep(36 * time.Hour) // of the bubble's clock
		for i, o := range first {
			if again := once(inputs[i]); !again.same(o) {
				b, at = &breach{law: deterministic, how: fmt.Sprintf("f(%s) = %v\nf(%s) = %v, 36 hours later", list(inputs[i]), o, list(inputs[i]), again)}, i
				return
			}
		}
	})
	return b, at
}
