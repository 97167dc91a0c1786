//go:build linux

package netns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// shoutVariable makes the test binary a stranger that sends to the UDP addresses it names, separated by spaces.
const shoutVariable = "SYNCLINE_SHOUT"

const (
	shoutMemoryMax = 64 << 20        // bytes of memory that a device may gain
	shoutAnswerMax = 64 << 10        // bytes that it may send
	shoutSettle    = 3 * time.Second // until everything heard is answered
)

// TestShoutingCostsADeviceNothing: what anybody can send to the port of multicast DNS, without a key and in packets as large as they
// come, neither fills the memory of a device nor makes it answer more than it was asked, and others find it meanwhile.
func TestShoutingCostsADeviceNothing(t *testing.T) {
	slow(t, "15 s", true)
	t.Parallel()
	l := labFor(t)
	a, b := newDevice(t, l, "laptop"), newDevice(t, l, "desktop")
	stranger, err := l.Host("stranger")
	must(t, err)
	a.up()
	time.Sleep(shoutSettle) // its own announcements
	memory, sent := a.resident(), counters(t, a).Sent
	self, err := os.Executable()
	must(t, err)
	shout := stranger.Command(a.within(commandMax), self)
	shout.Env = append(os.Environ(), shoutVariable+"=224.0.0.251:5353 "+net.JoinHostPort(a.Host.Addr(), "5353"))
	if out, err := shout.CombinedOutput(); err != nil {
		t.Fatalf("the stranger: %v: %s", err, out)
	}
	time.Sleep(shoutSettle)
	grown, answered := a.resident()-memory, counters(t, a).Sent-sent
	t.Logf("a device of %d MiB gained %d MiB and answered %d bytes", memory>>20, grown>>20, answered)
	if grown > shoutMemoryMax {
		t.Errorf("the memory grew by %d MiB, want %d at most", grown>>20, shoutMemoryMax>>20)
	}
	if answered > shoutAnswerMax {
		t.Errorf("the device sent %d bytes, want %d at most", answered, shoutAnswerMax)
	}
	b.up()
	a.admit(b)
	meet(t, a, b)
}

// resident is the memory of the daemon in bytes.
func (d *device) resident() (bytes int64) {
	d.t.Helper()
	for _, pid := range d.Host.processes() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
				kb, _ := strconv.ParseInt(fields[1], 10, 64)
				bytes += kb << 10
			}
		}
	}
	if bytes == 0 {
		d.t.Fatalf("%s has no process", d.Name())
	}
	return bytes
}

// runShouter sends to each address, ten times: answers with 1,100 new instances and 1,800 addresses for each of them, and a query of
// 10,000 questions, each in one datagram; and both in packets of the usual size.
func runShouter() int {
	for _, to := range strings.Fields(os.Getenv(shoutVariable)) {
		c, err := net.Dial("udp4", to)
		if err != nil {
			return complain(err)
		}
		for round := range 10 {
			for _, packet := range [][]byte{
				forgedAnswers(round, 1100, 1800), forgedQuery(10_000), forgedAnswers(1000+round, 28, 44), forgedQuery(200),
			} {
				if _, err := c.Write(packet); err != nil {
					return complain(fmt.Errorf("%d bytes to %s: %w", len(packet), to, err))
				}
				time.Sleep(20 * time.Millisecond) // the socket's buffer
			}
		}
	}
	return 0
}

// forgedAnswers names instances that no other round names, on a host that has many addresses.
func forgedAnswers(round, instances, addresses int) []byte {
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{Response: true, Authoritative: true})
	b.EnableCompression()
	const ttl = 4500
	host := dnsmessage.MustNewName("local.")
	err := b.StartAnswers()
	for i := range instances {
		name := dnsmessage.MustNewName(fmt.Sprintf("%x._syncline._udp.local.", round<<16|i))
		err = errors.Join(err, b.SRVResource(dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: ttl}, dnsmessage.SRVResource{Port: 9, Target: host}))
	}
	for i := range addresses {
		a := dnsmessage.AResource{A: [4]byte{10, 78, byte(i >> 8), byte(i)}}
		err = errors.Join(err, b.AResource(dnsmessage.ResourceHeader{Name: host, Class: dnsmessage.ClassINET, TTL: ttl}, a))
	}
	packet, finish := b.Finish()
	if err = errors.Join(err, finish); err != nil {
		panic(err)
	}
	return packet
}

// forgedQuery asks one question many times, by pointers to the first.
func forgedQuery(questions int) []byte {
	packet := []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(packet[4:], uint16(questions))
	packet = append(packet, "\x09_syncline\x04_udp\x05local\x00\x00\x0c\x00\x01"...)
	for range questions - 1 {
		packet = append(packet, 0xc0, 12, 0, 12, 0, 1)
	}
	return packet
}
