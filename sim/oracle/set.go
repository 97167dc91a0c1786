package oracle

import (
	"iter"
	"math/bits"
)

// A set is a set of writes, by their indexes.
type set []uint64

func newSet(n int) set { return make(set, (n+63)/64) }

func (s set) has(i int) bool { return s[i/64]>>(i%64)&1 == 1 }

func (s set) add(i int) { s[i/64] |= 1 << (i % 64) }

func (s set) join(t set) {
	for i := range t {
		s[i] |= t[i]
	}
}

func (s set) clone() set { return append(set(nil), s...) }

// less returns the first element of s that is not in t, -1 if there is none.
func (s set) less(t set) int {
	for i := range s {
		if d := s[i] &^ t[i]; d != 0 {
			return 64*i + bits.TrailingZeros64(d)
		}
	}
	return -1
}

// beyond yields the elements of s that are not in t, in order.
func (s set) beyond(t set) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range s {
			for w := s[i] &^ t[i]; w != 0; w &= w - 1 {
				if !yield(64*i + bits.TrailingZeros64(w)) {
					return
				}
			}
		}
	}
}

// minus returns the elements of s that are not in t.
func (s set) minus(t set) set {
	out := s.clone()
	for i := range t {
		out[i] &^= t[i]
	}
	return out
}

// all yields the elements in order.
func (s set) all(yield func(int) bool) {
	for i, w := range s {
		for ; w != 0; w &= w - 1 {
			if !yield(64*i + bits.TrailingZeros64(w)) {
				return
			}
		}
	}
}

func (s set) len() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// key is equal for equal sets.
func (s set) key() string {
	b := make([]byte, 0, 8*len(s))
	for _, w := range s {
		b = append(b, byte(w), byte(w>>8), byte(w>>16), byte(w>>24), byte(w>>32), byte(w>>40), byte(w>>48), byte(w>>56))
	}
	return string(b)
}
