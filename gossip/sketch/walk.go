package sketch

import (
	"math"
	"math/bits"
)

// A walk goes through the symbols that cover an item: the first, and each later one i with probability 1/(1+i/2), the density that the paper
// finds best. After symbol i follows k > i or one before it with probability 1 - (i+1)(i+2)/((k+1)(k+2)), the product of those
// densities; so k is drawn by inverting that. The generator is SplitMix64, begun with the hash of the item.
type walk struct{ state, index uint64 }

// next goes to the next index, or anywhere beyond n if it is not below n, which is at most SymbolsMax: the smallest k > i with
// (k+1)(k+2)(r+1) >= (i+1)(i+2) 2^32, where r are 32 random bits.
func (w *walk) next(n int) {
	w.state += 0x9e3779b97f4a7c15
	z := w.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	r := (z ^ z>>31) >> 32
	i, end := w.index, uint64(n)
	t := ((i+1)*(i+2)<<32 + r) / (r + 1) // rounded up; i < 2^15, so it fits
	if end*(end+1) < t {
		w.index = end
		return
	}
	k := uint64(math.Sqrt(float64(t))) // exact: t < 2^31
	if k*(k+1) >= t {
		k--
	}
	w.index = max(k, i+1)
}

// siphash returns SipHash-2-4 of the 16 bytes of x (Aumasson and Bernstein, INDOCRYPT 2012).
func siphash(key, x [2]uint64) uint64 {
	v0, v1, v2, v3 := key[0]^0x736f6d6570736575, key[1]^0x646f72616e646f6d, key[0]^0x6c7967656e657261, key[1]^0x7465646279746573
	round := func() {
		v0 += v1
		v1 = bits.RotateLeft64(v1, 13) ^ v0
		v0 = bits.RotateLeft64(v0, 32)
		v2 += v3
		v3 = bits.RotateLeft64(v3, 16) ^ v2
		v0 += v3
		v3 = bits.RotateLeft64(v3, 21) ^ v0
		v2 += v1
		v1 = bits.RotateLeft64(v1, 17) ^ v2
		v2 = bits.RotateLeft64(v2, 32)
	}
	for _, m := range [...]uint64{x[0], x[1], 16 << 56} {
		v3 ^= m
		round()
		round()
		v0 ^= m
	}
	v2 ^= 0xff
	for range 4 {
		round()
	}
	return v0 ^ v1 ^ v2 ^ v3
}
