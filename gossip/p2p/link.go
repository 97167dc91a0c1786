package p2p

import (
	"context"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"syncline/gossip"
)

// A link is one connection to another device, from the moment libp2p reports it to the moment it is gone. Two devices may
// have several. Its goroutine runs the hello stream, which the dialer opens and both keep open: the hello itself, repeated
// when the spaces of either end change, then pings, by which both ends notice a dead connection, and twin notices.
type link struct {
	n      *Network
	conn   network.Conn
	peer   peer.ID
	device gossip.DeviceID
	dialed bool // by this end
	opened time.Time

	kicks  chan struct{}       // the spaces changed: say hello again
	hello  chan network.Stream // the hello stream that the other end opened
	asks   chan ask
	gone   chan struct{}               // closed once the connection is
	proven map[gossip.SpaceID]struct{} // guarded by n.mu
	twin   instance                    // the other end's instance, zero before the hello; guarded by n.mu
	joins  int                         // join streams in progress; guarded by n.mu
	waits  bool                        // one of them waits for a person; guarded by n.mu
	// vouched says that the handler of one knows what it asks for, out that the connection was ended for another's sake; guarded by n.mu.
	vouched, out bool
}

// An ask makes a link's goroutine send a message. If alive is set it receives whether the other end answered a ping.
type ask struct {
	send  message
	alive chan<- bool
}

// run owns the connection: when it returns, the connection closes.
func (l *link) run() {
	defer l.conn.Close()
	raw := l.openHello()
	if raw == nil {
		return
	}
	defer func() { _ = raw.Reset() }()
	t := &talk{
		l:      l,
		raw:    raw,
		stream: newStream(raw, helloMessageMax, helloMessageMax),
		heard:  time.Now(),
	}
	defer t.end()
	t.run()
}

// openHello returns the hello stream once both ends are members, or nil if that takes longer than HelloTimeout. While a join
// stream is in progress the time does not run. A stranger has strangerLife to open one, and HelloTimeout once it is a member.
func (l *link) openHello() network.Stream {
	known := l.dialed || l.n.isMember(l.peer)
	limit := l.n.cfg.HelloTimeout
	if !known {
		limit = min(limit, strangerLife)
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var pending network.Stream
	for {
		member := l.n.isMember(l.peer)
		if member && pending != nil {
			return pending
		}
		if member && l.dialed {
			ctx, cancel := context.WithTimeout(l.n.ctx, openTimeout)
			defer cancel()
			raw, err := openStream(ctx, l.conn, helloProtocol)
			if err != nil {
				return nil
			}
			return raw
		}
		select {
		case s := <-l.hello:
			if pending != nil {
				_ = pending.Reset()
			}
			pending = s
		case <-l.kicks:
		case <-timer.C:
			switch {
			case l.n.joining(l):
			case member && !known:
				known, limit = true, l.n.cfg.HelloTimeout
			default:
				return nil
			}
			timer.Reset(limit)
		case <-l.gone:
			return nil
		case <-l.n.ctx.Done():
			return nil
		}
	}
}

func (l *link) kick() { signal(l.kicks) }

// alive pings the other end and reports whether it answered within PingTimeout.
func (l *link) alive() bool {
	answer := make(chan bool, 1)
	timer := time.NewTimer(l.n.cfg.PingTimeout)
	defer timer.Stop()
	select {
	case l.asks <- ask{send: message{kind: kindPing}, alive: answer}:
	case <-timer.C:
		return false
	case <-l.gone:
		return false
	}
	select {
	case ok := <-answer:
		return ok
	case <-timer.C:
		return false
	}
}

// tell sends a message without waiting for it.
func (l *link) tell(c message) {
	select {
	case l.asks <- ask{send: c}:
	case <-l.gone:
	case <-l.n.ctx.Done():
	}
}

// A talk is the conversation on a hello stream. Only the link's goroutine touches it.
type talk struct {
	l      *link
	raw    network.Stream
	stream *stream

	seen    transcript
	begun   bool // a hello of this end, the dialer, awaits its answer, or one of the other end its proof
	again   bool // the spaces changed while a hello was under way
	heard   time.Time
	waiting []chan<- bool // who asked whether the other end lives
}

func (t *talk) run() {
	received := make(chan message)
	if !t.l.n.group.run(func() { t.receive(received) }) {
		return
	}
	cfg := t.l.n.cfg
	tick := time.NewTicker(min(cfg.PingEvery, cfg.PingTimeout))
	defer tick.Stop()
	// A timer of its own: ticks would notice silence up to a whole period late.
	silence := time.NewTimer(cfg.PingEvery + cfg.PingTimeout)
	defer silence.Stop()
	if t.l.dialed && t.greet() != nil {
		return
	}
	for {
		var err error
		select {
		case c, ok := <-received:
			if !ok {
				return
			}
			silence.Reset(cfg.PingEvery + cfg.PingTimeout)
			t.heard = time.Now()
			err = t.handle(c)
		case <-t.l.kicks:
			err = t.refresh()
		case a := <-t.l.asks:
			if a.alive != nil {
				t.waiting = append(t.waiting, a.alive)
			}
			err = t.send(a.send)
		case <-silence.C:
			err = context.DeadlineExceeded
		case <-tick.C:
			err = t.beat()
		case <-t.l.gone:
			return
		case <-t.l.n.ctx.Done():
			return
		}
		if err != nil {
			t.l.n.log.Debug("connection given up", "peer", t.l.device.Short(), "addr", t.l.conn.RemoteMultiaddr().String(), "err", err)
			return
		}
	}
}

// receive passes on what arrives until the stream breaks, which closes out.
func (t *talk) receive(out chan<- message) {
	defer close(out)
	for {
		msg, err := t.stream.Recv()
		if err != nil {
			return
		}
		c, err := decodeMessage(msg)
		if err != nil {
			return
		}
		select {
		case out <- c:
		case <-t.l.gone:
			return
		case <-t.l.n.ctx.Done():
			return
		}
	}
}

func (t *talk) send(c message) error {
	_ = t.raw.SetWriteDeadline(time.Now().Add(t.l.n.cfg.PingTimeout))
	return t.stream.Send(c.encode())
}

// greet starts a hello, which is the dialer's part.
func (t *talk) greet() error {
	t.seen = transcript{dialer: t.l.n.self, listener: t.l.device, dialerInstance: t.l.n.instance}
	if _, err := io.ReadFull(t.l.n.cfg.Rand, t.seen.dialerNonce[:]); err != nil {
		return err
	}
	t.begun, t.again = true, false
	return t.send(message{kind: kindHello, nonce: t.seen.dialerNonce, instance: t.seen.dialerInstance})
}

// refresh repeats the hello because this end's spaces changed.
func (t *talk) refresh() error {
	switch {
	case !t.l.dialed:
		return t.send(message{kind: kindAgain})
	case t.begun:
		t.again = true
		return nil
	default:
		return t.greet()
	}
}

func (t *talk) handle(c message) error {
	switch {
	case c.kind == kindHello && !t.l.dialed:
		return t.answer(c)
	case c.kind == kindAnswer && t.l.dialed && t.begun:
		return t.prove(c)
	case c.kind == kindProof && !t.l.dialed && t.begun:
		t.begun = false
		t.accept(c.tags, t.seen.dialerInstance)
		return nil
	case c.kind == kindAgain && t.l.dialed:
		return t.refresh()
	case c.kind == kindPing:
		return t.send(message{kind: kindPong})
	case c.kind == kindPong:
		t.answerWaiting(true)
		return nil
	case c.kind == kindTwin:
		t.l.n.reportTwin(t.l, c.text)
		return nil
	}
	return errMessage
}

// answer is the listener's part of the hello.
func (t *talk) answer(c message) error {
	t.seen = transcript{
		dialer: t.l.device, dialerNonce: c.nonce, dialerInstance: c.instance,
		listener: t.l.n.self, listenerInstance: t.l.n.instance,
	}
	if _, err := io.ReadFull(t.l.n.cfg.Rand, t.seen.listenerNonce[:]); err != nil {
		return err
	}
	tags, err := t.seen.tags(t.l.n.shared(t.l.peer), false, t.l.n.cfg.Rand)
	if err != nil {
		return err
	}
	t.begun = true
	return t.send(message{kind: kindAnswer, nonce: t.seen.listenerNonce, instance: t.seen.listenerInstance, tags: tags})
}

// prove is the dialer's second part. The other end has proved itself by now.
func (t *talk) prove(c message) error {
	t.begun = false
	t.seen.listenerNonce, t.seen.listenerInstance = c.nonce, c.instance
	tags, err := t.seen.tags(t.l.n.shared(t.l.peer), true, t.l.n.cfg.Rand)
	if err != nil {
		return err
	}
	if err := t.send(message{kind: kindProof, tags: tags}); err != nil {
		return err
	}
	t.accept(c.tags, c.instance)
	if t.again {
		return t.greet()
	}
	return nil
}

// accept takes the other end's proofs.
func (t *talk) accept(tags []tag, from instance) {
	proven := t.seen.proven(t.l.n.shared(t.l.peer), tags, !t.l.dialed)
	if len(proven) == 0 {
		t.l.n.log.Debug("peer proved no space", "peer", t.l.device.Short())
	}
	t.l.n.prove(t.l, proven, from)
}

// beat gives up a connection that is useless, and pings.
func (t *talk) beat() error {
	cfg := t.l.n.cfg
	if time.Since(t.l.opened) >= cfg.HelloTimeout && !t.l.n.useful(t.l) {
		return ErrNotConnected
	}
	if t.l.dialed && time.Since(t.heard) >= cfg.PingEvery/2 {
		return t.send(message{kind: kindPing})
	}
	return nil
}

func (t *talk) answerWaiting(alive bool) {
	for _, w := range t.waiting {
		w <- alive
	}
	t.waiting = nil
}

// end answers whoever still waits, including asks that came too late.
func (t *talk) end() {
	t.answerWaiting(false)
	for {
		select {
		case a := <-t.l.asks:
			if a.alive != nil {
				a.alive <- false
			}
		default:
			return
		}
	}
}
