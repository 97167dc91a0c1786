package gossip

import (
	"fmt"
	"slices"

	"syncline/crdt"
	"syncline/gossip/sketch"
)

const (
	// asksMax bounds the questions of one end of a session; the next session goes on. One that is answered by LEFT does not count, or the paths that
	// are left out, which each session asks for anew, would hide all others once they are so many. Each such question begins at a part of the asker, or
	// where an answer ended, so there is an end to them.
	asksMax = 256
	// theirAsksMax bounds those of the peer, which asks again after FLOOR, and for each sketch that did not suffice.
	theirAsksMax = 16 * asksMax
	// rangesMax bounds the ranges with contexts of their own into which answers cut a replica. A device that fills has a few hundred at most, and two
	// for each path that is left out.
	rangesMax = 4096
	// LeftMax bounds the paths that are left out and named.
	LeftMax = 1024
	// FetchMax bounds the paths that one session fetches.
	FetchMax = 4 * asksMax
	// partsMax is the number of ranges from which on all but the last are asked for together.
	partsMax = 32
)

// askFrom asks for what the peer has seen and we have not of the paths from from on: the first such range. If there is none, or if this
// session has asked enough, nothing more is asked.
func (s *Session) askFrom(v View, from string) error {
	if s.fetches {
		return s.fetchNext(v)
	}
	parts := v.Parts()
	i := parts.Of(from)
	for i < len(parts) && s.theirTop.Within(parts[i].Context) {
		i++
	}
	if s.waiting = i < len(parts) && s.asks-s.passed < asksMax; !s.waiting {
		s.doneHere, s.short = true, i < len(parts)
		s.finishExchange(v)
		return nil
	}
	s.asks++
	s.from, s.asked = max(from, parts[i].From), parts[i].Context.Clone()
	// Ranges of which little is missing are asked for together, for what was seen of all of them; a little comes twice.
	for ; i+1 < len(parts); i++ {
		common := s.asked.Meet(parts[i+1].Context)
		if missing(s.theirTop, common) > uint64(s.limits.Names/32) && (len(parts) < partsMax || i+2 == len(parts)) {
			break
		}
		s.asked = common
	}
	s.to = parts.To(i)
	return s.sayAsk(v)
}

// fetchNext asks for the next path that is to be fetched: for the range that holds it and no other.
func (s *Session) fetchNext(v View) error {
	if s.waiting = len(s.fetch) > 0; !s.waiting {
		s.Refuse("fetched", "that was all; nothing was to be told")
		return nil
	}
	s.from, s.to, s.asked = s.fetch[0], s.fetch[0]+"\x00", crdt.Vector{}
	s.fetch = s.fetch[1:]
	return s.sayAsk(v)
}

// Fetching returns the path that was asked for and has not been answered, empty if there is none.
func (s *Session) Fetching() string {
	if s.fetches && s.waiting {
		return s.from
	}
	return ""
}

// missing returns the number of operations of top that are not in v.
func missing(top, v crdt.Vector) (n uint64) {
	for d := range top.Above(v).All() {
		n += d.Counter - v.Get(d.Replica)
	}
	return n
}

// askAgain asks the last question anew, of this moment: the answer takes that what is live here was told.
func (s *Session) askAgain(v View) error {
	parts := v.Parts()
	i := parts.Of(s.from)
	s.asked = parts[i].Context.Clone()
	for i++; i < len(parts) && (s.to == "" || parts[i].From < s.to); i++ {
		s.asked = s.asked.Meet(parts[i].Context)
	}
	return s.sayAsk(v)
}

// sayAsk asks for an answer to the vector asked. If we may hold values whose delete the peer has forgotten it says first what is live here of
// what that vector holds, at this moment; of a path that is fetched that is nothing.
func (s *Session) sayAsk(v View) error {
	if !s.told.Within(s.asked) {
		s.Refuse("rolled_back", "this device was set back; it goes on under a new replica id")
		return nil
	}
	m := ask{Type: msgAsk, From: s.from, Sketch: []byte{}}
	s.listing, s.sketched = listedNot, 0
	if s.fetches {
		m.Listed = listedNames
	} else if !s.theirFloor.Within(s.asked) {
		if err := s.sayLive(v, &m); err != nil {
			return err
		}
	}
	s.listing = m.Listed
	m.Vector, m.To = crdt.AppendVector([]byte{}, s.asked.Above(s.told)), s.to
	s.say(&m)
	return nil
}

// onFloor asks again, with what is live here, after the peer said that it cannot answer otherwise.
func (s *Session) onFloor(v View, msg []byte) error {
	var m floor
	if err := m.decode(msg); err != nil {
		return err
	}
	above, err := crdt.DecodeVector(m.Floor)
	if err != nil {
		return err
	}
	if !s.waiting || s.listing != listedNot || !s.nothingCame() || above.Len() == 0 || above.Within(s.asked) {
		return s.unexpected(msgFloor)
	}
	s.theirFloor.Join(above)
	return s.askAgain(v)
}

// onLeft goes on behind a path that is left out.
func (s *Session) onLeft(v View, msg []byte) error {
	var m left
	if err := m.decode(msg); err != nil {
		return err
	}
	if !s.waiting || !s.nothingCame() || m.Path != s.from || crdt.CheckStoredPath(m.Path) != nil {
		return s.unexpected(msgLeft)
	}
	s.leave(m.Path)
	s.passed++
	if s.from = m.Path + "\x00"; s.from == s.to || s.to != "" && s.from > s.to {
		s.from = s.to
	}
	return s.askFrom(v, s.from)
}

// leave takes note of a path that one end leaves out. The other may do the same.
func (s *Session) leave(path string) {
	i, known := slices.BinarySearch(s.result.Left, path)
	if known || i == LeftMax {
		return
	}
	s.result.Left = slices.Insert(s.result.Left, i, path)
	s.result.Left = s.result.Left[:min(len(s.result.Left), LeftMax)]
}

// nothingCame reports whether nothing of the answer that is due has come.
func (s *Session) nothingCame() bool { return len(s.rows)+len(s.kills)+len(s.dead)+len(s.opens) == 0 }

func (s *Session) onAsk(v View, msg []byte) error {
	if s.theirAsks++; !s.mayAsk() || s.answering || s.theirAsks > theirAsksMax {
		return s.unexpected(msgAsk)
	}
	var m ask
	if err := m.decode(msg); err != nil {
		return err
	}
	if m.Rows != uint64(len(s.theirLive)) {
		return fmt.Errorf("%w: %d rows of live values, %d were announced", crdt.ErrDecode, len(s.theirLive), m.Rows)
	}
	if m.From < s.next || m.To != "" && m.To <= m.From || m.Listed > listedSketch || m.Listed == listedNot && m.Rows > 0 ||
		(m.Listed == listedSketch) != (len(m.Sketch) > 0) {
		return fmt.Errorf("%w: a question about %q to %q, with %d rows", crdt.ErrDecode, m.From, m.To, m.Rows)
	}
	grown, err := crdt.DecodeVector(m.Vector)
	if err != nil {
		return err
	}
	if !grown.Above(s.theirs).Equal(grown) {
		return fmt.Errorf("%w: a vector that is not above the one that was told", crdt.ErrDecode)
	}
	asked := s.theirs.Clone()
	asked.Join(grown)
	live := rowNames(s.theirLive)
	s.theirLive, s.liveLoad = nil, load{}
	if s.fetches {
		return nil // what we told is not what we have seen, so there is nothing to answer under; our last word ends the session
	}
	var gone []sketch.Item
	if m.Listed != listedSketch {
		s.unread = 0
	} else {
		var ok bool
		if gone, ok, err = s.readLive(v, &m, asked); err != nil || !ok {
			return err
		}
	}
	return s.answer(v, &m, asked, live, gone)
}

// mayAsk reports whether a question of the peer may come.
func (s *Session) mayAsk() bool { return s.knowTheirs && s.toldVector && s.more && !s.doneThere }
