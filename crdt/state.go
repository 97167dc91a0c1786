package crdt

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A State is one replica's whole state in memory: path → register, and the contexts. It is the reference that tests and the
// simulator compare with, and serves programs that keep their own storage. A State is not safe for concurrent use.
type State struct {
	registers map[string]Register
	parts     Parts
	opens     map[ReplicaID][]byte
}

// NewState returns an empty state.
func NewState() *State {
	return &State{registers: map[string]Register{}, parts: Parts{{}}, opens: map[ReplicaID][]byte{}}
}

// Clone returns a copy that can change on its own.
func (s *State) Clone() *State {
	return &State{maps.Clone(s.registers), s.parts.Clone(), maps.Clone(s.opens)}
}

// Context implements [Base].
func (s *State) Context() Vector { return s.parts.Common() }

// Floor implements [Base].
func (s *State) Floor() Vector { return s.parts.Floor() }

// Parts implements [Base].
func (s *State) Parts() Parts { return s.parts }

// Cut implements [Base].
func (s *State) Cut(path string) { s.parts = s.parts.Cut(path) }

// Knit implements [Base].
func (s *State) Knit() { s.parts = s.parts.Knit() }

// Advance implements [Base].
func (s *State) Advance(d Dot) {
	for i := range s.parts {
		s.AdvancePart(i, d)
	}
}

// AdvancePart implements [Base].
func (s *State) AdvancePart(i int, d Dot) { s.parts[i].Context.Add(d) }

// Register implements [Base]; it never fails.
func (s *State) Register(path string) (Register, error) { return s.registers[path], nil }

// SetRegister implements [Base]; it never fails.
func (s *State) SetRegister(path string, r Register) error {
	floor := s.parts[s.parts.Of(path)].Floor
	r.Deletes = deleteFunc(r.Deletes, func(d Delete) bool { return floor.Has(d.Dot) })
	if r.IsEmpty() {
		delete(s.registers, path)
	} else {
		s.registers[path] = r
	}
	return nil
}

// forget drops the remembered deletes within the floors.
func (s *State) forget() {
	for path, r := range s.registers {
		if len(r.Deletes) > 0 {
			s.SetRegister(path, r)
		}
	}
}

// Raise implements [Base]; it never fails.
func (s *State) Raise(i int, context, floor Vector) error {
	p := &s.parts[i]
	if !floor.Within(p.Floor) {
		p.Floor.Join(floor)
		s.forget()
	}
	p.Context.Join(context)
	return nil
}

// Between implements [Base]; it never fails, and costs a pass over the state.
func (s *State) Between(from, to string) EntrySeq {
	return func(yield func(Entry, error) bool) {
		var paths []string
		for path := range s.registers {
			if inRange(path, from, to) {
				paths = append(paths, path)
			}
		}
		slices.SortFunc(paths, strings.Compare)
		for _, path := range paths {
			if !yield(Entry{path, s.registers[path]}, nil) {
				return
			}
		}
	}
}

// Open implements [Base]; it never fails.
func (s *State) Open(r ReplicaID) ([]byte, error) { return s.opens[r], nil }

// SetOpen implements [Base]; it never fails.
func (s *State) SetOpen(r ReplicaID, open []byte) error {
	s.opens[r] = open
	return nil
}

// LiveAbove implements [Base]. Unlike a store's it costs a pass over the state.
func (s *State) LiveAbove(v Vector) NameSeq {
	return s.names(func(r Register) []Dot { live, _ := r.dots(); return live }, v)
}

// DeletesAbove implements [Base]. Unlike a store's it costs a pass over the state.
func (s *State) DeletesAbove(v Vector) NameSeq {
	return s.names(func(r Register) []Dot { _, deletes := r.dots(); return deletes }, v)
}

func (s *State) names(of func(Register) []Dot, above Vector) NameSeq {
	return func(yield func(Name, error) bool) {
		var names []Name
		for path, r := range s.registers {
			for _, d := range of(r) {
				if !above.Has(d) {
					names = append(names, Name{d, path})
				}
			}
		}
		slices.SortFunc(names, Name.Compare)
		for _, n := range names {
			if !yield(n, nil) {
				return
			}
		}
	}
}

// DeleteCount implements [Base].
func (s *State) DeleteCount() int {
	n := 0
	for _, r := range s.registers {
		n += len(r.Deletes)
	}
	return n
}

// Paths returns the paths with a live value, sorted.
func (s *State) Paths() []string {
	var paths []string
	for path, r := range s.registers {
		if len(r.Live) > 0 {
			paths = append(paths, path)
		}
	}
	slices.SortFunc(paths, strings.Compare)
	return paths
}

// Get returns the register at path.
func (s *State) Get(path string) Register { return s.registers[path] }

// Digest returns the digest of the live values, computed anew.
func (s *State) Digest() Digest {
	var g Digest
	for path, r := range s.registers {
		for _, v := range r.Live {
			g.Add(path, v)
		}
	}
	return g
}

// Equal reports whether both states have seen the same operations and hold the same live values, with all that these say of themselves. What
// the states remember of deletes, and the marks of values that won over one, may differ.
func (s *State) Equal(t *State) bool {
	if !slices.EqualFunc(s.parts, t.parts, func(p, q Part) bool { return p.From == q.From && p.Context.Equal(q.Context) }) || len(s.Paths()) != len(t.Paths()) {
		return false
	}
	same := func(v, w Value) bool {
		return v.Dot == w.Dot && v.Time == w.Time && v.Kind == w.Kind && v.SameContent(w) && v.Resolved == w.Resolved && v.Policy == w.Policy &&
			v.Descent.Since == w.Descent.Since && slices.Equal(v.Descent.From, w.Descent.From)
	}
	for _, path := range s.Paths() {
		if !slices.EqualFunc(s.registers[path].Live, t.registers[path].Live, same) {
			return false
		}
	}
	return true
}

// Check returns an error that names the first broken invariant of the state, nil if all hold.
func (s *State) Check() error {
	if err := s.parts.Check(); err != nil {
		return err
	}
	for path, r := range s.registers {
		p := s.parts[s.parts.Of(path)]
		if err := CheckRegister(path, r, p.Context, p.Floor); err != nil {
			return err
		}
	}
	return nil
}

// Check returns an error that names the first broken invariant of the parts, nil if all hold.
func (p Parts) Check() error {
	for i := range p {
		switch {
		case i == 0 && p[i].From != "", i > 0 && p[i].From <= p[i-1].From:
			return fmt.Errorf("the part from %q is out of order", p[i].From)
		case !p[i].Floor.Within(p[i].Context):
			return fmt.Errorf("the floor is not within the context from %q on", p[i].From)
		}
	}
	if len(p) == 0 {
		return fmt.Errorf("there is no part")
	}
	return nil
}

// CheckRegister returns an error that names the first broken invariant of one register of a replica with the given context and
// floor, nil if all hold.
func CheckRegister(path string, r Register, context, floor Vector) error {
	if r.IsEmpty() {
		return fmt.Errorf("%q: an empty register is kept", path)
	}
	var last Dot
	for i := range r.Live {
		if err := checkNext(path, last, r.Live[i].Dot, context); err != nil {
			return err
		}
		last = r.Live[i].Dot
	}
	last = Dot{}
	for _, d := range r.Deletes {
		if err := checkNext(path, last, d.Dot, context); err != nil {
			return err
		}
		if last = d.Dot; floor.Has(d.Dot) {
			return fmt.Errorf("%q: the delete %v is remembered though it is within the floor", path, d.Dot)
		}
		if r.has(d.Dot) {
			return fmt.Errorf("%q: %v is a live value and a delete", path, d.Dot)
		}
	}
	return nil
}

// checkNext says whether d may follow last in a register, of a replica with the given context.
func checkNext(path string, last, d Dot, context Vector) error {
	if d.Compare(last) <= 0 {
		return fmt.Errorf("%q: dot %v follows %v: they are not in order, or one occurs twice", path, d, last)
	}
	if !context.Has(d) {
		return fmt.Errorf("%q: dot %v is outside the context", path, d)
	}
	return nil
}
