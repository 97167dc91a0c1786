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

	"syncline/crdt"
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
	t.only("name", "about", "seed", "devices", "paths", "end", "converge", "anti-entropy", "delete-log", "answer-rows", "gossip",
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

func (p *parser) operations(t table) {
	for i, m := range t.tables("at") {
		before := len(p.errs)
		o := p.operation(table{p, fmt.Sprintf("at[%d]", i), m})
		if len(p.errs) == before {
			p.s.Ops, p.tables = append(p.s.Ops, o), append(p.tables, i)
		}
	}
}

func (p *parser) operation(t table) (o Op) {
	var found []string
	for _, key := range actions() {
		if _, ok := t.m[key]; ok {
			found = append(found, key)
		}
	}
	known := t.only(slices.Concat(further, actions())...)
	switch {
	case len(found) > 1:
		t.fail(found[1], "give each a table [[at]] of its own", "one table has %d actions: %s", len(found), strings.Join(found, ", "))
		return o
	case len(found) == 0:
		if known { // else the action may be what is not known
			t.fail("", "give it one of "+strings.Join(actions(), ", "), "the table has no action")
		}
		return o
	}
	f := formNamed(found[0])
	keys := slices.Concat([]string{"t", f.key}, f.needs, f.may)
	for _, key := range slices.Sorted(maps.Keys(t.m)) {
		if slices.Contains(further, key) && !slices.Contains(keys, key) {
			t.p.failAt(t.p.places.keyOf(t.where(key)), "its keys are "+strings.Join(keys, ", "), "%s takes no %q", f.key, key)
		}
	}
	for _, key := range slices.Concat([]string{"t"}, f.needs) {
		if _, ok := t.m[key]; !ok {
			t.fail(f.key, "add a line "+key+" = "+exampleOf[key], "%s needs %q: %s", f.key, key, meaningOf[key])
		}
	}
	o = Op{At: t.duration("t", 0), Do: f.do, For: t.duration("for", 0)}
	if _, ok := t.m["on"]; ok {
		o.Device, _ = p.device(t, "on", t.m["on"])
	}
	p.content(t, f, &o)
	return o
}

// meaningOf says what the keys that an action may need mean, exampleOf what may stand there.
var (
	meaningOf = map[string]string{"t": "when it happens", "on": "on which device", "by": "how far the clock jumps", "is": "which policy"}
	exampleOf = map[string]string{"t": `"3s"`, "on": `"laptop"`, "by": `"-1h"`, "is": `"newest"`}
)

// content reads what stands behind the action, and the amount.
func (p *parser) content(t table, f *form, o *Op) {
	switch f.is {
	case isDevice:
		o.Device, _ = p.device(t, f.key, t.m[f.key])
	case isSource:
		o.Of, _ = p.device(t, f.key, t.m[f.key])
	case isParts:
		o.Parts = p.parts(t, f)
	case isPath:
		o.Path, _ = t.text(f.key)
	case isPattern:
		o.Path, _ = t.text(f.key)
		o.Policy, _ = t.text("is")
	case isGroups:
		o.Groups = p.groups(t, f.key)
	case isShare:
		o.Amount = t.mille(f.key)
	case isMillis:
		o.Amount = t.millis(f.key)
	case isTrue:
		if !t.flag(f.key, true) {
			t.fail(f.key, "leave the table out", "%s = false does nothing", f.key)
		}
	}
	if f.takes("keep") {
		o.Amount = t.mille("keep")
	}
	if f.takes("by") {
		o.Amount = t.millis("by")
	}
}

// parts reads a path, or a list of paths and of tables with a path and how it is written.
func (p *parser) parts(t table, f *form) []Part {
	all := Part{Verb: Put}
	if f.key == "delete" {
		all.Verb = Delete
	}
	all = t.manner(all)
	if f.key == "delete" && !all.Verb.deletes() {
		t.fail("how", `a delete is "delete" or "deleteall"`, "%q deletes nothing", all.Verb)
	}
	const hint = `write a path, or a list of paths`
	var list []any
	switch v := t.m[f.key].(type) {
	case string:
		list = []any{v}
	case []any:
		list = v
	case []map[string]any:
		for _, m := range v {
			list = append(list, m)
		}
	default:
		t.fail(f.key, hint, "%s is %s", f.key, kindOf(v))
		return nil
	}
	var parts []Part
	for _, v := range list {
		switch v := v.(type) {
		case string:
			all.Path = v
			parts = append(parts, all)
		case map[string]any:
			sub := table{t.p, t.path + "." + f.key, v}
			sub.only("path", "how", "newest", "value", "size")
			part := sub.manner(all)
			part.Path, _ = sub.text("path")
			parts = append(parts, part)
		default:
			t.fail(f.key, hint, "%s holds %s", f.key, kindOf(v))
		}
	}
	return parts
}

// manner reads how something is written; what is not said is as in p.
func (t table) manner(p Part) Part {
	if how, ok := t.text("how"); ok {
		p.Verb = Verb(how)
		if !slices.Contains(verbs, p.Verb) {
			t.fail("how", meant(how, verbNames()), "there is no way to write called %q", abbreviate(how))
		}
	}
	p.LWW = t.flag("newest", p.LWW)
	if value, ok := t.text("value"); ok {
		p.Value = value
	}
	p.Size = t.count("size", p.Size, crdt.ValueBytesMax)
	return p
}

// groups reads "laptop, phone | nas", with "4..7" for a run of devices and "others" for all that are not named.
func (p *parser) groups(t table, key string) [][]int {
	text, ok := t.text(key)
	if !ok {
		return nil
	}
	var groups [][]int
	left, rest := map[int]bool{}, -1
	for i := range p.s.Devices {
		left[i] = true
	}
	for k, group := range strings.Split(text, "|") {
		var g []int
		for _, item := range strings.Split(group, ",") {
			item = strings.TrimSpace(item)
			from, to, _ := strings.Cut(item, "..")
			switch {
			case item == others:
				rest = k
			case item == "":
				t.fail(key, `write groups with a bar between, as "laptop, phone | nas"`, "a name is missing in %q", abbreviate(text))
			case isNumber(from) && isNumber(to):
				first, okFirst := p.device(t, key, from)
				last, okLast := p.device(t, key, to)
				for i := first; okFirst && okLast && i <= last; i++ {
					g = append(g, i)
				}
			default:
				if i, ok := p.device(t, key, item); ok {
					g = append(g, i)
				}
			}
		}
		for _, i := range g {
			delete(left, i)
		}
		groups = append(groups, g)
	}
	if rest >= 0 {
		groups[rest] = append(groups[rest], slices.Sorted(maps.Keys(left))...)
	}
	return groups
}

func isNumber(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }

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

// A table is one table of the document, with the path to it.
type table struct {
	p    *parser
	path string
	m    map[string]any
}

func (t table) where(key string) string {
	switch {
	case t.path == "":
		return key
	case key == "":
		return t.path
	}
	return t.path + "." + key
}

// fail notes a mistake in the value of a key.
func (t table) fail(key, hint, format string, args ...any) {
	t.p.failAt(t.p.places.find(t.where(key)).value, hint, format, args...)
}

// only wants no other keys, and reports whether there are none.
func (t table) only(known ...string) bool {
	before := len(t.p.errs)
	for _, key := range slices.Sorted(maps.Keys(t.m)) {
		if slices.Contains(known, key) {
			continue
		}
		hint := meant(key, known)
		for _, other := range tables {
			if slices.Contains(other.keys, key) {
				hint = "it belongs into the table " + other.name
			}
		}
		t.p.failAt(t.p.places.keyOf(t.where(key)), hint, "the key %q is not known", abbreviate(key))
	}
	return len(t.p.errs) == before
}

func (t table) sub(key string) table {
	v, ok := t.m[key]
	m, isTable := v.(map[string]any)
	if ok && !isTable {
		t.fail(key, "write a table, ["+key+"]", "%s is %s", key, kindOf(v))
	}
	return table{t.p, t.where(key), m}
}

func (t table) tables(key string) []map[string]any {
	switch v := t.m[key].(type) {
	case nil:
	case []map[string]any:
		return v
	case map[string]any:
		t.fail(key, "write [["+key+"]], with two brackets on each side", "%s is one table", key)
	default:
		t.fail(key, "write tables, [["+key+"]]", "%s is %s", key, kindOf(v))
	}
	return nil
}

func (t table) text(key string) (string, bool) {
	v, ok := t.m[key]
	text, isText := v.(string)
	if ok && !isText {
		t.fail(key, "write a text, in quotes", "%s is %s", key, kindOf(v))
	}
	return text, ok && isText
}

func (t table) list(key string) []string {
	v, ok := t.m[key]
	if !ok {
		return nil
	}
	list, ok := texts(v)
	if !ok {
		t.fail(key, "write a list of texts", "%s is %s", key, kindOf(v))
	}
	return list
}

func (t table) flag(key string, otherwise bool) bool {
	v, ok := t.m[key]
	if !ok {
		return otherwise
	}
	b, ok := v.(bool)
	if !ok {
		t.fail(key, "write true or false", "%s is %s", key, kindOf(v))
	}
	return b
}

func (t table) count(key string, otherwise, most int) int {
	v, ok := t.m[key]
	if !ok {
		return otherwise
	}
	n, ok := v.(int64)
	if !ok {
		t.fail(key, "write a whole number", "%s is %s", key, kindOf(v))
	} else if n < 0 || n > int64(most) {
		t.fail(key, "", "%s is %d, not between 0 and %d", key, n, most)
		return otherwise
	}
	return int(n)
}

func (t table) seed() uint64 {
	const hint = "write a whole number from 0 on, in quotes if it is 2^63 or more"
	switch v := t.m["seed"].(type) {
	case nil:
	case int64:
		if v >= 0 {
			return uint64(v)
		}
		t.fail("seed", hint, "the seed is %d", v)
	case string:
		seed, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.fail("seed", hint, "the seed is %q", abbreviate(v))
		}
		return seed
	default:
		t.fail("seed", hint, "the seed is %s", kindOf(v))
	}
	return 0
}

// quoted reads a text that has a form of its own.
func quoted[T any](t table, key, hint string, otherwise T, read func(string) (T, error)) T {
	v, ok := t.m[key]
	if !ok {
		return otherwise
	}
	text, ok := v.(string)
	if !ok {
		t.fail(key, hint, "%s is %s", key, kindOf(v))
		return otherwise
	}
	x, err := read(text)
	if err != nil {
		t.fail(key, hint, "%q cannot be read", abbreviate(text))
		return otherwise
	}
	return x
}

func (t table) duration(key string, otherwise time.Duration) time.Duration {
	return quoted(t, key, durationHint, otherwise, parseDuration)
}

func (t table) share(key string) float64 { return quoted(t, key, shareHint, 0, parseShare) }

func (t table) span(key string, lo, hi time.Duration) (time.Duration, time.Duration) {
	both := quoted(t, key, spanHint, [2]time.Duration{lo, hi}, func(text string) ([2]time.Duration, error) {
		lo, hi, err := parseSpan(text)
		return [2]time.Duration{lo, hi}, err
	})
	return both[0], both[1]
}

// millis reads a duration of whole milliseconds.
func (t table) millis(key string) int64 {
	d := t.duration(key, 0)
	if d%time.Millisecond != 0 {
		t.fail(key, "", "%s is not a whole number of milliseconds", formatDuration(d))
	}
	return d.Milliseconds()
}

// mille reads a share as thousandths.
func (t table) mille(key string) int64 {
	share := t.share(key) * 1000
	n := math.Round(min(share, math.MaxInt32))
	if math.Abs(share-n) > 1e-6 {
		t.fail(key, "", "%s is not a multiple of 0.1%%", formatShare(share/1000))
	}
	return int64(n)
}

// texts returns a list of texts.
func texts(v any) ([]string, bool) {
	list, ok := v.([]any)
	var out []string
	for _, x := range list {
		text, isText := x.(string)
		ok = ok && isText
		out = append(out, text)
	}
	return out, ok
}

// kindOf tells people what kind of value stands somewhere.
func kindOf(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("the text %q", abbreviate(v))
	case int64:
		return fmt.Sprintf("the number %d", v)
	case float64:
		return fmt.Sprintf("the number %v", v)
	case bool:
		return fmt.Sprint(v)
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	case []map[string]any:
		return "a list of tables"
	}
	return "a date or time"
}

// abbreviate cuts what was found in a file down to what people need to find it again.
func abbreviate(text string) string {
	const most = 40
	r := []rune(text[:min(len(text), 4*most)])
	if len(r) <= most {
		return text
	}
	return string(r[:most-1]) + "…"
}
