package gossip

import (
	"fmt"

	"syncline/crdt"
)

const (
	// asksMax bounds the questions of one end of a session; the next session goes on.
	asksMax = 256
	// partsMax is the number of ranges from which on all but the last are asked for together.
	partsMax = 32
)

// askFrom asks for what the peer has seen and we have not of the paths from from on: the first such range. If there is none, or if this
// session has asked enough, nothing more is asked.
func (s *Session) askFrom(v View, from string) error {
	if s.fetches {
		s.from, s.to, s.asked, s.waiting = from, "", s.fetch, true
		return s.sayAsk(v)
	}
	parts := v.Parts()
	i := parts.Of(from)
	for i < len(parts) && s.theirTop.Within(parts[i].Context) {
		i++
	}
	if s.waiting = i < len(parts) && s.asks < asksMax; !s.waiting {
		s.doneHere = true
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

// missing returns the number of operations of top that are not in v.
func missing(top, v crdt.Vector) (n uint64) {
	for d := range top.Above(v).All() {
		n += d.Counter - v.Get(d.Replica)
	}
	return n
}

// sayAsk asks for an answer to the vector asked. If we may hold values whose delete the peer has forgotten it says first what is live
// here of what that vector holds, at this moment: also what the peer had not seen when it spoke, for it may see it, and see it go,
// before it answers. If that is too much for one question, the question is about fewer paths.
func (s *Session) sayAsk(v View) error {
	m := ask{Type: msgAsk, From: s.from, Vector: crdt.AppendVector([]byte{}, s.asked)}
	if !s.theirFloor.Within(s.asked) {
		m.Listed = 1
		names, to, err := crdt.ListLive(v, s.asked, s.from, s.to, s.limits)
		if err != nil {
			return err
		}
		s.to = to
		rows := nameRows(names)
		s.sendRows(msgLive, rows)
		m.Rows = uint64(len(rows))
	}
	m.To = s.to
	s.say(&m)
	return nil
}

func (s *Session) onAsk(v View, msg []byte) error {
	if !s.mayAsk() {
		return s.unexpected(msgAsk)
	}
	var m ask
	if err := m.decode(msg); err != nil {
		return err
	}
	if m.Rows != uint64(len(s.theirLive)) {
		return fmt.Errorf("%w: %d rows of live values, %d were announced", crdt.ErrDecode, len(s.theirLive), m.Rows)
	}
	if m.From < s.next || m.To != "" && m.To <= m.From || m.Listed > 1 || m.Listed == 0 && m.Rows > 0 {
		return fmt.Errorf("%w: a question about %q to %q, with %d rows", crdt.ErrDecode, m.From, m.To, m.Rows)
	}
	vec, err := crdt.DecodeVector(m.Vector)
	if err != nil {
		return err
	}
	live := rowNames(s.theirLive)
	s.theirLive = nil
	return s.answer(v, &m, vec, live)
}

// mayAsk reports whether a question of the peer may come.
func (s *Session) mayAsk() bool { return s.knowTheirs && s.toldVector && s.more && !s.doneThere }
