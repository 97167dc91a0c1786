package des

import (
	"errors"
	"slices"
	"time"

	"syncline/crdt"
	"syncline/node"
	"syncline/sim/oracle"
	"syncline/store/mem"
)

// An end is one device's end of a stream. The other end gets what is sent here, in order, or an error.
type end struct {
	d      *device
	life   int
	id     node.SessionID
	conn   *conn
	stream uint64
	other  *end
	costs  *oracle.Session
	// way holds what was sent here and has not arrived; last is when the last of it will.
	way  []parcel
	last time.Duration
	// few is room for the first of them, arrives is the method arrive, made once.
	few     [2]parcel
	arrives func()
	// closed says that the device has closed its end, broken that the stream carries nothing more.
	closed, broken bool
}

// A parcel is one thing on its way: the opening of the stream, a message, or its orderly end.
type parcel struct {
	open, close bool
	msg         []byte
}

var errReset = errors.New("the stream was reset")

// open opens a stream to a peer.
func (w *world) open(d *device, o node.OpenSession) {
	peer := w.byID[o.Peer]
	c := w.conn(d, peer)
	w.streams++
	e := &end{d: d, life: d.life, id: o.ID, conn: c, stream: w.streams}
	e.way, e.arrives = e.few[:0], e.arrive
	d.streams[o.ID] = e
	if len(d.streams) > 1 {
		w.oracle.Sometimes("overlapping sessions")
	}
	if c == nil || c.dead {
		e.broken = true // nobody answers
		return
	}
	e.costs = w.oracle.Session(d.index, peer.index)
	e.other = &end{d: peer, life: peer.life, conn: c, stream: w.streams, other: e, costs: e.costs}
	e.other.way, e.other.arrives = e.other.few[:0], e.other.arrive
	e.put(parcel{open: true})
}

// put puts a parcel on its way.
func (e *end) put(p parcel) {
	w := e.d.w
	if e.broken || e.conn.dead {
		return
	}
	content := mix(sum(p.msg), uint64(e.id))
	if f := w.fate(fateBreak, e.d.index, e.other.d.index, content); f.share() < w.s.Network.Break && !w.healed {
		w.oracle.Sometimes("stream broken")
		w.history.lost(e.d, e.other.d, "session")
		e.breakBoth(f)
		return
	}
	f := w.fate(fateLatency, e.d.index, e.other.d.index, content)
	e.last = max(e.last, w.now+w.latency(f))
	e.way = append(e.way, p)
	w.history.message(e.d, e.other.d, p.msg, e.last)
	e.costs.Sent(e.d.index, len(p.msg))
	w.queue.push(e.last, e.arrives)
}

// breakBoth ends the stream for both ends, each of which hears of it after a while.
func (e *end) breakBoth(f fate) {
	w := e.d.w
	for _, x := range []*end{e, e.other} {
		x.broken, x.way = true, nil
		f = f.next()
		w.after(w.latency(f), func() { x.ended(errReset) })
	}
}

// alive reports whether the end still belongs to a session of a running program.
func (e *end) alive() bool {
	return e.d.life == e.life && !e.closed && (e.id == 0 || e.d.streams[e.id] == e)
}

func (e *end) ended(err error) {
	if e.alive() && e.id != 0 {
		delete(e.d.streams, e.id)
		e.closed = true
		e.d.step(PhaseOther, node.SessionEnd{ID: e.id, Err: err})
	}
}

// arrive takes the first parcel that is on the way from e to the other end.
func (e *end) arrive() {
	w, to := e.d.w, e.other
	if e.broken || e.conn.dead || len(e.way) == 0 {
		w.history.lost(e.d, to.d, "session")
		return
	}
	if stall := w.stalled(e.d.index, to.d.index); stall != nil {
		stall.late = append(stall.late, e.arrives)
		return
	}
	p := e.way[0]
	e.way = slices.Delete(e.way, 0, 1)
	switch {
	case !to.alive():
	case p.open:
		to.admit(e.d)
	case to.id == 0:
	case p.close:
		to.ended(nil)
	default:
		w.fold(sum(p.msg))
		w.noteSession(p.msg)
		to.d.step(PhaseSession, node.SessionMsg{ID: to.id, Msg: p.msg})
	}
}

// admit tells the other device of a stream that was opened to it.
func (e *end) admit(from *device) {
	d := e.d
	d.lastIn++
	e.id = d.lastIn
	d.streams[e.id] = e
	if len(d.streams) > 1 {
		d.w.oracle.Sometimes("overlapping sessions")
	}
	d.step(PhaseOther, node.SessionIn{ID: e.id, Peer: from.id})
}

// send sends messages of a session and says when they are sent.
func (d *device) send(o node.Send) {
	w := d.w
	e := d.streams[o.ID]
	if e == nil || e.closed {
		return
	}
	for _, m := range o.Msgs {
		if w.taps.Session == nil || e.other == nil {
			e.say(m)
			continue
		}
		for _, m := range w.tapSession(e, m) {
			e.say(m)
		}
	}
	f := w.fate(fateSent, d.index, 0, uint64(o.ID))
	life := d.life
	w.after(f.between(0, 3*time.Millisecond), func() {
		if d.life == life && d.streams[o.ID] == e {
			d.step(PhaseOther, node.SessionReady{ID: o.ID})
		}
	})
}

// say puts a message on its way.
func (e *end) say(msg []byte) {
	if e.d.w.quietFrom > 0 {
		e.d.w.said++
	}
	e.put(parcel{msg: msg})
}

// tapSession returns what a planted mistake makes of a message.
func (w *world) tapSession(e *end, msg []byte) [][]byte {
	side := uint64(0)
	if e.d.index > e.other.d.index {
		side = 1
	}
	return w.taps.Session(e.d.index, e.other.d.index, 2*e.stream+side, msg)
}

// finish closes a stream in order, after what was sent before.
func (d *device) finish(id node.SessionID) {
	if e := d.streams[id]; e != nil {
		if e.other != nil {
			e.put(parcel{close: true})
		}
		e.closed = true
		delete(d.streams, id)
	}
}

// reset breaks a stream at once.
func (d *device) reset(id node.SessionID) {
	e := d.streams[id]
	if e == nil {
		return
	}
	delete(d.streams, id)
	e.closed = true
	if e.other == nil || e.broken {
		return
	}
	e.broken, e.other.broken, e.way = true, true, nil
	if other := e.other; !e.conn.dead {
		f := d.w.fate(fateLatency, d.index, other.d.index, uint64(id))
		d.w.after(d.w.latency(f), func() { other.ended(errReset) })
	}
}

// resetAll breaks all streams of a device.
func (d *device) resetAll() {
	for id := node.SessionID(1); id <= d.lastOut(); id++ {
		d.breakOne(id)
	}
	for id := node.SessionID(1<<63 + 1); id <= d.lastIn; id++ {
		d.breakOne(id)
	}
}

func (d *device) breakOne(id node.SessionID) {
	if e := d.streams[id]; e != nil && e.other != nil && !e.broken {
		d.w.oracle.Sometimes("stream broken")
		e.breakBoth(d.w.fate(fateBreak, d.index, e.other.d.index, uint64(id)))
	}
}

func (d *device) lastOut() (last node.SessionID) {
	for id := range d.streams {
		if id < 1<<63 {
			last = max(last, id)
		}
	}
	return last
}

// fill fills the disk, or makes space.
func (d *device) fill(full bool) {
	d.full = full
	if full {
		d.disk.Inject(mem.DiskFull)
	} else {
		d.disk.Inject(nil)
	}
	d.tellDisk()
}

// tellDisk tells the oracle whether writes are refused with good reason.
func (d *device) tellDisk() { d.w.oracle.DiskFails(d.index, d.full, d.disk.fails != works) }

// noteGossip counts what became of an operation that came by gossip.
func (d *device) noteGossip(known bool, dot crdt.Dot) {
	switch o := d.w.oracle; {
	case known:
		o.Sometimes("gossip of the known")
	case !o.Has(d.index, dot):
		o.Sometimes("gossip held back")
	default:
		o.Sometimes("gossip applied")
	}
}

// noteSession counts the messages of a session by their type, the second byte of each.
func (w *world) noteSession(msg []byte) {
	w.oracle.Sometimes("session messages")
	if len(msg) > 1 && msg[1] == 14 {
		w.oracle.Sometimes("session below the floor")
	}
	if len(msg) > 1 && (msg[1] == 8 || msg[1] == 15) {
		w.oracle.Sometimes("kills")
	}
}
