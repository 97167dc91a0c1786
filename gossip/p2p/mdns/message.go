package mdns

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// Bounds of what is read and written.
const (
	packetBytesMax  = 9000 // RFC 6762, section 17
	itemsMax        = 256  // questions and records looked at in one packet
	instancesMax    = 8    // instances heard in one packet
	textBytesMax    = 2048 // TXT record that is heard
	addrsMax        = 16   // addresses in one's own records
	instanceTTL     = 3200 // seconds
	hostTTL         = 120  // seconds, RFC 6762, section 10
	topBit          = 1 << 15
	classFlush      = dnsmessage.ClassINET | topBit // a record that only one device has (RFC 6762, section 10.2)
	enumerationName = "_services._dns-sd._udp."     // RFC 6763, section 9
	domain          = "local."
)

// records is a set of the speaker's own records.
type records uint8

const (
	recordPTR   records = 1 << iota // the service has this instance
	recordSRV                       // host and port of the instance
	recordTXT                       // its text
	recordAddrs                     // A and AAAA of the host
	recordType                      // there is such a service at all

	recordsAll  = recordPTR | recordSRV | recordTXT | recordAddrs | recordType
	recordsNone = records(0)
)

// withExtras are the records that go along unasked with r (RFC 6763, section 12).
func (r records) withExtras() records {
	if r&recordPTR != 0 {
		r |= recordSRV | recordTXT
	}
	if r&recordSRV != 0 {
		r |= recordAddrs
	}
	return r
}

// A zone is the speaker's own records.
type zone struct {
	service, instance, host, enumeration dnsmessage.Name
	port                                 uint16
	text                                 []string
	addrs                                []netip.Addr
}

func newZone(c *Config) (*zone, error) {
	if c.Name == "" || strings.ContainsAny(c.Name, `.\`) || len(c.Name) > 63 {
		return nil, fmt.Errorf("mdns: %q is no instance name", c.Name)
	}
	for _, t := range c.Text {
		if len(t) > 255 {
			return nil, fmt.Errorf("mdns: a text of %d bytes, at most 255", len(t))
		}
	}
	z := &zone{port: c.Port, text: c.Text, addrs: c.Addrs[:min(len(c.Addrs), addrsMax)]}
	if len(z.text) == 0 {
		z.text = []string{""} // RFC 6763, section 6.1
	}
	service := c.Service + "." + domain
	var err error
	for to, text := range map[*dnsmessage.Name]string{
		&z.service: service, &z.instance: c.Name + "." + service, &z.host: c.Name + "." + domain, &z.enumeration: enumerationName + domain,
	} {
		var bad error
		*to, bad = dnsmessage.NewName(text)
		err = errors.Join(err, bad)
	}
	if err != nil {
		return nil, fmt.Errorf("mdns: %w", err)
	}
	_, err = z.answer(recordsAll, false)
	return z, err
}

// query asks for instances of the service. It names the own one as known, so that this speaker does not answer itself.
func (z *zone) query() ([]byte, error) {
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{})
	b.EnableCompression()
	err := errors.Join(
		b.StartQuestions(),
		b.Question(dnsmessage.Question{Name: z.service, Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET}),
		b.StartAnswers(),
		z.put(&b, recordPTR, false),
	)
	if err != nil {
		return nil, fmt.Errorf("mdns: query: %w", err)
	}
	return b.Finish()
}

// answer gives the records in which, with what goes along. A goodbye takes them back.
func (z *zone) answer(which records, goodbye bool) ([]byte, error) {
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{Response: true, Authoritative: true})
	b.EnableCompression()
	err := errors.Join(
		b.StartAnswers(),
		z.put(&b, which, goodbye),
		b.StartAdditionals(),
		z.put(&b, which.withExtras()&^which, goodbye),
	)
	if err != nil {
		return nil, fmt.Errorf("mdns: answer: %w", err)
	}
	return b.Finish()
}

// put appends the records in which to the section under way.
func (z *zone) put(b *dnsmessage.Builder, which records, goodbye bool) (err error) {
	header := func(name dnsmessage.Name, class dnsmessage.Class, ttl uint32) dnsmessage.ResourceHeader {
		if goodbye {
			ttl = 0
		}
		return dnsmessage.ResourceHeader{Name: name, Class: class, TTL: ttl}
	}
	add := func(e error) { err = errors.Join(err, e) }
	if which&recordPTR != 0 {
		add(b.PTRResource(header(z.service, dnsmessage.ClassINET, instanceTTL), dnsmessage.PTRResource{PTR: z.instance}))
	}
	if which&recordSRV != 0 {
		add(b.SRVResource(header(z.instance, classFlush, instanceTTL), dnsmessage.SRVResource{Port: z.port, Target: z.host}))
	}
	if which&recordTXT != 0 {
		add(b.TXTResource(header(z.instance, classFlush, instanceTTL), dnsmessage.TXTResource{TXT: z.text}))
	}
	if which&recordType != 0 {
		add(b.PTRResource(header(z.enumeration, dnsmessage.ClassINET, instanceTTL), dnsmessage.PTRResource{PTR: z.service}))
	}
	if which&recordAddrs != 0 {
		for _, a := range z.addrs {
			if h := header(z.host, classFlush, hostTTL); a.Is4() {
				add(b.AResource(h, dnsmessage.AResource{A: a.As4()}))
			} else {
				add(b.AAAAResource(h, dnsmessage.AAAAResource{AAAA: a.As16()}))
			}
		}
	}
	return err
}

// A message is what a packet says to this speaker: questions about its records, or instances of the service.
type message struct {
	response bool
	asked    records // by questions to everybody
	wanted   records // by questions that prefer an answer to the asker alone
	heard    []Instance
}

// errIgnored is a packet that is no message of multicast DNS (RFC 6762, section 18).
var errIgnored = errors.New("mdns: not a standard query or answer")

// decode reads as much of a packet as matters, within the bounds.
func (z *zone) decode(packet []byte) (message, error) {
	var p dnsmessage.Parser
	h, err := p.Start(packet)
	if err != nil {
		return message{}, err
	}
	if h.OpCode != 0 || h.RCode != dnsmessage.RCodeSuccess {
		return message{}, errIgnored
	}
	m := message{response: h.Response}
	r := reader{p: &p, left: itemsMax}
	if h.Response {
		err = z.readAnswers(&r, &m)
	} else {
		err = z.readQuestions(&r, &m)
	}
	if err != nil && !errors.Is(err, errEnough) {
		return message{}, err
	}
	m.wanted &^= m.asked // everybody hears that answer
	return m, nil
}

// readQuestions finds out which records are asked for and not known.
func (z *zone) readQuestions(r *reader, m *message) error {
	err := r.questions(func(q dnsmessage.Question) {
		if which := z.asked(q); q.Class&topBit != 0 {
			m.wanted |= which
		} else {
			m.asked |= which
		}
	})
	if err != nil {
		return err
	}
	known := recordsNone
	err = r.answers(func(h dnsmessage.ResourceHeader) (read bool) {
		if h.Type != dnsmessage.TypePTR || h.TTL < instanceTTL/2 {
			return false
		}
		ptr, err := r.p.PTRResource()
		switch {
		case err != nil:
			return false
		case same(h.Name, z.service) && same(ptr.PTR, z.instance):
			known |= recordPTR
		case same(h.Name, z.enumeration) && same(ptr.PTR, z.service):
			known |= recordType
		}
		return true
	})
	m.asked &^= known
	m.wanted &^= known
	return err
}

// asked are the records that answer a question.
func (z *zone) asked(q dnsmessage.Question) records {
	if class := q.Class &^ topBit; class != dnsmessage.ClassINET && class != dnsmessage.ClassANY {
		return recordsNone
	}
	is := func(types ...dnsmessage.Type) bool {
		return q.Type == dnsmessage.TypeALL || slices.Contains(types, q.Type)
	}
	which := recordsNone
	switch {
	case same(q.Name, z.service) && is(dnsmessage.TypePTR):
		which = recordPTR
	case same(q.Name, z.enumeration) && is(dnsmessage.TypePTR):
		which = recordType
	case same(q.Name, z.host) && is(dnsmessage.TypeA, dnsmessage.TypeAAAA) && len(z.addrs) > 0:
		which = recordAddrs
	case same(q.Name, z.instance):
		if is(dnsmessage.TypeSRV) {
			which |= recordSRV
		}
		if is(dnsmessage.TypeTXT) {
			which |= recordTXT
		}
	}
	return which
}

// readAnswers collects the texts of instances of the service.
func (z *zone) readAnswers(r *reader, m *message) error {
	take := func(h dnsmessage.ResourceHeader) (read bool) {
		if h.Type != dnsmessage.TypeTXT || h.TTL == 0 || h.Length > textBytesMax || len(m.heard) == instancesMax {
			return false
		}
		name, ok := z.instanceOf(h.Name)
		if !ok {
			return false
		}
		txt, err := r.p.TXTResource()
		if err == nil {
			m.heard = append(m.heard, Instance{Name: name, Text: txt.TXT})
		}
		return err == nil
	}
	if err := r.p.SkipAllQuestions(); err != nil {
		return err
	}
	if err := r.answers(take); err != nil {
		return err
	}
	if err := r.p.SkipAllAuthorities(); err != nil {
		return err
	}
	return r.additionals(take)
}

// instanceOf cuts the name of an instance of the service out of a name.
func (z *zone) instanceOf(name dnsmessage.Name) (string, bool) {
	full, suffix := name.String(), "."+z.service.String()
	cut := len(full) - len(suffix)
	if cut <= 0 || !strings.EqualFold(full[cut:], suffix) || strings.Contains(full[:cut], ".") {
		return "", false
	}
	return full[:cut], true
}

// same compares names as DNS does.
func same(a, b dnsmessage.Name) bool { return strings.EqualFold(a.String(), b.String()) }
