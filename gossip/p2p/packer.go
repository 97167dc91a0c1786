package p2p

import (
	"sync"
	"time"
)

// A packer gathers the operations of one space into frames. A lone operation leaves at once; operations that follow closely
// wait for each other: the gap between frames starts at flushGapMin, doubles up to flushGapMax while frames carry several
// operations, and falls back when one carries a single operation. frameFlush pending bytes end any wait.
type packer struct {
	send func(ops [][]byte) // seals and publishes; may block on the local gossip loop
	lost func()             // called when operations were dropped

	mu      sync.Mutex // guards pending, bytes and closed
	pending [][]byte
	bytes   int
	closed  bool

	wake chan struct{} // something is pending
	full chan struct{} // frameFlush bytes are pending
	stop chan struct{}
	done chan struct{}
}

func startPacker(send func([][]byte), lost func()) *packer {
	p := &packer{
		send: send, lost: lost,
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	go p.run()
	return p
}

// add queues an operation, which the packer owns from now on. It never blocks: what exceeds pendingMax is dropped.
func (p *packer) add(op []byte) {
	p.mu.Lock()
	dropped := p.closed || p.bytes+len(op) > pendingMax
	if !dropped {
		p.pending = append(p.pending, op)
		p.bytes += len(op)
	}
	flush := p.bytes >= frameFlush
	p.mu.Unlock()
	if dropped {
		p.lost()
		return
	}
	signal(p.wake)
	if flush {
		signal(p.full)
	}
}

func (p *packer) run() {
	defer close(p.done)
	gap, last := flushGapMin, time.Time{}
	for {
		select {
		case <-p.wake:
		case <-p.stop:
			p.flush()
			return
		}
		p.pause(gap - time.Since(last))
		most := p.flush()
		last = time.Now()
		if gap *= 2; most <= 1 {
			gap = flushGapMin
		}
		gap = min(gap, flushGapMax)
	}
}

// pause waits for d, for enough bytes, or for the end.
func (p *packer) pause(d time.Duration) {
	if d <= 0 || p.ready() {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.full:
	case <-p.stop:
	}
}

// ready reports whether enough is pending to skip the wait, and forgets an earlier signal that it was.
func (p *packer) ready() bool {
	select {
	case <-p.full:
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes >= frameFlush
}

// flush sends everything that is pending and returns the largest number of operations that one frame carried.
func (p *packer) flush() int {
	most := 0
	for {
		ops := p.take()
		if len(ops) == 0 {
			return most
		}
		most = max(most, len(ops))
		p.send(ops)
	}
}

// take removes the operations of the next frame: as many as framePack bytes hold, and at least one.
func (p *packer) take() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, size := 0, 0
	for n < len(p.pending) && n < frameOpsMax && (n == 0 || size+len(p.pending[n]) <= framePack) {
		size += len(p.pending[n])
		n++
	}
	ops := p.pending[:n:n]
	p.pending, p.bytes = p.pending[n:], p.bytes-size
	if len(p.pending) == 0 {
		p.pending = nil
	}
	return ops
}

// close sends what is pending and returns when the packer's goroutine has ended.
func (p *packer) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	close(p.stop)
	<-p.done
}
