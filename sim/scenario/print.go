package scenario

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// TOML writes the scenario as a file, from which [Parse] makes an equal scenario if s passes [Scenario.Check].
func (s *Scenario) TOML() []byte {
	p := &printer{s: s}
	p.head()
	p.network()
	p.clocks()
	p.polls()
	for i := range s.Ops {
		p.operation(&s.Ops[i])
	}
	return []byte(p.b.String())
}

type printer struct {
	s *Scenario
	b strings.Builder
}

func (p *printer) line(key, value string) { fmt.Fprintf(&p.b, "%s = %s\n", key, value) }

func (p *printer) text(key, value string) {
	if value != "" {
		p.line(key, quote(value))
	}
}

func (p *printer) duration(key string, d time.Duration) { p.line(key, quote(formatDuration(d))) }

func (p *printer) share(key string, share float64) {
	if share != 0 {
		p.text(key, formatShare(share))
	}
}

func (p *printer) head() {
	s := p.s
	p.text("name", s.Name)
	p.text("about", s.About)
	if s.Seed > math.MaxInt64 {
		p.text("seed", strconv.FormatUint(s.Seed, 10))
	} else {
		p.line("seed", strconv.FormatUint(s.Seed, 10))
	}
	if slices.ContainsFunc(s.Devices, func(d Device) bool { return d.Name != "" }) {
		var names []string
		for _, d := range s.Devices {
			names = append(names, d.Name)
		}
		p.line("devices", quoteAll(names))
	} else {
		p.line("devices", strconv.Itoa(len(s.Devices)))
	}
	if !slices.Equal(s.Paths, s.named()) {
		p.line("paths", quoteAll(s.Paths))
	}
	p.duration("end", s.End)
	p.duration("converge", s.ConvergeMax)
	p.duration("anti-entropy", s.AntiEntropy)
	p.line("delete-log", strconv.Itoa(s.DeleteLog))
	if s.AnswerRows != 0 {
		p.line("answer-rows", strconv.Itoa(s.AnswerRows))
	}
	if s.AnswerMemory != 0 {
		p.line("answer-memory", strconv.Itoa(s.AnswerMemory))
	}
	if s.NoGossip {
		p.line("gossip", "false")
	}
}

func (p *printer) network() {
	n := p.s.Network
	p.b.WriteString("\n[network]\n")
	p.text("latency", formatSpan(n.LatencyMin, n.LatencyMax))
	p.share("loss", n.Loss)
	p.share("duplicate", n.Duplicate)
	p.share("break", n.Break)
	p.text("disk", formatSpan(n.SyncMin, n.SyncMax))
	if n.Links == nil {
		return
	}
	links := []string{}
	for _, l := range n.Links {
		links = append(links, p.s.short(l[0])+" - "+p.s.short(l[1]))
	}
	p.line("links", quoteAll(links))
}

func (p *printer) clocks() {
	header := "\n[clocks]\n"
	for i, d := range p.s.Devices {
		if d.Skew != 0 {
			p.b.WriteString(header)
			header = ""
			p.text(bareKey(p.s.short(i)), formatMillis(d.Skew))
		}
	}
}

func (p *printer) polls() {
	header := "\n[poll]\n"
	for i, d := range p.s.Devices {
		if d.Poll != 0 {
			p.b.WriteString(header)
			header = ""
			p.duration(bareKey(p.s.short(i)), d.Poll)
		}
	}
}

func (p *printer) operation(o *Op) {
	f := formOf(o.Do)
	if f == nil {
		return
	}
	p.b.WriteString("\n[[at]]\n")
	p.duration("t", o.At)
	switch f.is {
	case isDevice:
		p.line(f.key, p.device(o.Device))
	case isSource:
		p.line(f.key, p.device(o.Of))
	case isParts:
		p.parts(o.Parts)
	case isPath, isPattern:
		p.line(f.key, quote(o.Path))
	case isGroups:
		p.text(f.key, p.s.groupsText(o.Groups))
	case isShare:
		p.text(f.key, formatMille(o.Amount))
	case isMillis:
		p.text(f.key, formatMillis(o.Amount))
	case isTrue:
		p.line(f.key, "true")
	}
	if f.takes("on") {
		p.line("on", p.device(o.Device))
	}
	if f.takes("is") {
		p.line("is", quote(o.Policy))
	}
	if f.takes("by") {
		p.text("by", formatMillis(o.Amount))
	}
	if o.For != 0 {
		p.duration("for", o.For)
	}
	if f.takes("keep") && o.Amount != 0 {
		p.text("keep", formatMille(o.Amount))
	}
}

func (p *printer) device(i int) string {
	if p.s.unnamed(i) {
		return strconv.Itoa(i)
	}
	return quote(p.s.Devices[i].Name)
}

// parts writes paths alone if all are written in one manner, and tables else.
func (p *printer) parts(parts []Part) {
	manner := func(x Part) Part { x.Path = ""; return x }
	if len(parts) == 0 || slices.ContainsFunc(parts, func(x Part) bool { return manner(x) != manner(parts[0]) }) {
		var tables []string
		for _, x := range parts {
			fields := []string{"path = " + quote(x.Path)}
			if x.Verb != Put {
				fields = append(fields, "how = "+quote(string(x.Verb)))
			}
			if x.LWW {
				fields = append(fields, "newest = true")
			}
			if x.Value != "" {
				fields = append(fields, "value = "+quote(x.Value))
			}
			if x.Size != 0 {
				fields = append(fields, "size = "+strconv.Itoa(x.Size))
			}
			tables = append(tables, "{ "+strings.Join(fields, ", ")+" }")
		}
		p.line("write", "["+strings.Join(tables, ", ")+"]")
		return
	}
	paths := make([]string, len(parts))
	for i, x := range parts {
		paths[i] = x.Path
	}
	what := quoteAll(paths)
	if len(paths) == 1 {
		what = quote(paths[0])
	}
	switch first := parts[0]; first.Verb {
	case Put:
		p.line("write", what)
	case Delete:
		p.line("delete", what)
	case DeleteAll:
		p.line("delete", what)
		p.text("how", string(DeleteAll))
	default:
		p.line("write", what)
		p.text("how", string(first.Verb))
	}
	if parts[0].LWW {
		p.line("newest", "true")
	}
	p.text("value", parts[0].Value)
	if parts[0].Size != 0 {
		p.line("size", strconv.Itoa(parts[0].Size))
	}
}

// quote writes a basic string of TOML.
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func quoteAll(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = quote(t)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// bareKey quotes a key unless it is made of the characters that need no quotes.
func bareKey(key string) string {
	if strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == "" {
		return key
	}
	return quote(key)
}
