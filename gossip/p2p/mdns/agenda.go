package mdns

import "time"

// When things are sent.
const (
	announceGap = time.Second            // between the two announcements (RFC 6762, section 8.3), and between answers (section 6)
	answerMin   = 20 * time.Millisecond  // from a question to its answer at least,
	answerMax   = 120 * time.Millisecond // and at most, so that many do not answer at the same moment (section 6)
	askFirst    = 4 * time.Second        // between the first two questions
	askMost     = time.Minute            // between questions
)

// A path is one interface for one address family.
type path struct {
	wire  int // index into the speaker's wires
	iface int // index of the system
}

// An agenda says what to send when. It reads no clock and sends nothing.
type agenda struct {
	random func(time.Duration) time.Duration // at least 0 and less than its argument
	debts  []*debt

	announce time.Time // the second announcement; zero once it is made
	ask      time.Time // the next question
	pause    time.Duration
}

// A debt is what a path is to be told.
type debt struct {
	path path
	owed records
	due  time.Time // if anything is owed
	last time.Time // when records were sent
}

// An order is one packet to send to the group: a question, or records.
type order struct {
	path    path
	ask     bool
	records records
}

// newAgenda begins with an announcement and a question on all paths.
func newAgenda(now time.Time, paths []path, random func(time.Duration) time.Duration) *agenda {
	a := &agenda{random: random, announce: now.Add(announceGap), ask: now, pause: askFirst}
	for _, p := range paths {
		a.debts = append(a.debts, &debt{path: p, owed: recordsAll, due: now})
	}
	return a
}

// asked takes note that records were asked for on a path.
func (a *agenda) asked(now time.Time, on path, which records) {
	for _, d := range a.debts {
		if d.path == on && which != recordsNone {
			d.owe(which, now.Add(answerMin+a.random(answerMax-answerMin)))
		}
	}
}

// owe lets records be sent at a time, together with what is owed before that, and not within announceGap of the last.
func (d *debt) owe(which records, at time.Time) {
	if free := d.last.Add(announceGap); at.Before(free) {
		at = free
	}
	if d.owed == recordsNone || at.Before(d.due) {
		d.due = at
	}
	d.owed |= which
}

// next returns when something is due.
func (a *agenda) next() time.Time {
	next := a.ask
	if !a.announce.IsZero() && a.announce.Before(next) {
		next = a.announce
	}
	for _, d := range a.debts {
		if d.owed != recordsNone && d.due.Before(next) {
			next = d.due
		}
	}
	return next
}

// take returns what is due, which then counts as sent.
func (a *agenda) take(now time.Time) []order {
	announces := !a.announce.IsZero() && !now.Before(a.announce)
	if announces {
		a.announce = time.Time{}
	}
	asks := !now.Before(a.ask)
	if asks {
		a.ask = now.Add(a.pause)
		a.pause = min(a.pause+a.pause/2+a.random(a.pause), askMost)
	}
	var out []order
	for _, d := range a.debts {
		if announces {
			d.owe(recordsAll, now)
		}
		if d.owed != recordsNone && !now.Before(d.due) {
			out = append(out, order{path: d.path, records: d.owed})
			d.owed, d.last = recordsNone, now
		}
		if asks {
			out = append(out, order{path: d.path, ask: true})
		}
	}
	return out
}
