package oracle

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"syncline/sim/scenario"
)

// A Sighting is one value as a device shows it.
type Sighting struct {
	// Name is equal on all devices, and of no other value at its path.
	Name, Data string
	// Writer is the device that wrote it, -1 if that is not said.
	Writer int
	// Won says that the value won over a concurrent delete.
	Won bool
}

// An Answer is what a device shows at one path. The zero Answer is nothing.
type Answer struct {
	// Version names the values together, equally on all devices.
	Version string
	LWW     bool
	// Values has the one that a plain read returns first.
	Values []Sighting
}

// A Witness judges a run from outside, by what devices answer to people. Like an [Oracle] it relies on values that are written once
// and on what each writer was shown; unlike it, it needs no look into a device, so it can judge shipped programs. It cannot know
// whether a write happened that was not answered, and so lets both be true. Its methods are called as things happen, one at a time.
// The calls for one device come in the order of what happened there.
type Witness struct {
	s       *scenario.Scenario
	now     func() time.Duration
	devices []*watched
	wishes  []*Wish
	byData  map[string][]*WishPart // by path and content
	byPath  map[string][]*WishPart
	names   map[string]string // by path and name, the content
	sets    map[string]string // by path and version, the names

	Violations []Violation
	Coverage   Coverage
}

// watched is what the witness knows of one device.
type watched struct {
	// mark holds the contents that the device must show or have replaced: by path, by content, with the check that says so.
	mark map[string]map[string]Check
	// gone holds the values that the device has seen replaced, by path and name, with the check that says so.
	gone     map[string]Check
	versions map[string]string // after its last write at a path
	full     bool
	backup   *watched
	saved    time.Duration // when the backup was made
}

func newWatched() *watched {
	return &watched{mark: map[string]map[string]Check{}, gone: map[string]Check{}, versions: map[string]string{}}
}

// copy returns what a device knows that starts with a copy of d's data.
func (d *watched) copy() *watched {
	c := newWatched()
	for path, contents := range d.mark {
		c.mark[path] = maps.Clone(contents)
	}
	c.gone = maps.Clone(d.gone)
	return c
}

// A Wish is a write that a device was asked for.
type Wish struct {
	Parts    []*WishPart
	index    int
	device   int
	asked    time.Duration
	answered time.Duration
	outcome  outcome
	// excused says that the write may be lost: its device was set back before anybody else was seen to have it.
	excused bool
	seen    map[int]bool // devices that showed it
}

// A WishPart is what a Wish does at one path.
type WishPart struct {
	scenario.Part
	// Data is the new content, empty for a delete.
	Data string
	// Shown is what the writer was shown just before.
	Shown Answer
	// IfVersion is the condition under which the write replaces exactly what its writer was shown. It is empty if there is none: the
	// path is empty, or the verb leaves some of the values.
	IfVersion string

	wish *Wish
	over []Sighting // what it replaces
	// blind says that the device may replace something else, which arrived after the look.
	blind, stale bool
}

// IsDelete reports whether the part writes no value.
func (p *WishPart) IsDelete() bool { return p.Verb == scenario.Delete || p.Verb == scenario.DeleteAll }

// An outcome is what is known of a wish.
type outcome int

const (
	pending outcome = iota // or never answered: it may have happened
	granted
	denied
)

// NewWitness returns a witness who has seen nothing. now tells the time since the start of the run.
func NewWitness(s *scenario.Scenario, now func() time.Duration) *Witness {
	w := &Witness{s: s, now: now, byData: map[string][]*WishPart{}, byPath: map[string][]*WishPart{}, names: map[string]string{},
		sets: map[string]string{}, Coverage: Coverage{}}
	for range s.Devices {
		w.devices = append(w.devices, newWatched())
	}
	return w
}

// Fail notes a violation.
func (w *Witness) Fail(c Check, device int, format string, args ...any) {
	if len(w.Violations) < violationsMax {
		w.Violations = append(w.Violations, Violation{c, w.now(), device, w.s.DeviceName(device), fmt.Sprintf(format, args...)})
	}
}

// Sometimes notes that something worth happening happened.
func (w *Witness) Sometimes(what string) { w.Coverage[what]++ }

// Ask prepares a write of somebody who was shown shown, an answer for each part. It returns nil if there is nothing to ask for:
// nobody deletes or resolves what is not there.
func (w *Witness) Ask(device int, parts []scenario.Part, shown []Answer) *Wish {
	x := &Wish{index: len(w.wishes), device: device, asked: w.now(), seen: map[int]bool{}}
	for i, p := range parts {
		part := &WishPart{Part: p, Shown: shown[i], wish: x, blind: len(parts) > 1}
		if !w.plan(part, i) {
			return nil
		}
		x.Parts = append(x.Parts, part)
	}
	w.wishes = append(w.wishes, x)
	for _, p := range x.Parts {
		w.byPath[p.Path] = append(w.byPath[p.Path], p)
		if !p.IsDelete() {
			w.byData[at(p.Path, p.Data)] = append(w.byData[at(p.Path, p.Data)], p)
		}
	}
	return x
}

// plan derives what a part replaces, and reports whether it makes sense.
func (w *Witness) plan(p *WishPart, i int) bool {
	values := p.Shown.Values
	if version := w.devices[p.wish.device].versions[p.Path]; p.Verb == scenario.PutIf {
		p.IfVersion, p.stale = version, version != p.Shown.Version
		if version == "" { // it never wrote there
			p.Verb, p.stale = scenario.Put, false
		}
	}
	if len(values) == 0 && (p.IsDelete() || p.Verb == scenario.Resolve || p.Verb == scenario.Keep) {
		return false
	}
	if !p.IsDelete() {
		p.Data = cmp.Or(p.Value, fmt.Sprintf("v%d.%d", p.wish.index, i))
	}
	switch p.Verb {
	case scenario.Sibling:
	case scenario.Put, scenario.Delete:
		for _, v := range values {
			if p.Shown.LWW || v.Data == values[0].Data {
				p.over = append(p.over, v)
			}
		}
	case scenario.Keep:
		p.Data = values[p.wish.index%len(values)].Data
		p.over = values
	default:
		p.over = values
	}
	switch {
	case len(p.over) < len(values):
		p.blind = true
	case p.Verb != scenario.PutIf && p.Verb != scenario.Sibling && !p.blind:
		p.IfVersion = p.Shown.Version
	}
	return true
}

// Granted takes note that a write was acknowledged, and with which versions, one for each part; no versions if they were not told.
func (w *Witness) Granted(x *Wish, versions ...string) {
	x.outcome, x.answered = granted, w.now()
	w.Sometimes("write")
	if len(x.Parts) > 1 {
		w.Sometimes("transaction")
	}
	d := w.devices[x.device]
	for i, p := range x.Parts {
		if p.stale {
			w.Fail(Conditional, x.device, "%s succeeded though %s had changed", x, p.Path)
		}
		if p.Verb == scenario.Resolve || p.Verb == scenario.Keep {
			w.Sometimes("resolution")
		}
		delete(d.versions, p.Path)
		if i < len(versions) {
			d.versions[p.Path] = versions[i]
		}
	}
	w.learn(x, x.device, ReadYourWrites)
}

// Denied takes note that a write was refused, and why. may says that the reason is one that the writer must expect: the path has
// changed since the look, there is nothing to resolve any more.
func (w *Witness) Denied(x *Wish, may bool, why error) {
	x.outcome, x.answered = denied, w.now()
	w.Sometimes("refused")
	if !may && !w.devices[x.device].full {
		w.Fail(Available, x.device, "%s: %v", x, why)
	}
}

// Unanswered takes note that nothing is known of a write: the device ended before it answered.
func (w *Witness) Unanswered(x *Wish) {
	x.answered = w.now()
	w.Sometimes("unanswered")
}

// learn makes what a write did something that a device must show from now on, or have replaced.
func (w *Witness) learn(x *Wish, device int, why Check) {
	d := w.devices[device]
	x.seen[device] = true
	for _, p := range x.Parts {
		if !p.IsDelete() {
			d.must(p.Path, p.Data, why)
		}
		if p.blind || p.stale {
			continue
		}
		for _, v := range p.over {
			d.gone[at(p.Path, v.Name)] = p.lasting(Monotonic)
		}
	}
}

// must notes that the device has a content; the check that was first stays.
func (d *watched) must(path, data string, why Check) {
	if d.mark[path] == nil {
		d.mark[path] = map[string]Check{}
	}
	if _, ok := d.mark[path][data]; !ok {
		d.mark[path][data] = why
	}
}

// lasting returns the check that fails if what the part replaced stands again.
func (p *WishPart) lasting(else_ Check) Check {
	if p.Verb == scenario.Resolve || p.Verb == scenario.Keep {
		return Finality
	}
	return else_
}

// DiskFull takes note of whether the disk of a device has space.
func (w *Witness) DiskFull(device int, full bool) { w.devices[device].full = full }

// Started takes note of how a device came to run, before anybody reads there.
func (w *Witness) Started(device int, how Start, of int) {
	d := w.devices[device]
	switch how {
	case AfterCrash:
		for _, contents := range d.mark {
			for data, why := range contents {
				switch why {
				case ReadYourWrites, Durability:
					contents[data] = Durability
				case HeldClaim:
				default: // it was shown and need not have been durable
					delete(contents, data)
				}
			}
		}
		clear(d.gone)
		for _, x := range w.wishes {
			if x.device == device && x.outcome == granted && !x.excused {
				w.learn(x, device, Durability)
			}
		}
		w.Sometimes("crash")
	case AfterClose:
		for _, contents := range d.mark {
			for data := range contents {
				contents[data] = Durability
			}
		}
	case AfterRestore:
		w.setBack(device)
	case AsClone:
		w.devices[device] = w.devices[of].copy()
		w.Sometimes("clone")
	}
	clear(w.devices[device].versions)
}

// BackedUp takes note that the data of a device were copied.
func (w *Witness) BackedUp(device int) {
	d := w.devices[device]
	d.backup, d.saved = d.copy(), w.now()
}

// setBack takes note that a device has the data of its backup again. What it wrote since may be lost if nobody else was seen to have it.
func (w *Witness) setBack(device int) {
	d := w.devices[device]
	for _, x := range w.wishes {
		if x.device != device || x.asked < d.saved {
			continue
		}
		delete(x.seen, device)
		x.excused = len(x.seen) == 0
	}
	fresh := d.backup.copy()
	fresh.backup, fresh.saved, fresh.full = d.backup, d.saved, d.full
	w.devices[device] = fresh
	w.Sometimes("restore")
}

// Holds takes note that a device says that a peer has on disk all that it has itself.
func (w *Witness) Holds(device, peer int) {
	for path, contents := range w.devices[device].mark {
		for data := range contents {
			w.devices[peer].must(path, data, HeldClaim)
		}
	}
	w.Sometimes("session waited for")
}

// Read compares what a device shows at a path with what it showed and was asked for before.
func (w *Witness) Read(device int, path string, a Answer) {
	w.Sometimes("read")
	w.checkNames(device, path, a)
	d := w.devices[device]
	for _, data := range slices.Sorted(maps.Keys(d.mark[path])) {
		if !w.justified(path, data, a, map[string]bool{}) {
			w.Fail(d.mark[path][data], device, "%s shows %v and not %s, which nothing replaced", path, a.contents(), data)
			delete(d.mark[path], data) // said once
		}
	}
	for _, v := range a.Values {
		if why, ok := d.gone[at(path, v.Name)]; ok {
			w.Fail(why, device, "%s shows %s (%s) again, which was replaced here", path, v.Data, v.Name)
		}
	}
	for _, v := range a.Values {
		d.must(path, v.Data, Monotonic)
		wrote := w.byData[at(path, v.Data)]
		if len(wrote) != 1 {
			continue // a content that was kept stands for several writes
		}
		x := wrote[0].wish
		for _, p := range wrote[0].over {
			if !wrote[0].blind && slices.ContainsFunc(a.Values, func(o Sighting) bool { return o.Name == p.Name }) {
				w.Fail(Exact, device, "%s shows %s beside %s, whose writer replaced it", path, p.Data, v.Data)
			}
		}
		w.learn(x, device, Atomic)
	}
	if len(a.Values) > 1 {
		w.Sometimes("conflict")
	}
}

// checkNames says whether values were written here and so, and whether names and versions stand for one thing each.
func (w *Witness) checkNames(device int, path string, a Answer) {
	var set []string
	for _, v := range a.Values {
		set = append(set, v.Name)
		wrote := slices.ContainsFunc(w.byData[at(path, v.Data)], func(p *WishPart) bool {
			return p.wish.outcome != denied && (v.Writer < 0 || v.Writer == p.wish.device)
		})
		if !wrote {
			w.Fail(Phantom, device, "%s shows %q by device %d, which nobody wrote so", path, v.Data, v.Writer)
		}
		if old, ok := w.names[at(path, v.Name)]; ok && old != v.Data {
			w.Fail(DotReuse, device, "at %s the name %s stands for %s and for %s", path, v.Name, old, v.Data)
		}
		w.names[at(path, v.Name)] = v.Data
	}
	names := strings.Join(set, " ") // in order: which value is shown is a matter of the set
	if old, ok := w.sets[at(path, a.Version)]; ok && old != names {
		w.Fail(SEC, device, "version %s of %s stands for %s and for %s", a.Version, path, old, names)
	}
	w.sets[at(path, a.Version)] = names
}

// at is the key of something at a path.
func at(path, what string) string { return path + "\x00" + what }

// justified reports whether a content is shown, or was replaced by a delete or by a content that is justified itself.
func (w *Witness) justified(path, data string, a Answer, asked map[string]bool) bool {
	if a.has(data) {
		return true
	}
	asked[data] = true
	for _, p := range w.byPath[path] {
		if p.wish.outcome == denied || !w.mayReplace(p, data) {
			continue
		}
		if p.IsDelete() || !asked[p.Data] && w.justified(path, p.Data, a, asked) {
			return true
		}
	}
	return false
}

// mayReplace reports whether a write can have replaced a content: its writer was shown it, or could not know what it replaced.
func (w *Witness) mayReplace(p *WishPart, data string) bool {
	if slices.ContainsFunc(p.over, func(v Sighting) bool { return v.Data == data }) {
		return true
	}
	wrote := w.byData[at(p.Path, data)]
	if !p.blind || p.Data == data || len(wrote) == 1 && p.Shown.has(data) {
		return false // what was shown and left alone stays, unless somebody kept that content in between
	}
	return slices.ContainsFunc(wrote, func(q *WishPart) bool { return p.wish.answered == 0 || q.wish.asked < p.wish.answered })
}

func (a Answer) has(data string) bool {
	return slices.ContainsFunc(a.Values, func(v Sighting) bool { return v.Data == data })
}

// contents lists what is shown.
func (a Answer) contents() []string {
	var out []string
	for _, v := range a.Values {
		out = append(out, v.Data)
	}
	return out
}

// String names a write for people.
func (x *Wish) String() string {
	var parts []string
	for _, p := range x.Parts {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s %s %s", p.Verb, p.Path, p.Data)))
	}
	return fmt.Sprintf("w%d (%s)", x.index, strings.Join(parts, ", "))
}

// A Page is all that a device shows at the end.
type Page struct {
	// Paths holds an answer for each path that has a value.
	Paths map[string]Answer
	// Conflicts holds the versions of the open conflicts, by path.
	Conflicts map[string]string
	// Entries and ConflictCount are what the device counts.
	Entries, ConflictCount int
	// Alarms holds the codes of warnings and alarms.
	Alarms []string
}

// Same reports whether two devices show the same.
func (p Page) Same(q Page) bool {
	return maps.EqualFunc(p.Paths, q.Paths, func(a, b Answer) bool { return a.Version == b.Version && slices.Equal(a.contents(), b.contents()) }) &&
		maps.Equal(p.Conflicts, q.Conflicts)
}

// Finish compares the devices with each other and with all that was written, once nothing happens any more.
func (w *Witness) Finish(pages []Page) {
	all := map[int]Page{}
	for i, p := range pages {
		all[i] = p
	}
	w.Compare(all)
}

// Compare compares devices, by what each shows, with each other and with all that was written, while nothing happens among them. A
// device that is left out is away: what it wrote may still be on it alone.
func (w *Witness) Compare(pages map[int]Page) {
	here := slices.Sorted(maps.Keys(pages))
	for _, i := range here {
		p, first := pages[i], pages[here[0]]
		if !p.Same(first) {
			w.Fail(Convergence, i, "device %d shows %v with conflicts %v, this one %v with %v", here[0], show(first), keys(first.Conflicts), show(p), keys(p.Conflicts))
		}
		for _, path := range keys(w.byPath) {
			w.Read(i, path, p.Paths[path])
			w.checkEnd(i, path, pages)
		}
		for _, path := range keys(p.Paths) {
			if w.byPath[path] == nil {
				w.Fail(Phantom, i, "%s holds %v, and nobody wrote there", path, p.Paths[path].contents())
			}
		}
		for _, path := range keys(p.Conflicts) {
			if _, ok := p.Paths[path]; !ok {
				w.Fail(FalseConflict, i, "%s is listed as a conflict and has no value", path)
			}
		}
		if p.Entries != len(p.Paths) || p.ConflictCount != len(p.Conflicts) {
			w.Fail(Metadata, i, "the device counts %d entries and %d conflicts, and shows %d and %d", p.Entries, p.ConflictCount, len(p.Paths), len(p.Conflicts))
		}
		for _, code := range p.Alarms {
			if !strings.HasPrefix(code, "clock_") {
				w.Fail(NoAlarm, i, "%s", code)
			}
		}
	}
}

// checkEnd judges what a device shows at one path once devices have had their time to agree.
func (w *Witness) checkEnd(device int, path string, pages map[int]Page) {
	page := pages[device]
	a := page.Paths[path]
	for _, p := range w.byPath[path] {
		if _, here := pages[p.wish.device]; !here || p.wish.outcome != granted || p.wish.excused {
			continue
		}
		if !p.IsDelete() && !w.justified(path, p.Data, a, map[string]bool{}) {
			w.Fail(LostUpdate, device, "%s was acknowledged, is gone from %s, and nothing replaced it", p.wish, path)
		}
		if p.blind {
			continue
		}
		for _, v := range p.over {
			if slices.ContainsFunc(a.Values, func(o Sighting) bool { return o.Name == v.Name }) {
				w.Fail(p.lasting(Exact), device, "%s still shows %s, which %s replaced", path, v.Data, p.wish)
			}
		}
	}
	different := len(slices.Compact(slices.Sorted(slices.Values(a.contents()))))
	won := slices.ContainsFunc(a.Values, func(v Sighting) bool { return v.Won })
	_, listed := page.Conflicts[path]
	switch {
	case different > 1 && !a.LWW && !listed:
		w.Fail(MissedConflict, device, "%s shows %v, and that is not listed as a conflict", path, a.contents())
	case listed && (a.LWW || different < 2 && !won):
		w.Fail(FalseConflict, device, "%s is listed as a conflict and shows %v", path, a.contents())
	}
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// show lists the contents of a page.
func show(p Page) string {
	var parts []string
	for _, path := range keys(p.Paths) {
		parts = append(parts, path+"="+strings.Join(p.Paths[path].contents(), "|"))
	}
	return "{" + strings.Join(parts, " ") + "}"
}
