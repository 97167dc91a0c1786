package des

import (
	"crypto/ed25519"
	"encoding/binary"
)

// commonKeys holds the keys of the first devices, which are the same in all runs.
var commonKeys = func() (keys [16]ed25519.PrivateKey) {
	for i := range keys {
		keys[i] = makeKey(i)
	}
	return keys
}()

// keyOf returns the key of device i.
func keyOf(i int) ed25519.PrivateKey {
	if i < len(commonKeys) {
		return commonKeys[i]
	}
	return makeKey(i)
}

func makeKey(i int) ed25519.PrivateKey {
	var seed [ed25519.SeedSize]byte
	binary.BigEndian.PutUint64(seed[:], uint64(i)+1)
	return ed25519.NewKeyFromSeed(seed[:])
}
