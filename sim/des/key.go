package des

import (
	"crypto/ed25519"
	"encoding/binary"
	"sync"
)

// keys are the same in all runs, so they are made once.
var keys keyRing

// A keyRing holds the keys of the devices by their numbers.
type keyRing struct {
	mu   sync.Mutex
	keys []ed25519.PrivateKey
}

// of returns the key of device i.
func (r *keyRing) of(i int) ed25519.PrivateKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := len(r.keys); n <= i; n++ {
		var seed [ed25519.SeedSize]byte
		binary.BigEndian.PutUint64(seed[:], uint64(n)+1)
		r.keys = append(r.keys, ed25519.NewKeyFromSeed(seed[:]))
	}
	return r.keys[i]
}
