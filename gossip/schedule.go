package gossip

import (
	"math/rand/v2" // only its types: the source is given by the caller
	"slices"
	"time"
)

// A Schedule says when to start a session with which peer: once a period with each, varied by a fifth so that devices do not
// march in step, and soon after there is a reason. Times are monotonic, since any fixed moment.
type Schedule struct {
	period time.Duration
	rand   *rand.Rand
	due    map[DeviceID]time.Duration
}

// The delays between a reason and the session it causes: long enough for what is under way to arrive by itself, short enough
// that nobody waits. After a failed or refused session the peer is left alone for RetryDelay.
const (
	GapDelay   = 50 * time.Millisecond
	RetryDelay = 2 * time.Second
	BusyDelay  = 200 * time.Millisecond
)

// NewSchedule returns a schedule without peers. The randomness is the caller's.
func NewSchedule(period time.Duration, r *rand.Rand) *Schedule {
	return &Schedule{period: period, rand: r, due: map[DeviceID]time.Duration{}}
}

// Add puts a connected peer on the schedule, due at once. Remove takes it off.
func (s *Schedule) Add(p DeviceID, now time.Duration) { s.due[p] = now }

// Remove takes a peer off the schedule.
func (s *Schedule) Remove(p DeviceID) { delete(s.due, p) }

// Hasten makes a peer due after delay, varied by a half, unless it is due sooner.
func (s *Schedule) Hasten(p DeviceID, now, delay time.Duration) {
	at, ok := s.due[p]
	if soon := now + delay/2 + time.Duration(s.rand.Int64N(int64(delay)+1)); ok && soon < at {
		s.due[p] = soon
	}
}

// Put makes a peer due after delay, varied by a fifth; 0 stands for a period.
func (s *Schedule) Put(p DeviceID, now, delay time.Duration) {
	if _, ok := s.due[p]; !ok {
		return
	}
	if delay == 0 {
		delay = s.period
	}
	s.due[p] = now + delay*4/5 + time.Duration(s.rand.Int64N(int64(delay)*2/5+1))
}

// Due returns the peers that are due, in order of their ids.
func (s *Schedule) Due(now time.Duration) []DeviceID {
	var ps []DeviceID
	for p, at := range s.due {
		if at <= now {
			ps = append(ps, p)
		}
	}
	slices.SortFunc(ps, func(a, b DeviceID) int { return slices.Compare(a[:], b[:]) })
	return ps
}

// Wake returns when the next peer is due; it reports false if there is none.
func (s *Schedule) Wake() (time.Duration, bool) {
	first, ok := time.Duration(0), false
	for _, at := range s.due {
		if !ok || at < first {
			first, ok = at, true
		}
	}
	return first, ok
}
