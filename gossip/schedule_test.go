package gossip

import (
	"slices"
	"testing"
	"time"
)

func TestPeersAreDueOncePeriodVariedByAFifth(t *testing.T) {
	const period = 10 * time.Second
	p := DeviceID{1}
	s := NewSchedule(period, newRand(1))
	s.Add(p, 0)
	if got := s.Due(0); !slices.Equal(got, []DeviceID{p}) {
		t.Fatalf("a new peer is not due at once: %v", got)
	}
	least, most := period*10, time.Duration(0)
	for range 10_000 {
		s.Put(p, 0, 0)
		at, _ := s.Wake()
		least, most = min(least, at), max(most, at)
	}
	if least < period*8/10 || most > period*12/10 || least > period*81/100 || most < period*119/100 {
		t.Errorf("due after %v to %v, want the whole of 8s to 12s", least, most)
	}
}

func TestHastenOnlyBringsForward(t *testing.T) {
	p := DeviceID{1}
	s := NewSchedule(time.Minute, newRand(1))
	s.Hasten(p, 0, GapDelay)
	if _, ok := s.Wake(); ok {
		t.Errorf("a peer that is not on the schedule is due")
	}
	s.Add(p, 0)
	for range 1000 {
		s.Put(p, 0, 0)
		s.Hasten(p, time.Second, GapDelay)
		at, _ := s.Wake()
		if at < time.Second+GapDelay/2 || at > time.Second+GapDelay*3/2 {
			t.Fatalf("due %v after the reason, want %v varied by a half", at-time.Second, GapDelay)
		}
		s.Hasten(p, time.Second, RetryDelay)
		if later, _ := s.Wake(); later != at {
			t.Fatalf("a slower reason moved the peer from %v to %v", at, later)
		}
	}
	s.Put(p, 0, 0)
	if s.Hasten(p, time.Second, 0); len(s.Due(time.Second)) != 1 {
		t.Errorf("without a delay the peer is not due at once")
	}
	s.Remove(p)
	if s.Put(p, 0, 0); len(s.Due(time.Hour)) > 0 {
		t.Errorf("a peer that was removed is due")
	}
}

func TestSameRandomnessGivesTheSameSchedule(t *testing.T) {
	run := func() (all []time.Duration) {
		s := NewSchedule(time.Second, newRand(7))
		for i := range 5 {
			s.Add(DeviceID{byte(i)}, 0)
		}
		for range 200 {
			at, _ := s.Wake()
			all = append(all, at)
			for _, p := range s.Due(at) {
				s.Put(p, at, 0)
				s.Hasten(p, at, RetryDelay)
			}
		}
		return all
	}
	if a, b := run(), run(); !slices.Equal(a, b) {
		t.Errorf("two runs differ:\n%v\n%v", a, b)
	}
}
