package scenario

import (
	"math/rand/v2"
	"time"
)

// randomMax bounds the writes, and the reads, that a file leaves to chance; randomEnd is how long such a scenario takes if the file
// does not say.
const (
	randomMax = 100_000
	randomEnd = 20 * time.Second
)

// randomPaths are what is written if the file names no path.
var randomPaths = []string{"p0", "p1", "p2", "p3", "lww"}

// A random is what a file leaves to chance: its table [random].
type random struct {
	writes, reads, writers, links int
	faults                        bool
	from, until                   time.Duration
}

func (p *parser) random(t table) *random {
	_, ok := t.m["random"]
	if ops := p.options.Ops; !ok && ops == 0 {
		return nil
	}
	t = t.sub("random")
	t.only(randomKeys...)
	r := &random{writes: t.count("writes", 0, randomMax), reads: t.count("reads", 0, randomMax), writers: t.count("writers", 0, DevicesMax),
		links: t.count("links", 0, DevicesMax-1), faults: t.flag("faults", false)}
	r.from, r.until = t.span("between", 0, 0)
	if ops := p.options.Ops; ops > 0 {
		r.writes = min(ops, randomMax)
	}
	if r.until < r.from || r.until == r.from && r.until > 0 || r.until > spanMax {
		t.fail("between", spanHint, "between %s and %s there is no time", formatDuration(r.from), formatDuration(r.until))
	}
	if r.links > 0 && p.s.Network.Links != nil {
		t.fail("links", "leave one out", "the table network has links, too")
	}
	return r
}

// draw adds what the file leaves to chance.
func (p *parser) draw(r *random) {
	s := p.s
	if r.until == 0 {
		r.from, r.until = min(300*time.Millisecond, s.End*3/100), s.End*9/10
	}
	if r.until > s.End || r.until <= r.from {
		p.failAt(p.places.find("random.between").value, "make end later", "nothing fits between %s and %s when the end is %s",
			formatDuration(r.from), formatDuration(r.until), formatDuration(s.End))
		return
	}
	n := len(s.Devices)
	g := &generator{s: s, size: Size{Devices: n, Writes: r.writes, Reads: r.reads, Chaos: s.End}, from: r.from, until: r.until, last: r.until,
		writers: n, rand: rand.New(rand.NewPCG(s.Seed, 0x7a9d03))}
	if r.writers > 0 {
		g.writers = min(r.writers, n)
	}
	if r.links > 0 {
		g.sparse(n, n*max(0, min(r.links, n-1)-2)/2)
	}
	g.work()
	if r.faults {
		g.faults()
	}
	s.sortOps()
}
