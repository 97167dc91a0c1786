package gossip

import (
	"errors"
	"fmt"
	"strings"

	"syncline/crdt"
	"syncline/gossip/sketch"
)

// A View is the replica as a session sees it: its registers and contexts, and the digest of what is live.
type View interface {
	crdt.Base
	Digest() crdt.Digest
}

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
	fetch     []string // the paths that are still to be asked for
	wall      int64    // seconds since 1970
	replica   crdt.Dot

	limits crdt.Limits
	// rowsMax bounds the rows of an answer that is made.
	rowsMax load
	// symbols is the number of symbols of a first sketch.
	symbols int
	// greeted says that a HELLO came. theirs, theirFloor and theirTop are what the peer last said of itself, within this session; theirWhole
	// that it has one context. sighting is what is known of its vector until the symbols suffice.
	greeted                      bool
	theirs, theirFloor, theirTop crdt.Vector
	knowTheirs, theirWhole       bool
	sighting                     *sighting
	// told is the vector that we told; toldVector says that it was sent, toldWhole that it is all that we have seen.
	told                  crdt.Vector
	toldVector, toldWhole bool
	// offered is the number of symbols in which told was told, 0 if it was told otherwise.
	offered int
	// asked is the vector for which the peer makes its answer, from and to the paths; waiting says that an answer is due. asks counts
	// the questions, passed those that were answered by LEFT. short says that more was to be asked than may be.
	asked        crdt.Vector
	from, to     string
	waiting      bool
	asks, passed int
	short        bool
	// theirAsks counts the questions of the peer.
	theirAsks int
	// listing says how the question told what is live here, sketched in how many symbols. had of them did not suffice before, wanted is what
	// the peer asked for; listOnly says that it wants names.
	listing               uint8
	sketched, had, wanted int
	listOnly              bool
	// theirLive is what the peer told us is live there, because it is below our floor. unread is the number of symbols that did not suffice.
	theirLive []crdt.Row
	unread    int
	// next is where the peer's next question may begin; more says that there may be one. large says that an answer was cut.
	next        string
	more, large bool
	// bound holds the replicas whose bindings were sent.
	bound map[crdt.ReplicaID]bool
	// rows, kills, dead and opens collect the peer's answer.
	rows, kills []crdt.Row
	dead        []sketch.Item
	opens       []crdt.Binding
	// given is our context when we answered all at once; answered says that we have answered.
	given    crdt.Vector
	answered bool
	// answering says that the last answer was not taken to its end.
	answering bool
	// brings says that the answer that was handed out holds what was not seen here.
	brings bool
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
	// load is what came of the answer that is due, liveLoad of what the peer tells to be live there.
	load, liveLoad load
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
	// Done says that both ends came to the end of what they had to exchange, and this one asked for all that it lacked.
	Done bool
	// Busy says that the peer was busy with another session: try again soon.
	Busy bool
	// Diverged says that both had seen the same operations and yet held different values: a mistake in the program, damage on a
	// disk, or one incarnation used twice.
	Diverged bool
	// RolledBack says that the peer has seen more of our incarnation than we have written: this replica was set back.
	RolledBack bool
	// Answers is the number of answers that were joined: more than one if there was too much for one.
	Answers int
	// Brought says that one of them held what this replica had not seen when it came.
	Brought bool
	// Left holds the paths, of either end and sorted, that were left out because their values are more than one answer may hold: the first LeftMax of
	// them. They stay as they are; all others were exchanged, if Done says so.
	Left []string
	// RowsIn and RowsOut count the rows that were exchanged.
	RowsIn, RowsOut int
	// VectorSketches and LiveSketches count the sketches that this end made out, UnreadSketches those for which it asked more.
	VectorSketches, LiveSketches, UnreadSketches int
	// Refused is the reason the peer gave for ending the session early, empty if it gave none.
	Refused string
}

// SessionConfig says who takes part.
type SessionConfig struct {
	// Initiator says that this end speaks first.
	Initiator bool
	// BelievedEqual lets the initiator leave its vector out of the first message: that saves up to a few hundred bytes. If the belief is
	// wrong it costs one more round trip.
	BelievedEqual bool
	// Fetch, unless it is empty, makes the initiator ask for these paths, sorted, at most FetchMax, each by itself and as if nothing of it
	// had ever been seen. It takes the answers, one a path, and takes leave without an answer of its own. It is for what a damaged disk has
	// lost: whatever else is damaged, here or there, is in nobody's way.
	Fetch []string
	// Replica is the last dot of our incarnation; zero while it has written nothing.
	Replica crdt.Dot
	// WallMillis is our clock, shown to people at the other end.
	WallMillis int64
	// Limits bound one answer; zero means those that are meant for devices.
	Limits crdt.Limits
	// RowsMemory bounds what the rows of one answer take in memory, in bytes; a path that takes more by itself is left out. Zero means half of
	// AnswerMemoryMax.
	RowsMemory int
	// Symbols is the number of symbols of a first sketch, at most sketch.SymbolsMax; sets that are smaller than it travel as they are. Zero
	// means the number that is meant for devices.
	Symbols int
}

// NewSession returns a session that has said nothing yet.
func NewSession(c SessionConfig) *Session {
	s := &Session{initiator: c.Initiator, optimist: c.BelievedEqual, fetch: c.Fetch, fetches: len(c.Fetch) > 0,
		replica: c.Replica, wall: c.WallMillis / 1000, limits: c.Limits, symbols: c.Symbols, more: true, bound: map[crdt.ReplicaID]bool{}}
	if s.limits == (crdt.Limits{}) {
		s.limits = answerLimits
	}
	s.rowsMax = rowsLoadMax
	if c.RowsMemory > 0 {
		s.rowsMax.memory = c.RowsMemory
	}
	if s.symbols == 0 {
		s.symbols = firstSymbols
	}
	return s
}

// context returns what is told to be seen of all paths: nothing if paths are fetched, so that the peer tells nothing unasked.
func (s *Session) context(v View) crdt.Vector {
	if s.fetches {
		return crdt.Vector{}
	}
	return v.Context()
}

// Start makes the initiator's first message.
func (s *Session) Start(v View) {
	s.asked = s.context(v).Clone()
	s.sayHello(v, s.fetches || !s.optimist || !isWhole(v))
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
		Hash: s.context(v).Hash(), Digest: v.Digest().Short(), Wall: s.wall, Entries: []byte{}, Top: []byte{}}
	if full {
		h.Form, h.Entries, h.Top = s.tell(v)
	}
	s.say(&h)
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
	case msgDead:
		return nil, s.onDead(msg)
	case msgMore:
		return nil, s.onMore(v, msg)
	case msgLeft:
		return nil, s.onLeft(v, msg)
	case msgFloor:
		return nil, s.onFloor(v, msg)
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
	if s.greeted {
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
	s.greeted, s.result.PeerWall = true, h.Wall*1000
	switch {
	case !s.initiator && h.Hash == v.Context().Hash() && len(h.Top) == 0 && isWhole(v):
		return s.sameVector(v, h)
	case s.initiator && h.Form == formNone:
		return fmt.Errorf("%w: an answering hello without a vector", crdt.ErrDecode)
	}
	known, err := s.hear(v, h.Hash, h.Form, h.Entries, h.Top)
	if err != nil || s.finished {
		return err
	}
	if !s.initiator && h.Form == formNone {
		s.sayHello(v, true)
	}
	if !known {
		return nil
	}
	return s.met(v)
}

// sameVector ends the session of the responder when both have seen the same.
func (s *Session) sameVector(v View, h *hello) error {
	s.say(&plain{Type: msgOK, Wall: s.wall})
	s.result.Equal, s.result.SameHash, s.result.Done = true, true, true
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
		s.result.SameHash, s.result.Done, s.result.Held = true, true, s.asked
	}
	s.finished = true
	return nil
}

func (s *Session) onVector(v View, msg []byte) error {
	if !s.greeted || s.knowTheirs || s.sighting == nil && (s.initiator || !s.toldVector) {
		return s.unexpected(msgVector)
	}
	var m vector
	if err := m.decode(msg); err != nil {
		return err
	}
	if m.Form == formNone {
		return fmt.Errorf("%w: a vector that is not told", crdt.ErrDecode)
	}
	if known, err := s.hear(v, m.Hash, m.Form, m.Entries, m.Top); err != nil || !known || s.finished {
		return err
	}
	return s.met(v)
}

// learn keeps what the peer says of itself and looks whether it knows more of us than we do.
func (s *Session) learn(v View, vec crdt.Vector, top []byte) (err error) {
	if s.theirTop, err = crdt.DecodeVector(top); err != nil {
		return err
	}
	if !s.theirTop.Above(vec).Equal(s.theirTop) {
		return fmt.Errorf("%w: a top that is not above its vector", crdt.ErrDecode)
	}
	s.theirTop.Join(vec)
	s.theirs, s.knowTheirs, s.theirWhole = vec, true, len(top) == 0
	s.result.Held = s.theirs.Clone()
	s.lookBack(v, s.theirTop)
	return nil
}

// met goes on once the peer's vector is known: it tells ours, if that was not done.
func (s *Session) met(v View) error {
	switch {
	case s.toldVector:
	case s.initiator:
		m := vector{Type: msgVector}
		m.Form, m.Entries, m.Top = s.tell(v)
		m.Hash = s.told.Hash()
		s.say(&m)
	default:
		s.sayHello(v, true)
	}
	return s.exchange(v)
}

// lookBack ends the session if the peer has seen more of our incarnation than we have written.
func (s *Session) lookBack(v View, seen crdt.Vector) {
	if !s.fetches && !s.replica.Replica.IsZero() && seen.Get(s.replica.Replica) > v.Context().Get(s.replica.Replica) {
		s.result.RolledBack = true
		s.Refuse("rolled_back", "this device was set back; it goes on under a new replica id")
	}
}

// exchange sends what can be sent once both vectors are known. A peer that has one context for all paths gets our answer at once, and we get
// its answer, unless one of us must first say what is live there. A replica that fills asks range by range.
func (s *Session) exchange(v View) error {
	if s.toldWhole {
		s.asked, s.from, s.to, s.waiting = s.told, "", "", true
	} else if err := s.askFrom(v, ""); err != nil {
		return err
	}
	if !s.theirWhole || s.fetches {
		return nil // it asks, or says DONE; or it is told nothing
	}
	return s.answer(v, &ask{}, s.theirs, nil, nil)
}

// Committed tells the session that the delta it handed out was joined. What it says then, DONE or the next question, must leave only
// after the commit is on disk. It fails if the replica cannot be read.
func (s *Session) Committed(v View) error {
	if s.fetches {
		return s.askFrom(v, s.from)
	}
	s.result.Answers++
	s.result.Brought = s.result.Brought || s.brings
	s.result.Diverged = s.sameAsAnswer(v) && v.Digest().Short() != s.theirDigest
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
		// What differed after our last commit may agree by now: another session has repaired what was damaged here.
		s.result.Diverged = s.result.Diverged && !(s.sameAsAnswer(v) && v.Digest().Short() == s.theirDigest)
		s.result.SameHash = isWhole(v) && (s.theirDone == v.Context().Hash() || s.sameAsAnswer(v))
		s.result.Done, s.finished = !s.short, true
	}
}

func (s *Session) onBye(msg []byte) error {
	var m bye
	if err := m.decode(msg); err != nil {
		return err
	}
	if strings.ContainsFunc(m.Code, func(c rune) bool { return c < ' ' || c > '~' }) { // it is shown to people, on terminals, too
		return fmt.Errorf("%w: a reason %q", crdt.ErrDecode, m.Code)
	}
	s.finished = true
	s.result.Refused = m.Code
	return nil
}

// The codes of a session that ends early which its other end looks at.
const (
	ByeBusy    = "busy"    // try again soon
	ByeDamaged = "damaged" // a record that the answer has to carry cannot be read
)

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
