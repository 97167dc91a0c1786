package p2p

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"golang.org/x/crypto/chacha20poly1305"

	"syncline/gossip"
)

// frameLabel separates frames from everything else that the same keys seal or sign.
const frameLabel = "syncline/frame/2"

const (
	authorSize   = 4
	frameIDSize  = 24 // of a SHA-256
	frameMinimum = ed25519.SignatureSize + authorSize + chacha20poly1305.Overhead
)

// Errors of opening a frame. Nobody branches on them; they name the check in logs and tests.
var (
	errFrameSize      = errors.New("frame has an impossible size")
	errFrameSeal      = errors.New("frame does not open: it is damaged, or sealed under another key")
	errFrameAuthor    = errors.New("frame author is no member")
	errFrameSignature = errors.New("frame signature is wrong")
	errFrameOps       = errors.New("frame operations are malformed")
)

// sealFrame packs operations into one frame, sealed for the members of s and signed by the device:
//
//	signature 64 ‖ XChaCha20-Poly1305(author 4 ‖ ops)
//	ops       = (uvarint length ‖ bytes)…
//	signature = Ed25519("syncline/frame/2" ‖ space 32 ‖ signing secret 32 ‖ author 32 ‖ ops)
//	nonce     = signature[:24]
//	AAD       = "syncline/frame/2" ‖ space 32
//
// A frame costs 84 bytes, and one to three bytes per operation. Its author is named by the first bytes of the device id,
// which only select the members whose key is tried; the signature covers the whole id.
//
// The nonce need not travel: the first half of an Ed25519 signature is a point that depends on all that is signed and on the signer's
// secret, and repeats only where the frame does (RFC 8032, section 5.1.6). Who does not know the signing secret cannot hold the signature against a guess of what is signed.
func sealFrame(s *space, key ed25519.PrivateKey, ops [][]byte) []byte {
	author := deviceOfKey(key)
	size := frameMinimum
	for _, op := range ops {
		size += binary.MaxVarintLen32 + len(op)
	}
	body := make([]byte, 0, size)
	body = append(body, author[:authorSize]...)
	for _, op := range ops {
		body = binary.AppendUvarint(body, uint64(len(op)))
		body = append(body, op...)
	}
	return seal(s, ed25519.Sign(key, signedBytes(s, author, body[authorSize:])), body)
}

// seal returns the frame of a signature and what is sealed under it.
func seal(s *space, signature, body []byte) []byte {
	frame := append(make([]byte, 0, len(signature)+len(body)+chacha20poly1305.Overhead), signature...)
	return s.seal.Seal(frame, signature[:chacha20poly1305.NonceSizeX], body, sealedWith(s))
}

// openFrame is the inverse of sealFrame. It returns who signed and the operations, which alias a buffer of their own.
func openFrame(s *space, frame []byte) (author gossip.DeviceID, ops [][]byte, err error) {
	if len(frame) < frameMinimum || len(frame) > frameMax {
		return author, nil, errFrameSize
	}
	signature, sealed := frame[:ed25519.SignatureSize], frame[ed25519.SignatureSize:]
	body, err := s.seal.Open(nil, signature[:chacha20poly1305.NonceSizeX], sealed, sealedWith(s))
	if err != nil {
		return author, nil, errFrameSeal
	}
	packed := body[authorSize:]
	author, err = findAuthor(s, [authorSize]byte(body), packed, signature)
	if err != nil {
		return author, nil, err
	}
	ops, err = unpackOps(packed)
	return author, ops, err
}

// findAuthor returns the member with this short id whose signature it is.
func findAuthor(s *space, short [authorSize]byte, packed, signature []byte) (gossip.DeviceID, error) {
	candidates := s.authors[short]
	if len(candidates) == 0 {
		return gossip.DeviceID{}, errFrameAuthor
	}
	for _, author := range candidates {
		if ed25519.Verify(author[:], signedBytes(s, author, packed), signature) {
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
	return append([]byte(frameLabel), s.id[:]...)
}

func signedBytes(s *space, author gossip.DeviceID, packed []byte) []byte {
	b := make([]byte, 0, len(frameLabel)+len(s.id)+len(s.signing)+len(author)+len(packed))
	b = append(b, frameLabel...)
	b = append(b, s.id[:]...)
	b = append(b, s.signing...)
	b = append(b, author[:]...)
	return append(b, packed...)
}

// frameID is the name under which gossipsub remembers a message, and drops others of the same name unread. So it is of all bytes: a
// member could send garbage under the signature of another's frame.
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
