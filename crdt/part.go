package crdt

import (
	"iter"
	"slices"
	"sort"
)

// A Part is a range of paths that a replica has seen under one context: those from From on, up to the next part. A replica that has
// everything it was ever told has one part. While it fills from others, range after range, it has several, and each of them is as
// exact as a replica of its own: every rule about contexts holds path by path.
type Part struct {
	From string
	// Context and Floor are as in [Base], for the paths of the part. The floor lies within the context.
	Context, Floor Vector
}

// Parts are all parts of a replica, sorted, the first from the empty path on. There is at least one.
type Parts []Part

// Of returns the index of the part that holds path.
func (p Parts) Of(path string) int {
	return max(0, sort.Search(len(p), func(i int) bool { return p[i].From > path })-1)
}

// To returns where the i-th part ends: the first path behind it, "" if it has no end.
func (p Parts) To(i int) string {
	if i+1 < len(p) {
		return p[i+1].From
	}
	return ""
}

// Common returns what was seen of every path, Top what was seen of at least one, Floor the join of the floors. They share memory
// with p if there is one part.
func (p Parts) Common() Vector {
	v := p[0].Context
	for i := range p[1:] {
		v = v.Meet(p[i+1].Context)
	}
	return v
}

// Top returns what was seen of at least one path.
func (p Parts) Top() Vector { return p.join(func(x *Part) Vector { return x.Context }) }

// Floor returns the join of the floors.
func (p Parts) Floor() Vector { return p.join(func(x *Part) Vector { return x.Floor }) }

func (p Parts) join(of func(*Part) Vector) Vector {
	v := of(&p[0])
	if len(p) > 1 {
		v = v.Clone()
	}
	for i := range p[1:] {
		v.Join(of(&p[i+1]))
	}
	return v
}

// Clone returns a copy that shares nothing with p.
func (p Parts) Clone() Parts {
	out := slices.Clone(p)
	for i := range out {
		out[i].Context, out[i].Floor = out[i].Context.Clone(), out[i].Floor.Clone()
	}
	return out
}

// Cut returns the parts with one that begins at path.
func (p Parts) Cut(path string) Parts {
	i := p.Of(path)
	if p[i].From == path {
		return p
	}
	return slices.Insert(p, i+1, Part{path, p[i].Context.Clone(), p[i].Floor.Clone()})
}

// Knit returns the parts with neighbours joined that are equal. It never makes two equal: a context says what is there.
func (p Parts) Knit() Parts {
	return slices.CompactFunc(p, func(a, b Part) bool { return a.Context.Equal(b.Context) && a.Floor.Equal(b.Floor) })
}

// knit makes one part of neighbours that have seen the same. Where one of them has forgotten more than another, all then have.
func knit(b Base) error {
	parts := b.Parts()
	for i, end := 0, 0; i < len(parts); i = end {
		for end = i + 1; end < len(parts) && parts[end].Context.Equal(parts[i].Context); end++ {
		}
		if end == i+1 {
			continue
		}
		floor := parts[i:end].Floor()
		for ; i < end; i++ {
			if err := b.Raise(i, Vector{}, floor); err != nil {
				return err
			}
		}
	}
	b.Knit()
	return nil
}

// inRange reports whether from <= path < to; to may be "" for no end.
func inRange(path, from, to string) bool { return path >= from && (to == "" || path < to) }

// An Entry is a path with what is known of it.
type Entry struct {
	Path     string
	Register Register
}

// An EntrySeq yields entries; after an error it ends.
type EntrySeq = iter.Seq2[Entry, error]

// only is the i-th part of a base, seen as a base.
type only struct {
	Base
	i        int
	from, to string
}

// partOf returns the i-th part of b as a base of its own.
func partOf(b Base, i int) Base {
	parts := b.Parts()
	if len(parts) == 1 {
		return b
	}
	return only{b, i, parts[i].From, parts.To(i)}
}

func (o only) Context() Vector            { return o.Parts()[o.i].Context }
func (o only) Floor() Vector              { return o.Parts()[o.i].Floor }
func (o only) Advance(d Dot)              { o.AdvancePart(o.i, d) }
func (o only) RaiseFloor(d Dot) error     { return o.RaiseFloorPart(o.i, d) }
func (o only) LiveAbove(v Vector) NameSeq { return o.in(o.Base.LiveAbove(v)) }
func (o only) DeletesAbove(v Vector) NameSeq {
	return o.in(o.Base.DeletesAbove(v))
}

func (o only) in(names NameSeq) NameSeq {
	return func(yield func(Name, error) bool) {
		for n, err := range names {
			if (err != nil || inRange(n.Path, o.from, o.to)) && !yield(n, err) {
				return
			}
		}
	}
}
