package bubble

import (
	"encoding/binary"
	"hash/fnv"
	"time"
)

// The things that have fates.
const (
	fateLatency = 1 + iota
	fateLoss
	fateDuplicate
	fateReorder
	fateFrame
	fateBreak
	fateSync
	fateKeys
	fateMerge
)

// A fate is a number that is drawn from a seed and from what it is about.
type fate uint64

// fateOf mixes numbers (the finaliser of SplitMix64).
func fateOf(seed uint64, about ...uint64) fate {
	h := seed
	for _, x := range about {
		h = (h ^ x) + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return fate(h)
}

// share returns a number in [0, 1).
func (f fate) share() float64 { return float64(f>>11) / (1 << 53) }

// between returns a duration in [lo, hi), lo if that is empty.
func (f fate) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(f.share()*float64(max(0, hi-lo)))
}

// content makes a number of bytes.
func content(parts ...[]byte) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		h.Write(p)
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}
