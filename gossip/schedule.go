package gossip

import (
	"bytes"
	"math/rand/v2" // only its types: the source is given by the caller
	"slices"
	"time"
)

// A Schedule says when to start a session with which peer: once a period with each, varied by a fifth so that devices do not
// march in step, and soon after there is a reason. Times are monotonic, since any fixed moment.
type Schedule struct {
	period time.Duration
	rand   *rand.Rand
	// due holds the peers in the order of their ids.
	due []duePeer
}

// A duePeer is a peer and when it is due.
type duePeer struct {
	peer DeviceID
	at   time.Duration
}

// The delays between a reason and the session it causes: long enough for what is under way to arrive by itself, short enough
// that nobody waits. After a failed or refused session the peer is left alone for RetryDelay.
const (
	GapDelay   = 50 * time.Millisecond
	RetryDelay = 2 * time.Second
	BusyDelay  = 200 * time.Millisecond
	// RelayDelay is how long what a session brought waits for more before the next neighbours are told. It bounds how often they are.
	RelayDelay = time.Second
)

// NewSchedule returns a schedule without peers. The randomness is the caller's.
func NewSchedule(period time.Duration, r *rand.Rand) *Schedule {
	return &Schedule{period: period, rand: r}
}

// find returns the place of a peer, or where it belongs.
func (s *Schedule) find(p DeviceID) (int, bool) {
	return slices.BinarySearchFunc(s.due, p, func(d duePeer, p DeviceID) int { return bytes.Compare(d.peer[:], p[:]) })
}

// Add puts a connected peer on the schedule, due at once. Remove takes it off.
func (s *Schedule) Add(p DeviceID, now time.Duration) {
	i, ok := s.find(p)
	if !ok {
		s.due = slices.Insert(s.due, i, duePeer{peer: p})
	}
	s.due[i].at = now
}

// Remove takes a peer off the schedule.
func (s *Schedule) Remove(p DeviceID) {
	if i, ok := s.find(p); ok {
		s.due = slices.Delete(s.due, i, i+1)
	}
}

// Hasten makes a peer due after delay, varied by a half, unless it is due sooner.
func (s *Schedule) Hasten(p DeviceID, now, delay time.Duration) {
	i, ok := s.find(p)
	if soon := now + delay/2 + time.Duration(s.rand.Int64N(int64(delay)+1)); ok && soon < s.due[i].at {
		s.due[i].at = soon
	}
}

// Put makes a peer due after delay, varied by a fifth; 0 stands for a period.
func (s *Schedule) Put(p DeviceID, now, delay time.Duration) {
	i, ok := s.find(p)
	if !ok {
		return
	}
	if delay == 0 {
		delay = s.period
	}
	s.due[i].at = now + delay*4/5 + time.Duration(s.rand.Int64N(int64(delay)*2/5+1))
}

// Due returns the peers that are due, in order of their ids.
func (s *Schedule) Due(now time.Duration) []DeviceID {
	var ps []DeviceID
	for i := range s.due {
		if s.due[i].at <= now {
			ps = append(ps, s.due[i].peer)
		}
	}
	return ps
}

// Wake returns when the next peer is due; it reports false if there is none.
func (s *Schedule) Wake() (time.Duration, bool) {
	first, ok := time.Duration(0), false
	for i := range s.due {
		if at := s.due[i].at; !ok || at < first {
			first, ok = at, true
		}
	}
	return first, ok
}
