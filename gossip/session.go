package gossip

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"syncline/crdt"
)

// A View is the replica as a session sees it: its registers and contexts, and the digest of what is live.
type View interface {
	crdt.Base
	Digest() crdt.Digest
}

// AnswerRowsMax and AnswerBytesMax bound what is taken for one answer, which a receiver holds in memory until it commits. A path with
// very many large siblings makes one large row, which cannot be cut.
const (
	AnswerRowsMax  = 128 << 10
	AnswerBytesMax = 2 << 30
)

// answerLimits bound the answers that are made. What is too large for one is asked for and committed one range of paths after the
// other. The largest transaction that a node takes fits into a whole one.
var answerLimits = crdt.Limits{Rows: 64 << 10, Bytes: 8 << 20, Whole: 24 << 20, Names: 64 << 10}

const (
	// asksMax bounds the questions of one end of a session; the next session goes on.
	asksMax = 256
	// partsMax is the number of ranges from which on all but the last are asked for together.
	partsMax = 32
)

// A Session is one anti-entropy exchange with one peer: a state machine that is fed the peer's messages with Receive and asked
// for its own with Next, over any transport that keeps order. It does no I/O and never commits: Receive hands out the delta,
// the caller joins it into its replica in one commit and then calls Committed.
//
// A Session may overlap with other sessions, local writes and gossip. What it tells of the replica is read at once, in one call,
// from one state; nothing is assumed about the replica between two calls.
type Session struct {
	initiator bool
	optimist  bool
	fetches   bool
	fetch     crdt.Vector
	wall      int64 // seconds since 1970
	replica   crdt.Dot

	limits crdt.Limits
	// theirs, theirFloor and theirTop are what the peer last said of itself, within this session; theirWhole that it has one context.
	theirs, theirFloor, theirTop crdt.Vector
	knowTheirs, theirWhole       bool
	// told is the vector that we told; toldVector says that it was sent, toldWhole that it is all that we have seen.
	told                  crdt.Vector
	toldVector, toldWhole bool
	// toldFloor is our floor as we told it: the peer asks for a comparison of what is live if it lies outside its vector.
	toldFloor crdt.Vector
	// asked is the vector for which the peer makes its answer, from and to the paths; waiting says that an answer is due. asks counts
	// the questions.
	asked    crdt.Vector
	from, to string
	waiting  bool
	asks     int
	// theirLive is what the peer told us is live there, because it is below our floor.
	theirLive []crdt.Row
	// next is where the peer's next question may begin; more says that there may be one. large says that an answer was cut.
	next        string
	more, large bool
	// bound holds the replicas whose bindings were sent.
	bound map[crdt.ReplicaID]bool
	// rows, kills and opens collect the peer's answer.
	rows, kills []crdt.Row
	opens       []crdt.Binding
	// given is our context when we answered all at once; answered says that we have answered.
	given    crdt.Vector
	answered bool
	// theirHash and theirDigest are of the peer's state as it answered.
	theirHash          [16]byte
	theirDigest        [8]byte
	doneSent, doneHere bool
	doneThere          bool
	theirDone          [16]byte
	result             Result
	finished           bool
	queue              []func() (msg []byte, more bool)
	sent               int
	// bytes counts those of the rows that were received.
	bytes int
}

// Result is what a session found out and did.
type Result struct {
	// Equal says that both replicas held the same when the session began.
	Equal bool
	// Held is what the peer is known to have on disk.
	Held crdt.Vector
	// PeerWall is the peer's clock, in milliseconds since 1970 and exact to a second, as it last told; 0 if it did not.
	PeerWall int64
	// SameHash says that both vectors were equal at the end.
	SameHash bool
	// Busy says that the peer was busy with another session: try again soon.
	Busy bool
	// Diverged says that both had seen the same operations and yet held different values: a mistake in the program, damage on a
	// disk, or one incarnation used twice.
	Diverged bool
	// RolledBack says that the peer has seen more of our incarnation than we have written: this replica was set back.
	RolledBack bool
	// Answers is the number of answers that were joined: more than one if there was too much for one.
	Answers int
	// RowsIn and RowsOut count the rows that were exchanged.
	RowsIn, RowsOut int
	// Refused is the reason the peer gave for ending the session early, empty if it gave none.
	Refused string
}

// SessionConfig says who takes part.
type SessionConfig struct {
	// Initiator says that this end speaks first.
	Initiator bool
	// BelievedEqual lets the initiator leave its vector out of the first message: 60 bytes instead of a dozen more for each
	// replica that ever wrote. If the belief is wrong it costs one more round trip.
	BelievedEqual bool
	// Fetch, unless it is empty, makes the initiator ask with this vector instead of its context, take the answer, and take leave
	// without an answer of its own. It is for what a damaged disk has lost: the answer brings again what the vector leaves out. It
	// must hold a dot that no replica has, so that no peer takes the vector for its own.
	Fetch crdt.Vector
	// Replica is the last dot of our incarnation; zero while it has written nothing.
	Replica crdt.Dot
	// WallMillis is our clock, shown to people at the other end.
	WallMillis int64
	// Limits bound one answer; zero means those that are meant for devices.
	Limits crdt.Limits
}

// NewSession returns a session that has said nothing yet.
func NewSession(c SessionConfig) *Session {
	s := &Session{initiator: c.Initiator, optimist: c.BelievedEqual, fetch: c.Fetch, fetches: c.Fetch.Len() > 0,
		replica: c.Replica, wall: c.WallMillis / 1000, limits: c.Limits, more: true, bound: map[crdt.ReplicaID]bool{}}
	if s.limits == (crdt.Limits{}) {
		s.limits = answerLimits
	}
	return s
}

// context returns the vector that we ask with.
func (s *Session) context(v View) crdt.Vector {
	if s.fetches {
		return s.fetch
	}
	return v.Context()
}

// Start makes the initiator's first message.
func (s *Session) Start(v View) {
	s.asked = s.context(v).Clone()
	// The peer takes a hello of an empty replica for a whole one: its vector has no bytes.
	s.sayHello(v, s.fetches || !s.optimist || s.asked.Len() == 0 || !isWhole(v))
}

// isWhole reports whether v has seen the same of all paths.
func isWhole(v View) bool { return len(v.Parts()) == 1 }

// hashOf and digestOf return what is told of a whole replica; of one that fills they say nothing.
func hashOf(v View) (h [16]byte) {
	if isWhole(v) {
		h = v.Context().Hash()
	}
	return h
}

func digestOf(v View) (d [8]byte) {
	if isWhole(v) {
		d = v.Digest().Short()
	}
	return d
}

// Finished reports whether the session has come to an orderly end. Messages that Next still has must be sent all the same.
func (s *Session) Finished() bool { return s.finished }

// Result returns what is known so far; it is complete once the session is finished.
func (s *Session) Result() Result { return s.result }

// Next returns the next message to send, nil if there is none now. Messages are made as they are taken, so that a slow stream
// holds one frame in memory and not the whole answer.
func (s *Session) Next() []byte {
	for len(s.queue) > 0 {
		msg, more := s.queue[0]()
		if !more {
			s.queue = s.queue[1:]
		}
		if msg != nil {
			s.sent++
			return msg
		}
	}
	return nil
}

func (s *Session) say(m encoder) {
	msg := m.encode()
	s.queue = append(s.queue, func() ([]byte, bool) { return msg, false })
}

func (s *Session) sayHello(v View, full bool) {
	h := hello{Type: msgHello, Version: ProtocolVersion,
		Hash: s.context(v).Hash(), Digest: v.Digest().Short(), Wall: s.wall, Vector: []byte{}, Floor: []byte{}, Top: []byte{}}
	if full {
		h.Vector, h.Floor, h.Top = s.ownVectors(v)
	}
	s.say(&h)
}

// ownVectors encodes our context, floor and top, and remembers that the peer will answer this context.
func (s *Session) ownVectors(v View) (vec, floor, top []byte) {
	s.told, s.toldFloor, s.toldVector = s.context(v).Clone(), v.Floor().Clone(), true
	above := v.Parts().Top().Above(s.told)
	if s.fetches {
		s.toldFloor, above = crdt.Vector{}, crdt.Vector{} // they matter to who gets an answer
	}
	s.asked, s.toldWhole = s.told, above.Len() == 0
	return crdt.AppendVector([]byte{}, s.told), crdt.AppendVector([]byte{}, s.toldFloor), crdt.AppendVector([]byte{}, above)
}

// Receive takes the peer's next message. If it completes the peer's answer, it returns the delta to join. An error ends the
// session: reset the stream, nothing of an incomplete answer is kept.
func (s *Session) Receive(v View, msg []byte) (*crdt.Delta, error) {
	kind, err := messageType(msg)
	if err != nil {
		return nil, err
	}
	if s.finished {
		return nil, nil // it crossed with our last word
	}
	switch kind {
	case msgHello:
		return nil, s.onHello(v, msg)
	case msgOK, msgBusy:
		return nil, s.onPlain(kind, msg)
	case msgVector:
		return nil, s.onVector(v, msg)
	case msgRows, msgLive, msgKill:
		return nil, s.onRows(kind, msg)
	case msgOpens:
		return nil, s.onOpens(msg)
	case msgEnd:
		return s.onEnd(v, msg)
	case msgAsk:
		return nil, s.onAsk(v, msg)
	case msgDone:
		return nil, s.onDone(v, msg)
	case msgBye:
		return nil, s.onBye(msg)
	}
	return nil, s.unexpected(kind)
}

func (s *Session) unexpected(kind uint8) error {
	return fmt.Errorf("%w: message of type %d out of turn", crdt.ErrDecode, kind)
}

func (s *Session) onHello(v View, msg []byte) error {
	if s.knowTheirs || s.answered || !s.initiator && s.toldVector {
		return s.unexpected(msgHello)
	}
	h, err := decodeHello(msg)
	if err != nil {
		var version *VersionError
		if errors.As(err, &version) && !s.initiator {
			s.sayHello(v, false) // so that the peer learns of it, too
			s.finished = true
		}
		return err
	}
	s.result.PeerWall = h.Wall * 1000
	if !s.initiator && h.Hash == v.Context().Hash() && len(h.Top) == 0 && isWhole(v) {
		return s.sameVector(v, h)
	}
	known := len(h.Vector) > 0 || h.Hash == (crdt.Vector{}).Hash()
	if known {
		if err := s.learn(v, h.Vector, h.Floor, h.Top, h.Hash); err != nil || s.finished {
			return err
		}
	}
	if s.initiator {
		if !known {
			return fmt.Errorf("%w: an answering hello without a vector", crdt.ErrDecode)
		}
		if !s.toldVector {
			vec, floor, top := s.ownVectors(v)
			s.say(&vector{Type: msgVector, Vector: vec, Floor: floor, Top: top})
		}
	} else {
		s.sayHello(v, true)
	}
	if !known {
		return nil
	}
	return s.exchange(v)
}

// sameVector ends the session of the responder when both have seen the same.
func (s *Session) sameVector(v View, h *hello) error {
	s.say(&plain{Type: msgOK, Wall: s.wall})
	s.result.Equal, s.result.SameHash = true, true
	s.result.Held = v.Context().Clone()
	s.result.Diverged = h.Digest != v.Digest().Short()
	s.finished = true
	return nil
}

func (s *Session) onPlain(kind uint8, msg []byte) error {
	if !s.initiator || s.knowTheirs {
		return s.unexpected(kind)
	}
	var p plain
	if err := p.decode(msg); err != nil {
		return err
	}
	s.result.PeerWall = p.Wall * 1000
	s.result.Busy = kind == msgBusy
	s.result.Equal = kind == msgOK
	if s.result.Equal {
		s.result.SameHash, s.result.Held = true, s.asked
	}
	s.finished = true
	return nil
}

func (s *Session) onVector(v View, msg []byte) error {
	if s.initiator || s.knowTheirs || !s.toldVector {
		return s.unexpected(msgVector)
	}
	var m vector
	if err := m.decode(msg); err != nil {
		return err
	}
	if err := s.learn(v, m.Vector, m.Floor, m.Top, [16]byte{}); err != nil {
		return err
	}
	return s.exchange(v)
}

// learn keeps what the peer says of itself and looks whether it knows more of us than we do.
func (s *Session) learn(v View, vec, floor, top []byte, hash [16]byte) (err error) {
	s.theirs, s.theirFloor, s.theirTop, err = decodeVectors(vec, floor, top)
	if err != nil {
		return err
	}
	if hash != [16]byte{} && s.theirs.Hash() != hash {
		return fmt.Errorf("%w: a vector that does not have its hash", crdt.ErrDecode)
	}
	s.knowTheirs, s.theirWhole = true, len(top) == 0
	s.result.Held = s.theirs.Clone()
	s.lookBack(v, s.theirTop)
	return nil
}

// lookBack ends the session if the peer has seen more of our incarnation than we have written.
func (s *Session) lookBack(v View, seen crdt.Vector) {
	if !s.fetches && !s.replica.Replica.IsZero() && seen.Get(s.replica.Replica) > v.Context().Get(s.replica.Replica) {
		s.result.RolledBack = true
		s.Refuse("rolled_back", "this device was set back; it goes on under a new replica id")
	}
}

// exchange sends what can be sent once both vectors are known. A peer that has one context for all paths gets our answer at once, and
// we get its answer, unless one of us must first say what is live there, because it may hold values whose delete the other has
// forgotten. A replica that fills asks range by range.
func (s *Session) exchange(v View) error {
	if s.finished {
		return nil
	}
	if s.toldWhole && s.theirFloor.Within(s.told) {
		s.asked, s.from, s.to, s.waiting = s.told, "", "", true
	} else if err := s.askFrom(v, ""); err != nil {
		return err
	}
	if !s.theirWhole {
		return nil // it asks, or says DONE
	}
	if s.fetches {
		return nil
	}
	if crdt.BelowFloor(v, s.theirs) {
		if s.toldFloor.Within(s.theirs) {
			s.Refuse("floor_rose", "this device has forgotten deletes since it said hello; try again")
		}
		return nil
	}
	return s.answer(v, &ask{}, s.theirs, nil)
}

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
	if s.fetches {
		return nil // what we told is not what we have seen, so there is nothing to answer under; our last word ends the session
	}
	return s.answer(v, &m, vec, live)
}

// mayAsk reports whether a question of the peer may come.
func (s *Session) mayAsk() bool { return s.knowTheirs && s.toldVector && s.more && !s.doneThere }

// answer sends what a replica with context asked lacks, and which of its live values are dead.
func (s *Session) answer(v View, m *ask, asked crdt.Vector, live []crdt.Name) error {
	limits := s.limits
	if s.large {
		limits.Whole, limits.Names = 0, 0
	}
	d, err := crdt.AnswerPart(v, asked, m.From, m.To, limits)
	if err != nil {
		return err
	}
	if m.Listed == 0 && d.Floor.Len() > 0 {
		s.Refuse("floor_rose", "this device has forgotten deletes since it said hello; try again")
		return nil
	}
	live = slices.DeleteFunc(live, func(n crdt.Name) bool { return d.To != "" && n.Path >= d.To })
	if len(live) > 0 {
		if d.Kills, err = crdt.Kills(v, values(live)); err != nil {
			return err
		}
	}
	d.Opens = slices.DeleteFunc(d.Opens, func(o crdt.Binding) bool { return s.bound[o.Replica] })
	s.answered, s.next, s.more = true, d.To, d.To != ""
	s.large = s.large || d.To != m.To
	if d.From == "" && d.To == "" {
		s.given = d.Context
	}
	s.result.RowsOut += len(d.Rows)
	s.sendRows(msgRows, d.Rows)
	kills := nameRows(d.Kills)
	s.sendRows(msgKill, kills)
	e := end{Type: msgEnd, Asked: asked.Hash(), Hash: d.Context.Hash(), Digest: digestOf(v),
		Context: crdt.AppendVector([]byte{}, d.Context.Above(s.told)), Floor: crdt.AppendVector([]byte{}, d.Floor),
		Rows: uint64(len(d.Rows)), Kills: uint64(len(kills)), Opens: uint64(len(d.Opens))}
	if d.To != m.To {
		e.To = d.To
	}
	for chunk := range slices.Chunk(d.Opens, opensMax) {
		m := opens{Type: msgOpens}
		for _, o := range chunk {
			m.Opens = append(m.Opens, wireOpen{Replica: o.Replica, Open: o.Open})
			s.bound[o.Replica] = true
		}
		s.say(&m)
	}
	s.say(&e)
	s.finishExchange(v)
	return nil
}

func values[T any](list []T) iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, x := range list {
			if !yield(x) {
				return
			}
		}
	}
}

// sendRows queues rows as messages of at most FrameBytesMax, each made when it is taken.
func (s *Session) sendRows(kind uint8, rows []crdt.Row) {
	if len(rows) == 0 {
		return
	}
	var rest []crdt.Row // what is left of a row that did not fit into one message
	s.queue = append(s.queue, func() ([]byte, bool) {
		b := newRowsBuilder(kind)
		for len(rest)+len(rows) > 0 {
			if len(rest) == 0 {
				rest, rows = splitRow(&rows[0]), rows[1:]
			}
			if b.rows > 0 && (b.size+rowSize(&rest[0]) > FrameBytesMax || b.path == rest[0].Path) {
				break
			}
			b.add(&rest[0])
			rest = rest[1:]
		}
		return b.finish(), len(rest)+len(rows) > 0
	})
}

// splitRow cuts a row whose values are too large for one message into several of the same path.
func splitRow(r *crdt.Row) []crdt.Row {
	if len(r.Values) < 2 || rowSize(r) <= FrameBytesMax {
		return []crdt.Row{*r}
	}
	parts := []crdt.Row{{Path: r.Path, Known: r.Known, Deletes: r.Deletes}}
	for _, v := range r.Values {
		last := &parts[len(parts)-1]
		if len(last.Values) > 0 && rowSize(last)+len(v.Data) > FrameBytesMax {
			parts = append(parts, crdt.Row{Path: r.Path})
			last = &parts[len(parts)-1]
		}
		last.Values = append(last.Values, v)
	}
	return parts
}

func rowSize(r *crdt.Row) int {
	n := len(r.Path)
	for _, v := range r.Values {
		n += len(v.Data) + 16
	}
	return n
}

func (s *Session) onRows(kind uint8, msg []byte) error {
	if kind == msgLive && !s.mayAsk() || kind != msgLive && !s.waiting {
		return s.unexpected(kind)
	}
	s.bytes += len(msg)
	rows, err := decodeRows(msg)
	if err != nil {
		return err
	}
	if kind != msgRows && slices.ContainsFunc(rows, func(r crdt.Row) bool { return len(r.Values)+len(r.Deletes) > 0 || len(r.Known) == 0 }) {
		return fmt.Errorf("%w: names with more than dots", crdt.ErrDecode)
	}
	list := map[uint8]*[]crdt.Row{msgRows: &s.rows, msgLive: &s.theirLive, msgKill: &s.kills}[kind]
	if len(rows) == 0 || len(*list)+len(rows) > AnswerRowsMax || s.bytes > AnswerBytesMax {
		return fmt.Errorf("%w: a message of %d rows after %d", crdt.ErrDecode, len(rows), len(*list))
	}
	if n := len(*list); n > 0 && rows[0].Path <= (*list)[n-1].Path {
		last := &(*list)[n-1]
		if rows[0].Path != last.Path {
			return fmt.Errorf("%w: path %q is out of order", crdt.ErrDecode, rows[0].Path)
		}
		last.Values = append(last.Values, rows[0].Values...)
		if len(rows[0].Known)+len(rows[0].Deletes) > 0 {
			return fmt.Errorf("%w: a second part of %q with more than values", crdt.ErrDecode, last.Path)
		}
		if err := checkOrder(last); err != nil {
			return err
		}
		rows = rows[1:]
	}
	*list = append(*list, rows...)
	return nil
}

func (s *Session) onOpens(msg []byte) error {
	if !s.waiting {
		return s.unexpected(msgOpens)
	}
	var m opens
	if err := m.decode(msg); err != nil {
		return err
	}
	if len(m.Opens) == 0 || len(s.opens)+len(m.Opens) > crdt.VectorReplicasMax {
		return fmt.Errorf("%w: a message of %d bindings after %d", crdt.ErrDecode, len(m.Opens), len(s.opens))
	}
	for _, o := range m.Opens {
		if n := len(s.opens); n > 0 && o.Replica.Compare(s.opens[n-1].Replica) <= 0 || len(o.Open) > crdt.OpenBytesMax {
			return fmt.Errorf("%w: a binding of replica %v that does not fit", crdt.ErrDecode, o.Replica)
		}
		s.opens = append(s.opens, crdt.Binding{Replica: o.Replica, Open: o.Open})
	}
	return nil
}

func (s *Session) onEnd(v View, msg []byte) (*crdt.Delta, error) {
	if !s.waiting {
		return nil, s.unexpected(msgEnd)
	}
	var e end
	if err := e.decode(msg); err != nil {
		return nil, err
	}
	if e.Rows != uint64(len(s.rows)) || e.Kills != uint64(len(s.kills)) || e.Opens != uint64(len(s.opens)) {
		return nil, fmt.Errorf("%w: %d rows, %d kills and %d bindings; %d, %d and %d were announced", crdt.ErrDecode,
			len(s.rows), len(s.kills), len(s.opens), e.Rows, e.Kills, e.Opens)
	}
	if e.Asked != s.asked.Hash() {
		return nil, fmt.Errorf("%w: the answer is to another question", crdt.ErrDecode)
	}
	grown, err := crdt.DecodeVector(e.Context)
	if err != nil {
		return nil, err
	}
	floor, err := crdt.DecodeVector(e.Floor)
	if err != nil {
		return nil, err
	}
	if e.To == "" {
		e.To = s.to
	} else if e.To <= s.from || s.to != "" && e.To >= s.to {
		return nil, fmt.Errorf("%w: an answer that ends at %q, asked was from %q to %q", crdt.ErrDecode, e.To, s.from, s.to)
	}
	d := &crdt.Delta{Asked: s.asked, Context: s.theirs.Clone(), Floor: floor, From: s.from, To: e.To, Rows: s.rows, Kills: rowNames(s.kills), Opens: s.opens}
	d.Context.Join(grown)
	if d.Context.Hash() != e.Hash {
		return nil, fmt.Errorf("%w: a context that does not have its hash", crdt.ErrDecode)
	}
	if err := checkDelta(d); err != nil {
		return nil, err
	}
	if s.lookBack(v, d.Context); s.finished {
		return nil, nil
	}
	s.result.RowsIn += len(s.rows)
	s.rows, s.kills, s.opens, s.bytes, s.waiting = nil, nil, nil, 0, false
	s.theirHash, s.theirDigest = e.Hash, e.Digest
	s.theirTop.Join(d.Context)
	s.theirFloor.Join(d.Floor)
	s.from = d.To
	return d, nil
}

// Committed tells the session that the delta it handed out was joined. What it says then, DONE or the next question, must leave only
// after the commit is on disk. It fails if the replica cannot be read.
func (s *Session) Committed(v View) error {
	if s.fetches && s.from == "" {
		s.Refuse("fetched", "that was all; nothing was to be told")
		return nil
	}
	s.result.Answers++
	s.result.Diverged = !s.fetches && s.sameAsAnswer(v) && v.Digest().Short() != s.theirDigest
	if s.from == "" { // the answer went to the end
		s.doneHere = true
		s.finishExchange(v)
		return nil
	}
	return s.askFrom(v, s.from)
}

// sameAsAnswer reports whether both replicas have one context for all paths, and ours is that of the peer when it answered.
func (s *Session) sameAsAnswer(v View) bool {
	return s.theirDigest != [8]byte{} && isWhole(v) && v.Context().Hash() == s.theirHash
}

// finishExchange says DONE once everything that we asked for is committed. It waits for our first answer if one is due, so that the
// vector it tells is that of both.
func (s *Session) finishExchange(v View) {
	if s.doneHere && !s.doneSent && (s.answered || !s.theirWhole || s.doneThere || s.asks == 0 && !s.toldWhole) {
		s.doneSent = true
		s.say(&done{Type: msgDone, Hash: hashOf(v)})
		s.finish(v)
	}
}

func (s *Session) onDone(v View, msg []byte) error {
	if !s.knowTheirs || !s.toldVector || s.doneThere || len(s.theirLive) > 0 {
		return s.unexpected(msgDone)
	}
	var m done
	if err := m.decode(msg); err != nil {
		return err
	}
	s.doneThere, s.theirDone = true, m.Hash
	s.result.Held.Join(s.given)
	s.finishExchange(v)
	s.finish(v)
	return nil
}

// finish ends the session once both ends have said DONE.
func (s *Session) finish(v View) {
	if s.doneSent && s.doneThere {
		s.result.SameHash = isWhole(v) && (s.theirDone == v.Context().Hash() || s.sameAsAnswer(v))
		s.finished = true
	}
}

func (s *Session) onBye(msg []byte) error {
	var m bye
	if err := m.decode(msg); err != nil {
		return err
	}
	s.finished = true
	s.result.Refused = m.Code
	return nil
}

// Refuse ends the session at once; the messages of Next tell the peer why. code is stable, text is for people.
func (s *Session) Refuse(code, text string) {
	s.queue, s.finished = nil, true
	s.say(&bye{Type: msgBye, Code: code, Text: text})
}

// RefuseBusy ends the responder's session before it began: the peer should try again soon.
func (s *Session) RefuseBusy() {
	s.queue, s.finished = nil, true
	s.say(&plain{Type: msgBusy, Wall: s.wall})
}
