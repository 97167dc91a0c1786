package gossip

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"syncline/crdt"
	"syncline/gossip/sketch"
)

// Below a floor the asker says what is live there. Mostly both ends have nearly the same, so it says that by a sketch of the names: the
// answering end subtracts what is live at itself, and what is left over at the asker is dead. Both sets are taken within one bound, what the
// asker asks with and the other end has told of itself, so that what either has seen alone is no difference; what the asker holds beyond
// the bound is listed. The answering end makes the difference out in the same moment in which it reads its answer.
const (
	listedNot    = iota // nothing was told
	listedNames         // LIVE messages hold all names
	listedSketch        // symbols of the names within the bound; LIVE messages hold the others
)

const (
	// nameBytes is about what a name costs in a LIVE message.
	nameBytes = 10
	// liveSymbolsMax bounds a first sketch of names, liveShare is the share of the names that it takes: then it costs a hundredth of a list.
	liveSymbolsMax, liveShare = 1024, 256
	// liveReadShare is how many times the bytes of an answer are read for a question about some of the paths: twice what its asker read.
	liveReadShare = 16
)

// A nameSet is a sketch of names, with the sum of all items modulo 2^128, by which the outcome is checked.
type nameSet struct {
	key [16]byte
	*sketch.Sketch
	sum [2]uint64
}

func newNameSet(key [16]byte, n int) *nameSet { return &nameSet{key: key, Sketch: sketch.New(key, n)} }

// nameItem returns the first 16 bytes of SHA-256 over the key, the dot and the path. The key is the hash of the vector that is asked with, so no name is
// hard to tell from another for long.
func nameItem(key [16]byte, n crdt.Name) sketch.Item {
	buf := make([]byte, 0, 128)
	buf = append(append(buf, key[:]...), n.Dot.Replica[:]...)
	buf = append(binary.BigEndian.AppendUint64(buf, n.Dot.Counter), n.Path...)
	sum := sha256.Sum256(buf)
	return sketch.Item(sum[:16])
}

func (a *nameSet) add(n crdt.Name) {
	x := nameItem(a.key, n)
	a.Add(x)
	a.sum = plus(a.sum, x)
}

// plus and minus add an item to a sum, and take it away; both are big-endian numbers.
func plus(sum [2]uint64, x sketch.Item) [2]uint64 {
	lo, carry := bits.Add64(sum[1], binary.BigEndian.Uint64(x[8:]), 0)
	hi, _ := bits.Add64(sum[0], binary.BigEndian.Uint64(x[:8]), carry)
	return [2]uint64{hi, lo}
}

func minus(sum [2]uint64, x sketch.Item) [2]uint64 {
	lo, borrow := bits.Sub64(sum[1], binary.BigEndian.Uint64(x[8:]), 0)
	hi, _ := bits.Sub64(sum[0], binary.BigEndian.Uint64(x[:8]), borrow)
	return [2]uint64{hi, lo}
}

// append appends the sum and the first n symbols.
func (a *nameSet) append(b []byte, n int) []byte {
	b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, a.sum[0]), a.sum[1])
	return a.Prefix(n).Append(b, 0)
}

// sayLive tells for a question what is live here of the paths that it is about and inside the vector asked, at this moment: also what the peer had
// not seen when it spoke, for it may see it, and see it go, before it answers. If that is too much for one question, the question is
// about fewer paths.
func (s *Session) sayLive(v View, m *ask) error {
	names, to, err := crdt.ListLive(v, s.asked, s.from, s.to, s.limits)
	if err != nil {
		return err
	}
	s.to, m.Listed = to, listedNames
	if n := s.liveSymbols(len(names)); n > 0 {
		set := newNameSet(s.asked.Hash(), n)
		var beyond []crdt.Name
		for _, name := range names {
			if s.theirs.Has(name.Dot) {
				set.add(name)
			} else {
				beyond = append(beyond, name)
			}
		}
		if n = s.liveSymbols(set.Items()); n > 0 {
			m.Listed, m.Sketch = listedSketch, set.append([]byte{}, n)
			s.sketched, names = n, beyond
		}
	}
	rows := nameRows(names)
	s.sendRows(msgLive, rows)
	m.Rows = uint64(len(rows))
	return nil
}

// liveSymbols returns how many symbols are to tell so many names, 0 if a list is better.
func (s *Session) liveSymbols(names int) int {
	if s.listOnly {
		return 0
	}
	if s.wanted > 0 {
		return grow(s.had, s.wanted, names*nameBytes)
	}
	if n := max(s.symbols, min(names/liveShare, liveSymbolsMax)); n*sketch.SymbolBytes < names*nameBytes {
		return n
	}
	return 0
}

// readLive makes out which of the asker's live values are dead here. It reports false if the symbols do not suffice, and says so.
func (s *Session) readLive(v View, m *ask, asked crdt.Vector) (gone []sketch.Item, ok bool, err error) {
	if len(m.Sketch) < 16 {
		return nil, false, fmt.Errorf("%w: a sketch of %d bytes", crdt.ErrDecode, len(m.Sketch))
	}
	key := asked.Hash()
	theirs, err := sketch.Decode(key, m.Sketch[16:])
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", crdt.ErrDecode, err)
	}
	if theirs.Len() < 2*s.unread {
		return nil, false, fmt.Errorf("%w: %d symbols after %d", crdt.ErrDecode, theirs.Len(), s.unread)
	}
	ours, sum := newNameSet(key, theirs.Len()), [2]uint64{binary.BigEndian.Uint64(m.Sketch), binary.BigEndian.Uint64(m.Sketch[8:])}
	// A small set is not worth a walk through all that is live here, and one that is said to be larger than what is told at once is none.
	visits := 8*(min(theirs.Items(), s.limits.Names)+theirs.Len()) + s.limits.Rows
	for n, err := range crdt.LiveNames(v, m.From, m.To, liveReadShare*s.limits.Bytes) {
		if errors.Is(err, crdt.ErrTooMuch) {
			visits = 0
		} else if err != nil {
			return nil, false, err
		}
		if visits--; visits < 0 {
			break
		}
		if asked.Has(n.Dot) && s.told.Has(n.Dot) {
			ours.add(n)
		}
	}
	here, there, ok := ours.Diff(theirs)
	want := moreSymbols(ours.Sketch, theirs)
	if visits < 0 {
		ok, want = false, 0
	} else if ok {
		for _, x := range here {
			ours.sum = minus(ours.sum, x)
		}
		for _, x := range there {
			ours.sum = plus(ours.sum, x)
		}
		if ours.sum != sum { // hashes collided: the next key is another
			ok, want = false, 0
		}
	}
	if s.unread = theirs.Len(); !ok {
		s.sayMore(want)
		return nil, false, nil
	}
	s.unread, s.result.LiveSketches = 0, s.result.LiveSketches+1
	slices.SortFunc(there, func(x, y sketch.Item) int { return bytes.Compare(x[:], y[:]) })
	return there, true, nil
}

// sayDead names the asker's dead values by their items: what they are called is known there.
func (s *Session) sayDead(gone []sketch.Item) {
	for chunk := range slices.Chunk(gone, FrameBytesMax/16) {
		m := dead{Type: msgDead}
		for _, x := range chunk {
			m.Items = append(m.Items, x[:]...)
		}
		s.say(&m)
	}
}

func (s *Session) onDead(msg []byte) error {
	if !s.waiting || s.sketched == 0 {
		return s.unexpected(msgDead)
	}
	var m dead
	if err := m.decode(msg); err != nil {
		return err
	}
	if n := len(m.Items); n == 0 || n%16 > 0 || len(s.dead)+n/16 > s.sketched {
		return fmt.Errorf("%w: %d bytes of dead values after %d, of %d symbols", crdt.ErrDecode, n, len(s.dead), s.sketched)
	}
	for b := range slices.Chunk(m.Items, 16) {
		x := sketch.Item(b)
		if n := len(s.dead); n > 0 && bytes.Compare(x[:], s.dead[n-1][:]) <= 0 {
			return fmt.Errorf("%w: dead values are out of order", crdt.ErrDecode)
		}
		s.dead = append(s.dead, x)
	}
	return nil
}

// nameDead adds to a delta's kills those of our live values that the peer made out to be dead. It cannot have made out one that it had not seen.
func (s *Session) nameDead(v View, d *crdt.Delta) error {
	if len(s.dead) == 0 {
		return nil
	}
	gone := map[sketch.Item]bool{}
	for _, x := range s.dead {
		gone[x] = true
	}
	key := s.asked.Hash()
	for n, err := range crdt.LiveNames(v, d.From, d.To, math.MaxInt) {
		if err != nil {
			return err
		}
		if d.Asked.Has(n.Dot) && d.Context.Has(n.Dot) && gone[nameItem(key, n)] {
			d.Kills = append(d.Kills, n)
		}
	}
	slices.SortFunc(d.Kills, crdt.Name.Compare)
	return nil
}
