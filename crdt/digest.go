package crdt

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// A Digest is the sum, modulo 2^256, of a hash of each live value with its path and dot. Adding and removing values in any order
// gives the same sum (an AdHash, Bellare and Micciancio, EUROCRYPT 1997), so it is kept up to date at a cost that does not
// depend on the size of the state. Replicas with equal contexts have equal digests. It guards against mistakes and damage, not
// against a member that searches for collisions.
//
// The zero Digest is that of an empty state.
type Digest [4]uint64

// Add puts a value into the sum.
func (g *Digest) Add(path string, v Value) {
	h := valueHash(path, v)
	var carry uint64
	for i := range g {
		g[i], carry = bits.Add64(g[i], h[i], carry)
	}
}

// Remove takes a value out of the sum.
func (g *Digest) Remove(path string, v Value) {
	h := valueHash(path, v)
	var borrow uint64
	for i := range g {
		g[i], borrow = bits.Sub64(g[i], h[i], borrow)
	}
}

// Bytes returns the sum, little-endian.
func (g Digest) Bytes() [32]byte {
	var b [32]byte
	for i, w := range g {
		binary.LittleEndian.PutUint64(b[8*i:], w)
	}
	return b
}

// DigestOf is the inverse of Bytes.
func DigestOf(b [32]byte) (g Digest) {
	for i := range g {
		g[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return g
}

// Short returns the first 8 bytes of the SHA-256 of the sum, the form that travels.
func (g Digest) Short() [8]byte {
	b := g.Bytes()
	sum := sha256.Sum256(b[:])
	return [8]byte(sum[:8])
}

// valueHash hashes everything that all replicas must agree on: replica, counter, time, kind, then type, path and data, each of
// the first two with its length before it.
func valueHash(path string, v Value) Digest {
	buf := make([]byte, 0, 192)
	buf = append(buf, v.Dot.Replica[:]...)
	buf = binary.BigEndian.AppendUint64(buf, v.Dot.Counter)
	buf = binary.BigEndian.AppendUint64(buf, uint64(v.Time))
	buf = append(buf, byte(v.Kind))
	buf = binary.AppendUvarint(buf, uint64(len(v.Type)))
	buf = append(buf, v.Type...)
	buf = binary.AppendUvarint(buf, uint64(len(path)))
	buf = append(buf, path...)
	if len(v.Data) <= 512 {
		return DigestOf(sha256.Sum256(append(buf, v.Data...)))
	}
	h := sha256.New()
	h.Write(buf)
	h.Write(v.Data)
	return DigestOf([32]byte(h.Sum(nil)))
}
