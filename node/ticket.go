package node

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"syncline/gossip"
)

// A ticket lets one device into one space, once, until it expires. It holds no key of the space: its secret only proves to the
// inviter that the joiner was given it.
//
// As text it is "peer:" and lower-case base32 without padding of: version 1, the first eight bytes of the space id, the inviter's
// device id (32), the secret (16), the expiry in seconds since 1970 (4, big-endian), then at most three addresses, and last the
// first four bytes of the SHA-256 over all before them. An address is the byte 1 (TCP) or 2 (QUIC) with four bytes of IPv4 and
// two of port, big-endian; or a byte 3 with a length byte and a multiaddr as text.
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
	for _, a := range bestAddrs(t.addrs) {
		b = appendAddr(b, a)
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
		addr, rest, ok := cutAddr(b)
		if !ok || len(t.addrs) == ticketAddrsMax {
			return bad("an address in it is damaged")
		}
		t.addrs = append(t.addrs, addr)
		b = rest
	}
	return t, nil
}

// The forms of an address in a ticket.
const (
	addrTCP = 1 + iota
	addrQUIC
	addrText
)

// shortAddrs are the multiaddrs that nearly all devices have, as patterns of fmt.
var shortAddrs = map[byte]string{addrTCP: "/ip4/%s/tcp/%d", addrQUIC: "/ip4/%s/udp/%d/quic-v1"}

// bestAddrs chooses the addresses for a ticket: the first, which a person may have announced, and then those with a short form, so
// that the ticket stays short enough to be sent and scanned.
func bestAddrs(addrs []string) []string {
	var best []string
	for i, a := range addrs {
		b := appendAddr(nil, a)
		if len(b) > 0 && (i == 0 || b[0] != addrText) && len(best) < ticketAddrsMax {
			best = append(best, a)
		}
	}
	return best
}

// appendAddr appends an address; one that is longer than a ticket can hold is left out.
func appendAddr(b []byte, addr string) []byte {
	parts := strings.Split(addr, "/")
	if len(parts) >= 5 && parts[1] == "ip4" {
		ip, errIP := netip.ParseAddr(parts[2])
		port, errPort := strconv.ParseUint(parts[4], 10, 16)
		for _, kind := range []byte{addrTCP, addrQUIC} {
			if errIP == nil && errPort == nil && ip.Is4() && addr == fmt.Sprintf(shortAddrs[kind], ip, port) {
				return binary.BigEndian.AppendUint16(append(append(b, kind), ip.AsSlice()...), uint16(port))
			}
		}
	}
	if len(addr) > 255 {
		return b
	}
	return append(append(b, addrText, byte(len(addr))), addr...)
}

// cutAddr is the inverse of appendAddr.
func cutAddr(b []byte) (addr string, rest []byte, ok bool) {
	switch kind := b[0]; {
	case (kind == addrTCP || kind == addrQUIC) && len(b) >= 7:
		ip := netip.AddrFrom4([4]byte(b[1:5]))
		return fmt.Sprintf(shortAddrs[kind], ip, binary.BigEndian.Uint16(b[5:7])), b[7:], true
	case kind == addrText && len(b) >= 2 && len(b) >= 2+int(b[1]):
		n := 2 + int(b[1])
		return string(b[2:n]), b[n:], true
	}
	return "", nil, false
}
