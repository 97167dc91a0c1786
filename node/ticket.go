package node

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"time"

	"syncline/gossip"
)

// A ticket lets one device into one space, once, until it expires. It holds no key of the space: its secret only proves to the
// inviter that the joiner was given it.
//
// As text it is "peer:" and lower-case base32 without padding of: version 1, the first eight bytes of the space id, the inviter's
// device id (32), the secret (16), the expiry in seconds since 1970 (4, big-endian), then addresses, each a length byte and
// text, and last the first four bytes of the SHA-256 over all before them.
type ticket struct {
	space   [8]byte
	inviter gossip.DeviceID
	secret  [16]byte
	expires time.Time
	addrs   []string
}

const (
	ticketPrefix   = "peer:"
	ticketVersion  = 1
	ticketAddrsMax = 3
	ticketHead     = 1 + 8 + 32 + 16 + 4
	ticketSum      = 4
)

var ticketText = base32.StdEncoding.WithPadding(base32.NoPadding)

func (t ticket) String() string {
	b := append([]byte{ticketVersion}, t.space[:]...)
	b = append(append(b, t.inviter[:]...), t.secret[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(t.expires.Unix()))
	for _, a := range t.addrs[:min(len(t.addrs), ticketAddrsMax)] {
		if len(a) < 256 {
			b = append(append(b, byte(len(a))), a...)
		}
	}
	sum := sha256.Sum256(b)
	return ticketPrefix + strings.ToLower(ticketText.EncodeToString(append(b, sum[:ticketSum]...)))
}

// parseTicket reads a ticket. White space and the case of letters do not matter, as people copy it from screens.
func parseTicket(text string) (ticket, error) {
	var t ticket
	bad := func(why string) (ticket, error) { return t, ErrTicketBad.With("%s", why) }
	body, ok := strings.CutPrefix(strings.ToLower(strings.Join(strings.Fields(text), "")), ticketPrefix)
	if !ok {
		return bad("a ticket begins with “peer:”")
	}
	b, err := ticketText.DecodeString(strings.ToUpper(body))
	if err != nil || len(b) < ticketHead+ticketSum {
		return bad("it is cut off, or has a character that no ticket has")
	}
	sum := sha256.Sum256(b[:len(b)-ticketSum])
	if string(sum[:ticketSum]) != string(b[len(b)-ticketSum:]) {
		return bad("its check digits do not fit: something was mistyped or left out")
	}
	b = b[:len(b)-ticketSum]
	if b[0] != ticketVersion {
		return bad("it was made by a newer version of peer; install that version here")
	}
	copy(t.space[:], b[1:])
	copy(t.inviter[:], b[9:])
	copy(t.secret[:], b[41:])
	t.expires = time.Unix(int64(binary.BigEndian.Uint32(b[57:])), 0)
	for b = b[ticketHead:]; len(b) > 0; {
		n := int(b[0])
		if len(b) < 1+n {
			return bad("an address in it is cut off")
		}
		t.addrs = append(t.addrs, string(b[1:1+n]))
		b = b[1+n:]
	}
	return t, nil
}
