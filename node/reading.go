package node

import (
	"iter"
	"maps"
	"slices"
	"sync"
)

// A reading is an iteration over a moment of the store. The store keeps that moment, and cannot be closed, until the reading ends; so a
// space that closes ends those that are open, also one whose reader never comes back.
type reading struct {
	mu    sync.Mutex // guards the fields below, and is held by one step of the iteration
	stop  func()
	ended bool
}

// end ends the reading early, or after its last step.
func (r *reading) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	r.stop()
}

// read yields what seq does. If the space closes meanwhile, the next step yields the reason and is the last.
func read[T any](s *Space, seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		next, stop := iter.Pull2(seq)
		r := &reading{stop: stop}
		var none T
		if !s.beginReading(r) {
			stop()
			yield(none, s.gone())
			return
		}
		defer s.endReading(r)
		step := func() (v T, more, ended bool, err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.ended {
				return none, false, true, nil
			}
			v, err, more = next()
			return v, more, false, err
		}
		for {
			v, more, ended, err := step()
			if ended {
				yield(none, s.gone())
				return
			}
			if !more || !yield(v, err) {
				return
			}
		}
	}
}

// beginReading notes a reading for the close of the space, and reports false if that is over.
func (s *Space) beginReading(r *reading) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.readings[r] = struct{}{}
	}
	return !s.closed
}

func (s *Space) endReading(r *reading) {
	s.mu.Lock()
	delete(s.readings, r)
	s.mu.Unlock()
	r.end()
}

// endReadings ends all that are open; no other can begin, since the space is marked as closed.
func (s *Space) endReadings() {
	s.mu.Lock()
	open := slices.Collect(maps.Keys(s.readings))
	s.mu.Unlock()
	for _, r := range open {
		r.end()
	}
}
