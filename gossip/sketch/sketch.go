package sketch

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// SymbolsMax bounds a sketch: it takes up a megabyte, and tells a difference of some 23,000 items.
	SymbolsMax = 1 << 15
	// SymbolBytes is about what one symbol costs on the wire.
	SymbolBytes = 26
	// countMax bounds the number of items that a decoded symbol covers.
	countMax = 1 << 40
	// symbolBytesMin is the least that a symbol can have: its sum, its check and its count.
	symbolBytesMin = 16 + 8 + 1
)

// ErrFormat says that bytes are no symbols.
var ErrFormat = errors.New("no symbols of a sketch")

// An Item is a member of a set. What is longer is hashed to this length by who makes the set; two members are never equal.
type Item [16]byte

// A Key selects the hash, and with it which symbols cover an item. Both ends of an exchange use the same.
type Key [16]byte

// A symbol is the sum of the items that it covers.
type symbol struct {
	sum   [2]uint64 // exclusive or of the items, as little-endian numbers
	check uint64    // exclusive or of their hashes
	count int64
}

func (s *symbol) toggle(x [2]uint64, hash uint64, count int64) {
	s.sum[0] ^= x[0]
	s.sum[1] ^= x[1]
	s.check ^= hash
	s.count += count
}

// A Sketch is the first symbols of a set. It is a function of the set: items may come and go in any order, and it stays as large as it
// was made. It is not safe for concurrent use.
type Sketch struct {
	key     [2]uint64
	symbols []symbol
}

// New returns the sketch of the empty set with n symbols, between 1 and SymbolsMax.
func New(key Key, n int) *Sketch {
	return &Sketch{key: words(key), symbols: make([]symbol, min(max(n, 1), SymbolsMax))}
}

func words[T Item | Key](b T) [2]uint64 {
	return [2]uint64{binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:])}
}

// Len returns the number of symbols.
func (s *Sketch) Len() int { return len(s.symbols) }

// Prefix returns the first n symbols. They share memory with s.
func (s *Sketch) Prefix(n int) *Sketch { return &Sketch{s.key, s.symbols[:n:n]} }

// Items returns the number of items in the set.
func (s *Sketch) Items() int { return int(s.symbols[0].count) }

// Add puts an item into the set that does not hold it.
func (s *Sketch) Add(x Item) { s.change(words(x), 1) }

// Remove takes an item out of the set that holds it.
func (s *Sketch) Remove(x Item) { s.change(words(x), -1) }

func (s *Sketch) change(x [2]uint64, count int64) {
	hash := siphash(s.key, x)
	for w := (walk{state: hash}); w.index < uint64(len(s.symbols)); w.next(len(s.symbols)) {
		s.symbols[w.index].toggle(x, hash, count)
	}
}

// Diff returns the items of s that t lacks, and those of t that s lacks. It reports false if the symbols do not suffice to tell, or are not
// those of sets. Both sketches have the same key and length.
func (s *Sketch) Diff(t *Sketch) (here, there []Item, ok bool) {
	if s.key != t.key || len(s.symbols) != len(t.symbols) {
		panic("sketch: Diff of sketches with different keys or lengths")
	}
	rest := make([]symbol, len(s.symbols))
	open := make([]int, len(rest)) // the symbols to look at
	for i, x := range t.symbols {
		rest[i] = s.symbols[i]
		rest[i].toggle(x.sum, x.check, -x.count)
		open[i] = i
	}
	// Each item empties the symbol that tells it, so of true sets there are no more items than symbols. Forged ones could go round for ever.
	for len(open) > 0 && len(here)+len(there) <= len(rest) {
		i := open[len(open)-1]
		open = open[:len(open)-1]
		x := rest[i]
		if x.count*x.count != 1 || siphash(s.key, x.sum) != x.check {
			continue
		}
		if x.count > 0 {
			here = append(here, item(x.sum))
		} else {
			there = append(there, item(x.sum))
		}
		for w := (walk{state: x.check}); w.index < uint64(len(rest)); w.next(len(rest)) {
			rest[w.index].toggle(x.sum, x.check, -x.count)
			open = append(open, int(w.index))
		}
	}
	for i := range rest {
		if rest[i] != (symbol{}) {
			return nil, nil, false
		}
	}
	return here, there, true
}

func item(x [2]uint64) (b Item) {
	binary.LittleEndian.PutUint64(b[:8], x[0])
	binary.LittleEndian.PutUint64(b[8:], x[1])
	return b
}

// Append appends the symbols from index from on as they travel: the sum of the items 16, that of their hashes 8, big-endian, and their
// number as a varint.
func (s *Sketch) Append(b []byte, from int) []byte {
	for i := from; i < len(s.symbols); i++ {
		x := &s.symbols[i]
		sum := item(x.sum)
		b = append(b, sum[:]...)
		b = binary.BigEndian.AppendUint64(b, x.check)
		b = binary.AppendUvarint(b, uint64(x.count))
	}
	return b
}

// Decode is the inverse of Append from the first symbol on. The parts of a sketch that came one after the other are decoded together. Every
// error is an ErrFormat.
func Decode(key Key, b []byte) (*Sketch, error) {
	if len(b) < symbolBytesMin || len(b) > SymbolsMax*(symbolBytesMin+5) {
		return nil, fmt.Errorf("%w: %d bytes", ErrFormat, len(b))
	}
	s := &Sketch{key: words(key), symbols: make([]symbol, 0, len(b)/symbolBytesMin)}
	for len(b) > 0 {
		if len(b) < symbolBytesMin || len(s.symbols) == SymbolsMax {
			return nil, fmt.Errorf("%w: %d bytes after %d symbols", ErrFormat, len(b), len(s.symbols))
		}
		x := symbol{sum: words(Item(b[:16])), check: binary.BigEndian.Uint64(b[16:])}
		b = b[24:]
		count, n := binary.Uvarint(b)
		if n <= 0 || count > countMax || n > 1 && b[n-1] == 0 {
			return nil, fmt.Errorf("%w: a count", ErrFormat)
		}
		x.count, b = int64(count), b[n:]
		s.symbols = append(s.symbols, x)
	}
	return s, nil
}
