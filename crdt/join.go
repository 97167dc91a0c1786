package crdt

import "slices"

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
	var effects []Effect
	parts := b.Parts()
	for i := parts.Of(d.From); i < len(parts) && inRange(parts[i].From, d.From, d.To); i++ {
		more, err := joinPart(partOf(b, i), d.within(parts[i].From, parts.To(i)))
		if err != nil {
			return nil, err
		}
		effects = appendEffects(effects, more)
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
	out.Rows = slices.DeleteFunc(slices.Clone(d.Rows), func(r Row) bool { return !inRange(r.Path, from, to) })
	out.Kills = slices.DeleteFunc(slices.Clone(d.Kills), func(n Name) bool { return !inRange(n.Path, from, to) })
	return &out
}

func joinPart(b Base, d *Delta) ([]Effect, error) {
	dead, err := deadOutsideRows(b, d)
	if err != nil {
		return nil, err
	}
	effects := make([]Effect, 0, len(d.Rows)+len(dead))
	set := func(e Effect) error {
		effects = append(effects, e)
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
	for _, name := range dead {
		before, err := b.Register(name.Path)
		if err != nil {
			return nil, err
		}
		after := before
		after.Live = deleteFunc(before.Live, func(v Value) bool { return v.Dot == name.Dot })
		if err := set(Effect{Path: name.Path, Before: before, After: after}); err != nil {
			return nil, err
		}
	}
	return effects, adopt(b, d)
}

// adopt takes over the bindings, the floor and the context of the sender. The floor goes first into the base that has logged
// the sender's deletes, and the context last: nothing is covered that is not there.
func adopt(b Base, d *Delta) error {
	for _, o := range d.Opens {
		if err := b.SetOpen(o.Replica, o.Open); err != nil {
			return err
		}
	}
	for f := range d.Floor.All() {
		if err := b.RaiseFloor(f); err != nil {
			return err
		}
	}
	for top := range d.Context.All() {
		b.Advance(top)
	}
	return nil
}

// deadOutsideRows returns the live values of b on paths without a row that the delta shows to be dead.
func deadOutsideRows(b Base, d *Delta) ([]Name, error) {
	rows := make(map[string]bool, len(d.Rows))
	for i := range d.Rows {
		rows[d.Rows[i].Path] = true
	}
	seen := map[Name]bool{}
	var dead []Name
	add := func(n Name) {
		if !rows[n.Path] && !seen[n] {
			seen[n] = true
			dead = append(dead, n)
		}
	}
	learned, err := liveAbove(b, d.Asked, d.From, d.To, liveNamesMax)
	if err != nil {
		return nil, err
	}
	for _, name := range learned {
		if d.Context.Has(name.Dot) {
			add(name)
		}
	}
	for _, name := range d.Kills {
		reg, err := b.Register(name.Path)
		if err != nil {
			return nil, err
		}
		if reg.has(name.Dot) {
			add(name)
		}
	}
	return dead, nil
}

// liveNamesMax is the number of names from which on it costs less to walk the paths of a range.
const liveNamesMax = 16 << 10

// liveAbove returns the live values outside v on the paths from from on and before to.
func liveAbove(b Base, v Vector, from, to string, most int) ([]Name, error) {
	names, few, err := namesAbove(from, to, most, b.LiveAbove(v))
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
	var after Register
	arrived := false
	for _, v := range before.Live {
		won, live := row.has(v.Dot)
		if live || !d.Context.Has(v.Dot) {
			v.Won = v.Won || won
			after = after.withValue(v)
		}
	}
	after.Deletes = before.Deletes
	for _, v := range row.Values {
		if c.Has(v.Dot) {
			continue
		}
		for _, w := range after.Live {
			if !d.Context.Has(w.Dot) {
				out.Fresh = append(out.Fresh, [2]Value{v, w})
			}
		}
		after = after.withValue(v)
		arrived = true
	}
	out.Met = arrived && len(distinct(after.Live)) > 1
	for _, del := range row.Deletes {
		if !c.Has(del.Dot) {
			after = after.withDelete(del)
		}
	}
	out.After, out.Won = d.markWinners(row, before, after, c)
	return out
}

// markWinners marks the live values that one side wrote while the other side deleted the path: a new value where this side
// remembers a delete that the sender has not seen, or a standing value that the sender has not seen where it deleted.
func (d *Delta) markWinners(row *Row, before, after Register, c Vector) (Register, bool) {
	foreignDelete, ownDelete := false, false
	for _, del := range row.Deletes {
		foreignDelete = foreignDelete || !c.Has(del.Dot)
	}
	for _, del := range before.Deletes {
		ownDelete = ownDelete || !d.Context.Has(del.Dot)
	}
	marked := slices.ContainsFunc(before.Live, func(v Value) bool { return v.Won })
	found := false
	for _, v := range after.Live {
		old, _ := before.value(v.Dot)
		arrived := !c.Has(v.Dot)
		if arrived && ownDelete || !arrived && foreignDelete && !d.Context.Has(v.Dot) {
			v.Won = true
			after = after.withValue(v)
			found = found || !old.Won
		}
		// A mark that the sender set is news here, unless the value inherited it from one that was marked here.
		found = found || v.Won && !old.Won && !marked
	}
	return after, found
}
