package sim

import (
	"bytes"
	"math/rand/v2"
	"slices"

	"syncline/crdt"
)

// random returns the source of one case.
func (c *mergeCheck) random(i int) *rand.Rand { return rand.New(rand.NewPCG(c.seed, uint64(i))) }

// Sizes of inputs.
const (
	manyValues = 24
	largeBytes = 64 << 10
)

// noText is no UTF-8: a lone continuation byte, a surrogate, an overlong form, and a zero.
const noText = "\x80\xed\xa0\x80\xc0\xaf\x00\xff"

// inputs returns the fixed inputs, the smallest first, and those that are drawn.
func (c *mergeCheck) inputs() [][]crdt.Value {
	r := c.random(0)
	draw := func(n int) (data [][]byte) {
		for range n {
			data = append(data, c.gen(r))
		}
		return data
	}
	empty, bad := []byte{}, []byte(noText)
	a, b := c.gen(r), c.gen(r)
	large := bytes.Repeat(append(slices.Clone(a), '\n'), largeBytes/(len(a)+1)+1)
	sets := [][][]byte{{empty}, {a}, {bad}, {a, b}, {empty, a}, {empty, empty}, {bad, a}, {a, a}, {a, b, empty}, {a, bad, b}, draw(manyValues), {large}, {large, a, b}}
	for i := range c.cases {
		r = c.random(i + 1)
		set := draw(2 + min(r.IntN(2), r.IntN(4)))
		if r.IntN(8) == 0 {
			set = append(set, set[0])
		}
		sets = append(sets, set)
	}
	var out [][]crdt.Value
	for i, set := range sets {
		if c.base {
			set = append(append(slices.Clone(set), empty, a), b)[:3]
		}
		out = append(out, c.values(c.random(-1-i), set))
	}
	return out
}

// values gives data the dots and times of writes made apart, in no particular order.
func (c *mergeCheck) values(r *rand.Rand, data [][]byte) []crdt.Value {
	var vs []crdt.Value
	times := r.Perm(len(data))
	for i, d := range data {
		dot := crdt.Dot{Replica: crdt.ReplicaID{byte(i + 1)}, Counter: 1 + r.Uint64N(9)}
		vs = append(vs, crdt.Value{Dot: dot, Time: crdt.Timestamp(times[i] + 1), Type: c.mediaType, Data: slices.Clone(d)})
	}
	return vs
}

// shrinkTries bounds how many inputs are tried to find a smaller one.
const shrinkTries = 600

// shrink looks for smaller values that break the same law: fewer, then shorter ones.
func (c *mergeCheck) shrink(vs []crdt.Value, b *breach) ([]crdt.Value, *breach) {
	if b.law == ends {
		return vs, b
	}
	tries := 0
	try := func(smaller []crdt.Value) bool {
		if tries++; tries > shrinkTries {
			return false
		}
		s := c.judge(smaller)
		if s != nil && s.law == ends {
			tries = shrinkTries // one goroutine that hangs is enough
		}
		if s == nil || s.law != b.law {
			return false
		}
		vs, b = smaller, s
		return true
	}
	for i := 0; i < len(vs) && len(vs) > 1 && !c.base; {
		if !try(slices.Delete(slices.Clone(vs), i, i+1)) {
			i++
		}
	}
	for i := range vs {
		for step := len(vs[i].Data); step > 0; step /= 2 {
			for from := 0; from < len(vs[i].Data); {
				smaller := slices.Clone(vs)
				smaller[i].Data = slices.Delete(slices.Clone(vs[i].Data), from, min(from+step, len(vs[i].Data)))
				if !try(smaller) {
					from += step
				}
			}
		}
	}
	return vs, b
}
