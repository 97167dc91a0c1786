package gossip

import (
	"encoding/binary"
	"fmt"
	"slices"

	"syncline/crdt"
	"syncline/gossip/sketch"
)

// A vector has an entry for each replica that ever wrote, and most of them have not changed since two devices last met. So it travels in the
// shortest form that the receiver can read: whole if it is small, as a sketch while the sender knows nothing of the receiver's, as the
// changes to the receiver's vector as soon as that is known. Whatever the form, the hash of the whole tells whether it was read right.
const (
	formNone    = iota // nothing is told: both are believed equal
	formWhole          // all entries
	formChanges        // the entries that differ from the vector that the receiver told, with counter zero for those that are missing
	formSketch         // symbols of the set of entries
)

const (
	// firstSymbols is how many symbols a first sketch has: enough to tell one or two replicas that wrote.
	firstSymbols = 16
	// symbolsGrowth is by how much a sketch grows that did not suffice, until it would cost half of what it stands for.
	symbolsGrowth = 4
)

// A sighting is what a peer has told of its vector in symbols, as long as they do not suffice.
type sighting struct {
	hash    [16]byte
	symbols []byte
	had     int // so many of them did not suffice
}

// tell returns our vector in the shortest form, and remembers that the peer will answer it.
func (s *Session) tell(v View) (form uint8, entries, top []byte) {
	s.told, s.toldVector = s.context(v).Clone(), true
	above := v.Parts().Top().Above(s.told)
	s.asked, s.toldWhole = s.told, above.Len() == 0
	whole := crdt.AppendVector([]byte{}, s.told)
	switch {
	case !s.toldWhole: // it fills, and will not for long
	case s.knowTheirs:
		if changes := appendChanges([]byte{}, s.told.Changes(s.theirs)); len(changes) < len(whole) {
			return formChanges, changes, []byte{}
		}
	case len(whole) > s.symbols*sketch.SymbolBytes:
		s.offered = s.symbols
		return formSketch, s.sketchTold(s.offered).Append([]byte{}, 0), []byte{}
	}
	return formWhole, whole, crdt.AppendVector([]byte{}, above)
}

func (s *Session) sketchTold(n int) *sketch.Sketch { return sketchVector(s.told, s.told.Hash(), n) }

// sketchVector returns the sketch of the entries of a vector under the key that its reader knows.
func sketchVector(v crdt.Vector, key [16]byte, n int) *sketch.Sketch {
	k := sketch.New(key, n)
	for d := range v.All() {
		k.Add(entryItem(d))
	}
	return k
}

func entryItem(d crdt.Dot) (x sketch.Item) {
	copy(x[:8], d.Replica[:])
	binary.BigEndian.PutUint64(x[8:], d.Counter)
	return x
}

// hear takes what the peer tells of its vector. It reports false if nothing was told, or if more symbols are needed, for which it asks.
func (s *Session) hear(v View, hash [16]byte, form uint8, entries, top []byte) (known bool, err error) {
	if s.sighting != nil && hash != s.sighting.hash || form != formWhole && len(top) > 0 || form == formNone && len(entries) > 0 {
		return false, fmt.Errorf("%w: a vector in form %d that does not fit", crdt.ErrDecode, form)
	}
	var vec crdt.Vector
	switch form {
	case formNone:
		return false, nil
	case formWhole:
		vec, err = crdt.DecodeVector(entries)
	case formChanges:
		if !s.toldVector || s.sighting != nil {
			return false, fmt.Errorf("%w: changes to a vector that was not told", crdt.ErrDecode)
		}
		vec, err = decodeChanges(entries, s.told)
	case formSketch:
		if s.sighting == nil {
			s.sighting = &sighting{hash: hash}
		}
		s.sighting.symbols = append(s.sighting.symbols, entries...)
		var want int
		if vec, want, err = s.sighting.read(v.Parts().Top()); err == nil && want >= 0 {
			s.sayMore(want)
			return false, nil
		}
		s.result.VectorSketches++
	default:
		err = fmt.Errorf("%w: a vector of form %d", crdt.ErrDecode, form)
	}
	if err == nil && vec.Hash() != hash {
		err = fmt.Errorf("%w: a vector that does not have its hash", crdt.ErrDecode)
	}
	if err != nil {
		return false, err
	}
	s.sighting = nil
	return true, s.learn(v, vec, top)
}

// read makes out the vector from what differs from ours. If it cannot, it returns how many symbols to ask for, 0 for the whole vector, and -1
// if nothing is to be asked for.
func (g *sighting) read(own crdt.Vector) (vec crdt.Vector, want int, err error) {
	theirs, err := sketch.Decode(g.hash, g.symbols)
	if err != nil {
		return vec, 0, fmt.Errorf("%w: %w", crdt.ErrDecode, err)
	}
	if theirs.Len() < 2*g.had {
		return vec, 0, fmt.Errorf("%w: %d symbols after %d", crdt.ErrDecode, theirs.Len(), g.had)
	}
	g.had = theirs.Len()
	ours := sketchVector(own, g.hash, theirs.Len())
	gone, come, ok := ours.Diff(theirs)
	if !ok {
		return vec, moreSymbols(ours, theirs), nil
	}
	vec, err = decodeChanges(appendChanges(nil, entryChanges(gone, come)), own)
	if err != nil || vec.Hash() != g.hash {
		return crdt.Vector{}, 0, nil // hashes collided, or somebody forges: ask for the vector itself
	}
	return vec, -1, nil
}

// entryChanges returns what the entries that went and came change, in the order of replicas.
func entryChanges(gone, come []sketch.Item) []crdt.Dot {
	dots := make([]crdt.Dot, 0, len(gone)+len(come))
	for _, x := range gone {
		dots = append(dots, crdt.Dot{Replica: crdt.ReplicaID(x[:8])})
	}
	for _, x := range come {
		dots = append(dots, crdt.Dot{Replica: crdt.ReplicaID(x[:8]), Counter: binary.BigEndian.Uint64(x[8:])})
	}
	slices.SortFunc(dots, crdt.Dot.Compare) // an entry that came follows the one that went
	last := dots[:0]
	for _, d := range dots {
		if n := len(last); n > 0 && last[n-1].Replica == d.Replica && last[n-1].Counter == 0 {
			last = last[:n-1]
		}
		last = append(last, d)
	}
	return last
}

// moreSymbols returns how many symbols to ask for if those of two sets did not suffice, 0 for the set itself: more of them could not help.
func moreSymbols(ours, theirs *sketch.Sketch) int {
	apart := max(ours.Items()-theirs.Items(), theirs.Items()-ours.Items()) // the sets differ at least by that
	if want := max(symbolsGrowth*theirs.Len(), apart+apart/2); want <= sketch.SymbolsMax {
		return want
	}
	return 0
}

func (s *Session) sayMore(symbols int) {
	s.result.UnreadSketches++
	s.say(&more{Type: msgMore, Symbols: uint64(symbols)})
}

// onMore continues a sketch that the peer could not make out: of our vector, or of what is live here.
func (s *Session) onMore(v View, msg []byte) error {
	var m more
	if err := m.decode(msg); err != nil {
		return err
	}
	bad := func(had int) bool { return m.Symbols > 0 && m.Symbols <= uint64(had) || m.Symbols > sketch.SymbolsMax }
	switch {
	case s.offered > 0 && !s.knowTheirs && !bad(s.offered):
		r := vector{Type: msgVector, Hash: s.told.Hash(), Form: formWhole, Entries: crdt.AppendVector([]byte{}, s.told), Top: []byte{}}
		had := s.offered
		if s.offered = grow(had, int(m.Symbols), len(r.Entries)); s.offered > 0 {
			r.Form, r.Entries = formSketch, s.sketchTold(s.offered).Append([]byte{}, had)
		}
		s.say(&r)
		return nil
	case s.waiting && s.sketched > 0 && s.nothingCame() && !bad(s.sketched):
		s.had, s.wanted, s.listOnly = s.sketched, int(m.Symbols), m.Symbols == 0
		return s.askAgain(v)
	}
	return s.unexpected(msgMore)
}

// grow returns how many symbols follow had if so many are wanted: at most as many as cost half of what they stand for, in bytes. It returns 0 if
// those are hardly more, or if the peer, which then asks for more than the usual growth, knows that they are too few.
func grow(had, wanted, bytes int) int {
	most := bytes / 2 / sketch.SymbolBytes
	if wanted > most && wanted > symbolsGrowth*had || min(wanted, most) < 2*had {
		return 0
	}
	return min(wanted, most)
}

// appendChanges appends entries, in the order of replicas, with counter zero for a replica of which nothing is held.
func appendChanges(b []byte, changes []crdt.Dot) []byte {
	for _, d := range changes {
		b = binary.AppendUvarint(append(b, d.Replica[:]...), d.Counter)
	}
	return b
}

// decodeChanges returns the vector that differs from base as b says.
func decodeChanges(b []byte, base crdt.Vector) (crdt.Vector, error) {
	var changes []crdt.Dot
	var last crdt.ReplicaID
	for r := (crdt.Reader{B: b}); len(r.B) > 0; {
		d := crdt.Dot{Replica: r.Replica(), Counter: r.Uvarint()}
		if r.Err != nil {
			return crdt.Vector{}, r.Err
		}
		if d.Replica.Compare(last) <= 0 || d.Counter > crdt.CounterMax || d.Counter == base.Get(d.Replica) {
			return crdt.Vector{}, fmt.Errorf("%w: a change to %v", crdt.ErrDecode, d)
		}
		changes, last = append(changes, d), d.Replica
	}
	return base.Patch(changes), nil
}
