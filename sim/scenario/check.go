package scenario

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"syncline/crdt"
)

// Bounds of a scenario.
const (
	// DevicesMax bounds the devices of a scenario.
	DevicesMax = 20_000
	// spanMax bounds the length of a scenario and all durations in it, clockMax the error and the jumps of a clock.
	spanMax  = 100 * year
	clockMax = 250 * year
	// AnswerMemoryMin is room for one value, whatever it was written over, at a path with a short name: three or four values are too many.
	AnswerMemoryMin = 640
	// pollMin is the shortest period between two polls, that of package node.
	pollMin = 100 * time.Millisecond
	// patternMax bounds the pattern of a policy, in bytes.
	patternMax = crdt.PathBytesMax - len("/policies/")
)

// A problem is something that makes a scenario impossible to run.
type problem struct {
	// op is the index of the operation, -1 if it is no operation's; field is the key, in a file, of what is wrong.
	op         int
	field      string
	text, hint string
}

// Check returns an error that names everything that makes the scenario impossible to run, nil if nothing does. Drivers run only what
// passes; whatever [Parse], [Generate] and [Builtin] return does.
func (s *Scenario) Check() error {
	var errs []error
	for _, p := range s.problems() {
		text := p.text
		if p.op >= 0 {
			text = fmt.Sprintf("operation %d, at %s: %s", p.op, formatDuration(s.Ops[p.op].At), text)
		}
		if p.hint != "" {
			text += "; " + p.hint
		}
		errs = append(errs, errors.New(text))
	}
	return errors.Join(errs...)
}

// A checker looks through a scenario, in the order of its operations.
type checker struct {
	s        *Scenario
	problems []problem
	op       int
	paths    map[string]bool
	last     time.Duration // when the operation before happened
	started  map[int]bool  // the devices that run for the first time with an operation, once it was
	starts   map[int]bool  // all of those
	backups  map[int]bool
}

func (s *Scenario) problems() []problem {
	c := &checker{s: s, op: -1, paths: map[string]bool{}, started: map[int]bool{}, starts: map[int]bool{}, backups: map[int]bool{}}
	c.devices()
	c.settings()
	c.network()
	for i := range s.Ops {
		if o := &s.Ops[i]; o.Do == DoJoin || o.Do == DoClone {
			c.starts[o.Device] = true
		}
	}
	for i := range s.Ops {
		c.op = i
		c.operation(&s.Ops[i])
	}
	return c.problems
}

func (c *checker) fail(field, hint, format string, args ...any) {
	c.problems = append(c.problems, problem{c.op, field, fmt.Sprintf(format, args...), hint})
}

func (c *checker) devices() {
	s := c.s
	if len(s.Devices) == 0 || len(s.Devices) > DevicesMax {
		c.fail("devices", devicesHint, "there are %d devices; a scenario has 1 to %d", len(s.Devices), DevicesMax)
	}
	names := map[string]bool{}
	for i, d := range s.Devices {
		if d.Name != "" {
			if bad := badName(d.Name); bad != "" {
				c.fail("devices", nameRule, "%s", bad)
			}
			if names[d.Name] {
				c.fail("devices", "", "two devices are called %q", d.Name)
			}
			names[d.Name] = true
		}
		if d.Poll != 0 && (d.Poll < pollMin || d.Poll > spanMax) {
			c.fail("poll", "", "%s polls every %s, not between %s and %s", s.DeviceName(i), formatDuration(d.Poll), formatDuration(pollMin), formatDuration(spanMax))
		}
		if d.Skew < -clockMax.Milliseconds() || d.Skew > clockMax.Milliseconds() {
			c.fail("clocks", "", "the clock of %s is wrong by %d ms, more than %s", s.DeviceName(i), d.Skew, formatDuration(clockMax))
		}
	}
}

func (c *checker) settings() {
	s := c.s
	for _, t := range []struct{ field, text string }{{"name", s.Name}, {"about", s.About}} {
		if !utf8.ValidString(t.text) {
			c.fail(t.field, "", "%q is not UTF-8", t.text)
		}
	}
	c.span("end", s.End, 0)
	c.span("converge", s.ConvergeMax, 1)
	c.span("anti-entropy", s.AntiEntropy, time.Millisecond)
	if s.DeleteLog < 0 {
		c.fail("delete-log", "", "a device cannot remember %d deletes", s.DeleteLog)
	}
	if s.AnswerRows < 0 {
		c.fail("answer-rows", "", "an answer cannot have %d rows", s.AnswerRows)
	}
	if s.AnswerMemory != 0 && s.AnswerMemory < AnswerMemoryMin {
		c.fail("answer-memory", "", "an answer of %d bytes has no room for one value; it takes %d", s.AnswerMemory, AnswerMemoryMin)
	}
	named := s.named()
	for _, p := range s.Paths {
		if err := crdt.CheckPath(p); err != nil && !slices.Contains(named, p) { // else it is told where it is named
			c.fail("paths", pathHint, "%v", err)
		}
		if c.paths[p] {
			c.fail("paths", "", "the path %q is listed twice", p)
		}
		c.paths[p] = true
	}
}

func (c *checker) span(field string, d, least time.Duration) {
	switch {
	case d < 0:
		c.fail(field, "", "%s is negative", formatDuration(d))
	case d < least:
		c.fail(field, "", "%s is shorter than %s", formatDuration(d), formatDuration(least))
	case d > spanMax:
		c.fail(field, "", "%s is longer than %s", formatDuration(d), formatDuration(spanMax))
	}
}

func (c *checker) network() {
	n := c.s.Network
	for _, r := range []struct {
		field  string
		lo, hi time.Duration
	}{{"network.latency", n.LatencyMin, n.LatencyMax}, {"network.disk", n.SyncMin, n.SyncMax}} {
		c.span(r.field, r.lo, 0)
		c.span(r.field, r.hi, 0)
		if r.lo > r.hi {
			c.fail(r.field, "the shorter comes first", "%s is longer than %s", formatDuration(r.lo), formatDuration(r.hi))
		}
	}
	for _, r := range []struct {
		field string
		share float64
	}{{"network.loss", n.Loss}, {"network.duplicate", n.Duplicate}, {"network.break", n.Break}} {
		if !(r.share >= 0 && r.share <= 1) {
			c.fail(r.field, "", "the share %v is not between 0%% and 100%%", r.share)
		}
	}
	if n.Links != nil {
		c.links(n.Links)
	}
}

// links wants the links to join all devices: others could never agree.
func (c *checker) links(links [][2]int) {
	s := c.s
	group := make([]int, len(s.Devices))
	for i := range group {
		group[i] = i
	}
	root := func(i int) int {
		for group[i] != i {
			group[i] = group[group[i]]
			i = group[i]
		}
		return i
	}
	have := map[[2]int]bool{}
	for _, l := range links {
		if !c.exists("network.links", l[0]) || !c.exists("network.links", l[1]) {
			return
		}
		key := [2]int{min(l[0], l[1]), max(l[0], l[1])}
		switch {
		case l[0] == l[1]:
			c.fail("network.links", "", "%s is linked with itself", s.DeviceName(l[0]))
		case have[key]:
			c.fail("network.links", "", "%s and %s are linked twice", s.DeviceName(l[0]), s.DeviceName(l[1]))
		}
		have[key] = true
		group[root(l[0])] = root(l[1])
	}
	for i := range group {
		if root(i) != root(0) {
			c.fail("network.links", "add a link, or leave links out: then all are linked", "no chain of links leads from %s to %s, so they can never agree",
				s.DeviceName(0), s.DeviceName(i))
			return
		}
	}
}

func (c *checker) exists(field string, device int) bool {
	if device < 0 || device >= len(c.s.Devices) {
		c.fail(field, fmt.Sprintf("the devices are 0 to %d", len(c.s.Devices)-1), "there is no device %d", device)
		return false
	}
	return true
}

func (c *checker) operation(o *Op) {
	f := formOf(o.Do)
	if f == nil {
		c.fail("", meant(string(o.Do), actions()), "there is no action %q", o.Do)
		return
	}
	c.moment(o)
	c.fields(o, f)
	switch {
	case f.is == isParts:
		c.parts(o)
	case f.is == isPath:
		c.path(f.key, o.Path)
	case f.is == isPattern:
		c.policy(o)
	case f.is == isGroups:
		c.groups(o)
	case f.is == isShare, f.takes("keep"):
		if o.Amount < 0 || o.Amount > 1000 {
			c.fail(amountField(f), "", "%s is not between 0%% and 100%%", formatMille(o.Amount))
		}
	case f.is == isMillis && (o.Amount <= 0 || o.Amount > spanMax.Milliseconds()):
		c.fail(f.key, "", "%d ms is not between 1 ms and %s", o.Amount, formatDuration(spanMax))
	case f.do == DoClock && (o.Amount < -clockMax.Milliseconds() || o.Amount > clockMax.Milliseconds()):
		c.fail("by", "", "the clock of %s jumps by %d ms, more than %s", c.s.DeviceName(o.Device), o.Amount, formatDuration(clockMax))
	}
	if !f.onDevice() || c.exists(deviceField(f), o.Device) {
		c.order(o, f)
	}
}

// actions lists the actions by their keys in files.
func actions() []string {
	var keys []string
	for _, f := range forms {
		keys = append(keys, f.key)
	}
	return keys
}

// deviceField is the key at which a file names the device, amountField that of the amount.
func deviceField(f *form) string {
	if f.takes("on") {
		return "on"
	}
	return f.key
}

func amountField(f *form) string {
	for _, key := range []string{"keep", "by"} {
		if f.takes(key) {
			return key
		}
	}
	return f.key
}

func (c *checker) moment(o *Op) {
	s := c.s
	switch {
	case o.At < 0:
		c.fail("t", "times count from the start", "%s is before the start", formatDuration(o.At))
	case o.At < c.last:
		c.fail("t", "operations stand in the order of their times", "%s is before %s, the time of the operation above",
			formatDuration(o.At), formatDuration(c.last))
	case o.At > s.End:
		c.fail("t", "make end later", "%s is after the end, %s", formatDuration(o.At), formatDuration(s.End))
	case o.For < 0:
		c.fail("for", "", "%s is negative", formatDuration(o.For))
	case o.For > s.End-o.At:
		c.fail("for", "make end later, or this shorter", "from %s, %s lasts longer than until the end, %s",
			formatDuration(o.At), formatDuration(o.For), formatDuration(s.End))
	}
	c.last = max(c.last, o.At)
}

// fields wants nothing in an operation that its action does not use: it would mean that something else was intended.
func (c *checker) fields(o *Op, f *form) {
	for _, x := range []struct {
		name      string
		has, used bool
	}{
		{"device", o.Device != 0, f.onDevice()},
		{"second device", o.Of != 0, f.is == isSource},
		{"part", len(o.Parts) > 0, f.is == isParts},
		{"path", o.Path != "", f.is == isPath || f.is == isPattern},
		{"policy", o.Policy != "", f.is == isPattern},
		{"group", len(o.Groups) > 0, f.is == isGroups},
		{"length", o.For != 0, f.takes("for")},
		{"amount", o.Amount != 0, f.hasAmount()},
	} {
		if x.has && !x.used {
			c.fail(f.key, "", "%s has no %s", f.key, x.name)
		}
	}
}

func (c *checker) parts(o *Op) {
	if len(o.Parts) == 0 {
		c.fail("write", "", "a write names at least one path")
	}
	seen := map[string]bool{}
	for _, p := range o.Parts {
		switch {
		case !c.path("write", p.Path):
		case seen[p.Path]:
			c.fail("write", "make two writes of it", "one transaction writes %q twice", p.Path)
		case !slices.Contains(verbs, p.Verb):
			c.fail("how", meant(string(p.Verb), verbNames()), "there is no way to write called %q", p.Verb)
		case (p.Value != "" || p.Size != 0) && (p.Verb.deletes() || p.Verb == Keep):
			c.fail("value", "", "%s writes no value of its own", p.Verb)
		case p.Value != "" && p.Size != 0:
			c.fail("size", "leave out one of the two", "a write with a value has the size of that value")
		case p.Size < 0 || p.Size > crdt.ValueBytesMax:
			c.fail("size", "", "a value has at most %d bytes, this one has %d", crdt.ValueBytesMax, p.Size)
		case len(p.Value) > crdt.ValueBytesMax:
			c.fail("value", "", "a value has at most %d bytes, this one has %d", crdt.ValueBytesMax, len(p.Value))
		case !utf8.ValidString(p.Value):
			c.fail("value", "", "%.40q is not UTF-8", p.Value)
		}
		seen[p.Path] = true
	}
}

// pathHint says what a path looks like.
const pathHint = `a path is written as "notes/todo"`

// path wants a path that can be used, one of the scenario.
func (c *checker) path(field, path string) bool {
	if err := crdt.CheckPath(path); err != nil {
		c.fail(field, pathHint, "%v", err)
		return false
	}
	if !c.paths[path] {
		c.fail(field, "add it to paths", "%q is not among the paths of the scenario", path)
	}
	return c.paths[path]
}

// policy wants a pattern and a policy, both as package node takes them.
func (c *checker) policy(o *Op) {
	const hint = "a pattern is written like a path; * stands for characters within one segment, a segment ** for any number of segments"
	if err := crdt.CheckPath(o.Path); err != nil || len(o.Path) > patternMax {
		c.fail("policy", hint, "%q is no pattern", abbreviate(o.Path))
	}
	for segment := range strings.SplitSeq(o.Path, "/") {
		if segment != "**" && strings.Contains(segment, "**") {
			c.fail("policy", hint, "the segment %q has ** beside other characters", abbreviate(segment))
		}
	}
	if !slices.Contains(Policies, o.Policy) {
		c.fail("is", meant(o.Policy, Policies), "there is no policy %q", abbreviate(o.Policy))
	}
}

func verbNames() []string {
	var names []string
	for _, v := range verbs {
		names = append(names, string(v))
	}
	return names
}

func (c *checker) groups(o *Op) {
	seen := map[int]bool{}
	for _, g := range o.Groups {
		if len(g) == 0 {
			c.fail(string(o.Do), "", "a group is empty")
		}
		for _, i := range g {
			if !c.exists(string(o.Do), i) {
				return
			}
			if seen[i] {
				c.fail(string(o.Do), "", "%s is in two groups", c.s.DeviceName(i))
			}
			seen[i] = true
		}
	}
	if len(o.Groups) < 2 {
		c.fail(string(o.Do), `write groups with a bar between, as "laptop, phone | nas"`, "it takes two groups to set devices apart")
	}
}

// order looks at what must have happened before.
func (c *checker) order(o *Op, f *form) {
	name := c.s.DeviceName(o.Device)
	switch o.Do {
	case DoJoin, DoClone:
		if c.started[o.Device] {
			c.fail(deviceField(f), "", "%s starts for the first time twice", name)
		}
		if o.Do == DoClone && c.exists(f.key, o.Of) && (o.Of == o.Device || c.starts[o.Of] && !c.started[o.Of]) {
			c.fail(f.key, "", "%s does not run yet, so it has no data to copy", c.s.DeviceName(o.Of))
		}
		c.started[o.Device] = true
	case DoBackup:
		c.backups[o.Device] = true
	case DoRestore:
		if !c.backups[o.Device] {
			c.fail(f.key, "", "there is no backup of %s before", name)
		}
	}
}
