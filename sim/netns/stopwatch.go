//go:build linux

package netns

import (
	"sync"
	"time"
)

// A stopwatch measures time that can stand still. It is safe for concurrent use.
type stopwatch struct {
	mu      sync.Mutex // guards what follows
	start   time.Time  // with all pauses before now after it
	stopped time.Time  // zero while it runs
}

// begin starts to measure at zero.
func (w *stopwatch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.start, w.stopped = time.Now(), time.Time{}
}

func (w *stopwatch) now() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped.IsZero() {
		return w.stopped.Sub(w.start)
	}
	return time.Since(w.start)
}

func (w *stopwatch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = time.Now()
}

func (w *stopwatch) goOn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.start, w.stopped = w.start.Add(time.Since(w.stopped)), time.Time{}
}
