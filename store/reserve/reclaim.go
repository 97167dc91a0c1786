package reserve

import (
	"bytes"
	"slices"
	"sync"
)

// A Reclaimer gives back, in the background, what deletes on a full disk set free: a database in tables keeps what was deleted until it
// compacts the tables, and while nothing else can be written that would be never. It goes span by span of keys, so that what a compaction
// writes before it can remove anything is small.
type Reclaimer struct {
	// Compact compacts the tables with keys from lo to hi, Size estimates what they take on disk. Room asks for so many bytes.
	Compact func(lo, hi []byte) error
	Size    func(lo, hi []byte) uint64
	Room    func(bytes int) error

	mu      sync.Mutex // guards the fields below
	keys    [][]byte
	running bool
	stopped bool
	wg      sync.WaitGroup
}

const (
	// spanBytesMax bounds what the tables of a span take, if it has more than one key.
	spanBytesMax = 4 << 20
	// keysMax bounds the deleted keys that wait; what the others set free comes back with a later compaction.
	keysMax = 1 << 16
)

// Add takes note of keys that were deleted, and takes them over.
func (r *Reclaimer) Add(keys [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return
	}
	r.keys = append(r.keys, keys[:min(len(keys), keysMax-len(r.keys))]...)
	if !r.running && len(r.keys) > 0 {
		r.running = true
		r.wg.Go(r.run)
	}
}

// Stop ends what is under way after the span that it is at, and waits for it. What is left of the keys is forgotten.
func (r *Reclaimer) Stop() {
	r.mu.Lock()
	r.stopped, r.keys = true, nil
	r.mu.Unlock()
	r.wg.Wait()
}

// take returns the keys that wait, sorted, nil if there are none: it then is the end of run.
func (r *Reclaimer) take() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := r.keys
	r.keys, r.running = nil, len(keys) > 0
	slices.SortFunc(keys, bytes.Compare)
	return keys
}

func (r *Reclaimer) isStopped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stopped
}

func (r *Reclaimer) run() {
	for keys := r.take(); keys != nil; keys = r.take() {
		for len(keys) > 0 && !r.isStopped() {
			n := r.span(keys)
			lo, hi := keys[0], append(slices.Clone(keys[n-1]), 0)
			keys = keys[n:]
			if err := r.Room(int(r.Size(lo, hi))); err == nil {
				r.Compact(lo, hi) // a failure costs nothing: the room comes back later, or the database says why it is broken
			}
		}
	}
}

// span returns how many of the keys make the next span.
func (r *Reclaimer) span(keys [][]byte) int {
	n := 1
	for n < len(keys) && r.Size(keys[0], append(slices.Clone(keys[n]), 0)) <= spanBytesMax {
		n++
	}
	return n
}
