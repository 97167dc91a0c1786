package crdt

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// This file writes and reads CBOR by hand, in the profile of [Marshal], for the forms that every put and every session pay for. The
// bytes are the same; docs/PROTOCOL.md explains them.

// The major types of CBOR in use (RFC 8949, section 3.1).
const (
	cborUint     = 0
	cborNegative = 1
	cborBytes    = 2
	cborText     = 3
	cborArray    = 4
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

// AppendArray appends the head of an array of n items, which follow.
func AppendArray(b []byte, n int) []byte { return appendHead(b, cborArray, uint64(n)) }

// AppendUint appends an unsigned integer.
func AppendUint(b []byte, x uint64) []byte { return appendHead(b, cborUint, x) }

// AppendInt appends an integer.
func AppendInt(b []byte, x int64) []byte {
	if x < 0 {
		return appendHead(b, cborNegative, uint64(^x))
	}
	return appendHead(b, cborUint, uint64(x))
}

// AppendBytes appends a byte string.
func AppendBytes(b, s []byte) []byte { return append(appendHead(b, cborBytes, uint64(len(s))), s...) }

// AppendText appends a text string, which must be UTF-8.
func AppendText(b []byte, s string) []byte {
	return append(appendHead(b, cborText, uint64(len(s))), s...)
}

// Items takes CBOR apart, item by item. Like [Unmarshal] it refuses whatever Marshal would not have written, so that each content has
// one encoding. After the first error all further reads return zero values; End returns it.
type Items struct{ r Reader }

// ItemsOf returns the items in b.
func ItemsOf(b []byte) Items { return Items{Reader{B: b}} }

// head reads the head of an item of the given major type with an argument of at most max.
func (i *Items) head(major byte, max uint64) uint64 {
	b := i.r.B
	if len(b) == 0 || b[0]>>5 != major || b[0]&31 > 27 {
		i.r.fail("item")
		return 0
	}
	n, size := uint64(b[0]&31), 0
	if n >= 24 {
		size = 1 << (n - 24)
	}
	if len(b) <= size {
		i.r.fail("item")
		return 0
	}
	least := uint64(0) // the smallest argument that needs so many bytes
	switch size {
	case 1:
		n, least = uint64(b[1]), 24
	case 2:
		n, least = uint64(binary.BigEndian.Uint16(b[1:])), 1<<8
	case 4:
		n, least = uint64(binary.BigEndian.Uint32(b[1:])), 1<<16
	case 8:
		n, least = binary.BigEndian.Uint64(b[1:]), 1<<32
	}
	if n < least || n > max {
		i.r.fail("item")
		return 0
	}
	i.r.B = b[1+size:]
	return n
}

// Array reads the head of an array of exactly n items.
func (i *Items) Array(n int) {
	if got := i.head(cborArray, math.MaxInt32); i.r.Err == nil && got != uint64(n) {
		i.r.fail("array")
	}
}

// Len reads the head of an array of at most max items and returns their number, which is never more than there are bytes left.
func (i *Items) Len(max int) int {
	n := i.head(cborArray, uint64(max))
	if n > uint64(len(i.r.B)) {
		i.r.fail("array")
		return 0
	}
	return int(n)
}

// isUint reports whether the next item is an unsigned integer.
func (i *Items) isUint() bool { return len(i.r.B) > 0 && i.r.B[0]>>5 == cborUint }

// Uint reads an unsigned integer of at most max.
func (i *Items) Uint(max uint64) uint64 { return i.head(cborUint, max) }

// Int reads an integer.
func (i *Items) Int() int64 {
	if len(i.r.B) > 0 && i.r.B[0]>>5 == cborNegative {
		return ^int64(i.head(cborNegative, math.MaxInt64))
	}
	return int64(i.head(cborUint, math.MaxInt64))
}

// Bytes reads a byte string of at most max bytes. It points into what is read.
func (i *Items) Bytes(max int) []byte {
	n := i.head(cborBytes, uint64(max))
	return i.r.take(int(n), "byte string")
}

// Fill reads a byte string of exactly the length of dst into dst.
func (i *Items) Fill(dst []byte) {
	if b := i.Bytes(len(dst)); len(b) == len(dst) {
		copy(dst, b)
	} else {
		i.r.fail("byte string")
	}
}

// Text reads a text string of at most max bytes.
func (i *Items) Text(max int) string {
	n := i.head(cborText, uint64(max))
	b := i.r.take(int(n), "text")
	if !utf8.Valid(b) {
		i.r.fail("text")
		return ""
	}
	return string(b)
}

// Err returns the first error so far.
func (i *Items) Err() error { return i.r.Err }

// End returns the first error; bytes left over are one.
func (i *Items) End() error {
	if i.r.Err == nil && len(i.r.B) > 0 {
		return fmt.Errorf("%w: %d bytes left over", ErrDecode, len(i.r.B))
	}
	return i.r.Err
}
