package crdt

import (
	"math"
	"slices"
	"sort"
)

// Join applies a delta to b, whatever b has learned since it asked, and returns what changed, path by path.
//
// The state that results is the join of b with the sender's whole state as it was when it answered. That holds although the
// delta is relative to an older context of b: everything that is live in b, inside the sender's context but outside Asked, and
// not in the delta, is dead at the sender (a delta-interval in the sense of arXiv:1603.01529, section 6).
//
// A delta about a range of paths raises what is known of that range and of nothing else (rules 11 and 12). It is joined into each part
// of b that lies there under that part's own context.
func Join(b Base, d *Delta) ([]Effect, error) {
	if d.From != "" {
		b.Cut(d.From)
	}
	if d.To != "" {
		b.Cut(d.To)
	}
	for _, o := range d.Opens {
		if err := b.SetOpen(o.Replica, o.Open); err != nil {
			return nil, err
		}
	}
	var effects []Effect
	parts := b.Parts()
	for i := parts.Of(d.From); i < len(parts) && inRange(parts[i].From, d.From, d.To); i++ {
		more, err := joinPart(partOf(b, i), d.within(parts[i].From, parts.To(i)))
		if err != nil {
			return nil, err
		}
		effects = appendEffects(effects, more)
		// The contexts come last: nothing is covered that is not there.
		if err := b.Raise(i, d.Context, d.Floor); err != nil {
			return nil, err
		}
	}
	return effects, knit(b)
}

// appendEffects appends what was done to one part to what was done to those before it. Mostly there is one.
func appendEffects(effects, more []Effect) []Effect {
	if effects == nil {
		return more
	}
	return append(effects, more...)
}

// within returns the delta with what it says of the paths from from on and before to.
func (d *Delta) within(from, to string) *Delta {
	if from == d.From && to == d.To {
		return d
	}
	out := *d
	out.From, out.To = from, to
	place := func(path string) int {
		return sort.Search(len(d.Rows), func(i int) bool { return d.Rows[i].Path >= path })
	}
	if to != "" {
		out.Rows = out.Rows[:place(to)]
	}
	out.Rows = out.Rows[place(from):]
	out.Kills = slices.DeleteFunc(slices.Clone(d.Kills), func(n Name) bool { return !inRange(n.Path, from, to) })
	return &out
}

// joinPart joins a delta into a base of one part, all but the contexts.
func joinPart(b Base, d *Delta) ([]Effect, error) {
	paths, dead, err := deadOutsideRows(b, d)
	if err != nil {
		return nil, err
	}
	effects := make([]Effect, 0, len(d.Rows)+len(paths))
	set := func(e Effect) error {
		effects = append(effects, e.light())
		return b.SetRegister(e.Path, e.After)
	}
	for i := range d.Rows {
		before, err := b.Register(d.Rows[i].Path)
		if err != nil {
			return nil, err
		}
		if err := set(d.joinRow(&d.Rows[i], before, b.Context())); err != nil {
			return nil, err
		}
	}
	for _, path := range paths {
		before, err := b.Register(path)
		if err != nil {
			return nil, err
		}
		after := before.without(dead[path], nil)
		if len(after.Live) == len(before.Live) {
			continue // what the sender took for live here is not any more
		}
		if err := set(Effect{Path: path, Before: before, After: after}); err != nil {
			return nil, err
		}
	}
	return effects, nil
}

// deadOutsideRows returns the paths without a row, and for each the dots that are dead by the delta, sorted. Some may not be live in b.
func deadOutsideRows(b Base, d *Delta) (paths []string, dead map[string][]Dot, err error) {
	learned, err := liveAbove(b, d.Asked, d.From, d.To, liveNamesMax)
	if err != nil {
		return nil, nil, err
	}
	if len(learned)+len(d.Kills) == 0 {
		return nil, nil, nil
	}
	rows := make(map[string]bool, len(d.Rows))
	for i := range d.Rows {
		rows[d.Rows[i].Path] = true
	}
	dead = map[string][]Dot{}
	add := func(n Name) {
		if rows[n.Path] {
			return
		}
		if dead[n.Path] == nil {
			paths = append(paths, n.Path)
		}
		dead[n.Path] = append(dead[n.Path], n.Dot)
	}
	for _, name := range learned {
		if d.Context.Has(name.Dot) {
			add(name)
		}
	}
	for _, name := range d.Kills {
		add(name)
	}
	for _, dots := range dead {
		slices.SortFunc(dots, Dot.Compare)
	}
	return paths, dead, nil
}

// liveNamesMax is the number of names from which on it costs less to walk the paths of a range.
const liveNamesMax = 16 << 10

// liveAbove returns the live values outside v on the paths from from on and before to.
func liveAbove(b Base, v Vector, from, to string, most int) ([]Name, error) {
	names, few, err := namesAbove(from, to, most, math.MaxInt, b.LiveAbove(v))
	if few || err != nil {
		return names, err
	}
	for e, err := range b.Between(from, to) {
		if err != nil {
			return nil, err
		}
		for i := range e.Register.Live {
			if d := e.Register.Live[i].Dot; !v.Has(d) {
				names = append(names, Name{d, e.Path})
			}
		}
	}
	return names, nil
}

// joinRow joins the sender's live set at one path, read under the sender's context, into a register read under c.
func (d *Delta) joinRow(row *Row, before Register, c Vector) Effect {
	out := Effect{Path: row.Path, Before: before}
	kept := make([]Value, 0, len(before.Live)+len(row.Values))
	for _, v := range before.Live {
		won, live := row.has(v.Dot)
		if live || !d.Context.Has(v.Dot) {
			v.Won = v.Won || won
			kept = append(kept, v)
		}
	}
	arrived := deleteFunc(row.Values, func(v Value) bool { return c.Has(v.Dot) })
	if len(arrived) > 0 {
		out.Stood = deleteFunc(kept, func(v Value) bool { return d.Context.Has(v.Dot) })
	}
	if len(out.Stood) > 0 {
		out.Arrived = arrived
	}
	out.After.Live = merged(kept, arrived, valueDot)
	out.After.Deletes = merged(before.Deletes, deleteFunc(row.Deletes, func(x Delete) bool { return c.Has(x.Dot) }), deleteDot)
	out.Won = d.markWinners(row, before, out.After.Live, c)
	out.Met = len(arrived) > 0 && different(out.After.Live) > 1
	return out
}

// markWinners marks the live values that one side wrote while the other side deleted the path: a new value where this side
// remembers a delete that the sender has not seen, or a standing value that the sender has not seen where it deleted. It reports whether
// one was found.
func (d *Delta) markWinners(row *Row, before Register, live []Value, c Vector) (found bool) {
	foreignDelete := slices.ContainsFunc(row.Deletes, func(x Delete) bool { return !c.Has(x.Dot) })
	ownDelete := slices.ContainsFunc(before.Deletes, func(x Delete) bool { return !d.Context.Has(x.Dot) })
	marked := slices.ContainsFunc(before.Live, func(v Value) bool { return v.Won })
	for i := range live {
		v := &live[i]
		old, _ := before.value(v.Dot)
		arrived := !c.Has(v.Dot)
		if arrived && ownDelete || !arrived && foreignDelete && !d.Context.Has(v.Dot) {
			v.Won = true
			found = found || !old.Won
		}
		// A mark that the sender set is news here, unless the value inherited it from one that was marked here.
		found = found || v.Won && !old.Won && !marked
	}
	return found
}
