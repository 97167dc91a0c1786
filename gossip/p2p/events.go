package p2p

import (
	"sync"

	"syncline/gossip"
)

// events calls the Handler from one goroutine, so that calls come in the order in which they were posted and no lock is held
// while the handler runs.
//
// Bounds: frames by deliverMax bytes of memory; losses by one per space and peer; connection events by the rate at which peers can
// connect, which the gate limits to members.
type events struct {
	handler gossip.Handler

	mu     sync.Mutex // guards what follows
	queue  []func()
	bytes  int
	lost   map[lostKey]struct{}
	closed bool

	wake chan struct{}
	done chan struct{}
}

type lostKey struct {
	space gossip.SpaceID
	peer  gossip.DeviceID
}

func startEvents(h gossip.Handler) *events {
	e := &events{handler: h, lost: make(map[lostKey]struct{}), wake: make(chan struct{}, 1), done: make(chan struct{})}
	go e.run()
	return e
}

// post queues f behind everything posted before.
func (e *events) post(f func()) {
	e.mu.Lock()
	if !e.closed {
		e.queue = append(e.queue, f)
	}
	e.mu.Unlock()
	signal(e.wake)
}

// opMemory is what an operation of a frame takes in memory beside its bytes.
const opMemory = 24

// frame queues a received frame of so many bytes; it reports false if the handler is too far behind, in which case the frame is lost.
func (e *events) frame(f gossip.Frame, size int) bool {
	size += opMemory * len(f.Ops)
	e.mu.Lock()
	full := e.bytes+size > deliverMax
	if !full && !e.closed {
		e.bytes += size
		e.queue = append(e.queue, func() {
			e.mu.Lock()
			e.bytes -= size
			e.mu.Unlock()
			e.handler.Frame(f)
		})
	}
	e.mu.Unlock()
	signal(e.wake)
	return !full
}

// lose queues one Lost call; further losses of the same space and peer are absorbed until it was made.
func (e *events) lose(space gossip.SpaceID, peer gossip.DeviceID) {
	key := lostKey{space, peer}
	e.mu.Lock()
	if _, waiting := e.lost[key]; !waiting && !e.closed {
		e.lost[key] = struct{}{}
		e.queue = append(e.queue, func() {
			e.mu.Lock()
			delete(e.lost, key)
			e.mu.Unlock()
			e.handler.Lost(space, peer)
		})
	}
	e.mu.Unlock()
	signal(e.wake)
}

func (e *events) run() {
	defer close(e.done)
	for range e.wake {
		for {
			e.mu.Lock()
			queue, closed := e.queue, e.closed
			e.queue = nil
			e.mu.Unlock()
			for _, f := range queue {
				f()
			}
			if closed {
				return
			}
			if len(queue) == 0 {
				break
			}
		}
	}
}

// close delivers what is queued, accepts nothing more and returns when the last call has returned.
func (e *events) close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	signal(e.wake)
	<-e.done
}

// signal wakes the one receiver of c, whose buffer of one remembers a wake-up that comes while it works.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
