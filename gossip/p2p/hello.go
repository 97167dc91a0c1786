package p2p

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"syncline/gossip"
)

// Messages of the hello stream. Each is one type byte and a body; the stream frames them (see stream.go).
type messageKind byte

const (
	kindHello  messageKind = 1 // dialer: nonce 16 ‖ instance 16
	kindAnswer messageKind = 2 // listener: nonce 16 ‖ instance 16 ‖ tag 16 …
	kindProof  messageKind = 3 // dialer: tag 16 …
	kindAgain  messageKind = 4 // listener: my spaces changed, say hello again
	kindPing   messageKind = 5
	kindPong   messageKind = 6
	kindTwin   messageKind = 7 // another process uses your key: the address where it was seen, as text
)

const (
	tagSize = 16
	tagPad  = 8 // the number of tags is padded to a multiple of this, to hide how many spaces are shared
)

type (
	tag      [tagSize]byte
	nonce    [16]byte
	instance [16]byte // names one run of a process; two live ones with the same device key are twins
)

// A message is one message of the hello stream; which fields count depends on the kind.
type message struct {
	kind     messageKind
	nonce    nonce
	instance instance
	tags     []tag
	text     string
}

var errMessage = errors.New("malformed hello message")

func (c message) encode() []byte {
	b := []byte{byte(c.kind)}
	switch c.kind {
	case kindHello, kindAnswer:
		b = append(b, c.nonce[:]...)
		b = append(b, c.instance[:]...)
	}
	for _, t := range c.tags {
		b = append(b, t[:]...)
	}
	return append(b, c.text...)
}

// decodeMessage reads what encode wrote; anything else is an error. What it returns re-encodes to the same bytes.
func decodeMessage(b []byte) (message, error) {
	if len(b) == 0 || len(b) > helloMessageMax {
		return message{}, errMessage
	}
	c, body := message{kind: messageKind(b[0])}, b[1:]
	switch c.kind {
	case kindHello, kindAnswer:
		if len(body) < len(c.nonce)+len(c.instance) {
			return message{}, errMessage
		}
		body = body[copy(c.nonce[:], body):]
		body = body[copy(c.instance[:], body):]
	}
	switch c.kind {
	case kindAnswer, kindProof:
		if len(body)%(tagSize*tagPad) != 0 || len(body) > tagSize*tagsMax {
			return message{}, errMessage
		}
		for ; len(body) > 0; body = body[tagSize:] {
			c.tags = append(c.tags, tag(body))
		}
	case kindTwin:
		if len(body) > twinTextMax {
			return message{}, errMessage
		}
		c.text, body = string(body), nil
	case kindHello, kindAgain, kindPing, kindPong:
	default:
		return message{}, fmt.Errorf("%w: kind %d", errMessage, c.kind)
	}
	if len(body) > 0 {
		return message{}, errMessage
	}
	return c, nil
}

// A transcript is what both ends of a hello have seen before they prove anything. The channel has authenticated both
// devices, so a tag relayed from another connection fits no other pair.
type transcript struct {
	dialer, listener                 gossip.DeviceID
	dialerNonce, listenerNonce       nonce
	dialerInstance, listenerInstance instance
}

// tag proves that one end holds the key of s:
//
//	HMAC-SHA256(hello key, dir ‖ dialer 32 ‖ listener 32 ‖ nonces 16+16 ‖ instances 16+16)[:16]
//
// where dir is 'D' from the dialer and 'L' from the listener, so that a tag cannot be reflected.
func (t *transcript) tag(s *space, fromDialer bool) (out tag) {
	mac := hmac.New(sha256.New, s.helloKey)
	dir := byte('L')
	if fromDialer {
		dir = 'D'
	}
	mac.Write([]byte{dir})
	mac.Write(t.dialer[:])
	mac.Write(t.listener[:])
	mac.Write(t.dialerNonce[:])
	mac.Write(t.listenerNonce[:])
	mac.Write(t.dialerInstance[:])
	mac.Write(t.listenerInstance[:])
	copy(out[:], mac.Sum(nil))
	return out
}

// tags returns a proof for each shared space, padded with random tags to a multiple of tagPad. Spaces
// beyond tagsMax stay unproved.
func (t *transcript) tags(shared []*space, fromDialer bool, random io.Reader) ([]tag, error) {
	shared = shared[:min(len(shared), tagsMax)]
	tags := make([]tag, (len(shared)+tagPad-1)/tagPad*tagPad)
	for i := range tags {
		if i < len(shared) {
			tags[i] = t.tag(shared[i], fromDialer)
		} else if _, err := io.ReadFull(random, tags[i][:]); err != nil {
			return nil, err
		}
	}
	return tags, nil
}

// proven returns those of the shared spaces whose key the other end has proved to hold.
func (t *transcript) proven(shared []*space, tags []tag, fromDialer bool) map[gossip.SpaceID]struct{} {
	out := make(map[gossip.SpaceID]struct{})
	for _, s := range shared {
		want := t.tag(s, fromDialer)
		for _, got := range tags {
			if hmac.Equal(want[:], got[:]) {
				out[s.id] = struct{}{}
			}
		}
	}
	return out
}
