package oracle

import (
	"fmt"
	"slices"
	"time"

	"syncline/crdt"
	"syncline/node"
	"syncline/sim/scenario"
	"syncline/store"
)

// A pair is two values of one path, the one written earlier first.
type pair struct {
	path string
	a, b int
}

func pairOf(e, f *entry) pair { return pair{e.path, min(e.index, f.index), max(e.index, f.index)} }

// A content is what a value holds, and where.
type content struct{ path, data string }

// A View is a device's committed state, as anybody on the device can read it; *store.Store is one.
type View interface {
	Context() crdt.Vector
	Floor() crdt.Vector
	// Parts returns what was seen of each range of paths; see [crdt.Part].
	Parts() crdt.Parts
	Head() store.Head
	Get(path string) (crdt.Register, error)
	// Check returns the first disagreement between the records of the store.
	Check() error
}

// A moment is a device's committed state between two of its steps: each register is read once.
type moment struct {
	View
	registers map[string]crdt.Register
}

func momentOf(v View) *moment { return &moment{v, map[string]crdt.Register{}} }

// pass begins the next moment.
func (m *moment) pass() { clear(m.registers) }

// Get is that of the View.
func (m *moment) Get(path string) (crdt.Register, error) {
	if reg, ok := m.registers[path]; ok {
		return reg, nil
	}
	reg, err := m.View.Get(path)
	if err == nil {
		m.registers[path] = reg
	}
	return reg, err
}

// An Oracle knows the truth about one run and compares the devices with it. Its methods are called as things happen, by one
// goroutine.
type Oracle struct {
	s       *scenario.Scenario
	now     func() time.Duration
	differs time.Duration // until when digests may differ because records were damaged that are mended
	devices []*truth
	writes  []*write
	entries []*entry
	byDot   map[crdt.Dot]*write
	byData  map[content][]*entry
	byPath  map[string][]*entry
	limit   int
	// ranged says that devices may see more of one path than of another: answers are cut, or made for a repair.
	ranged bool
	// policyPaths are those under which policies are kept; paths are all, those of the scenario among them.
	policyPaths, paths []string
	replicas           map[crdt.ReplicaID]bool // those that wrote something
	digests            map[string]crdt.Digest
	clocks             map[crdt.ReplicaID]crdt.Timestamp
	survived           set
	failed             map[Check]int
	encoded            []byte // of one vector after the other
	scratch            set    // of spec

	// merges counts the results of merge functions.
	merges int
	// left are the paths that sessions left out, crowded those of which some device ever held several values. decisions counts what Crowds told
	// to be decided.
	left, crowded map[string]bool
	decisions     int

	// Program runs on every device; nil if none does. Set it before anything happens.
	Program *Program
	// asides are operations that are no part of the scenario.
	asides map[crdt.Dot]bool

	Violations []Violation
	Coverage   Coverage
	// Checked counts the comparisons of a device with the truth.
	Checked int
}

// A write is one transaction as the harness knows it.
type write struct {
	index, device int
	by            string // the name of the device
	dot           crdt.Dot
	time          crdt.Timestamp
	entries       []*entry
	// ctx holds what the device had seen.
	ctx set
}

// at returns what the write did at a path.
func (w *write) at(path string) *entry {
	return w.entries[slices.IndexFunc(w.entries, func(e *entry) bool { return e.path == path })]
}

// An entry is what a write did at one path. What a device has seen is a set of entries and not of writes: while it fills range by range,
// it may have seen what a write did at one path, and not what it did at another.
type entry struct {
	*write
	index   int // among all entries
	path    string
	put     bool
	resolve bool
	data    string
	kind    crdt.Kind
	// mime is the media type, rule the policy if the entry is one.
	mime string
	rule *rule
	// settledBy is the policy of which the value is a merge, descent what the value has to say that it was written over.
	settledBy string
	descent   crdt.Descent
	// inputs is what a program made the value of.
	inputs []crdt.Value
	// preds are what its writer was shown and replaced, and all deletes that it had seen there; below is their closure. kept is
	// what stood there and was not replaced.
	preds, below, kept set
}

// over reports whether e supersedes f, directly or through others.
func (e *entry) over(f *entry) bool { return e.below.has(f.index) }

// apart reports whether the writers of e and f did not know of each other.
func (e *entry) apart(f *entry) bool { return !e.ctx.has(f.index) && !f.ctx.has(e.index) }

// settled reports whether e's writer had seen f go.
func (e *entry) settled(f *entry) bool {
	return e.ctx.has(f.index) && !e.kept.has(f.index) && !e.over(f)
}

// truth is what the oracle knows of one device.
type truth struct {
	view *moment
	up   bool
	// context is what the device says that it has seen of every path, parts what it says of each range of paths.
	context crdt.Vector
	parts   crdt.Parts
	// app holds the entries that the device has seen, durable those of them that its disk confirmed, backup those in its last
	// backup, told those that it acknowledged. app is replaced and never changed, so others keep it as it was.
	app, durable, backup, told set
	// ever holds what the disk confirmed at any time, also before the device was set back.
	ever set
	// open holds the paths whose open conflict was reported, reported the pairs of values that stood in a report; frontier what was read or written on the device, by path.
	open     map[string]bool
	reported map[pair]bool
	frontier map[string]set
	versions map[string]version
	// once holds the conflicts that were told since the start; starts counts those.
	once   map[told]bool
	starts int
	full   bool
	fails  bool
	// rules are the policies that the device has seen.
	rules []rule
	// damaged are the paths whose records cannot be read.
	damaged []string
}

// told is a report of a conflict between two values, with all that stood there.
type told struct {
	path          string
	local, remote crdt.Dot
	live          string
}

// A version is what a device was told after a write, and the live set for which it stands.
type version struct {
	name node.Version
	live string
}

// New returns an oracle that has seen nothing. now tells the virtual time.
func New(s *scenario.Scenario, now func() time.Duration) *Oracle {
	o := &Oracle{s: s, now: now, byDot: map[crdt.Dot]*write{}, byData: map[content][]*entry{}, byPath: map[string][]*entry{},
		limit: 2*(s.Parts()+s.Merges()) + 64, left: map[string]bool{}, crowded: map[string]bool{}, replicas: map[crdt.ReplicaID]bool{}, digests: map[string]crdt.Digest{}, clocks: map[crdt.ReplicaID]crdt.Timestamp{}, failed: map[Check]int{}, asides: map[crdt.Dot]bool{}, Coverage: Coverage{}}
	o.ranged = s.CutsAnswers() || slices.ContainsFunc(s.Ops, func(op scenario.Op) bool { return op.Do == scenario.DoDamage })
	o.policyPaths = policyPaths(s)
	o.paths = append(slices.Clone(s.Paths), o.policyPaths...)
	if s.AnswerMemory > 0 {
		o.limit += decisionsMax
	}
	o.scratch = newSet(o.limit)
	for range s.Devices {
		o.devices = append(o.devices, &truth{app: newSet(o.limit), durable: newSet(o.limit), ever: newSet(o.limit), backup: newSet(o.limit), told: newSet(o.limit),
			open: map[string]bool{}, reported: map[pair]bool{}, frontier: map[string]set{}, versions: map[string]version{}})
	}
	return o
}

// Fail notes a violation.
func (o *Oracle) Fail(c Check, device int, format string, args ...any) {
	if o.failed[c]++; o.failed[c] <= violationsMax {
		o.Violations = append(o.Violations, Violation{c, o.now(), device, o.s.DeviceName(device), fmt.Sprintf(format, args...)})
	}
}

// Sometimes notes that something worth happening happened.
func (o *Oracle) Sometimes(what string) { o.Coverage[what]++ }

// A Start says how a device came to run.
type Start int

// The starts.
const (
	FirstStart Start = iota
	AfterCrash
	AfterClose
	AfterRestore
	AsClone // of the device that the scenario names
)

// Started takes note that a device runs, and compares what its store holds with what it must hold.
func (o *Oracle) Started(device int, how Start, v View) {
	o.Checked++
	d := o.devices[device]
	before := d.app
	d.view, d.up = momentOf(v), true
	d.once = map[told]bool{}
	d.starts++
	d.context, d.parts = v.Context(), o.partsOf(v)
	d.app = o.seen(device, d.parts)
	switch how {
	case AfterCrash:
		if i := d.durable.less(d.app); i >= 0 {
			o.Fail(Durability, device, "%s was durable and is gone after a crash", o.entries[i].write)
		}
		if i := d.app.less(before); i >= 0 {
			o.Fail(Phantom, device, "%s came out of a crash", o.entries[i].write)
		}
	case AfterClose:
		if i := before.less(d.app); i >= 0 {
			o.Fail(Durability, device, "%s is gone after an orderly close", o.entries[i].write)
		}
	case AfterRestore:
		if i := d.backup.less(d.app); i >= 0 {
			o.Fail(Durability, device, "%s was in the backup and is not here", o.entries[i].write)
		}
		d.told = newSet(o.limit)
	}
	d.durable = d.app.clone()
	d.ever.join(d.durable)
	if i := d.told.less(d.app); i >= 0 {
		o.Fail(Durability, device, "%s was acknowledged here and is gone", o.entries[i].write)
		d.told = newSet(o.limit)
	}
	clear(d.frontier)
	clear(d.versions)
	clear(d.open)
	o.learn(device)
	for _, path := range o.paths {
		o.checkPath(device, path, true)
	}
	o.checkDigest(device)
	o.checkState(device)
}

// Stopped takes note that a device does not run.
func (o *Oracle) Stopped(device int) { o.devices[device].up = false }

// BackedUp takes note that the data of a device were copied.
func (o *Oracle) BackedUp(device int) { o.devices[device].backup = o.devices[device].app.clone() }

// CanRestore reports whether there is a backup with something in it.
func (o *Oracle) CanRestore(device int) bool { return o.devices[device].backup.len() > 0 }

// DiskFails takes note of whether the disk of a device refuses writes, because it is full or fails.
func (o *Oracle) DiskFails(device int, full, fails bool) {
	d := o.devices[device]
	d.full, d.fails = full, full || fails
}

// Durable is what a sync that begins now will cover; call the result when it is done.
func (o *Oracle) Durable(device int) (done func()) {
	d := o.devices[device]
	covered := d.app
	return func() {
		d.durable.join(covered)
		d.ever.join(covered)
	}
}

// Has reports whether a device has seen a dot, as of its last step.
func (o *Oracle) Has(device int, d crdt.Dot) bool { return o.devices[device].context.Has(d) }

// partsOf returns what a device says that it has seen, part by part.
func (o *Oracle) partsOf(v View) crdt.Parts {
	if o.ranged {
		return v.Parts()
	}
	return crdt.Parts{{Context: v.Context()}}
}

// seen translates contexts into entries. A dot that nobody wrote is a violation.
func (o *Oracle) seen(device int, parts crdt.Parts) set {
	s := newSet(o.limit)
	for top := range parts.Top().All() {
		o.addDots(device, s, parts, top.Replica, 0, top.Counter)
	}
	return s
}

// addDots adds what the writes of a replica did, on the paths of those parts that have seen them.
func (o *Oracle) addDots(device int, s set, parts crdt.Parts, r crdt.ReplicaID, above, upto uint64) {
	for n := above + 1; n <= upto; n++ {
		dot := crdt.Dot{Replica: r, Counter: n}
		w := o.byDot[dot]
		if w == nil && o.asides[dot] {
			continue
		}
		if w == nil {
			o.Fail(Phantom, device, "the device says that it has seen %v, which nobody wrote", dot)
			return
		}
		for _, e := range w.entries {
			if len(parts) == 1 || parts[parts.Of(e.path)].Context.Has(dot) {
				s.add(e.index)
			}
		}
	}
}

// String names a write for people.
func (w *write) String() string {
	if w == nil {
		return "nothing"
	}
	text := fmt.Sprintf("w%d by %s (", w.index, w.by)
	for i, e := range w.entries {
		if i > 0 {
			text += ", "
		}
		if e.put {
			text += e.path + "=" + abbreviate(e.data)
		} else {
			text += "delete " + e.path
		}
	}
	return text + ")"
}

// abbreviate cuts a long content down to its beginning and its length.
func abbreviate(data string) string {
	const most = 32
	if len(data) <= most {
		return data
	}
	return fmt.Sprintf("%.*s… (%d bytes)", most-8, data, len(data))
}

// identify finds the write that a live value stems from: by its content, and among writes of the same content by its dot.
func (o *Oracle) identify(path string, v crdt.Value) *entry {
	for _, e := range o.byData[content{path, string(v.Data)}] {
		if e.dot == v.Dot && e.time == v.Time && e.kind == v.Kind && v.Type == e.mime {
			return e
		}
	}
	return nil
}

// identifyAll is identify for a list; what nobody wrote is a violation and left out.
func (o *Oracle) identifyAll(device int, path string, live []crdt.Value) []*entry {
	es := make([]*entry, 0, len(live))
	for _, v := range live {
		e := o.identify(path, v)
		if e == nil {
			o.Fail(Phantom, device, "%s holds %q under %v, which nobody wrote so", path, abbreviate(string(v.Data)), v.Dot)
			continue
		}
		es = append(es, e)
	}
	return es
}

// spec returns the truth about a path: the values among the writes seen that nothing seen supersedes.
func (o *Oracle) spec(path string, seen set) set {
	dead, live := o.scratch, newSet(o.limit)
	clear(dead)
	for _, e := range o.byPath[path] {
		if seen.has(e.index) {
			dead.join(e.below)
		}
	}
	for _, e := range o.byPath[path] {
		if e.put && seen.has(e.index) && !dead.has(e.index) {
			live.add(e.index)
		}
	}
	return live
}

// names lists writes for people.
func (o *Oracle) names(s set) string {
	text := "{"
	for i := range s.all {
		if len(text) > 1 {
			text += " "
		}
		w := o.entries[i].write
		text += fmt.Sprintf("w%d@%d", w.index, w.device)
	}
	return text + "}"
}
