package des

import (
	"encoding/binary"
	"math/bits"
	"time"
)

// Fates are drawn from what they are about, not from one stream of random numbers: the same message between the same devices at
// about the same time has the same fate, whatever else happens. So an operation can be taken out of a scenario without changing
// the luck of all that follows.

// fateBucket is the length of "about the same time".
const fateBucket = 100 * time.Millisecond

// The things that have fates.
const (
	fateLatency = 1 + iota
	fateLoss
	fateDuplicate
	fateBreak
	fateSync
	fateDial
	fateDetect
	fateSent
	fateFrame
	fateMerge
	fateCall
	fateInbox
)

// mix folds x into h (the finaliser of SplitMix64).
func mix(h, x uint64) uint64 {
	h = (h ^ x) + 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// sum hashes bytes.
func sum(b []byte) uint64 {
	h := uint64(len(b)) * 0x9e3779b97f4a7c15
	for len(b) >= 8 {
		h = bits.RotateLeft64(h^binary.LittleEndian.Uint64(b)*0xbf58476d1ce4e5b9, 29) * 0x94d049bb133111eb
		b = b[8:]
	}
	for _, c := range b {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return h ^ h>>32
}

// A fate is a source of a few numbers about one thing.
type fate uint64

func (w *world) fate(kind, from, to int, content uint64) fate {
	h := mix(w.s.Seed, uint64(kind)<<32|uint64(from)<<16|uint64(to))
	return fate(mix(mix(h, content), uint64(w.now/fateBucket)))
}

// share returns a number in [0, 1).
func (f fate) share() float64 { return float64(f>>11) / (1 << 53) }

// next is independent of f.
func (f fate) next() fate { return fate(mix(uint64(f), 0x6a09e667f3bcc909)) }

// between returns a duration in [lo, hi).
func (f fate) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(f.share()*float64(hi-lo))
}
