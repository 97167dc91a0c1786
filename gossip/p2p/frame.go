package p2p

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"

	"syncline/gossip"
)

// frameLabel separates frames from everything else that the same keys seal or sign.
const frameLabel = "syncline/frame/1"

const (
	epochSize    = 8
	nonceSize    = chacha20poly1305.NonceSizeX
	authorSize   = 8
	headerSize   = epochSize + nonceSize
	frameIDSize  = 24 // of a SHA-256
	frameMinimum = headerSize + authorSize + ed25519.SignatureSize + chacha20poly1305.Overhead
)

// Errors of opening a frame. Nobody branches on them; they name the check in logs and tests.
var (
	errFrameSize      = errors.New("frame has an impossible size")
	errFrameEpoch     = errors.New("frame is sealed under another key")
	errFrameSeal      = errors.New("frame does not open")
	errFrameAuthor    = errors.New("frame author is no member")
	errFrameSignature = errors.New("frame signature is wrong")
	errFrameOps       = errors.New("frame operations are malformed")
)

// sealFrame packs operations into one frame, sealed for the members of s and signed by the device:
//
//	epoch 8 ‖ nonce 24 ‖ XChaCha20-Poly1305(author 8 ‖ ops ‖ signature 64)
//	ops       = (uvarint length ‖ bytes)…
//	AAD       = "syncline/frame/1" ‖ space 32 ‖ epoch 8
//	signature = Ed25519("syncline/frame/1" ‖ space 32 ‖ epoch 8 ‖ author 32 ‖ nonce 24 ‖ ops)
//
// A frame costs 120 bytes, and one to three bytes per operation. Its author is named by the first bytes of the device id,
// which only select the members whose key is tried; the signature covers the whole id. The nonce is random.
func sealFrame(s *space, key ed25519.PrivateKey, random io.Reader, ops [][]byte) ([]byte, error) {
	author := deviceOfKey(key)
	size := frameMinimum
	for _, op := range ops {
		size += binary.MaxVarintLen32 + len(op)
	}
	frame := make([]byte, headerSize, size)
	copy(frame, s.epoch[:])
	nonce := frame[epochSize:headerSize]
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, fmt.Errorf("frame nonce: %w", err)
	}
	body := make([]byte, 0, size)
	body = append(body, author[:authorSize]...)
	for _, op := range ops {
		body = binary.AppendUvarint(body, uint64(len(op)))
		body = append(body, op...)
	}
	body = append(body, ed25519.Sign(key, signedBytes(s, author, nonce, body[authorSize:]))...)
	return s.seal.Seal(frame, nonce, body, sealedWith(s)), nil
}

// openFrame is the inverse of sealFrame. It returns who signed and the operations, which alias a buffer of their own.
func openFrame(s *space, frame []byte) (author gossip.DeviceID, ops [][]byte, err error) {
	if len(frame) < frameMinimum || len(frame) > frameMax {
		return author, nil, errFrameSize
	}
	if [epochSize]byte(frame) != s.epoch {
		return author, nil, errFrameEpoch
	}
	nonce := frame[epochSize:headerSize]
	body, err := s.seal.Open(nil, nonce, frame[headerSize:], sealedWith(s))
	if err != nil {
		return author, nil, errFrameSeal
	}
	end := len(body) - ed25519.SignatureSize
	packed, signature := body[authorSize:end:end], body[end:]
	author, err = findAuthor(s, [authorSize]byte(body), nonce, packed, signature)
	if err != nil {
		return author, nil, err
	}
	ops, err = unpackOps(packed)
	return author, ops, err
}

// findAuthor returns the member with this short id whose signature it is.
func findAuthor(s *space, short [authorSize]byte, nonce, packed, signature []byte) (gossip.DeviceID, error) {
	candidates := s.authors[short]
	if len(candidates) == 0 {
		return gossip.DeviceID{}, errFrameAuthor
	}
	for _, author := range candidates {
		if ed25519.Verify(author[:], signedBytes(s, author, nonce, packed), signature) {
			return author, nil
		}
	}
	return gossip.DeviceID{}, errFrameSignature
}

// unpackOps splits the operations of a frame. Only the shortest form of a length is accepted, so that equal operations have
// equal bytes; an empty frame or operation is malformed, for nobody publishes nothing.
func unpackOps(packed []byte) ([][]byte, error) {
	var ops [][]byte
	for len(packed) > 0 {
		size, n := binary.Uvarint(packed)
		if n <= 0 || size == 0 || size > uint64(len(packed)-n) || n != uvarintLen(size) || len(ops) == frameOpsMax {
			return nil, errFrameOps
		}
		end := n + int(size)
		ops = append(ops, packed[n:end:end])
		packed = packed[end:]
	}
	if len(ops) == 0 {
		return nil, errFrameOps
	}
	return ops, nil
}

func sealedWith(s *space) []byte {
	aad := make([]byte, 0, len(frameLabel)+len(s.id)+epochSize)
	aad = append(aad, frameLabel...)
	aad = append(aad, s.id[:]...)
	return append(aad, s.epoch[:]...)
}

func signedBytes(s *space, author gossip.DeviceID, nonce, packed []byte) []byte {
	b := make([]byte, 0, len(frameLabel)+len(s.id)+epochSize+len(author)+nonceSize+len(packed))
	b = append(b, frameLabel...)
	b = append(b, s.id[:]...)
	b = append(b, s.epoch[:]...)
	b = append(b, author[:]...)
	b = append(b, nonce...)
	return append(b, packed...)
}

// frameID is the name under which gossipsub remembers a message, and drops others of the same name unread. So it is of all bytes: a
// member could send garbage under the nonce of another's frame.
func frameID(data []byte) string {
	sum := sha256.Sum256(data)
	return string(sum[:frameIDSize])
}

func uvarintLen(x uint64) int {
	n := 1
	for ; x >= 0x80; x >>= 7 {
		n++
	}
	return n
}
