package crdt

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// Bounds of what is decoded. Nothing above them is ever written, except that a write over more siblings names more dots; it travels as a row
// of an answer, as every large one does.
const (
	// ValueBytesMax bounds the data of one value.
	ValueBytesMax = 1 << 20
	// TypeBytesMax bounds a media type.
	TypeBytesMax = 255
	// PolicyBytesMax bounds the name of a policy.
	PolicyBytesMax = 255
	// OpenBytesMax bounds the binding of a replica to a device.
	OpenBytesMax = 1024
	// OpEntriesMax bounds the paths of one operation.
	OpEntriesMax = 10_000
	// OpDotsMax bounds the dots that one entry names.
	OpDotsMax = 65_536
	// OpBytesMax bounds an encoded operation.
	OpBytesMax = 32 << 20
)

// OpVersion is the first field of every encoded operation. Version 1 had neither descents nor policies, version 2 named the replica with
// every dot.
const OpVersion = 3

// ErrDecode is in the chain of every error about bytes that are not an encoding: truncated, too large, not canonical, of an
// unknown version, or with contents that no writer makes.
var ErrDecode = errors.New("not a valid encoding")

var (
	// A nil slice is written as an empty one, so that Unmarshal refuses a null in its place: one content, one encoding.
	encMode = must(cbor.EncOptions{Sort: cbor.SortCoreDeterministic, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		NilContainers: cbor.NilContainerAsEmpty}.EncMode())
	decMode = must(cbor.DecOptions{
		IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden, DupMapKey: cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels: 8, MaxArrayElements: 1 << 17, MaxMapPairs: 1 << 10, UTF8: cbor.UTF8RejectInvalid,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Marshal encodes v in the one CBOR profile of Syncline: core deterministic (RFC 8949, section 4.2), no tags, no indefinite
// lengths. It panics if v holds a type that CBOR has no form for, which is a mistake in the program.
func Marshal(v any) []byte { return must(encMode.Marshal(v)) }

// Unmarshal decodes b into v, a pointer. It refuses whatever Marshal would not have written: bytes left over, lengths not in
// their shortest form, fields missing or too many. Strings and byte strings are copies.
func Unmarshal(b []byte, v any) error {
	if err := decMode.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %w", ErrDecode, err)
	}
	if again, err := encMode.Marshal(v); err != nil || !bytes.Equal(again, b) {
		return fmt.Errorf("%w: not in canonical form", ErrDecode)
	}
	return nil
}

// The flags of an entry or a value on the wire and on disk. The kind takes one bit; of a value on disk two more say which form its
// descent has, and another that a policy follows.
const (
	flagDelete = 1 << iota
	flagClear
	flagWon
	flagKind
	flagPolicy   = 1 << 6
	kindShift    = 3
	descentShift = 4
)

// shortTypes are the media types that everybody uses; on the wire and on disk a control character stands for each, which no
// media type contains.
var shortTypes = []string{"text/plain; charset=utf-8", "application/json", "application/octet-stream", "text/markdown; charset=utf-8", "text/html; charset=utf-8"}

// PackType returns the form of a media type on the wire and on disk.
func PackType(t string) string {
	if i := slices.Index(shortTypes, t); i >= 0 {
		return string(rune(i + 1))
	}
	return t
}

// UnpackType is the inverse of PackType. It refuses what PackType never returns.
func UnpackType(t string) (string, error) {
	if len(t) == 1 && t[0] < ' ' {
		if i := int(t[0]) - 1; 0 <= i && i < len(shortTypes) {
			return shortTypes[i], nil
		}
		return "", fmt.Errorf("%w: unknown short media type %d", ErrDecode, t[0])
	}
	if err := CheckType(t); err != nil {
		return "", fmt.Errorf("%w: %w", ErrDecode, err)
	}
	if slices.Contains(shortTypes, t) {
		return "", fmt.Errorf("%w: media type %q is not in its short form", ErrDecode, t)
	}
	return t, nil
}

// CheckType says whether t can be stored as a media type: at most 255 bytes, no control characters. Its meaning is not checked.
func CheckType(t string) error {
	if len(t) > TypeBytesMax {
		return fmt.Errorf("the media type has %d bytes, more than %d", len(t), TypeBytesMax)
	}
	for i := range len(t) {
		if t[i] < ' ' || t[i] > '~' {
			return fmt.Errorf("the media type %q has a character that is not printable ASCII", t)
		}
	}
	return nil
}

// checkPolicy says whether a value may have a policy of that name.
func checkPolicy(name string, resolved bool) bool {
	return name == "" || resolved && len(name) <= PolicyBytesMax && utf8.ValidString(name)
}

// Encode returns the operation as it is gossiped; docs/PROTOCOL.md explains each field.
func (op *Op) Encode() []byte {
	size := 64 + len(op.Open)
	for i := range op.Entries {
		e := &op.Entries[i]
		size += 40 + len(e.Path) + len(e.Data) + 24*(len(e.Preds)+len(e.PredDeletes)+len(e.Also)+len(e.Descent.From))
	}
	b := AppendArray(make([]byte, 0, size), 7)
	b = AppendUint(b, OpVersion)
	b = appendDot(b, op.Dot)
	b = AppendUint(b, uint64(op.Time))
	b = AppendArray(b, len(op.Entries))
	for i := range op.Entries {
		b = op.Entries[i].append(b, op.Dot)
	}
	b = appendDots(b, op.Deps.tops, ReplicaID{})
	return AppendBytes(b, op.Open)
}

func (e *OpEntry) append(b []byte, dot Dot) []byte {
	flags := uint64(e.Kind) << kindShift
	if e.Delete {
		flags |= flagDelete
	}
	if e.Clear {
		flags |= flagClear
	}
	b = AppendArray(b, 9)
	b = AppendText(b, e.Path)
	b = AppendUint(b, flags)
	b = AppendText(b, PackType(e.Type))
	b = AppendBytes(b, e.Data)
	b = appendDots(b, e.Preds, dot.Replica)
	b = appendDots(b, e.PredDeletes, dot.Replica)
	b = appendDots(b, e.Also, dot.Replica)
	return AppendText(e.appendDescent(b, dot), e.Policy)
}

// appendDescent appends what the other fields do not say: nothing if the value begins a run; 0 if its descent is unknown; otherwise
// how far back the run began, and what that replaced.
func (e *OpEntry) appendDescent(b []byte, dot Dot) []byte {
	d := e.Descent
	switch {
	case e.Delete || d.isPlain(dot, e.Preds):
		return AppendArray(b, 0)
	case !d.IsKnown():
		return AppendUint(AppendArray(b, 1), 0)
	}
	b = AppendUint(AppendArray(b, 1+len(d.From)), dot.Counter-d.Since)
	for _, from := range d.From {
		b = appendNear(b, from, dot.Replica)
	}
	return b
}

// readDescent is the inverse of appendDescent, once the rest of the entry is read.
func (e *OpEntry) readDescent(i *Items, dot Dot) error {
	n := i.Len(1 + DescentMax)
	if n == 0 {
		if !e.Delete {
			e.Descent = Descent{Since: dot.Counter, From: e.Preds}
		}
		if !e.Delete && (len(e.Preds) > DescentMax || len(e.Preds) == 0 && len(e.Also) > 0) {
			return fmt.Errorf("%w: a descent from %d values beside %d", ErrDecode, len(e.Preds), len(e.Also))
		}
		return i.Err()
	}
	back := i.Uint(CounterMax)
	var from []Dot
	for ; n > 1 && i.Err() == nil; n-- {
		from = append(from, readNear(i, dot.Replica))
	}
	switch {
	case i.Err() != nil:
		return i.Err()
	case e.Delete:
		return fmt.Errorf("%w: a delete with a descent", ErrDecode)
	case back == 0 && len(from) == 0:
		return nil // unknown
	case back == 0 || back >= dot.Counter || len(e.Preds) != 1 || e.Preds[0].Replica != dot.Replica || e.Preds[0].Counter < dot.Counter-back:
		return fmt.Errorf("%w: a run of %d counters that this is not the end of", ErrDecode, back)
	}
	e.Descent = Descent{Since: dot.Counter - back, From: from}
	return checkDots(from)
}

// appendDot appends the two items of a dot.
func appendDot(b []byte, d Dot) []byte { return AppendUint(AppendBytes(b, d.Replica[:]), d.Counter) }

// appendNear appends a dot as one item: of the replica home its counter alone.
func appendNear(b []byte, d Dot, home ReplicaID) []byte {
	if d.Replica == home {
		return AppendUint(b, d.Counter)
	}
	return appendDot(AppendArray(b, 2), d)
}

func appendDots(b []byte, dots []Dot, home ReplicaID) []byte {
	b = AppendArray(b, len(dots))
	for _, d := range dots {
		b = appendNear(b, d, home)
	}
	return b
}

// DecodeOp is the inverse of [Op.Encode]. It refuses operations that no correct writer makes; it shares no memory with b.
func DecodeOp(b []byte) (*Op, error) {
	if len(b) > OpBytesMax {
		return nil, fmt.Errorf("%w: an operation of %d bytes, more than %d", ErrDecode, len(b), OpBytesMax)
	}
	// The version is looked at before the shape, so that a newer format is named as what it is.
	if len(b) >= 2 && b[1] != OpVersion {
		return nil, fmt.Errorf("%w: operation of version %d, this program reads %d", ErrDecode, b[1], OpVersion)
	}
	i := ItemsOf(b)
	i.Array(7)
	i.Uint(OpVersion)
	op := &Op{Dot: readDot(&i), Time: Timestamp(i.Uint(math.MaxUint64))}
	op.Entries = make([]OpEntry, i.Len(OpEntriesMax))
	for n := range op.Entries {
		if err := op.Entries[n].read(&i, op.Dot); err != nil {
			return nil, err
		}
	}
	op.Deps.tops = readDots(&i, OpDotsMax, ReplicaID{})
	if open := i.Bytes(OpBytesMax); len(open) > 0 {
		op.Open = bytes.Clone(open)
	}
	if err := i.End(); err != nil {
		return nil, err
	}
	if err := op.check(); err != nil {
		return nil, err
	}
	return op, nil
}

// check refuses operations that no correct writer makes. Their entries were looked at one by one.
func (op *Op) check() error {
	if err := checkDot(op.Dot); err != nil {
		return err
	}
	if (op.Dot.Counter == 1) != (len(op.Open) > 0) || len(op.Open) > OpenBytesMax {
		return fmt.Errorf("%w: the first operation of a replica, and no other, carries its binding", ErrDecode)
	}
	if err := checkDots(op.Deps.tops); err != nil {
		return err
	}
	for i, d := range op.Deps.tops {
		if i > 0 && op.Deps.tops[i-1].Replica == d.Replica {
			return fmt.Errorf("%w: two dependencies on replica %v", ErrDecode, d.Replica)
		}
	}
	if len(op.Entries) == 0 {
		return fmt.Errorf("%w: an operation without entries", ErrDecode)
	}
	for i := 1; i < len(op.Entries); i++ {
		if op.Entries[i].Path <= op.Entries[i-1].Path {
			return fmt.Errorf("%w: path %q is out of order", ErrDecode, op.Entries[i].Path)
		}
	}
	return nil
}

// read reads an entry.
func (e *OpEntry) read(i *Items, dot Dot) (err error) {
	i.Array(9)
	e.Path = i.Text(PathBytesMax)
	flags := byte(i.Uint(math.MaxUint8))
	packed := i.Text(TypeBytesMax)
	e.Data = bytes.Clone(i.Bytes(ValueBytesMax))
	e.Preds, e.PredDeletes, e.Also = readDots(i, OpDotsMax, dot.Replica), readDots(i, OpDotsMax, dot.Replica), readDots(i, OpDotsMax, dot.Replica)
	if i.Err() != nil {
		return i.Err()
	}
	e.Delete, e.Clear, e.Kind = flags&flagDelete != 0, flags&flagClear != 0, Kind(flags>>kindShift)
	if err := e.readDescent(i, dot); err != nil {
		return err
	}
	if e.Policy = i.Text(PolicyBytesMax); i.Err() != nil {
		return i.Err()
	}
	if err := checkPathShape(e.Path); err != nil {
		return fmt.Errorf("%w: %w", ErrDecode, err)
	}
	switch {
	case e.Kind > LWW, flags&flagWon != 0:
		return fmt.Errorf("%w: unknown flags %#x", ErrDecode, flags)
	case !checkPolicy(e.Policy, e.Clear):
		return fmt.Errorf("%w: the policy %q", ErrDecode, e.Policy)
	case e.Delete && (len(e.Data) > 0 || packed != "" || e.Policy != "" || e.Kind != Multi || len(e.Preds) == 0):
		return fmt.Errorf("%w: a delete with content, or of nothing", ErrDecode)
	}
	if e.Delete {
		e.Data = nil
	}
	for _, dots := range [...][]Dot{e.Preds, e.PredDeletes, e.Also} {
		if err := checkDots(dots); err != nil {
			return err
		}
	}
	e.Type, err = UnpackType(packed)
	return err
}

// readDot reads the two items of a dot.
func readDot(i *Items) (d Dot) {
	i.Fill(d.Replica[:])
	d.Counter = i.Uint(math.MaxUint64)
	return d
}

// readNear is the inverse of appendNear.
func readNear(i *Items, home ReplicaID) Dot {
	if i.isUint() && !home.IsZero() {
		return Dot{home, i.Uint(math.MaxUint64)}
	}
	i.Array(2)
	d := readDot(i)
	if d.Replica == home {
		i.r.fail("dot") // it has a shorter form
	}
	return d
}

// readDots reads a list of at most max dots, nil if it is empty.
func readDots(i *Items, max int, home ReplicaID) []Dot {
	n := i.Len(max)
	if n == 0 {
		return nil
	}
	dots := make([]Dot, 0, n) // there are as many bytes at least
	for ; n > 0 && i.Err() == nil; n-- {
		dots = append(dots, readNear(i, home))
	}
	return dots
}

// checkDots says whether dots name operations, in order, each once.
func checkDots(dots []Dot) error {
	for i, d := range dots {
		if err := checkDot(d); err != nil {
			return err
		}
		if i > 0 && d.Compare(dots[i-1]) <= 0 {
			return fmt.Errorf("%w: dot %v is out of order", ErrDecode, d)
		}
	}
	return nil
}

func checkDot(d Dot) error {
	if d.Counter == 0 || d.Counter > CounterMax || d.Replica.IsZero() {
		return fmt.Errorf("%w: %v names no operation", ErrDecode, d)
	}
	return nil
}
