package mdns

import (
	"testing"
	"time"
)

// play lets an agenda run for a while and counts what it sends on a path. ask is called every millisecond.
func play(a *agenda, on path, from time.Time, lasts time.Duration, ask func(now time.Time)) (questions, answers int) {
	for now := from; now.Before(from.Add(lasts)); now = now.Add(time.Millisecond) {
		if ask != nil {
			ask(now)
		}
		if now.Before(a.next()) {
			continue
		}
		for _, o := range a.take(now) {
			switch {
			case o.path != on:
			case o.ask:
				questions++
			default:
				answers++
			}
		}
	}
	return questions, answers
}

func half(d time.Duration) time.Duration { return d / 2 }

// A device announces itself twice, and asks at once, then ever more seldom, then once a minute.
func TestAnAgendaComesToRest(t *testing.T) {
	start := time.Unix(0, 0)
	eth, wlan := path{0, 1}, path{1, 2}
	a := newAgenda(start, []path{eth, wlan}, half)
	if questions, answers := play(a, wlan, start, 3*time.Second, nil); questions != 1 || answers != 2 {
		t.Errorf("in the first seconds %d questions and %d announcements, want 1 and 2", questions, answers)
	}
	if questions, answers := play(a, wlan, start.Add(3*time.Second), time.Minute, nil); questions != 4 || answers != 0 {
		t.Errorf("in the first minute %d questions more, want 4 (after 4, 12, 28 and 60 s), and %d answers", questions, answers)
	}
	if questions, _ := play(a, wlan, start.Add(time.Hour), time.Hour, nil); questions < 59 || questions > 61 {
		t.Errorf("later %d questions an hour, want 60", questions)
	}
}

// However often it is asked, a device answers on a path once in a second (RFC 6762, section 6), and only there.
func TestAnswersAreOneASecond(t *testing.T) {
	start := time.Unix(0, 0)
	asked, other := path{0, 1}, path{0, 2}
	a := newAgenda(start, []path{asked, other}, half)
	play(a, asked, start, 10*time.Second, nil)
	later := start.Add(10 * time.Second)
	_, answers := play(a, asked, later, 10*time.Second, func(now time.Time) { a.asked(now, asked, recordPTR|recordTXT) })
	if answers != 10 {
		t.Errorf("%d answers in ten seconds of questions, want 10", answers)
	}
	_, answers = play(a, other, later.Add(10*time.Second), 10*time.Second, func(now time.Time) { a.asked(now, asked, recordPTR) })
	if answers != 0 {
		t.Errorf("%d answers where nobody asked", answers)
	}
	a.asked(later, path{7, 7}, recordPTR) // an interface that is not used
}

// One answer is sent 20 to 120 ms after the question, with all that was asked until then.
func TestAnAnswerWaitsForMoreQuestions(t *testing.T) {
	start := time.Unix(0, 0)
	on := path{0, 1}
	a := newAgenda(start, []path{on}, half)
	play(a, on, start, 2*time.Second, nil)
	now := start.Add(2*time.Second + 500*time.Millisecond)
	a.asked(now, on, recordPTR)
	a.asked(now.Add(10*time.Millisecond), on, recordTXT)
	if wait := a.next().Sub(now); wait < answerMin || wait >= answerMax {
		t.Errorf("the answer is due after %v", wait)
	}
	got := a.take(a.next())
	if len(got) != 1 || got[0].records != recordPTR|recordTXT {
		t.Errorf("sent %v", got)
	}
}

func TestBucket(t *testing.T) {
	b := bucket{burst: 3, perSecond: 2}
	now := time.Unix(100, 0)
	for i, want := range []bool{true, true, true, false, false} {
		if got := b.take(now); got != want {
			t.Errorf("the %d. at once: %v", i+1, got)
		}
	}
	now = now.Add(500 * time.Millisecond)
	if !b.take(now) || b.take(now) {
		t.Error("after half a second one passes")
	}
	now = now.Add(time.Hour)
	for range 3 {
		if !b.take(now) {
			t.Error("after an hour it is as at first")
		}
	}
	if b.take(now) {
		t.Error("rest is saved up beyond the burst")
	}
}
