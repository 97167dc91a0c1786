package crdt

import (
	"bytes"
	"cmp"
	"slices"
)

// A Value is one live value of a register, with the name of the operation that wrote it.
type Value struct {
	Dot  Dot
	Time Timestamp
	Kind Kind
	// Type is the media type of Data, stored and never interpreted.
	Type string
	// Data must not be changed once the Value is part of a register.
	Data []byte
	// Won marks a value that survived a delete made concurrently. It is a report for people: it is no part of the digest, and
	// two replicas with equal contexts may in rare cases differ in it.
	Won bool
	// Resolved says that the value was written to settle a conflict.
	Resolved bool
	// Policy names what settled it, if that was a policy and nobody was asked; at most [PolicyBytesMax] bytes, empty otherwise.
	Policy string
	// Descent says what the value was written over. It is no part of the digest.
	Descent Descent
}

// SameContent reports whether v and w hold the same bytes of the same type. Such values never conflict.
func (v Value) SameContent(w Value) bool { return v.Type == w.Type && bytes.Equal(v.Data, w.Data) }

// compareNewest orders values by (time, replica, counter): the order of last-writer-wins, total and equal on all replicas.
func compareNewest(v, w Value) int {
	return cmp.Or(cmp.Compare(v.Time, w.Time), v.Dot.Compare(w.Dot))
}

func valueDot(v *Value) Dot { return v.Dot }

// A Delete is a delete that a replica remembers: the operation that removed all the values its writer was shown.
type Delete struct {
	Dot  Dot
	Time Timestamp
}

func deleteDot(d *Delete) Dot { return d.Dot }

// A Register is what a replica knows of one path: the live values, which nothing it has seen supersedes, and the deletes that it
// still remembers. A Register is read as a multi-value register (all of Live) or as a last-writer-wins register (Shown); the
// kinds of its values say which is meant.
//
// Invariant: Live and Deletes are sorted by dot and hold no dot twice.
type Register struct {
	Live    []Value
	Deletes []Delete
}

// IsEmpty reports whether the register holds nothing, not even a remembered delete.
func (r Register) IsEmpty() bool { return len(r.Live) == 0 && len(r.Deletes) == 0 }

// Shown returns the value that a plain read returns: the newest. It reports false if there is none.
func (r Register) Shown() (Value, bool) {
	if len(r.Live) == 0 {
		return Value{}, false
	}
	return slices.MaxFunc(r.Live, compareNewest), true
}

// Newest returns the live values, newest first. The slice is the caller's.
func (r Register) Newest() []Value {
	vs := slices.Clone(r.Live)
	slices.SortFunc(vs, func(v, w Value) int { return compareNewest(w, v) })
	return vs
}

// Kind returns LWW if all live values are LWW, and Multi otherwise.
func (r Register) Kind() Kind {
	for _, v := range r.Live {
		if v.Kind != LWW {
			return Multi
		}
	}
	if len(r.Live) == 0 {
		return Multi
	}
	return LWW
}

// Contending returns the number of values that wait for a decision: the number of different contents if there are two or more,
// 1 if the one content won over a concurrent delete, and 0 if nothing is open. A register of kind LWW is never open.
func (r Register) Contending() int {
	if len(r.Live) == 0 || r.Kind() == LWW {
		return 0
	}
	if n := different(r.Live); n > 1 {
		return n
	}
	if slices.ContainsFunc(r.Live, func(v Value) bool { return v.Won }) {
		return 1
	}
	return 0
}

// Overruled returns the number of different contents that lie below the shown one in a register of kind LWW: what the newest
// value won over without anybody being asked. It is 0 for other registers.
func (r Register) Overruled() int {
	if len(r.Live) < 2 || r.Kind() != LWW {
		return 0
	}
	return different(r.Live) - 1
}

// Distinct returns the live values whose content no newer one has, newest first. The slice is the caller's.
func (r Register) Distinct() []Value {
	newest := r.Newest()
	repeated := make([]bool, len(newest))
	order := byContent(newest)
	for k, i := range order {
		repeated[i] = k > 0 && newest[i].SameContent(newest[order[k-1]])
	}
	out := newest[:0]
	for i, v := range newest {
		if !repeated[i] {
			out = append(out, v)
		}
	}
	return out
}

// different returns the number of different contents.
func different(live []Value) int {
	const few = 8 // up to here to compare each with each costs less
	n := 0
	if len(live) <= few {
		for i := range live {
			if !slices.ContainsFunc(live[:i], live[i].SameContent) {
				n++
			}
		}
		return n
	}
	order := byContent(live)
	for k, i := range order {
		if k == 0 || !live[i].SameContent(live[order[k-1]]) {
			n++
		}
	}
	return n
}

// byContent returns the indexes of values such that equal contents stand side by side, each in the order of values.
func byContent(values []Value) []int {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, k int) int {
		v, w := &values[i], &values[k]
		return cmp.Or(cmp.Compare(len(v.Data), len(w.Data)), cmp.Compare(v.Type, w.Type), bytes.Compare(v.Data, w.Data), cmp.Compare(i, k))
	})
	return order
}

// value returns the live value with dot d.
func (r Register) value(d Dot) (Value, bool) {
	i, ok := slices.BinarySearchFunc(r.Live, d, func(v Value, d Dot) int { return v.Dot.Compare(d) })
	if !ok {
		return Value{}, false
	}
	return r.Live[i], true
}

// has reports whether d is the dot of a live value.
func (r Register) has(d Dot) bool {
	_, ok := r.value(d)
	return ok
}

// without returns the register less the live values and remembered deletes that either list names. Both are sorted.
func (r Register) without(values, deletes []Dot) Register {
	dropped := func(d Dot) bool { return hasDot(values, d) || hasDot(deletes, d) }
	return Register{
		Live:    deleteFunc(r.Live, func(v Value) bool { return dropped(v.Dot) }),
		Deletes: deleteFunc(r.Deletes, func(d Delete) bool { return dropped(d.Dot) }),
	}
}

// withValue returns the register with v put in its place.
func (r Register) withValue(v Value) Register {
	i, ok := slices.BinarySearchFunc(r.Live, v.Dot, func(w Value, d Dot) int { return w.Dot.Compare(d) })
	after := i
	if ok {
		after++
	}
	live := make([]Value, 0, i+1+len(r.Live)-after)
	live = append(append(append(live, r.Live[:i]...), v), r.Live[after:]...)
	return Register{live, r.Deletes}
}

// withDelete returns the register with d remembered.
func (r Register) withDelete(d Delete) Register {
	i, ok := slices.BinarySearchFunc(r.Deletes, d.Dot, func(e Delete, d Dot) int { return e.Dot.Compare(d) })
	if ok {
		return r
	}
	return Register{r.Live, slices.Insert(slices.Clone(r.Deletes), i, d)}
}

// merged returns two lists that are sorted by dot as one; of two elements of one dot it takes that of b. It leaves both alone.
func merged[E any](a, b []E, dot func(*E) Dot) []E {
	if len(b) == 0 {
		return a
	}
	out := make([]E, 0, len(a)+len(b))
	for i := range b {
		for len(a) > 0 && dot(&a[0]).Compare(dot(&b[i])) < 0 {
			out, a = append(out, a[0]), a[1:]
		}
		if len(a) > 0 && dot(&a[0]) == dot(&b[i]) {
			a = a[1:]
		}
		out = append(out, b[i])
	}
	return append(out, a...)
}

// dots returns the dots of the live values and of the remembered deletes.
func (r Register) dots() (live, deletes []Dot) {
	if len(r.Live) > 0 {
		live = make([]Dot, len(r.Live))
	}
	for i := range r.Live {
		live[i] = r.Live[i].Dot
	}
	if len(r.Deletes) > 0 {
		deletes = make([]Dot, len(r.Deletes))
	}
	for i := range r.Deletes {
		deletes[i] = r.Deletes[i].Dot
	}
	return live, deletes
}

// deleteFunc returns s without the elements for which drop holds; it leaves s itself alone.
func deleteFunc[E any](s []E, drop func(E) bool) []E {
	if !slices.ContainsFunc(s, drop) {
		return s
	}
	out := make([]E, 0, len(s)-1)
	for _, e := range s {
		if !drop(e) {
			out = append(out, e)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
