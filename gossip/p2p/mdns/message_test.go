package mdns

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func testConfig(name string) Config {
	return Config{
		Service: "_x._udp", Name: name, Port: 9, Text: []string{"d=1", "a=2"},
		Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")},
	}
}

func testZone(t testing.TB, name string) *zone {
	t.Helper()
	c := testConfig(name)
	z, err := newZone(&c)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func packed(t testing.TB, b []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func query(t testing.TB, z *zone) []byte {
	b, err := z.query()
	return packed(t, b, err)
}

func answer(t testing.TB, z *zone, which records) []byte {
	b, err := z.answer(which, false)
	return packed(t, b, err)
}

func advert(t testing.TB, z *zone) []byte { return answer(t, z, recordsAll) }

func goodbye(t testing.TB, z *zone) []byte {
	b, err := z.answer(recordsAll, true)
	return packed(t, b, err)
}

func decoded(t testing.TB, z *zone, packet []byte) message {
	t.Helper()
	m, err := z.decode(packet)
	if err != nil {
		t.Fatalf("%x: %v", packet, err)
	}
	return m
}

// The bytes on the wire are those that other implementations read: answers as in RFC 6762, section 18, a question with one's own
// instance as a known answer.
func TestGoldenPackets(t *testing.T) {
	z := testZone(t, "i1")
	for what, c := range map[string]struct {
		got  []byte
		want string
	}{
		"query": {query(t, z), "000000000001000100000000" +
			"025f78045f756470056c6f63616c00" + "000c0001" + // question
			"c00c" + "000c0001" + "00000c80" + "0005" + "026931c00c"}, // known answer
		"answer": {answer(t, z, recordPTR), "000084000000000100000004" +
			"025f78045f756470056c6f63616c00" + "000c0001" + "00000c80" + "0005" + "026931c00c" + // PTR
			"c025" + "00218001" + "00000c80" + "0010" + "000000000009" + "026931056c6f63616c00" + // SRV
			"c025" + "00108001" + "00000c80" + "0008" + "03643d3103613d32" + // TXT
			"026931c014" + "00018001" + "00000078" + "0004" + "0a000001" + // A
			"c05a" + "001c8001" + "00000078" + "0010" + "fd000000000000000000000000000001"}, // AAAA
	} {
		if hex.EncodeToString(c.got) != c.want {
			t.Errorf("%s:\n%x, want\n%s", what, c.got, c.want)
		}
	}
}

func TestAnotherHearsTheAdvert(t *testing.T) {
	a, b := testZone(t, "i1"), testZone(t, "i2")
	want := []Instance{{Name: "i1", Text: []string{"d=1", "a=2"}}}
	if got := decoded(t, b, advert(t, a)); !got.response || !reflect.DeepEqual(got.heard, want) {
		t.Errorf("heard %v, want %v", got, want)
	}
	if got := decoded(t, b, goodbye(t, a)); len(got.heard) != 0 {
		t.Errorf("a goodbye was heard as an advert: %v", got)
	}
}

// Everybody answers a question but the one who asked, who named its own instance as known (RFC 6762, section 7.1).
func TestTheAskerDoesNotAnswerItself(t *testing.T) {
	a, b := testZone(t, "i1"), testZone(t, "i2")
	if got := decoded(t, b, query(t, a)); got.asked != recordPTR {
		t.Errorf("the other is asked for %b, want the PTR record", got.asked)
	}
	if got := decoded(t, a, query(t, a)); got.asked != recordsNone {
		t.Errorf("the asker is asked for %b", got.asked)
	}
}

func TestQuestions(t *testing.T) {
	z := testZone(t, "i1")
	const in = dnsmessage.ClassINET
	for _, c := range []struct {
		name          string
		kind          dnsmessage.Type
		class         dnsmessage.Class
		asked, wanted records
	}{
		{"_x._udp.local.", dnsmessage.TypePTR, in, recordPTR, 0},
		{"_X._uDp.LOCAL.", dnsmessage.TypePTR, in, recordPTR, 0},
		{"_x._udp.local.", dnsmessage.TypeALL, dnsmessage.ClassANY, recordPTR, 0},
		{"_x._udp.local.", dnsmessage.TypePTR, in | topBit, 0, recordPTR},
		{"_x._udp.local.", dnsmessage.TypeTXT, in, 0, 0},
		{"_x._udp.local.", dnsmessage.TypePTR, dnsmessage.ClassCHAOS, 0, 0},
		{"_y._udp.local.", dnsmessage.TypePTR, in, 0, 0},
		{"_services._dns-sd._udp.local.", dnsmessage.TypePTR, in, recordType, 0},
		{"i1._x._udp.local.", dnsmessage.TypeSRV, in, recordSRV, 0},
		{"i1._x._udp.local.", dnsmessage.TypeTXT, in, recordTXT, 0},
		{"i1._x._udp.local.", dnsmessage.TypeALL, in, recordSRV | recordTXT, 0},
		{"i2._x._udp.local.", dnsmessage.TypeALL, in, 0, 0},
		{"i1.local.", dnsmessage.TypeA, in, recordAddrs, 0},
		{"i1.local.", dnsmessage.TypeAAAA, in, recordAddrs, 0},
	} {
		q := dnsmessage.Question{Name: dnsmessage.MustNewName(c.name), Type: c.kind, Class: c.class}
		m := dnsmessage.Message{Questions: []dnsmessage.Question{q}}
		b, err := m.Pack()
		got := decoded(t, z, packed(t, b, err))
		if got.asked != c.asked || got.wanted != c.wanted {
			t.Errorf("%v: asked for %b and %b, want %b and %b", q, got.asked, got.wanted, c.asked, c.wanted)
		}
	}
}

// However often a record is asked for, it is owed once, and to everybody if anybody asks so.
func TestOneAnswerToManyQuestions(t *testing.T) {
	z := testZone(t, "i1")
	var m dnsmessage.Message
	for i := range 200 {
		q := dnsmessage.Question{Name: z.service, Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET}
		if i%2 == 1 {
			q.Class |= topBit
		}
		m.Questions = append(m.Questions, q)
	}
	b, err := m.Pack()
	if got := decoded(t, z, packed(t, b, err)); got.asked != recordPTR || got.wanted != recordsNone {
		t.Errorf("asked for %b and %b", got.asked, got.wanted)
	}
}

// A printer whose name has a dot stands in the same packet; what follows it is read.
func TestNamesWithDotsAreSkipped(t *testing.T) {
	z := testZone(t, "i2")
	dotted := "\x03a.b\x02_x\x04_udp\x05local\x00"
	txt := dotted + "\x00\x10\x00\x01\x00\x00\x00\x78\x00\x02\x01y"
	packet := slices.Concat([]byte("\x00\x00\x84\x00\x00\x00\x00\x06\x00\x00\x00\x00"), []byte(txt), advert(t, testZone(t, "i1"))[12:])
	// The pointers of the advert count from the beginning of its own packet.
	if _, err := z.decode(packet); err != nil {
		t.Fatal(err)
	}
	plain := "\x02i1\x02_x\x04_udp\x05local\x00\x00\x10\x80\x01\x00\x00\x0c\x80\x00\x04\x03d=1"
	packet = []byte("\x00\x00\x84\x00\x00\x00\x00\x02\x00\x00\x00\x00" + txt + plain)
	if got := decoded(t, z, packet).heard; len(got) != 1 || got[0].Name != "i1" {
		t.Errorf("heard %v", got)
	}
	ask := "\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00" + dotted + "\x00\xff\x00\x01" + "\x02_x\x04_udp\x05local\x00\x00\x0c\x00\x01"
	if got := decoded(t, z, []byte(ask)); got.asked != recordPTR {
		t.Errorf("asked for %b", got.asked)
	}
}

// What is looked at and kept of one packet is bounded.
func TestPacketsAreReadWithinBounds(t *testing.T) {
	z := testZone(t, "i1")
	txt := func(i int, text ...string) dnsmessage.Resource {
		return dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(fmt.Sprintf("%d._x._udp.local.", i)), Class: dnsmessage.ClassINET, TTL: 1},
			Body:   &dnsmessage.TXTResource{TXT: text},
		}
	}
	many := dnsmessage.Message{Header: dnsmessage.Header{Response: true}}
	for i := range 3 * instancesMax {
		many.Answers = append(many.Answers, txt(i, "x"))
	}
	b, err := many.Pack()
	if got := decoded(t, z, packed(t, b, err)).heard; len(got) != instancesMax {
		t.Errorf("%d instances heard, want %d", len(got), instancesMax)
	}
	late := dnsmessage.Message{Header: dnsmessage.Header{Response: true}}
	for range itemsMax {
		late.Answers = append(late.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: z.host, Class: dnsmessage.ClassINET, TTL: 1}, Body: &dnsmessage.AResource{},
		})
	}
	late.Answers = append(late.Answers, txt(1, "x"))
	b, err = late.Pack()
	if got := decoded(t, z, packed(t, b, err)).heard; len(got) != 0 {
		t.Errorf("a record beyond the bound was read: %v", got)
	}
	large := dnsmessage.Message{Header: dnsmessage.Header{Response: true}, Answers: []dnsmessage.Resource{txt(1, slices.Repeat([]string{strings.Repeat("x", 255)}, 9)...), txt(2, "x")}}
	b, err = large.Pack()
	if got := decoded(t, z, packed(t, b, err)).heard; len(got) != 1 || got[0].Name != "2" {
		t.Errorf("heard %v, want the one after the large text", got)
	}
}

func TestWhatIsNoMessageIsIgnored(t *testing.T) {
	z := testZone(t, "i1")
	for what, header := range map[string]dnsmessage.Header{
		"an operation": {Response: true, OpCode: 4}, "a failure": {Response: true, RCode: dnsmessage.RCodeRefused},
	} {
		m := dnsmessage.Message{Header: header}
		b, err := m.Pack()
		if _, err := z.decode(packed(t, b, err)); !errors.Is(err, errIgnored) {
			t.Errorf("%s: %v", what, err)
		}
	}
	whole := advert(t, z)
	for n := range whole {
		if m, err := z.decode(whole[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes are taken for a message: %v", n, len(whole), m)
		}
	}
}

func TestBadAdvertsAreRefused(t *testing.T) {
	for what, change := range map[string]func(*Config){
		"no name":        func(c *Config) { c.Name = "" },
		"a dotted name":  func(c *Config) { c.Name = "a.b" },
		"a long name":    func(c *Config) { c.Name = strings.Repeat("x", 64) },
		"a long text":    func(c *Config) { c.Text = []string{strings.Repeat("x", 256)} },
		"a long service": func(c *Config) { c.Service = strings.Repeat("x.", 200) },
	} {
		c := testConfig("i1")
		change(&c)
		if _, err := newZone(&c); err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
	c := testConfig("i1")
	c.Addrs, c.Text = nil, nil
	z, err := newZone(&c)
	if err != nil {
		t.Fatal(err)
	}
	if got := decoded(t, testZone(t, "i2"), advert(t, z)).heard; len(got) != 1 || len(got[0].Text) != 1 {
		t.Errorf("heard %v, want one instance with one empty string", got)
	}
}

// FuzzDecode: no packet does harm, and what it says stays within the bounds.
func FuzzDecode(f *testing.F) {
	z := testZone(f, "i1")
	f.Add(query(f, z))
	f.Add(advert(f, testZone(f, "i2")))
	f.Add(goodbye(f, z))
	f.Fuzz(func(t *testing.T, packet []byte) {
		before := bytes.Clone(packet)
		m, err := z.decode(packet)
		if !bytes.Equal(packet, before) {
			t.Error("the packet was changed")
		}
		if err != nil {
			return
		}
		if m.response && m.asked|m.wanted != 0 || !m.response && len(m.heard) > 0 || m.asked&m.wanted != 0 {
			t.Errorf("%+v is both query and answer, or answered twice", m)
		}
		if len(m.heard) > instancesMax {
			t.Errorf("%d instances", len(m.heard))
		}
		for _, i := range m.heard {
			if i.Name == "" || strings.Contains(i.Name, ".") || len(strings.Join(i.Text, "")) > textBytesMax {
				t.Errorf("instance %q with %d bytes", i.Name, len(strings.Join(i.Text, "")))
			}
		}
	})
}
