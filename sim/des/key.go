package des

import (
	"crypto/ed25519"
	"encoding/binary"
)

// keySeed returns what the key of device i is made of, the same in all runs.
func keySeed(i int) []byte {
	seed := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint64(seed, uint64(i)+1)
	return seed
}
