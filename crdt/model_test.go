package crdt

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"math/rand"
	"slices"
	"sync/atomic"
	"testing"

	"syncline/gossip/sketch"
)

// The model: several replicas write, delete, gossip over a lossy network, synchronise in pairs with deltas that are committed
// late, forget deletes and are restored from backups. Beside them the test keeps the truth: the graph of all operations, with the
// contexts of their writers. After every step the replicas are compared with it. See docs/ARCHITECTURE.md for the rules.

var (
	seedFlag  = flag.Int64("seed", -1, "run the randomised tests of this package with one seed only")
	seedsFlag = flag.Int("seeds", 100, "seeds per row of the randomised tests")
)

// seeds returns the seeds that a randomised test runs.
func seeds(n int) []int64 {
	if *seedFlag >= 0 {
		return []int64{*seedFlag}
	}
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(i)
	}
	return out
}

// A mutation breaks one rule, in the test's own code, to show that the test would notice.
type mutation string

// The rules that the negative controls break.
const (
	onlyLacked       mutation = "an answer carries only the values that the receiver lacks"
	alsoNotAwaited   mutation = "an operation is applied before what it names in also is seen"
	predsNotAwaited  mutation = "an operation is applied before its predecessors are seen"
	alsoNotSent      mutation = "operations do not name what their writers left alone"
	deletesNotNamed  mutation = "operations do not name the deletes that their writers remembered"
	depsNotSent      mutation = "operations do not name the floor of their writers"
	outOfOrder       mutation = "an operation is applied before its replica's earlier ones"
	appliedTwice     mutation = "an operation that was seen is applied again"
	homeOnly         mutation = "a write clears its path at home and names only what was shown"
	noInterval       mutation = "a late commit does not kill what the sender had seen dead since it was asked"
	noKills          mutation = "live values are not compared below the floor"
	floorNotHandedOn mutation = "the floor is not handed on in an answer"
	logNotHandedOn   mutation = "remembered deletes are not handed on in an answer"
	floorNotRaised   mutation = "forgetting a delete does not raise the floor"
	killByDot        mutation = "a kill names the dot and not the path"
	killsTooNew      mutation = "kills come from a later state of the sender than the context"
	sketchTooOld     mutation = "a sketch of live values is of an earlier moment than the context that is asked with"
	sketchUnbounded  mutation = "what a sketch leaves over is dead, whether the sender has seen it or not"
	contextAhead     mutation = "a broken stream raises the context above its data"
	idContinued      mutation = "a replica restored from a backup continues its id"
	digestSkipsKills mutation = "the digest forgets the values that were killed"

	rangeTakenForAll     mutation = "the context of an answer about a range is taken for all paths"
	rangeResumedBeyond   mutation = "filling goes on behind the place where it stopped"
	rangeAssigned        mutation = "an answer about a range replaces what the range holds"
	rangeFloorForAll     mutation = "the floor of an answer about a range is raised for all paths"
	rangeAskedWithTop    mutation = "an answer is made for what was seen of any path"
	rangesPassOperations mutation = "an operation that one range can take is taken for seen by all"
	rangesMadeEqual      mutation = "ranges are joined by lifting the lower context"
)

type config struct {
	name    string
	log     int     // how many deletes a replica remembers
	loss    float64 // the share of gossip that is lost
	restore bool
	full    bool // writers are always shown all live values
	ranges  bool // most answers are about a range of paths
	sketch  bool // live values below a floor are compared by sketches
	mutate  mutation
	steps   int
}

// An entry is the truth about what one operation did at one path.
type entry struct {
	path    string
	put     bool
	value   Value // of a delete, the dot and time only
	preds   []*entry
	ctx     Vector // what the writer had seen
	kept    []Dot  // what was live at the writer and not superseded
	stale   bool   // the writer was shown a value that had been deleted meanwhile
	index   int
	below   [4]uint64
	line    [4]uint64 // the values that it was made from, directly or through others
	doubted bool      // see marked
}

func (e *entry) dot() Dot { return e.value.Dot }

// over reports whether e supersedes f, directly or through others.
func (e *entry) over(f *entry) bool { return e.below[f.index/64]>>(f.index%64)&1 == 1 }

// apart reports whether the writers of e and f did not know of each other.
func (e *entry) apart(f *entry) bool { return !e.ctx.Has(f.dot()) && !f.ctx.Has(e.dot()) }

type peer struct {
	slot   int
	id     ReplicaID
	state  *State
	clock  Clock
	skew   int64 // of the wall clock, in milliseconds
	sent   Vector
	buffer []*Op
	view   map[string][]Dot // what a person was shown some time ago
	digest Digest           // kept up to date from effects
	open   map[string]bool  // paths whose open conflict was reported here
}

func (p *peer) clone() *peer {
	q := *p
	q.state, q.sent, q.buffer = p.state.Clone(), p.sent.Clone(), nil
	q.view, q.open = map[string][]Dot{}, map[string]bool{}
	for k, v := range p.view {
		q.view[k] = v
	}
	for k, v := range p.open {
		q.open[k] = v
	}
	return &q
}

// A commit is one direction of a synchronisation, under way.
type commit struct {
	to, from *peer
	snapshot *State // the receiver's when it asked
	delta    *Delta
}

// seen returns what a state has seen of a path.
func seen(s *State, path string) Vector { return s.parts[s.parts.Of(path)].Context }

type packet struct {
	to    int
	bytes []byte
}

type world struct {
	config
	random  *rand.Rand
	now     int64
	peers   []*peer
	paths   []string
	at      map[string][]*entry
	names   map[Name]*entry
	net     []packet
	pending []commit
	digests map[[16]byte]Digest
	opened  int // incarnations so far
	// snapshots are states that were reached, for the join laws.
	snapshots []*State

	// memory decides what a replica remembers of the past, ancestors counts what it then finds.
	memory    *rand.Rand
	ancestors [AncestorUntold + 1]int

	failures []string
	counts   map[string]int
}

func (w *world) fail(claim, format string, args ...any) {
	w.failures = append(w.failures, claim+": "+fmt.Sprintf(format, args...))
	w.counts[claim]++
}

func newWorld(c config, seed int64) *world {
	if c.steps == 0 {
		c.steps = 120
	}
	w := &world{config: c, random: rand.New(rand.NewSource(seed)), memory: rand.New(rand.NewSource(seed)), now: 1_700_000_000_000, at: map[string][]*entry{},
		names: map[Name]*entry{}, digests: map[[16]byte]Digest{}, counts: map[string]int{}}
	for i := range 3 + w.random.Intn(3) {
		const century = 100 * 365 * 24 * 3600 * 1000
		p := &peer{slot: i, state: NewState(), skew: []int64{0, 0, 500, -century, century}[w.random.Intn(5)],
			view: map[string][]Dot{}, open: map[string]bool{}}
		p.id = w.newReplica()
		w.peers = append(w.peers, p)
	}
	for i := range 2 + w.random.Intn(3) {
		w.paths = append(w.paths, fmt.Sprintf("p%d", i))
	}
	return w
}

func (w *world) newReplica() ReplicaID {
	w.opened++
	return ReplicaID{0xa0, 7: byte(w.opened)}
}

// run plays all steps and then lets the replicas synchronise until nothing is left to tell.
func (w *world) run() *world {
	var backup *peer
	for step := range w.steps {
		w.now += int64(w.random.Intn(40))
		w.step()
		if !w.restore {
			continue
		}
		switch step {
		case w.steps / 3:
			backup = w.peers[0].clone()
		case w.steps / 2, w.steps * 3 / 4:
			w.restoreFrom(backup)
		}
	}
	w.quiesce()
	return w
}

func (w *world) step() {
	p := w.peers[w.random.Intn(len(w.peers))]
	switch action := w.random.Intn(12); {
	case action < 4:
		w.write(p)
	case action < 8:
		if len(w.net) > 0 {
			i := w.random.Intn(len(w.net))
			m := w.net[i]
			w.net = slices.Delete(w.net, i, i+1)
			w.receive(w.peers[m.to], m.bytes)
		}
	case action < 10:
		if q := w.peers[w.random.Intn(len(w.peers))]; q != p {
			w.pending = append(w.pending, w.ask(p, q), w.ask(q, p))
		}
	case action == 10:
		path := w.paths[w.random.Intn(len(w.paths))]
		p.view[path], _ = p.state.Get(path).dots()
	default:
		w.snapshots = append(w.snapshots, p.state.Clone())
	}
	if len(w.pending) > 0 && w.random.Intn(3) == 0 {
		i := w.random.Intn(len(w.pending))
		c := w.pending[i]
		w.pending = slices.Delete(w.pending, i, i+1)
		if w.random.Intn(4) > 0 {
			w.commit(c)
		}
	}
}

func (w *world) restoreFrom(backup *peer) {
	old := w.peers[0]
	p := backup.clone()
	p.view = old.view // the person remembers what this device showed before
	if w.mutate != idContinued {
		p.id, p.sent = w.newReplica(), Vector{}
	}
	w.peers[0] = p
}

func (w *world) quiesce() {
	w.net, w.pending = nil, nil
	// An operation that waits in a buffer may become ready late and has to be told to everybody again: go round until a whole
	// round tells nobody anything.
	n := len(w.peers)
	for round, news := 0, true; news && round < 20; round++ {
		news = false
		for i, p := range w.peers {
			q := w.peers[(i+1)%n]
			news = news || !p.state.Equal(q.state) || round < 2
			for _, c := range slices.Concat(w.askAll(p, q), w.askAll(q, p)) {
				w.commit(c)
			}
		}
	}
	for _, p := range w.peers[1:] {
		if !p.state.Equal(w.peers[0].state) {
			w.fail("replicas agree at the end", "replica %d differs from replica 0", p.slot)
		}
	}
}

// write makes one operation over one to three paths and gossips it.
func (w *world) write(p *peer) {
	n := 1
	if w.random.Intn(3) == 0 {
		n = 2 + w.random.Intn(2)
	}
	changes := map[string]Change{}
	var list []Change
	for _, i := range w.random.Perm(len(w.paths))[:min(n, len(w.paths))] {
		c := w.change(p, w.paths[i])
		changes[c.Path] = c
		list = append(list, c)
	}
	before := p.state.Clone()
	writer := Writer{Dot: Dot{p.id, before.Context().Get(p.id) + 1}, Time: p.clock.Tick(w.now + p.skew), Deps: before.Floor().Above(p.sent)}
	if len(before.parts) > 1 {
		writer.Deps = before.Floor().Clone() // what it told of one range may not have been seen with another
	}
	if writer.Dot.Counter == 1 {
		writer.Open = []byte("device of " + p.id.String())
	}
	op, effects, err := Write(p.state, writer, list)
	if err != nil {
		w.fail("a write succeeds", "%v", err)
		return
	}
	if op == nil {
		return
	}
	if p.sent = before.Floor().Clone(); len(before.parts) > 1 {
		p.sent = Vector{}
	}
	for i := range op.Entries {
		w.record(before, op, &op.Entries[i], changes[op.Entries[i].Path], effects[i])
	}
	if w.mutate == homeOnly {
		for i, e := range op.Entries {
			effects[i].After = Register{Deletes: effects[i].After.Deletes}
			if !e.Delete {
				effects[i].After = effects[i].After.withValue(op.value(&e))
			}
			p.state.SetRegister(e.Path, effects[i].After)
		}
	}
	w.after(p, effects, nil)
	w.gossip(p, op)
}

func (w *world) gossip(p *peer, op *Op) {
	out := *op
	out.Entries = slices.Clone(op.Entries)
	for i := range out.Entries {
		switch w.mutate {
		case alsoNotSent:
			out.Entries[i].Also = nil
		case deletesNotNamed:
			out.Entries[i].PredDeletes = nil
		}
	}
	if w.mutate == depsNotSent {
		out.Deps = Vector{}
	}
	encoded := out.Encode()
	for _, q := range w.peers {
		if q == p || w.random.Float64() < w.loss {
			continue
		}
		w.net = append(w.net, packet{q.slot, encoded})
		if w.random.Intn(8) == 0 {
			w.net = append(w.net, packet{q.slot, encoded})
		}
	}
}

// change draws what a person does at a path, and what they were shown when they did it.
func (w *world) change(p *peer, path string) Change {
	c := Change{Path: path, Delete: w.random.Intn(4) == 0, Type: "text/plain", Clear: w.random.Intn(8) == 0}
	if !c.Delete {
		c.Data = []byte{byte('a' + w.random.Intn(6))}
		if path == "p0" {
			c.Kind = LWW
		}
		if c.Clear && c.Data[0] > 'c' {
			c.Policy = "merge:text"
		}
	}
	live, _ := p.state.Get(path).dots()
	switch k := w.random.Intn(6); {
	case w.full, k == 5:
		c.ShownAll = w.random.Intn(2) == 0
		c.Shown = live
	case k < 3:
		c.Shown = p.view[path]
	case len(live) > 0:
		one := w.random.Intn(len(live))
		for i, d := range live {
			if i == one || k == 4 && w.random.Intn(2) == 0 {
				c.Shown = append(c.Shown, d)
			}
		}
	}
	return c
}

// record enters one entry into the truth, and compares it with the rules of writing.
func (w *world) record(before *State, op *Op, e *OpEntry, c Change, effect Effect) {
	reg := before.Get(e.Path)
	live, deletes := reg.dots()
	t := &entry{path: e.Path, put: !e.Delete, ctx: seen(before, e.Path).Clone(), value: op.value(e), index: len(w.at[e.Path])}
	var preds []Dot
	for _, d := range live {
		if c.ShownAll || slices.Contains(c.Shown, d) {
			preds = append(preds, d)
		} else {
			t.kept = append(t.kept, d)
		}
	}
	if !slices.Equal(e.Preds, preds) || !slices.Equal(e.Also, t.kept) || !slices.Equal(e.PredDeletes, deletes) {
		w.fail("a write names what its writer held", "%v at %q: preds %v also %v deletes %v, want %v %v %v", op.Dot, e.Path, e.Preds, e.Also, e.PredDeletes, preds, t.kept, deletes)
	}
	for _, d := range slices.Concat(preds, deletes) {
		f := w.names[Name{d, e.Path}]
		t.preds = append(t.preds, f)
		t.below[f.index/64] |= 1 << (f.index % 64)
		for i := range t.below {
			t.below[i] |= f.below[i]
		}
		if t.put && f.put {
			t.line[f.index/64] |= 1 << (f.index % 64)
			for i := range t.line {
				t.line[i] |= f.line[i]
			}
		}
	}
	dead := slices.ContainsFunc(c.Shown, func(d Dot) bool { return t.ctx.Has(d) && !slices.Contains(live, d) })
	t.stale = dead && t.put && len(t.kept) == 0 && !c.ShownAll
	if want := t.stale; effect.Won != want && !c.ShownAll {
		w.fail("a write over a value deleted meanwhile is reported, and no other", "%v at %q: got %v, want %v (shown %v, live %v)", op.Dot, e.Path, effect.Won, want, c.Shown, live)
	}
	t.doubted = t.stale || slices.ContainsFunc(t.preds, func(f *entry) bool { return f.put && f.doubted })
	if n := len(effect.After.Live); len(preds) > 0 && n > len(live) || t.put && len(t.kept) == 0 && n != 1 {
		w.fail("a writer that was shown a value makes no sibling", "%v at %q: %d values before, %d after", op.Dot, e.Path, len(live), n)
	}
	w.at[e.Path] = append(w.at[e.Path], t)
	w.names[Name{op.Dot, e.Path}] = t
}

func (w *world) receive(p *peer, encoded []byte) {
	op, err := DecodeOp(encoded)
	if err != nil {
		w.fail("what is encoded decodes", "%v", err)
		return
	}
	if !bytes.Equal(op.Encode(), encoded) {
		w.fail("what is decoded encodes to the same bytes", "%v", op.Dot)
	}
	p.clock.Observe(op.Time, w.now+p.skew)
	p.buffer = append(p.buffer, op)
	w.drain(p)
}

// ready is the delivery rule, or a broken one.
func (w *world) ready(op *Op, s *State) Readiness {
	c := s.Context()
	ignored := func(edit func(*OpEntry)) Readiness {
		o := *op
		o.Entries = slices.Clone(op.Entries)
		for i := range o.Entries {
			edit(&o.Entries[i])
		}
		return o.Check(c)
	}
	switch w.mutate {
	case alsoNotAwaited:
		return ignored(func(e *OpEntry) { e.Also = nil })
	case predsNotAwaited:
		return ignored(func(e *OpEntry) { e.Preds = nil })
	case outOfOrder:
		if !c.Has(op.Dot) {
			return Ready
		}
	case appliedTwice:
		if c.Has(op.Dot) {
			return Ready
		}
	}
	return op.CheckAt(s)
}

func (w *world) drain(p *peer) {
	for again := true; again; {
		again = false
		var early []*Op
		for _, op := range p.buffer {
			switch w.ready(op, p.state) {
			case Ready:
				w.deliver(p, op)
				again = true
			case Early:
				early = append(early, op)
			}
		}
		p.buffer = early
	}
}

func (w *world) deliver(p *peer, op *Op) {
	var effects []Effect
	var err error
	if w.ranges {
		effects, err = Apply(p.state, op)
	} else {
		effects, err = apply(p.state, op, nil) // it need not be ready
	}
	if w.mutate == rangesPassOperations {
		p.state.Advance(op.Dot)
	}
	if op.CheckAt(p.state) != Seen || err != nil {
		w.fail("an applied operation is seen", "%v: %v", op.Dot, err)
	}
	for i := range op.Entries {
		e := &op.Entries[i]
		if j := slices.IndexFunc(effects, func(x Effect) bool { return x.Path == e.Path }); j >= 0 {
			w.judge(p, op, e, effects[j])
		}
	}
	w.after(p, effects, nil)
}

// judge compares the conflicts that gossip brought to light with the truth, both ways.
func (w *world) judge(p *peer, op *Op, e *OpEntry, effect Effect) {
	x := w.names[Name{op.Dot, e.Path}]
	fresh := 0
	for _, v := range effect.Before.Live {
		y := w.names[Name{v.Dot, e.Path}]
		if v.Dot == op.Dot || !effect.After.has(v.Dot) || !x.apart(y) {
			continue
		}
		fresh++
		if x.put && !slices.ContainsFunc(effect.Stood, func(s Value) bool { return s.Dot == v.Dot }) {
			w.fail("values written apart that meet are reported", "%v and %v at %q", op.Dot, v.Dot, e.Path)
		}
	}
	// A delete and an update conflict if both superseded one value and neither writer knew of the other. The report is due if the
	// pair is maximal and no conflict of updates hides it.
	may, must := false, false
	for _, y := range w.at[e.Path] {
		if y.put == x.put || !seen(p.state, e.Path).Has(y.dot()) || !x.apart(y) || !slices.ContainsFunc(x.preds, func(q *entry) bool { return q.put && y.over(q) }) {
			continue
		}
		may = true
		if x.put {
			must = must || fresh == 0 && w.isMaximal(p, y)
		} else {
			must = must || effect.Before.has(y.dot())
		}
	}
	if effect.Won && !may && (x.put || fresh == 0) {
		w.fail("a reported delete and update were concurrent", "%v at %q, replica %d", op.Dot, e.Path, p.slot)
	}
	if must && !effect.Won {
		w.fail("a concurrent delete and update are reported", "%v at %q, replica %d", op.Dot, e.Path, p.slot)
	}
}

func (w *world) isMaximal(p *peer, e *entry) bool {
	return !slices.ContainsFunc(w.at[e.path], func(f *entry) bool { return seen(p.state, e.path).Has(f.dot()) && f.over(e) })
}

// ask returns the answer of q to p, made of both as they are now.
func (w *world) ask(p, q *peer) commit {
	from, to := "", ""
	if w.ranges && w.random.Intn(4) > 0 {
		from, to = w.somePath(), w.somePath()
		if to != "" && to <= from {
			to = ""
		}
	}
	return w.askRange(p, q, from, to)
}

// somePath returns a path where a range may begin or end, often none.
func (w *world) somePath() string { return append(w.paths, "", "")[w.random.Intn(len(w.paths)+2)] }

// askAll returns the answers of q to p for all paths.
func (w *world) askAll(p, q *peer) (all []commit) {
	for i := range q.state.parts {
		all = append(all, w.askRange(p, q, q.state.parts[i].From, q.state.parts.To(i)))
	}
	return all
}

func (w *world) askRange(p, q *peer, from, to string) commit {
	c := commit{to: p, from: q, snapshot: p.state.Clone()}
	asked := c.snapshot.Context()
	if i := c.snapshot.parts.Of(from); w.ranges && w.random.Intn(2) == 0 && (c.snapshot.parts.To(i) == "" || to != "" && to <= c.snapshot.parts.To(i)) {
		asked = c.snapshot.parts[i].Context // the range lies in one part of the asker
	}
	if w.mutate == rangeAskedWithTop {
		asked = c.snapshot.parts.Top()
	}
	most := unlimited
	if w.ranges && w.random.Intn(3) == 0 {
		most = Limits{Rows: 1 + w.random.Intn(2), Bytes: 1 + w.random.Intn(600), Whole: w.random.Intn(900), Names: w.random.Intn(4)}
	}
	d, err := AnswerPart(q.state, asked, from, to, most)
	if err == nil {
		err = d.Bind(q.state, func(ReplicaID) bool { return false })
	}
	if err != nil {
		w.fail("an answer succeeds", "%v", err)
	}
	if w.mutate == rangeResumedBeyond {
		d.To = to
	}
	if BelowFloor(q.state, asked) && w.mutate != killsTooNew && w.mutate != noKills {
		d.Kills = w.kills(c.snapshot, q.state, d)
	}
	for i := range d.Rows {
		switch w.mutate {
		case onlyLacked:
			d.Rows[i].Known = nil
		case logNotHandedOn:
			d.Rows[i].Deletes = nil
		}
	}
	if w.mutate == floorNotHandedOn {
		d.Floor = Vector{}
	}
	c.delta = d
	return c
}

func (w *world) kills(receiver, sender *State, d *Delta) []Name {
	live, _ := liveAbove(receiver, Vector{}, d.From, d.To, 0)
	var gone []Name
	if w.sketch {
		gone, live = w.leftOver(live, sender, d)
	}
	dead, err := Kills(sender, slices.Values(live))
	if err != nil {
		w.fail("kills succeed", "%v", err)
	}
	return append(dead, gone...)
}

// leftOver compares the receiver's live values with the sender's by sketches, as sessions do: both take those within what was asked with and what
// the sender told of itself, which may be less than it has seen by now. It returns what is live at the receiver alone, and what lies
// beyond that bound.
func (w *world) leftOver(live []Name, sender *State, d *Delta) (gone, beyond []Name) {
	told := d.Context.Clone()
	for top := range d.Context.All() {
		if w.random.Intn(3) == 0 {
			told.Retreat(Dot{top.Replica, top.Counter / 2})
		}
	}
	bound := d.Asked.Meet(told)
	if w.mutate == sketchUnbounded {
		bound = d.Asked
	}
	item := func(n Name) sketch.Item {
		sum := sha256.Sum256(fmt.Appendf(nil, "%v %s", n.Dot, n.Path))
		return sketch.Item(sum[:16])
	}
	names := map[sketch.Item]Name{}
	for n := 8; ; n *= 4 {
		theirs, ours := sketch.New(sketch.Key{}, n), sketch.New(sketch.Key{}, n)
		beyond = nil
		for i, name := range live {
			if !bound.Has(name.Dot) {
				beyond = append(beyond, name)
			} else if names[item(name)] = name; w.mutate != sketchTooOld || i < len(live)-1 {
				theirs.Add(item(name))
			}
		}
		own, _ := liveAbove(sender, Vector{}, d.From, d.To, 0)
		for _, name := range own {
			if bound.Has(name.Dot) {
				ours.Add(item(name))
			}
		}
		if _, there, ok := ours.Diff(theirs); ok {
			for _, x := range there {
				gone = append(gone, names[x])
			}
			slices.SortFunc(gone, Name.Compare)
			return gone, beyond
		}
	}
}

func (w *world) commit(c commit) {
	p, d := c.to, c.delta
	if w.peers[p.slot] != p { // restored meanwhile
		return
	}
	switch w.mutate {
	case noInterval:
		d.Asked = p.state.Context().Clone()
	case killsTooNew:
		d.Kills = w.kills(c.snapshot, c.from.state, d)
	case contextAhead:
		if w.random.Intn(4) == 0 {
			d.Rows = d.Rows[:len(d.Rows)/2]
		}
	case killByDot:
		paths, dead, _ := deadOutsideRows(p.state, d)
		for _, of := range paths {
			for _, path := range w.paths {
				p.state.SetRegister(path, p.state.Get(path).without(dead[of], nil))
			}
		}
	}
	if w.mutate == rangeAssigned {
		for _, path := range p.state.Paths() {
			if inRange(path, d.From, d.To) {
				p.state.SetRegister(path, Register{})
			}
		}
	}
	before := p.state.Clone()
	effects, err := Join(p.state, d)
	switch w.mutate {
	case rangeTakenForAll:
		for top := range d.Context.All() {
			p.state.Advance(top)
		}
	case rangeFloorForAll:
		for i := range p.state.parts {
			p.state.Raise(i, Vector{}, d.Floor)
		}
	case rangesMadeEqual:
		top := p.state.parts.Top()
		p.state.parts = Parts{{Context: top, Floor: p.state.Floor().Clone()}}
	}
	if err != nil {
		w.fail("a join succeeds", "%v", err)
	}
	for _, path := range w.paths {
		part := p.state.parts[p.state.parts.Of(path)]
		in := inRange(path, d.From, d.To)
		if !seen(before, path).Within(part.Context) || in && !(d.Context.Within(part.Context) && d.Floor.Within(part.Floor)) {
			w.fail("a join takes over context and floor", "replica %d at %q", p.slot, path)
		}
		if !in && !seen(before, path).Equal(part.Context) {
			w.fail("a join leaves other ranges alone", "replica %d at %q", p.slot, path)
		}
	}
	for _, e := range effects {
		for _, x := range e.After.Live {
			for _, y := range e.After.Live {
				if !seen(before, e.Path).Has(x.Dot) && seen(before, e.Path).Has(y.Dot) && !d.Context.Has(y.Dot) &&
					!(slices.ContainsFunc(e.Arrived, func(v Value) bool { return v.Dot == x.Dot }) && slices.ContainsFunc(e.Stood, func(v Value) bool { return v.Dot == y.Dot })) {
					w.fail("values written apart that meet are reported", "%v and %v at %q", x.Dot, y.Dot, e.Path)
				}
			}
		}
	}
	w.after(p, effects, d)
	w.drain(p)
}

// after keeps the digest, forgets deletes, and checks the replica.
func (w *world) after(p *peer, effects []Effect, d *Delta) {
	reported := map[string]bool{}
	for _, c := range Conflicts(effects) {
		reported[c.Path] = true
	}
	for _, e := range effects {
		killed := d != nil && !slices.ContainsFunc(d.Rows, func(r Row) bool { return r.Path == e.Path })
		for _, v := range e.Before.Live {
			if !e.After.has(v.Dot) && !(w.mutate == digestSkipsKills && killed) {
				p.digest.Remove(e.Path, v)
			}
		}
		for _, v := range e.After.Live {
			if !e.Before.has(v.Dot) {
				p.digest.Add(e.Path, v)
			}
		}
		for _, v := range e.Arrived {
			for _, s := range e.Stood {
				if x, y := w.names[Name{v.Dot, e.Path}], w.names[Name{s.Dot, e.Path}]; !x.apart(y) {
					w.fail("values reported as written apart were", "%v and %v at %q, replica %d", v.Dot, s.Dot, e.Path, p.slot)
				}
			}
		}
		p.open[e.Path] = p.open[e.Path] || reported[e.Path]
		differ := different(e.After.Live) > 1
		if differ && !p.open[e.Path] {
			w.fail("an open conflict is reported where it is open", "at %q, replica %d: %v", e.Path, p.slot, e.After.Live)
		}
		p.open[e.Path] = differ && p.open[e.Path]
	}
	if w.mutate == floorNotRaised && p.state.DeleteCount() > w.log {
		for _, path := range w.paths {
			r := p.state.Get(path)
			r.Deletes = nil
			p.state.SetRegister(path, r)
		}
	}
	if err := Trim(p.state, w.log); err != nil || p.state.DeleteCount() > w.log {
		w.fail("trim keeps the log short", "%d deletes, want at most %d (%v)", p.state.DeleteCount(), w.log, err)
	}
	w.check(p)
}

// spec returns the values that nothing in the context supersedes: the truth about a path.
func (w *world) spec(path string, c Vector) []Dot {
	var below [4]uint64
	for _, e := range w.at[path] {
		if c.Has(e.dot()) {
			for i := range below {
				below[i] |= e.below[i]
			}
		}
	}
	var live []Dot
	for _, e := range w.at[path] {
		if e.put && c.Has(e.dot()) && below[e.index/64]>>(e.index%64)&1 == 0 {
			live = append(live, e.dot())
		}
	}
	slices.SortFunc(live, Dot.Compare)
	return live
}

// check compares one replica with the truth.
func (w *world) check(p *peer) {
	if err := p.state.Check(); err != nil {
		w.fail("invariants hold", "replica %d: %v", p.slot, err)
	}
	c := p.state.Context()
	for _, path := range w.paths {
		reg := p.state.Get(path)
		live, _ := reg.dots()
		if want := w.spec(path, seen(p.state, path)); !slices.Equal(live, want) {
			w.fail("live values are those that nothing supersedes", "replica %d at %q: got %v, want %v", p.slot, path, live, want)
		}
		for _, v := range reg.Live {
			x := w.names[Name{v.Dot, path}]
			if x == nil || v.Time != x.value.Time || !v.SameContent(x.value) || v.Kind != x.value.Kind || v.Resolved != x.value.Resolved ||
				v.Policy != x.value.Policy || v.Descent.Since != x.value.Descent.Since || !slices.Equal(v.Descent.From, x.value.Descent.From) {
				w.fail("a value is what was written", "replica %d: %v at %q", p.slot, v.Dot, path)
				continue
			}
			if v.Won && !w.mayBeMarked(x) {
				w.fail("a marked value was concurrent with a delete", "replica %d: %v at %q", p.slot, v.Dot, path)
			}
			for _, d := range live {
				if d != v.Dot && x.ctx.Has(d) && !slices.Contains(x.kept, d) {
					w.fail("a settled pair is never live together", "replica %d: %v and %v at %q", p.slot, v.Dot, d, path)
				}
			}
		}
		w.checkAncestor(p, path, reg.Live)
		if w.full && len(live) > w.opened {
			w.fail("siblings are at most the replicas", "%d values at %q", len(live), path)
		}
	}
	digest := p.state.Digest()
	if digest != p.digest {
		w.fail("effects keep the digest", "replica %d", p.slot)
		p.digest = digest
	}
	if len(p.state.parts) > 1 {
		return
	}
	if old, ok := w.digests[c.Hash()]; ok && old != digest {
		w.fail("equal contexts have equal digests", "replica %d", p.slot)
	}
	w.digests[c.Hash()] = digest
}

// checkAncestor asks for the value that the live ones were made from, with all that was ever written at hand and with a part of it.
func (w *world) checkAncestor(p *peer, path string, live []Value) {
	if len(live) < 2 || w.mutate != "" || w.memory.Intn(4) > 0 { // it takes as long as all else
		return
	}
	var past, some []Value
	for _, x := range w.at[path] {
		if x.put {
			past = append(past, x.value)
			if w.memory.Intn(3) > 0 {
				some = append(some, x.value)
			}
		}
	}
	w.memory.Shuffle(len(past), func(i, j int) { past[i], past[j] = past[j], past[i] })
	want, certain := w.ancestor(path, live)
	untold := slices.ContainsFunc(live, func(v Value) bool { return !v.Descent.IsKnown() })
	gap := untold || slices.ContainsFunc(w.at[path], func(a *entry) bool {
		return a.put && !a.value.Descent.IsKnown() && slices.ContainsFunc(live, func(v Value) bool {
			return w.names[Name{v.Dot, path}].line[a.index/64]>>(a.index%64)&1 == 1
		})
	})
	switch got, how := CommonAncestor(live, past); {
	case how == AncestorFound && (!certain || got.Dot != want):
		w.fail("a common ancestor is the nearest", "replica %d at %q: got %v, want %v (%v)", p.slot, path, got.Dot, want, certain)
	case how == AncestorNothing && !certain, how != AncestorFound && certain && want != Dot{} && !gap:
		w.fail("with all at hand the common ancestor is found", "replica %d at %q: got %d, want %v", p.slot, path, how, want)
	case how == AncestorMissing && !gap, how == AncestorUntold && !untold:
		w.fail("nothing is missing if all is at hand", "replica %d at %q: got %d", p.slot, path, how)
	default:
		w.ancestors[how]++
		reversed := slices.Clone(live)
		slices.Reverse(reversed)
		if again, howAgain := CommonAncestor(reversed, past); howAgain != how || again.Dot != got.Dot {
			w.fail("the order of values does not matter", "replica %d at %q: got %v %d, then %v %d", p.slot, path, got.Dot, how, again.Dot, howAgain)
		}
		if part, howPart := CommonAncestor(live, some); howPart != AncestorMissing && how != AncestorUntold && (howPart != how || part.Dot != got.Dot) {
			w.fail("what is not at hand makes no other ancestor", "replica %d at %q: got %v %d, with all %v %d", p.slot, path, part.Dot, howPart, got.Dot, how)
		} else if howPart == AncestorMissing && how != AncestorMissing {
			w.ancestors[AncestorMissing]++
		}
	}
}

// ancestor returns what the graph of operations says: the nearest value that every two of live with different contents were made
// from, the zero Dot if no two of them have any; false if they differ in it, or if some have several.
func (w *world) ancestor(path string, live []Value) (common Dot, certain bool) {
	first := true
	for i, v := range live {
		for _, u := range live[:i] {
			if v.SameContent(u) {
				continue
			}
			x, y := w.names[Name{v.Dot, path}], w.names[Name{u.Dot, path}]
			var near []*entry
			for _, a := range w.at[path] {
				in := func(line [4]uint64) bool { return line[a.index/64]>>(a.index%64)&1 == 1 }
				if in(x.line) && in(y.line) {
					near = slices.DeleteFunc(near, func(b *entry) bool { return a.line[b.index/64]>>(b.index%64)&1 == 1 })
					if !slices.ContainsFunc(near, func(b *entry) bool { return b.line[a.index/64]>>(a.index%64)&1 == 1 }) {
						near = append(near, a)
					}
				}
			}
			d := Dot{}
			if len(near) > 1 {
				return Dot{}, false
			} else if len(near) == 1 {
				d = near[0].dot()
			}
			if !first && d != common {
				return Dot{}, false
			}
			common, first = d, false
		}
	}
	return common, !first
}

func (w *world) mayBeMarked(x *entry) bool {
	if x.doubted || slices.ContainsFunc(w.at[x.path], func(d *entry) bool { return !d.put && d.apart(x) }) {
		return true
	}
	return slices.ContainsFunc(x.preds, func(q *entry) bool { return q.put && w.mayBeMarked(q) })
}

const endless = 1 << 20

var modelRows = []config{
	{name: "LogEndless", log: endless, loss: 0.35},
	{name: "LogOfOne", log: 1, loss: 0.35},
	{name: "LogOfNone", log: 0, loss: 0.35},
	{name: "LogOfTwoRestored", log: 2, loss: 0.35, restore: true},
	{name: "LogOfNoneRestored", log: 0, loss: 0.2, restore: true},
	{name: "LogEndlessRestored", log: endless, loss: 0.35, restore: true},
	{name: "AllShown", log: 1, loss: 0.35, full: true},
	{name: "SyncOnly", log: 3, loss: 1},
	{name: "GossipMostly", log: 1, loss: 0.02, restore: true},
	{name: "SketchLogOfNone", log: 0, loss: 0.35, sketch: true},
	{name: "SketchSyncOnly", log: 1, loss: 1, restore: true, sketch: true},
	{name: "SketchRanges", log: 0, loss: 0.35, ranges: true, sketch: true},
	{name: "Ranges", log: endless, loss: 0.35, ranges: true},
	{name: "RangesLogOfNone", log: 0, loss: 0.35, ranges: true},
	{name: "RangesLogOfTwo", log: 2, loss: 0.2, ranges: true, restore: true},
	{name: "RangesSyncOnly", log: 1, loss: 1, ranges: true},
	{name: "RangesGossipMostly", log: 1, loss: 0.05, ranges: true, restore: true},
}

// TestReplicasHoldWhatTheOperationGraphSays checks, after every step, that live values are exactly those that nothing seen
// supersedes, that equal contexts have equal digests, that reports of conflicts are sound and complete, and that in the end all
// replicas agree (rules 1 to 22 in docs/ARCHITECTURE.md).
func TestReplicasHoldWhatTheOperationGraphSays(t *testing.T) {
	var ancestors [AncestorUntold + 1]atomic.Int64
	t.Cleanup(func() {
		for how := range ancestors {
			if n := ancestors[how].Load(); n == 0 && *seedFlag < 0 {
				t.Errorf("no common ancestor was ever of kind %d", how)
			} else {
				t.Logf("common ancestors of kind %d: %d", how, n)
			}
		}
	})
	for _, row := range modelRows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, seed := range seeds(*seedsFlag) {
				w := newWorld(row, seed).run()
				if len(w.failures) > 0 {
					t.Fatalf("seed %d: %d broken claims %v, first: %s\nreproduce: go test ./crdt -run '^%s$' -seed=%d", seed, len(w.failures), w.counts, w.failures[0], t.Name(), seed)
				}
				for how, n := range w.ancestors {
					ancestors[how].Add(int64(n))
				}
			}
		})
	}
}

// TestModelNoticesBrokenRules breaks one rule at a time and counts the runs in which the model notices: without that, its silence
// would prove nothing.
func TestModelNoticesBrokenRules(t *testing.T) {
	for _, row := range []config{
		{mutate: onlyLacked, log: endless},
		{mutate: alsoNotAwaited, log: endless},
		{mutate: predsNotAwaited, log: endless},
		{mutate: alsoNotSent, log: endless},
		{mutate: deletesNotNamed, log: endless},
		{mutate: depsNotSent, log: 0},
		{mutate: outOfOrder, log: endless},
		{mutate: appliedTwice, log: endless},
		{mutate: homeOnly, log: endless},
		{mutate: noInterval, log: 0},
		{mutate: noKills, log: 0},
		{mutate: floorNotHandedOn, log: 0},
		{mutate: logNotHandedOn, log: endless},
		{mutate: floorNotRaised, log: 1},
		{mutate: killByDot, log: 0},
		{mutate: killsTooNew, log: 0},
		{mutate: killsTooNew, log: 0, sketch: true},
		{mutate: sketchTooOld, log: 0, sketch: true},
		{mutate: sketchUnbounded, log: 0, sketch: true},
		{mutate: contextAhead, log: endless},
		{mutate: idContinued, log: endless, restore: true},
		{mutate: digestSkipsKills, log: 0},
		{mutate: rangeTakenForAll, log: endless, ranges: true},
		{mutate: rangeResumedBeyond, log: endless, ranges: true},
		{mutate: rangeAssigned, log: endless, ranges: true},
		{mutate: rangeFloorForAll, log: 0, ranges: true},
		{mutate: rangeAskedWithTop, log: endless, ranges: true},
		{mutate: rangesPassOperations, log: endless, ranges: true},
		{mutate: rangesMadeEqual, log: endless, ranges: true},
		{mutate: noInterval, log: 0, ranges: true},
		{mutate: noKills, log: 0, ranges: true},
	} {
		t.Run(string(row.mutate), func(t *testing.T) {
			t.Parallel()
			row.loss = 0.35
			runs, noticed, claims := seeds(*seedsFlag), 0, map[string]int{}
			for _, seed := range runs {
				w := newWorld(row, seed)
				func() {
					// A broken rule may lead anywhere, even to a name that nobody wrote.
					defer func() {
						if r := recover(); r != nil {
							w.fail("nothing panics", "%v", r)
						}
					}()
					w.run()
				}()
				if len(w.failures) > 0 {
					noticed++
				}
				for claim := range w.counts {
					claims[claim]++
				}
			}
			t.Logf("noticed in %d of %d runs; runs by claim: %v", noticed, len(runs), claims)
			if noticed == 0 {
				t.Errorf("seeds 0 to %d: nobody noticed that %s", len(runs)-1, row.mutate)
			}
		})
	}
}

// TestFinalStateDoesNotDependOnTheLog runs the same schedule with different numbers of remembered deletes. Gossip is left out,
// because there the floor decides when an operation is delivered, and so what later writers are shown.
func TestFinalStateDoesNotDependOnTheLog(t *testing.T) {
	for _, seed := range seeds(*seedsFlag) {
		var want *State
		for _, log := range []int{endless, 20, 1, 0} {
			w := newWorld(config{log: log, loss: 1, restore: seed%2 == 0}, seed).run()
			got := w.peers[0].state
			if want == nil {
				want = got
			}
			if len(w.failures) > 0 || !got.Equal(want) {
				t.Fatalf("seed %d, log of %d: digest %x, want %x; broken claims %v\nreproduce: go test ./crdt -run '^%s$' -seed=%d", seed, log, got.Digest().Short(), want.Digest().Short(), w.failures, t.Name(), seed)
			}
		}
	}
}
