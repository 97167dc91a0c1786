package crdt

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// This file holds the compact binary forms, used where the same shape repeats thousands of times: vectors, and registers on
// disk. Integers are the shortest unsigned varints (LEB128).

// VectorReplicasMax bounds the entries of a decoded vector.
const VectorReplicasMax = 1 << 20

// AppendVector appends the vector's entries in the order of replicas: eight bytes of replica, then the counter.
func AppendVector(b []byte, v Vector) []byte {
	b = slices.Grow(b, 10*v.Len())
	for d := range v.All() {
		b = append(b, d.Replica[:]...)
		b = binary.AppendUvarint(b, d.Counter)
	}
	return b
}

// DecodeVector is the inverse of AppendVector over the whole of b.
func DecodeVector(b []byte) (Vector, error) {
	if len(b) > 9*VectorReplicasMax {
		return Vector{}, fmt.Errorf("%w: a vector of %d bytes", ErrDecode, len(b))
	}
	var v Vector
	if len(b) > 0 {
		v.tops = make([]Dot, 0, len(b)/9)
	}
	r := Reader{B: b}
	var last ReplicaID
	for len(r.B) > 0 {
		d := Dot{Replica: r.Replica(), Counter: r.Uvarint()}
		if r.Err != nil {
			return Vector{}, r.Err
		}
		if err := checkDot(d); err != nil {
			return Vector{}, err
		}
		if d.Replica.Compare(last) <= 0 {
			return Vector{}, fmt.Errorf("%w: replica %v is out of order", ErrDecode, d.Replica)
		}
		last = d.Replica
		v.tops = append(v.tops, d)
	}
	return v, nil
}

// valuesVersion is the first byte of every encoded list of values, deletesVersion that of deletes. Values of version 1 have no descent
// and no policy.
const (
	valuesVersion  = 2
	deletesVersion = 1
)

// AppendValues appends the live values of a register as they lie on disk.
func AppendValues(b []byte, live []Value) []byte {
	b = append(b, valuesVersion)
	for i := range live {
		v := &live[i]
		b = append(b, v.Dot.Replica[:]...)
		b = binary.AppendUvarint(b, v.Dot.Counter)
		b = binary.BigEndian.AppendUint64(b, uint64(v.Time))
		b = append(b, v.flags())
		t := PackType(v.Type)
		b = append(binary.AppendUvarint(b, uint64(len(t))), t...)
		b = append(binary.AppendUvarint(b, uint64(len(v.Data))), v.Data...)
		b = v.appendDescent(b)
		if v.Policy != "" {
			b = append(binary.AppendUvarint(b, uint64(len(v.Policy))), v.Policy...)
		}
	}
	return b
}

// A DescentForm says how much of a descent must be written down.
type DescentForm uint8

const (
	// DescentUnknown and DescentNew need nothing: a value of unknown descent, and one that its replica wrote once, where there was nothing.
	DescentUnknown DescentForm = iota
	DescentNew
	// DescentAgain needs how far back the run began, where there was nothing; DescentFrom also what was replaced then.
	DescentAgain
	DescentFrom
)

// DescentForm returns the form of the value's descent.
func (v *Value) DescentForm() DescentForm {
	switch {
	case !v.Descent.IsKnown():
		return DescentUnknown
	case len(v.Descent.From) > 0:
		return DescentFrom
	case v.Descent.Since == v.Dot.Counter:
		return DescentNew
	}
	return DescentAgain
}

// SetDescent gives the value, whose dot is known, a descent of form f: back is the number of counters since the run began. It reports
// whether there is such a descent.
func (v *Value) SetDescent(f DescentForm, back uint64, from []Dot) bool {
	if f == DescentUnknown {
		return true
	}
	v.Descent = Descent{Since: v.Dot.Counter - back, From: from}
	return back < v.Dot.Counter && (f != DescentAgain || back > 0) && v.Descent.check(v.Dot) && checkDots(from) == nil
}

// appendDescent appends what the form says that must be written down.
func (v *Value) appendDescent(b []byte) []byte {
	form := v.DescentForm()
	if form >= DescentAgain {
		b = binary.AppendUvarint(b, v.Dot.Counter-v.Descent.Since)
	}
	if form == DescentFrom {
		b = binary.AppendUvarint(b, uint64(len(v.Descent.From)))
		for _, d := range v.Descent.From {
			b = binary.AppendUvarint(append(b, d.Replica[:]...), d.Counter)
		}
	}
	return b
}

// readDescent is the inverse of appendDescent.
func (v *Value) readDescent(r *Reader, form DescentForm) error {
	var back uint64
	var from []Dot
	if form >= DescentAgain {
		back = r.Uvarint()
	}
	if form == DescentFrom {
		n := r.Uvarint()
		if n == 0 || n > DescentMax {
			r.fail("descent")
		}
		for ; n > 0 && r.Err == nil; n-- {
			from = append(from, Dot{r.Replica(), r.Uvarint()})
		}
	}
	if r.Err == nil && !v.SetDescent(form, back, from) {
		return fmt.Errorf("%w: %v cannot end a run of %d counters over %v", ErrDecode, v.Dot, back, from)
	}
	return r.Err
}

func (v *Value) flags() byte {
	f := byte(v.Kind)<<kindShift | byte(v.DescentForm())<<descentShift
	if v.Policy != "" {
		f |= flagPolicy
	}
	if v.Won {
		f |= flagWon
	}
	if v.Resolved {
		f |= flagClear
	}
	return f
}

// minValueBytes is the least that one value takes up: its dot, time, flags, and the lengths of its type and data.
const minValueBytes = 8 + 1 + 8 + 1 + 1 + 1

// DecodeValues is the inverse of AppendValues over the whole of b. It reads version 1, too. The values' data point into b.
func DecodeValues(b []byte) ([]Value, error) {
	r := Reader{B: b}
	version := r.Byte()
	if version != valuesVersion && version != 1 {
		return nil, fmt.Errorf("%w: values of version %d", ErrDecode, version)
	}
	var live []Value
	for len(r.B) > 0 && r.Err == nil {
		v := Value{Dot: Dot{r.Replica(), r.Uvarint()}, Time: Timestamp(r.Uint64())}
		flags := r.Byte()
		v.Kind, v.Won, v.Resolved = Kind(flags&flagKind>>kindShift), flags&flagWon != 0, flags&flagClear != 0
		t := string(r.Bytes(TypeBytesMax))
		v.Data = r.Bytes(ValueBytesMax)
		if r.Err != nil {
			return nil, r.Err
		}
		var err error
		if v.Type, err = UnpackType(t); err != nil {
			return nil, err
		}
		if flags&flagDelete != 0 || flags > flagPolicy<<1-1 || version == 1 && flags>>descentShift != 0 {
			return nil, fmt.Errorf("%w: unknown flags %#x", ErrDecode, flags)
		}
		if err := checkDot(v.Dot); err != nil {
			return nil, err
		}
		if err := v.readDescent(&r, DescentForm(flags>>descentShift&3)); err != nil {
			return nil, err
		}
		if flags&flagPolicy != 0 {
			if v.Policy = string(r.Bytes(PolicyBytesMax)); r.Err == nil && (v.Policy == "" || !checkPolicy(v.Policy, v.Resolved)) {
				return nil, fmt.Errorf("%w: the policy %q", ErrDecode, v.Policy)
			}
		}
		if r.Err != nil {
			return nil, r.Err
		}
		if len(live) > 0 && v.Dot.Compare(live[len(live)-1].Dot) <= 0 {
			return nil, fmt.Errorf("%w: dot %v is out of order", ErrDecode, v.Dot)
		}
		if live == nil {
			live = make([]Value, 0, 1+min(len(r.B)/minValueBytes, 3)) // conflicts of more than a few values are rare
		}
		live = append(live, v)
	}
	if len(live) == 0 {
		return nil, fmt.Errorf("%w: a register without values", ErrDecode)
	}
	return live, r.Err
}

// AppendDeletes appends the remembered deletes of a register as they lie on disk.
func AppendDeletes(b []byte, deletes []Delete) []byte {
	b = append(b, deletesVersion)
	for _, d := range deletes {
		b = append(b, d.Dot.Replica[:]...)
		b = binary.AppendUvarint(b, d.Dot.Counter)
		b = binary.BigEndian.AppendUint64(b, uint64(d.Time))
	}
	return b
}

// DecodeDeletes is the inverse of AppendDeletes over the whole of b.
func DecodeDeletes(b []byte) ([]Delete, error) {
	r := Reader{B: b}
	if v := r.Byte(); v != deletesVersion {
		return nil, fmt.Errorf("%w: deletes of version %d", ErrDecode, v)
	}
	var deletes []Delete
	for len(r.B) > 0 && r.Err == nil {
		d := Delete{Dot: Dot{r.Replica(), r.Uvarint()}, Time: Timestamp(r.Uint64())}
		if r.Err != nil {
			break
		}
		if err := checkDot(d.Dot); err != nil {
			return nil, err
		}
		if n := len(deletes); n > 0 && d.Dot.Compare(deletes[n-1].Dot) <= 0 {
			return nil, fmt.Errorf("%w: dot %v is out of order", ErrDecode, d.Dot)
		}
		deletes = append(deletes, d)
	}
	if r.Err == nil && len(deletes) == 0 {
		return nil, fmt.Errorf("%w: a list without deletes", ErrDecode)
	}
	return deletes, r.Err
}

// A Reader takes compact binary forms apart. After the first error all further reads return zero values; look at Err once, at
// the end. It never reads beyond B and never allocates more than B holds.
type Reader struct {
	B   []byte
	Err error
}

func (r *Reader) fail(what string) {
	if r.Err == nil {
		r.Err = fmt.Errorf("%w: truncated or malformed %s", ErrDecode, what)
	}
	r.B = nil
}

func (r *Reader) take(n int, what string) []byte {
	if r.Err != nil || len(r.B) < n {
		r.fail(what)
		return nil
	}
	b := r.B[:n:n]
	r.B = r.B[n:]
	return b
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if b := r.take(1, "byte"); b != nil {
		return b[0]
	}
	return 0
}

// Uint64 reads eight bytes, big-endian.
func (r *Reader) Uint64() uint64 {
	if b := r.take(8, "integer"); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Replica reads eight bytes of a replica id.
func (r *Reader) Replica() (id ReplicaID) {
	copy(id[:], r.take(len(id), "replica id"))
	return id
}

// Uvarint reads a varint in its shortest form.
func (r *Reader) Uvarint() uint64 {
	x, n := binary.Uvarint(r.B)
	if r.Err != nil || n <= 0 || n > 1 && r.B[n-1] == 0 {
		r.fail("varint")
		return 0
	}
	r.B = r.B[n:]
	return x
}

// Varint reads a signed varint in zigzag form.
func (r *Reader) Varint() int64 {
	u := r.Uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// Bytes reads a length of at most max and so many bytes. They point into B.
func (r *Reader) Bytes(max int) []byte {
	n := r.Uvarint()
	if r.Err != nil || n > uint64(max) {
		r.fail("byte string")
		return nil
	}
	return r.take(int(n), "byte string")
}

// AppendVarint appends x in zigzag form.
func AppendVarint(b []byte, x int64) []byte {
	return binary.AppendUvarint(b, uint64(x<<1)^uint64(x>>63))
}

// CloneValues returns values whose data share nothing with those of vs.
func CloneValues(vs []Value) []Value {
	out := slices.Clone(vs)
	for i := range out {
		out[i].Data = slices.Clone(out[i].Data)
	}
	return out
}
