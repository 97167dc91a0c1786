package crdt

import (
	"errors"
	"fmt"
	"slices"
)

// A Conflict is what Merge found at one path: values written without knowledge of each other whose contents differ, or a value
// that won over a concurrent delete.
type Conflict struct {
	Path string
	// Remote is the newest value that arrived and met one of other content, Local the newest that it met: values written apart
	// that never have equal contents. A delete is the zero Value. If all of them arrived at once, because they met elsewhere
	// before, Local is the newest that differs from Remote.
	Local, Remote Value
	// Siblings holds all live values, newest first; more than two if more than two writers met.
	Siblings []Value
	// Settled says that the register is of kind LWW: the newest value is shown and nobody is asked. It is reported all the
	// same, so that nothing is overruled in silence.
	Settled bool
}

// conflictOf returns the conflict that an effect brought to light, if it did.
func conflictOf(e Effect) (Conflict, bool) {
	c := Conflict{Path: e.Path, Settled: e.After.Kind() == LWW}
	local, remote, apart := e.apart()
	switch {
	case apart:
		c.Local, c.Remote = local, remote
	case different(e.After.Live) > max(1, different(e.Before.Live)), e.Met && !e.Won:
		c.Local, c.Remote = e.meeting()
	case e.Won:
		if winner := e.winner(); e.Before.has(winner.Dot) {
			c.Local = winner
		} else {
			c.Remote = winner
		}
	default:
		return Conflict{}, false
	}
	c.Siblings = e.After.Newest()
	return c, true
}

// apart returns the newest value that arrived and met one of another content that was written apart from it, and the newest that it met.
func (e Effect) apart() (local, remote Value, ok bool) {
	if len(e.Arrived) == 0 || len(e.Stood) == 0 {
		return local, remote, false
	}
	local = slices.MaxFunc(e.Stood, compareNewest)
	others := deleteFunc(e.Stood, local.SameContent)
	for _, remote := range (Register{Live: e.Arrived}).Newest() {
		switch {
		case !remote.SameContent(local):
			return local, remote, true
		case len(others) > 0:
			return slices.MaxFunc(others, compareNewest), remote, true
		}
	}
	return Value{}, Value{}, false
}

// winner returns the newest value that was found to have won over a concurrent delete, which need not be the one that is shown; if
// all that won here had won over another delete before, the newest of them.
func (e Effect) winner() Value {
	shown, _ := e.After.Shown()
	winners := deleteFunc(e.After.Newest(), func(v Value) bool { return !v.Won })
	fresh := deleteFunc(winners, func(v Value) bool { old, _ := e.Before.value(v.Dot); return old.Won })
	return append(append(fresh, winners...), shown)[0]
}

// meeting returns the newest value that arrived, and the newest value of another content that stood before, or else arrived with
// it. It is asked about values that met at another replica first: whether their writers knew of each other cannot be told here,
// but the conflict is open here now.
func (e Effect) meeting() (local, remote Value) {
	newest := e.After.Newest()
	remote = newest[slices.IndexFunc(newest, func(v Value) bool { return !e.Before.has(v.Dot) })]
	rivals := deleteFunc(newest, remote.SameContent)
	i := slices.IndexFunc(rivals, func(v Value) bool { return e.Before.has(v.Dot) })
	return rivals[max(i, 0)], remote
}

// Conflicts returns the conflicts that effects brought to light, in their order.
func Conflicts(effects []Effect) []Conflict {
	var cs []Conflict
	for _, e := range effects {
		if c, ok := conflictOf(e); ok {
			cs = append(cs, c)
		}
	}
	return cs
}

// Diff returns what old lacks of new. Merging it into old, or into anything that grew from old, gives the join with new. It
// leaves both alone. After Merge(local, Diff(local, remote)) and the same the other way round, both states are equal. If new has
// several parts, the result is about the first of which old has not seen everything.
func Diff(old, new *State) *Delta {
	asked, from, to := old.Context(), "", ""
	for i := range new.parts {
		if from, to = new.parts[i].From, new.parts.To(i); !new.parts[i].Context.Within(asked) {
			break
		}
	}
	d, err := AnswerPart(new, asked, from, to, unlimited)
	if err == nil {
		err = d.Bind(new, func(ReplicaID) bool { return false })
	}
	if err == nil && BelowFloor(new, asked) {
		live, _ := liveAbove(old, Vector{}, d.From, d.To, 0)
		d.Kills, err = Kills(new, slices.Values(live))
	}
	if err != nil {
		panic("crdt: a State in memory failed: " + err.Error())
	}
	return d
}

// Merge returns the join of s with the sender of d, and the conflicts that it brought to light, by path. It leaves s alone.
// Merge is idempotent, and the order of several merges does not matter.
func Merge(s *State, d *Delta) (*State, []Conflict) {
	out := s.Clone()
	effects, err := Join(out, d)
	if err != nil {
		panic("crdt: a State in memory failed: " + err.Error())
	}
	return out, Conflicts(effects)
}

// A Strategy decides what a conflict becomes: the kind, type and data of the value that replaces all siblings.
type Strategy func(Conflict) (Value, error)

// ErrNoValue is returned when a strategy is asked about a conflict without values.
var ErrNoValue = errors.New("the conflict has no values")

// LastWriteWins keeps the newest sibling by (time, replica, counter).
func LastWriteWins(c Conflict) (Value, error) {
	if len(c.Siblings) == 0 {
		return Value{}, ErrNoValue
	}
	return slices.MaxFunc(c.Siblings, compareNewest), nil
}

// ManualResolve takes the value that a person chose or wrote.
func ManualResolve(v Value) Strategy {
	return func(Conflict) (Value, error) { return v, nil }
}

// MergeValues combines the siblings with f. It calls f with the different contents only, in an order that is equal on all
// replicas, and with copies, so that f may keep or change them. f must give the same result on every device.
func MergeValues(f func(siblings []Value) (Value, error)) Strategy {
	return func(c Conflict) (Value, error) {
		if len(c.Siblings) == 0 {
			return Value{}, ErrNoValue
		}
		vs := Register{Live: c.Siblings}.Distinct()
		for i := range vs {
			vs[i].Data = slices.Clone(vs[i].Data)
		}
		return f(vs)
	}
}

// Resolve returns the value that replaces the siblings of c under a strategy: content only, without dot, time or marks. Write
// it with [Conflict.Change].
func Resolve(c Conflict, s Strategy) (Value, error) {
	v, err := s(c)
	if err != nil {
		return Value{}, fmt.Errorf("resolve %q: %w", c.Path, err)
	}
	return Value{Kind: v.Kind, Type: v.Type, Data: v.Data}, nil
}

// Change returns the write that closes the conflict with v. It supersedes exactly the siblings of c; a value that arrives
// meanwhile survives it.
func (c Conflict) Change(v Value) Change {
	ch := Change{Path: c.Path, Kind: v.Kind, Type: v.Type, Data: v.Data, Clear: true}
	for _, s := range c.Siblings {
		ch.Shown = append(ch.Shown, s.Dot)
	}
	return ch
}
