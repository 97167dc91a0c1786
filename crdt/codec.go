package crdt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// Bounds of what is decoded. Nothing above them is ever written.
const (
	// ValueBytesMax bounds the data of one value.
	ValueBytesMax = 1 << 20
	// TypeBytesMax bounds a media type.
	TypeBytesMax = 255
	// OpenBytesMax bounds the binding of a replica to a device.
	OpenBytesMax = 1024
	// OpEntriesMax bounds the paths of one operation.
	OpEntriesMax = 10_000
	// OpDotsMax bounds the dots that one entry names.
	OpDotsMax = 65_536
	// OpBytesMax bounds an encoded operation.
	OpBytesMax = 32 << 20
)

// OpVersion is the first field of every encoded operation.
const OpVersion = 1

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

// wireOp, wireEntry and wireDot are the CBOR arrays of an operation; docs/PROTOCOL.md explains each field.
type wireOp struct {
	_       struct{} `cbor:",toarray"`
	Version uint8
	Replica ReplicaID
	Counter uint64
	Time    uint64
	Entries []wireEntry
	Deps    []wireDot
	Open    []byte
}

type wireEntry struct {
	_           struct{} `cbor:",toarray"`
	Path        string
	Flags       uint8
	Type        string
	Data        []byte
	Preds       []wireDot
	PredDeletes []wireDot
	Also        []wireDot
}

type wireDot struct {
	_       struct{} `cbor:",toarray"`
	Replica ReplicaID
	Counter uint64
}

// The flags of an entry or a value on the wire and on disk. The kind takes the bits from kindShift on.
const (
	flagDelete = 1 << iota
	flagClear
	flagWon
	kindShift = iota
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

// Encode returns the operation as it is gossiped: a [wireOp] in CBOR, written by hand because every put pays for it.
func (op *Op) Encode() []byte {
	size := 64 + len(op.Open)
	for i := range op.Entries {
		e := &op.Entries[i]
		size += 32 + len(e.Path) + len(e.Data) + 24*(len(e.Preds)+len(e.PredDeletes)+len(e.Also))
	}
	b := appendHead(make([]byte, 0, size), cborArray, 7)
	b = appendHead(b, cborUint, OpVersion)
	b = appendDot(b, op.Dot)
	b = appendHead(b, cborUint, uint64(op.Time))
	b = appendHead(b, cborArray, uint64(len(op.Entries)))
	for i := range op.Entries {
		b = op.Entries[i].append(b)
	}
	b = appendHead(b, cborArray, uint64(op.Deps.Len()))
	if op.Deps.Len() > 0 {
		for d := range op.Deps.All() {
			b = appendDot(appendHead(b, cborArray, 2), d)
		}
	}
	return append(appendHead(b, cborBytes, uint64(len(op.Open))), op.Open...)
}

func (e *OpEntry) append(b []byte) []byte {
	flags := uint64(e.Kind) << kindShift
	if e.Delete {
		flags |= flagDelete
	}
	if e.Clear {
		flags |= flagClear
	}
	packed := PackType(e.Type)
	b = appendHead(b, cborArray, 7)
	b = append(appendHead(b, cborText, uint64(len(e.Path))), e.Path...)
	b = appendHead(b, cborUint, flags)
	b = append(appendHead(b, cborText, uint64(len(packed))), packed...)
	b = append(appendHead(b, cborBytes, uint64(len(e.Data))), e.Data...)
	for _, dots := range [][]Dot{e.Preds, e.PredDeletes, e.Also} {
		b = appendHead(b, cborArray, uint64(len(dots)))
		for _, d := range dots {
			b = appendDot(appendHead(b, cborArray, 2), d)
		}
	}
	return b
}

// appendDot appends the two items of a dot.
func appendDot(b []byte, d Dot) []byte {
	b = append(appendHead(b, cborBytes, uint64(len(d.Replica))), d.Replica[:]...)
	return appendHead(b, cborUint, d.Counter)
}

// The major types of CBOR that operations use (RFC 8949, section 3.1).
const (
	cborUint  = 0
	cborBytes = 2
	cborText  = 3
	cborArray = 4
)

// appendHead appends the head of an item in its shortest form.
func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major<<5|byte(n))
	case n < 1<<8:
		return append(b, major<<5|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major<<5|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major<<5|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major<<5|27), n)
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
	var w wireOp
	if err := decMode.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDecode, err)
	}
	op, err := w.unpack()
	if err == nil && !bytes.Equal(op.Encode(), b) {
		return nil, fmt.Errorf("%w: not in canonical form", ErrDecode)
	}
	return op, err
}

func (w *wireOp) unpack() (*Op, error) {
	op := &Op{Dot: Dot{w.Replica, w.Counter}, Time: Timestamp(w.Time), Open: w.Open}
	if err := checkDot(op.Dot); err != nil {
		return nil, err
	}
	if (w.Counter == 1) != (len(w.Open) > 0) || len(w.Open) > OpenBytesMax {
		return nil, fmt.Errorf("%w: the first operation of a replica, and no other, carries its binding", ErrDecode)
	}
	if len(w.Open) == 0 {
		op.Open = nil
	}
	deps, err := unpackDots(w.Deps)
	if err != nil {
		return nil, err
	}
	for i, d := range deps {
		if i > 0 && deps[i-1].Replica == d.Replica {
			return nil, fmt.Errorf("%w: two dependencies on replica %v", ErrDecode, d.Replica)
		}
		op.Deps.Add(d)
	}
	if len(w.Entries) == 0 || len(w.Entries) > OpEntriesMax {
		return nil, fmt.Errorf("%w: %d entries, want 1 to %d", ErrDecode, len(w.Entries), OpEntriesMax)
	}
	op.Entries = make([]OpEntry, len(w.Entries))
	for i := range w.Entries {
		if i > 0 && w.Entries[i].Path <= w.Entries[i-1].Path {
			return nil, fmt.Errorf("%w: path %q is out of order", ErrDecode, w.Entries[i].Path)
		}
		if err := w.Entries[i].unpack(&op.Entries[i]); err != nil {
			return nil, err
		}
	}
	return op, nil
}

func (w *wireEntry) unpack(e *OpEntry) (err error) {
	if err := checkPathShape(w.Path); err != nil {
		return fmt.Errorf("%w: %w", ErrDecode, err)
	}
	*e = OpEntry{Path: w.Path, Delete: w.Flags&flagDelete != 0, Clear: w.Flags&flagClear != 0, Kind: Kind(w.Flags >> kindShift), Data: w.Data}
	switch {
	case e.Kind > LWW, w.Flags&flagWon != 0:
		return fmt.Errorf("%w: unknown flags %#x", ErrDecode, w.Flags)
	case len(e.Data) > ValueBytesMax:
		return fmt.Errorf("%w: a value of %d bytes, more than %d", ErrDecode, len(e.Data), ValueBytesMax)
	case e.Delete && (len(e.Data) > 0 || w.Type != "" || e.Kind != Multi || len(w.Preds) == 0):
		return fmt.Errorf("%w: a delete with content, or of nothing", ErrDecode)
	}
	if e.Delete {
		e.Data = nil
	}
	if e.Type, err = UnpackType(w.Type); err != nil {
		return err
	}
	if e.Preds, err = unpackDots(w.Preds); err != nil {
		return err
	}
	if e.PredDeletes, err = unpackDots(w.PredDeletes); err != nil {
		return err
	}
	e.Also, err = unpackDots(w.Also)
	return err
}

func unpackDots(ws []wireDot) ([]Dot, error) {
	if len(ws) > OpDotsMax {
		return nil, fmt.Errorf("%w: %d dots, more than %d", ErrDecode, len(ws), OpDotsMax)
	}
	var dots []Dot
	for i, w := range ws {
		d := Dot{w.Replica, w.Counter}
		if err := checkDot(d); err != nil {
			return nil, err
		}
		if i > 0 && d.Compare(dots[i-1]) <= 0 {
			return nil, fmt.Errorf("%w: dot %v is out of order", ErrDecode, d)
		}
		dots = append(dots, d)
	}
	return dots, nil
}

func checkDot(d Dot) error {
	if d.Counter == 0 || d.Counter > CounterMax || d.Replica.IsZero() {
		return fmt.Errorf("%w: %v names no operation", ErrDecode, d)
	}
	return nil
}
