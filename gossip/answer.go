package gossip

import (
	"fmt"
	"iter"
	"slices"

	"syncline/crdt"
	"syncline/gossip/sketch"
)

// Bounds of what is taken for one answer, or told of what is live, which is held in memory until the answer is committed: the rows, the
// bytes of their messages, and what else is made of them. The values of a path with very many large siblings make one large row, which
// is answered as a whole; so only their own bytes may be very many.
const (
	AnswerRowsMax   = 128 << 10
	AnswerBytesMax  = 2 << 30
	AnswerMemoryMax = 64 << 20
)

// rowsLoadMax bounds the rows of an answer that is made. It leaves room for bindings and kills, and for what cutting rows adds. A path
// that takes more by itself, as one of 233,000 small values does, is left out: whoever asked gets all others.
var rowsLoadMax = load{bytes: AnswerBytesMax / 2, memory: AnswerMemoryMax / 2}

// A load is what has come of an answer: the bytes of its messages, and what was made of them.
type load struct{ bytes, memory int }

// add counts a message. It reports false if it is too much.
func (l *load) add(msg []byte, memory int) bool {
	l.bytes, l.memory = l.bytes+len(msg), l.memory+memory
	return l.bytes <= AnswerBytesMax && l.memory <= AnswerMemoryMax
}

// answerLimits bound the answers that are made. What is too large for one is asked for and committed one range of paths after the
// other. The largest transaction that a node takes fits into a whole one.
var answerLimits = crdt.Limits{Rows: 64 << 10, Bytes: 8 << 20, Whole: 24 << 20, Names: 64 << 10}

// answer sends what a replica with context asked lacks, and which of its live values are dead: those of the names that are, and gone, which was
// made out from a sketch at this moment. If it must know what is live there, and was not told, it says so instead.
func (s *Session) answer(v View, m *ask, asked crdt.Vector, live []crdt.Name, gone []sketch.Item) error {
	parts := v.Parts()
	if above := parts[parts.Of(m.From)].Floor.Above(asked); m.Listed == listedNot && above.Len() > 0 {
		s.say(&floor{Type: msgFloor, Floor: crdt.AppendVector([]byte{}, above)})
		return nil
	}
	limits := s.limits
	if s.large {
		limits.Whole, limits.Names = 0, 0
	}
	d, err := crdt.AnswerPart(v, asked, m.From, m.To, limits)
	if err != nil {
		return err
	}
	if !fit(d, s.rowsMax) {
		s.answered, s.next, s.more = true, m.From+"\x00", true
		s.theirAsks-- // as at the other end, where it does not count either
		s.leave(m.From)
		s.say(&left{Type: msgLeft, Path: m.From})
		s.finishExchange(v)
		return nil
	}
	live = slices.DeleteFunc(live, func(n crdt.Name) bool { return d.To != "" && n.Path >= d.To })
	if len(live) > 0 {
		if d.Kills, err = crdt.Kills(v, values(live)); err != nil {
			return err
		}
	}
	if err := d.Bind(lender{v, s.theirTop}, func(r crdt.ReplicaID) bool { return s.bound[r] }); err != nil {
		return err
	}
	s.answered, s.answering, s.next, s.more = true, true, d.To, d.To != ""
	s.large = s.large || d.To != m.To
	if d.From == "" && d.To == "" {
		s.given = d.Context
	}
	s.result.RowsOut += len(d.Rows)
	s.sendRows(msgRows, d.Rows)
	kills := nameRows(d.Kills)
	s.sendRows(msgKill, kills)
	s.sayDead(gone)
	e := end{Type: msgEnd, Asked: asked.Hash(), Hash: d.Context.Hash(), Digest: digestOf(v),
		Context: crdt.AppendVector([]byte{}, d.Context.Above(s.told)), Floor: crdt.AppendVector([]byte{}, d.Floor),
		Rows: uint64(len(d.Rows)), Kills: uint64(len(kills) + len(gone)), Opens: uint64(len(d.Opens))}
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
	last := e.encode()
	s.queue = append(s.queue, func() ([]byte, bool) { s.answering = false; return last, false })
	s.finishExchange(v)
	return nil
}

// A lender hands out bindings to who has seen top. One that cannot be read is left out if its replica has been seen there: then it is known there.
type lender struct {
	View
	top crdt.Vector
}

func (l lender) Open(r crdt.ReplicaID) ([]byte, error) {
	open, err := l.View.Open(r)
	if err != nil && l.top.Get(r) > 0 {
		return nil, nil
	}
	return open, err
}

// fit ends an answer before the first row with which its rows come to more than most. It reports false if that is the row of the path with
// which the answer begins.
func fit(d *crdt.Delta, most load) bool {
	var sum load
	for i := range d.Rows {
		sum.bytes, sum.memory = sum.bytes+rowSize(&d.Rows[i]), sum.memory+memory(&d.Rows[i])
		if sum.bytes <= most.bytes && sum.memory <= most.memory {
			continue
		}
		if d.Rows[i].Path == d.From {
			return false
		}
		d.Rows, d.To = d.Rows[:i], d.Rows[i].Path
		break
	}
	return true
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
			if b.rows > 0 && (b.size+rowSize(&rest[0]) > FrameBytesMax || b.memory+memory(&rest[0]) > rowsMemoryMax || b.path == rest[0].Path) {
				break
			}
			b.add(&rest[0])
			rest = rest[1:]
		}
		return b.finish(), len(rest)+len(rows) > 0
	})
}

// splitRow cuts a row that is too large for one message into several of the same path.
func splitRow(r *crdt.Row) []crdt.Row {
	if rowSize(r) <= FrameBytesMax {
		return []crdt.Row{*r}
	}
	parts := []crdt.Row{{Path: r.Path}}
	size := 0
	// room returns the part that has room for n bytes more.
	room := func(n int) *crdt.Row {
		if size > 0 && size+n > FrameBytesMax {
			parts, size = append(parts, crdt.Row{Path: r.Path}), 0
		}
		size += n
		return &parts[len(parts)-1]
	}
	for _, k := range r.Known {
		part := room(knownSize)
		part.Known = append(part.Known, k)
	}
	for _, d := range r.Deletes {
		part := room(deleteSize)
		part.Deletes = append(part.Deletes, d)
	}
	for i := range r.Values {
		part := room(valueSize(&r.Values[i]))
		part.Values = append(part.Values, r.Values[i])
	}
	return parts
}

func rowSize(r *crdt.Row) int {
	n := len(r.Path) + len(r.Known)*knownSize + len(r.Deletes)*deleteSize
	for i := range r.Values {
		n += valueSize(&r.Values[i])
	}
	return n
}

func (s *Session) onRows(kind uint8, msg []byte) error {
	if kind == msgLive && !s.mayAsk() || kind != msgLive && !s.waiting {
		return s.unexpected(kind)
	}
	rows, err := decodeRows(msg)
	if err != nil {
		return err
	}
	if kind != msgRows && slices.ContainsFunc(rows, func(r crdt.Row) bool { return len(r.Values)+len(r.Deletes) > 0 || len(r.Known) == 0 }) {
		return fmt.Errorf("%w: names with more than dots", crdt.ErrDecode)
	}
	list, load := map[uint8]*[]crdt.Row{msgRows: &s.rows, msgLive: &s.theirLive, msgKill: &s.kills}[kind], &s.load
	if kind == msgLive {
		load = &s.liveLoad
	}
	made := 0
	for i := range rows {
		made += memory(&rows[i])
	}
	if len(rows) == 0 || len(*list)+len(rows) > AnswerRowsMax || !load.add(msg, made) {
		return fmt.Errorf("%w: a message of %d rows after %d, %d bytes in all that take %d", crdt.ErrDecode, len(rows), len(*list), load.bytes, load.memory)
	}
	if n := len(*list); n > 0 && rows[0].Path <= (*list)[n-1].Path {
		last := &(*list)[n-1]
		if rows[0].Path != last.Path {
			return fmt.Errorf("%w: path %q is out of order", crdt.ErrDecode, rows[0].Path)
		}
		if !follows(last.Values, rows[0].Values, func(v *crdt.Value) crdt.Dot { return v.Dot }) ||
			!follows(last.Known, rows[0].Known, func(k *crdt.KnownValue) crdt.Dot { return k.Dot }) ||
			!follows(last.Deletes, rows[0].Deletes, func(d *crdt.Delete) crdt.Dot { return d.Dot }) {
			return fmt.Errorf("%w: dots of %q are out of order", crdt.ErrDecode, last.Path)
		}
		last.Values = append(last.Values, rows[0].Values...)
		last.Known = append(last.Known, rows[0].Known...)
		last.Deletes = append(last.Deletes, rows[0].Deletes...)
		rows = rows[1:]
	}
	*list = append(*list, rows...)
	return nil
}

// follows reports whether a list that is sorted by dot goes on with more.
func follows[E any](list, more []E, dot func(*E) crdt.Dot) bool {
	return len(list) == 0 || len(more) == 0 || dot(&list[len(list)-1]).Compare(dot(&more[0])) < 0
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
	if !s.load.add(msg, len(m.Opens)*rowMemory) {
		return fmt.Errorf("%w: %d bindings too many", crdt.ErrDecode, len(m.Opens))
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
	if e.Rows != uint64(len(s.rows)) || e.Kills != uint64(len(s.kills)+len(s.dead)) || e.Opens != uint64(len(s.opens)) {
		return nil, fmt.Errorf("%w: %d rows, %d kills and %d bindings; %d, %d and %d were announced", crdt.ErrDecode,
			len(s.rows), len(s.kills)+len(s.dead), len(s.opens), e.Rows, e.Kills, e.Opens)
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
	} else if parts := v.Parts(); len(parts) >= rangesMax && parts[parts.Of(e.To)].From != e.To { // it is not taken, and no other is asked for
		s.waiting, s.doneHere, s.short = false, true, true
		s.finishExchange(v)
		return nil, nil
	}
	d := &crdt.Delta{Asked: s.asked, Context: s.theirs.Clone(), Floor: floor, From: s.from, To: e.To, Rows: s.rows, Kills: rowNames(s.kills), Opens: s.opens}
	d.Context.Join(grown)
	if d.Context.Hash() != e.Hash {
		return nil, fmt.Errorf("%w: a context that does not have its hash", crdt.ErrDecode)
	}
	if err := s.nameDead(v, d); err != nil {
		return nil, err
	}
	if err := checkDelta(d); err != nil {
		return nil, err
	}
	if s.lookBack(v, d.Context); s.finished {
		return nil, nil
	}
	s.result.RowsIn, s.brings = s.result.RowsIn+len(s.rows), brings(v, d)
	s.rows, s.kills, s.dead, s.opens, s.load, s.waiting = nil, nil, nil, nil, load{}, false
	s.theirHash, s.theirDigest = e.Hash, e.Digest
	s.theirTop.Join(d.Context)
	s.theirFloor.Join(d.Floor)
	s.from = d.To
	return d, nil
}

// brings reports whether a delta holds what v has not seen.
func brings(v View, d *crdt.Delta) bool {
	parts := v.Parts()
	for i := parts.Of(d.From); i < len(parts) && (d.To == "" || parts[i].From < d.To); i++ {
		if !d.Context.Within(parts[i].Context) {
			return true
		}
	}
	return false
}
