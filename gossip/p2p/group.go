package p2p

import "sync"

// A group counts the goroutines that a Network owns, whoever started them, so that Close can wait for all.
// Unlike a bare WaitGroup it refuses newcomers once the wait has begun.
type group struct {
	mu     sync.Mutex // guards closed, and orders Add before Wait
	closed bool
	wg     sync.WaitGroup
}

// enter counts the calling goroutine in, unless the group is closed. The caller leaves when it returns true.
func (g *group) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.wg.Add(1)
	return true
}

func (g *group) leave() { g.wg.Done() }

// run starts f in a goroutine of the group; it reports false, and starts nothing, once the group is closed.
func (g *group) run(f func()) bool {
	if !g.enter() {
		return false
	}
	go func() {
		defer g.leave()
		f()
	}()
	return true
}

// close refuses newcomers from now on.
func (g *group) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

// wait returns when all have left.
func (g *group) wait() { g.wg.Wait() }
