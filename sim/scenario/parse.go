package scenario

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// Parse reads a scenario file, a TOML document of the form that docs/reference/scenarios.md describes. What the file leaves to chance
// is drawn from its seed. name is how errors call the file. An error is of type [SyntaxErrors] and holds every mistake that was found, up to 100.
func Parse(name string, text []byte) (*Scenario, error) {
	return parse(name, string(text), options{})
}

// ParseWith is [Parse] with overrides and, if seed is not nil, with that seed in place of the file's.
func ParseWith(name string, text []byte, seed *uint64, o Overrides) (*Scenario, error) {
	return parse(name, string(text), options{Overrides: o, seed: seed})
}

// options say what a reader of a file wants otherwise than the file does.
type options struct {
	Overrides
	seed *uint64 // nil: that of the file
}

func parse(name, text string, o options) (*Scenario, error) {
	p := &parser{file: name, text: text, options: o, s: &Scenario{Network: networkDefault}}
	var doc map[string]any
	if _, err := toml.Decode(text, &doc); err != nil {
		at := toml.ParseError{Message: err.Error()}
		errors.As(err, &at)
		p.failAt(at.Position.Start, "", "%s", at.Message)
		return nil, p.errs
	}
	p.places = placesOf(text)
	p.document(table{p, "", doc})
	if len(p.errs) > 0 {
		p.errs.sort()
		return nil, p.errs
	}
	return p.s, nil
}

// A parser turns a document into a scenario and collects what is wrong with it.
type parser struct {
	file, text string
	options    options
	places     places
	s          *Scenario
	errs       SyntaxErrors
	// own is how many devices the file itself has; those that an override adds come after them.
	own int
	// tables holds, for each operation, which of the tables it comes from.
	tables []int
}

// mistakesMax bounds the mistakes that are told of one file.
const mistakesMax = 100

func (p *parser) failAt(offset int, hint, format string, args ...any) {
	if len(p.errs) == mistakesMax {
		return
	}
	line, column := position(p.text, offset)
	p.errs = append(p.errs, &SyntaxError{p.file, line, column, fmt.Sprintf(format, args...), hint})
}

// The keys of the tables that have names.
var (
	networkKeys = []string{"latency", "loss", "duplicate", "break", "disk", "links"}
	randomKeys  = []string{"writes", "reads", "writers", "links", "faults", "between"}

	tables = []struct {
		name string
		keys []string
	}{{"[network]", networkKeys}, {"[random]", randomKeys}, {"[[at]]", append(actions(), further...)}}
)

func (p *parser) document(t table) {
	t.only("name", "about", "seed", "devices", "paths", "end", "converge", "anti-entropy", "delete-log", "answer-rows", "answer-memory", "gossip",
		"network", "clocks", "poll", "random", "at")
	s := p.s
	s.Name, _ = t.text("name")
	s.About, _ = t.text("about")
	s.Seed = t.seed()
	if p.options.seed != nil {
		s.Seed = *p.options.seed
	}
	s.ConvergeMax = t.duration("converge", convergeDefault)
	s.AntiEntropy = t.duration("anti-entropy", antiEntropyDefault)
	s.DeleteLog = t.count("delete-log", deleteLogDefault, math.MaxInt32)
	s.AnswerRows = t.count("answer-rows", 0, math.MaxInt32)
	s.AnswerMemory = t.count("answer-memory", 0, math.MaxInt32)
	s.NoGossip = !t.flag("gossip", true)
	if !p.devices(t) {
		return // every further mistake might follow from this one
	}
	p.network(t)
	p.clocks(t)
	p.polls(t)
	r := p.random(t)
	p.operations(t)
	s.Paths = t.list("paths")
	if s.Paths == nil {
		s.Paths = s.named()
	}
	if r != nil && len(s.Paths) == 0 {
		s.Paths = slices.Clone(randomPaths)
	}
	least := s.lastMoment() + restDefault
	if r != nil {
		least = max(least, r.until, randomEnd)
	}
	s.End = t.duration("end", least)
	p.check()
	if r != nil && len(p.errs) == 0 {
		p.draw(r)
	}
}

// check looks at what was read as a whole, and says where in the file each problem is.
func (p *parser) check() {
	for _, x := range p.s.problems() {
		at := p.places.find(x.field)
		if x.op >= 0 {
			table := fmt.Sprintf("at[%d]", p.tables[x.op])
			field := x.field
			if _, ok := p.places[table+"."+field]; !ok && field == "write" {
				field = "delete"
			}
			at = p.places.find(table + "." + field)
		}
		p.failAt(at.value, x.hint, "%s", x.text)
	}
}

// devicesHint says how a file names its devices.
const devicesHint = `write names, as devices = ["laptop", "phone"], or their number`

func (p *parser) devices(t table) bool {
	n := 0
	switch v := t.m["devices"].(type) {
	case nil:
		t.fail("devices", devicesHint, "the file does not say which devices there are")
		return false
	case int64:
		n = int(max(0, min(v, math.MaxInt32)))
	default:
		names, ok := texts(v)
		if !ok {
			t.fail("devices", devicesHint, "devices is %s", kindOf(v))
			return false
		}
		for _, name := range names {
			p.s.Devices = append(p.s.Devices, Device{Name: name})
		}
	}
	p.own = max(n, len(p.s.Devices))
	if more := p.options.Devices; more > 0 {
		if more < len(p.s.Devices) {
			t.fail("devices", "", "the scenario names %d devices and cannot be run with %d", len(p.s.Devices), more)
			return false
		}
		n = more
	}
	if n > DevicesMax {
		t.fail("devices", "", "there are %d devices; a scenario has 1 to %d", n, DevicesMax)
		return false
	}
	for len(p.s.Devices) < n {
		p.s.Devices = append(p.s.Devices, Device{})
	}
	if len(p.s.Devices) == 0 {
		t.fail("devices", devicesHint, "there are no devices")
	}
	return len(p.s.Devices) > 0
}

func (p *parser) network(t table) {
	n := &p.s.Network
	t = t.sub("network")
	t.only(networkKeys...)
	n.LatencyMin, n.LatencyMax = t.span("latency", n.LatencyMin, n.LatencyMax)
	n.SyncMin, n.SyncMax = t.span("disk", n.SyncMin, n.SyncMax)
	n.Loss, n.Duplicate, n.Break = t.share("loss"), t.share("duplicate"), t.share("break")
	if _, ok := t.m["links"]; !ok {
		return
	}
	n.Links = [][2]int{}
	for _, text := range t.list("links") {
		a, b, ok := strings.Cut(text, " - ")
		if !ok {
			t.fail("links", `write two devices with a dash between, as "laptop - phone"`, "%q is no link", abbreviate(text))
			n.Links = nil // half of the links might miss what only the other half joins
			return
		}
		from, okFrom := p.device(t, "links", strings.TrimSpace(a))
		to, okTo := p.device(t, "links", strings.TrimSpace(b))
		if !okFrom || !okTo {
			n.Links = nil
			return
		}
		n.Links = append(n.Links, [2]int{from, to})
	}
}

func (p *parser) clocks(t table) {
	t = t.sub("clocks")
	for _, name := range slices.Sorted(maps.Keys(t.m)) {
		if i, ok := p.device(t, name, name); ok {
			p.s.Devices[i].Skew = t.millis(name)
		}
	}
}

func (p *parser) polls(t table) {
	t = t.sub("poll")
	for _, name := range slices.Sorted(maps.Keys(t.m)) {
		if i, ok := p.device(t, name, name); ok {
			p.s.Devices[i].Poll = t.duration(name, 0)
		}
	}
}

// device finds a device by its name, or by its number if it has no name. v stands at key.
func (p *parser) device(t table, key string, v any) (int, bool) {
	devices := p.s.Devices
	var names []string
	for _, d := range devices {
		if d.Name != "" {
			names = append(names, d.Name)
		}
	}
	hint := fmt.Sprintf("the devices are 0 to %d", len(devices)-1)
	found := ""
	switch v := v.(type) {
	case int64:
		found = strconv.FormatInt(v, 10)
	case string:
		found = v
	default:
		t.fail(key, "write the name of a device", "%s is %s", key, kindOf(v))
		return 0, false
	}
	if i := slices.IndexFunc(devices, func(d Device) bool { return d.Name != "" && d.Name == found }); i >= 0 {
		return i, true
	}
	if i, err := strconv.Atoi(found); err == nil && i >= 0 && i < len(devices) && devices[i].Name == "" {
		return i, true
	}
	if len(names) > 0 {
		hint = meant(found, names)
	}
	t.fail(key, hint, "there is no device %q", abbreviate(found))
	return 0, false
}

// meaningOf says what the keys that an action may need mean, exampleOf what may stand there.
// named lists the paths that operations name, in order.
func (s *Scenario) named() []string {
	var paths []string
	add := func(path string) {
		if path != "" && !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	for i := range s.Ops {
		if s.Ops[i].Do != DoPolicy {
			add(s.Ops[i].Path)
		}
		for _, p := range s.Ops[i].Parts {
			add(p.Path)
		}
	}
	return paths
}

// lastMoment returns when the last operation is over.
func (s *Scenario) lastMoment() (last time.Duration) {
	for i := range s.Ops {
		o := &s.Ops[i]
		last = max(last, min(o.At, spanMax)+min(o.For, spanMax))
	}
	return last
}
