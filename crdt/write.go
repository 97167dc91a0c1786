package crdt

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Change is what a writer wants to do at one path.
type Change struct {
	Path   string
	Delete bool
	Kind   Kind
	Type   string
	// Data is kept; do not change it afterwards.
	Data []byte
	// Shown holds the dots of the live values that the writer was shown and means to replace. Dots that are not live any more
	// are dropped. Every remembered delete of the path counts as shown.
	Shown []Dot
	// ShownAll stands for every value that is live now.
	ShownAll bool
	// Clear marks an explicit resolution, and Policy names the policy whose it is, if nobody was asked.
	Clear  bool
	Policy string
}

// An Effect is what one operation or one delta did at one path.
type Effect struct {
	Path string
	// Before is the register as it was. If it held one value that was replaced and has more than [BeforeBytesMax] bytes, its data are left out:
	// an operation of few bytes may replace very many.
	Before, After Register
	// Arrived and Stood hold the live values that met here for the first time: each of Arrived met each of Stood, and their writers
	// knew nothing of each other. Both are empty if none met.
	Arrived, Stood []Value
	// Met says that a delta brought a value that stands beside one of another content. They may have met at another replica before;
	// whether their writers knew of each other a delta does not tell.
	Met bool
	// Won says that a live value of After was found to have been written concurrently with a delete.
	Won bool
}

// BeforeBytesMax bounds the data of a single replaced value that an [Effect] holds.
const BeforeBytesMax = 4 << 10

// light returns the effect without the data that its Before does not hold.
func (e Effect) light() Effect {
	if len(e.Before.Live) == 1 && len(e.Before.Live[0].Data) > BeforeBytesMax && !e.After.has(e.Before.Live[0].Dot) {
		e.Before.Live = slices.Clone(e.Before.Live)
		e.Before.Live[0].Data = nil
	}
	return e
}

// A Writer says who writes: the next dot of the replica, the time, what the operation depends on beyond its predecessors, and
// for the first operation of a replica its binding to a device.
type Writer struct {
	Dot  Dot
	Time Timestamp
	Deps Vector
	Open []byte
}

// Write makes one operation of all changes and applies it to b. Every path may occur once. A delete of a path where nothing of
// what was shown is live does nothing; if no change does anything, Write returns a nil Op and the dot stays unused.
//
// A predecessor is always a dot that the writer's own context holds, and everything that the writer holds at the path is named
// in the entry, superseded or not: without that, a receiver that applies operations early or late reports conflicts that are
// none, or misses some (rules 1 to 7 in docs/ARCHITECTURE.md).
func Write(b Base, w Writer, changes []Change) (*Op, []Effect, error) {
	op := &Op{Dot: w.Dot, Time: w.Time, Deps: w.Deps, Open: w.Open}
	if next := b.Context().Get(w.Dot.Replica) + 1; w.Dot.Counter != next {
		return nil, nil, fmt.Errorf("write %v: the next counter of the replica is %d", w.Dot, next)
	}
	op.Entries = make([]OpEntry, 0, len(changes))
	var stale map[string]bool
	parts := b.Parts()
	for i := range changes {
		reg, err := b.Register(changes[i].Path)
		if err != nil {
			return nil, nil, err
		}
		e, old, ok := newEntry(&changes[i], w.Dot, reg, parts[parts.Of(changes[i].Path)].Context)
		if !ok {
			continue
		}
		if old {
			if stale == nil {
				stale = map[string]bool{}
			}
			stale[e.Path] = true
		}
		op.Entries = append(op.Entries, e)
	}
	if len(op.Entries) == 0 {
		return nil, nil, nil
	}
	slices.SortFunc(op.Entries, func(a, b OpEntry) int { return strings.Compare(a.Path, b.Path) })
	for i := 1; i < len(op.Entries); i++ {
		if op.Entries[i].Path == op.Entries[i-1].Path {
			return nil, nil, fmt.Errorf("write: path %q occurs twice in one operation", op.Entries[i].Path)
		}
	}
	effects, err := apply(b, op, stale)
	if err != nil {
		return nil, nil, err
	}
	return op, effects, nil
}

// newEntry splits what the register holds into what the change supersedes and what it knows besides. It reports false for a
// delete with nothing to delete. stale reports that the writer was shown a value that is gone, and that nothing live remains
// beside the new one: what the person edited was deleted meanwhile.
func newEntry(c *Change, dot Dot, reg Register, seen Vector) (e OpEntry, stale, ok bool) {
	e = OpEntry{Path: c.Path, Delete: c.Delete, Clear: c.Clear}
	if !c.Delete {
		e.Kind, e.Type, e.Data, e.Policy = c.Kind, c.Type, c.Data, c.Policy
	}
	live, deletes := reg.dots()
	e.PredDeletes = deletes
	if c.ShownAll {
		e.Preds, live = live, nil
	}
	shown := c.Shown
	if !slices.IsSortedFunc(shown, Dot.Compare) {
		shown = slices.SortedFunc(slices.Values(shown), Dot.Compare)
	}
	for _, d := range live {
		if hasDot(shown, d) {
			e.Preds = append(e.Preds, d)
		} else {
			e.Also = append(e.Also, d)
		}
	}
	if c.Delete {
		return e, false, len(e.Preds) > 0
	}
	gone := deleteFunc(shown, reg.has)
	if len(gone) == 0 { // else it was made from what is not here any more
		e.Descent = descend(dot, e.Preds, e.Also, reg)
	}
	return e, len(e.Also) == 0 && slices.ContainsFunc(gone, seen.Has), true
}

// Readiness says whether an operation can be applied now.
type Readiness int

const (
	// Ready: it is the next of its replica and all that it names is seen.
	Ready Readiness = iota
	// Seen: it was applied before.
	Seen
	// Early: something that it needs has not been seen yet.
	Early
)

// Check says whether op can be applied to a replica whose context is c: next in the order of its writer, and everything that
// the writer's replica held at its paths seen too.
func (op *Op) Check(c Vector) Readiness {
	switch top := c.Get(op.Dot.Replica); {
	case op.Dot.Counter <= top:
		return Seen
	case op.Dot.Counter != top+1, !op.Deps.Within(c):
		return Early
	}
	for i := range op.Entries {
		e := &op.Entries[i]
		if !c.HasAll(e.Preds) || !c.HasAll(e.PredDeletes) || !c.HasAll(e.Also) {
			return Early
		}
	}
	return Ready
}

// CheckAt is Check for a base with any number of parts. An operation is ready if it is in every part that it touches and that
// lacks it (rule 13): what one transaction wrote comes to light at once, and a part that has it already is left alone.
func (op *Op) CheckAt(b Base) Readiness {
	parts := b.Parts()
	all := Seen
	for i := range parts {
		in := op.within(parts[i].From, parts.To(i))
		switch r := in.Check(parts[i].Context); {
		case r == Early && len(in.Entries) > 0:
			return Early
		case r == Ready:
			all = Ready
		}
	}
	return all
}

// Missing returns a dot that op names at one of its paths and that b has not seen there; false if there is none. As long as it is not
// seen, the operation is Early.
func (op *Op) Missing(b Base) (Name, bool) {
	parts := b.Parts()
	for i := range op.Entries {
		e := &op.Entries[i]
		c := parts[parts.Of(e.Path)].Context
		if c.Has(op.Dot) {
			continue // nothing is to be done there
		}
		for _, dots := range [...][]Dot{e.Preds, e.PredDeletes, e.Also, op.Deps.tops} {
			for _, d := range dots {
				if !c.Has(d) {
					return Name{d, e.Path}, true
				}
			}
		}
	}
	return Name{}, false
}

// within returns the operation with its entries from from on and before to only.
func (op *Op) within(from, to string) *Op {
	if from == "" && to == "" {
		return op
	}
	out := *op
	out.Entries = nil
	for _, e := range op.Entries {
		if inRange(e.Path, from, to) {
			out.Entries = append(out.Entries, e)
		}
	}
	return &out
}

// Apply applies an operation of another replica. It must be Ready. A part that it does not touch takes note of it if it is the next
// there, and otherwise hears of it from an answer.
func Apply(b Base, op *Op) ([]Effect, error) {
	if r := op.CheckAt(b); r != Ready {
		panic(fmt.Sprintf("crdt: apply %v: readiness %d, want ready", op.Dot, r))
	}
	var effects []Effect
	parts := b.Parts()
	for i := range parts {
		in := op.within(parts[i].From, parts.To(i))
		if in.Check(parts[i].Context) != Ready {
			continue
		}
		more, err := apply(partOf(b, i), in, nil)
		if err != nil {
			return nil, err
		}
		effects = appendEffects(effects, more)
	}
	return effects, knit(b)
}

func apply(b Base, op *Op, stale map[string]bool) ([]Effect, error) {
	effects := make([]Effect, 0, len(op.Entries))
	for i := range op.Entries {
		e := &op.Entries[i]
		before, err := b.Register(e.Path)
		if err != nil {
			return nil, err
		}
		effect := op.effect(e, before, stale[e.Path])
		if err := b.SetRegister(e.Path, effect.After); err != nil {
			return nil, err
		}
		effects = append(effects, effect.light())
	}
	if len(op.Open) > 0 {
		if err := b.SetOpen(op.Dot.Replica, op.Open); err != nil {
			return nil, err
		}
	}
	b.Advance(op.Dot)
	return effects, nil
}

// effect computes what an entry does to a register, and which conflicts that shows. F is what lives here and was unknown to
// the writer; a superseded value that is not live here was removed by something concurrent with the entry.
func (op *Op) effect(e *OpEntry, before Register, stale bool) Effect {
	out := Effect{Path: e.Path, Before: before}
	fresh := deleteFunc(before.Live, func(v Value) bool { return hasDot(e.Preds, v.Dot) || hasDot(e.Also, v.Dot) })
	gone, heir := false, false
	for _, d := range e.Preds {
		v, ok := before.value(d)
		gone = gone || !ok
		heir = heir || v.Won
	}
	// Superseded deletes are forgotten at once: only maximal deletes need to be remembered.
	after := before.without(e.Preds, e.PredDeletes)
	if e.Delete {
		after = after.withDelete(Delete{op.Dot, op.Time})
		if gone && len(fresh) > 0 {
			out.Won, fresh = true, slices.Clone(fresh)
			for i := range fresh {
				fresh[i].Won = true
			}
			after.Live = merged(after.Live, fresh, valueDot)
		}
		out.After = after
		return out
	}
	v := op.value(e)
	found := gone && len(fresh) == 0 || stale
	v.Won = found || heir && len(e.PredDeletes) == 0 && !e.Clear
	out.Won = found
	out.After = after.withValue(v)
	if len(fresh) > 0 {
		out.Arrived, out.Stood = []Value{v}, fresh
	}
	return out
}

// Trim forgets the oldest remembered deletes, if there are more than max, until at most 15/16 of max are left, and raises the
// floor over them. It forgets many at once so that its cost, a pass over the log, is spread over many deletes. It reads the registers of
// all of them before it changes anything.
func Trim(b Base, max int) error {
	if b.DeleteCount() <= max {
		return nil
	}
	return trim(b, max)
}

func trim(b Base, max int) error {
	type aged struct {
		time Timestamp
		dot  Dot
		path string
	}
	var all []aged
	var unread []Dot
	for name, err := range b.DeletesAbove(Vector{}) {
		if err != nil {
			return err
		}
		reg, err := b.Register(name.Path)
		if errors.Is(err, ErrDecode) {
			unread = append(unread, name.Dot) // a damaged path keeps its deletes until it is whole again, and nobody from writing elsewhere
			continue
		}
		if err != nil {
			return err
		}
		i, ok := slices.BinarySearchFunc(reg.Deletes, name.Dot, func(d Delete, dot Dot) int { return d.Dot.Compare(dot) })
		if ok {
			all = append(all, aged{reg.Deletes[i].Time, name.Dot, name.Path})
		}
	}
	slices.SortFunc(all, func(x, y aged) int { return cmp.Or(cmp.Compare(x.time, y.time), x.dot.Compare(y.dot)) })
	least := map[ReplicaID]uint64{} // the lowest counter that cannot be forgotten
	for _, d := range unread {
		if n := least[d.Replica]; n == 0 || d.Counter < n {
			least[d.Replica] = d.Counter
		}
	}
	parts := b.Parts()
	forgotten := make([][]Dot, len(parts))
	for _, x := range all[:len(all)-min(len(all), max-max/16)] {
		if n := least[x.dot.Replica]; n > 0 && n <= x.dot.Counter {
			continue // the floor would rise over what cannot be forgotten
		}
		i := parts.Of(x.path)
		forgotten[i] = append(forgotten[i], x.dot)
	}
	for i, dots := range forgotten {
		if err := b.Raise(i, Vector{}, VectorOf(dots)); err != nil {
			return err
		}
	}
	return knit(b)
}
