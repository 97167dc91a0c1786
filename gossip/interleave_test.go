package gossip

import (
	"fmt"
	"strings"
	"testing"

	"syncline/crdt"
)

// A course makes the choices of one run: first those that it was given, then always the first. It notes how many there were, so
// that all courses can be taken one after the other.
type course struct {
	picks, of []int
	at        int
}

func (c *course) choose(n int) int {
	if c.at == len(c.picks) {
		c.picks, c.of = append(c.picks, 0), append(c.of, n)
	}
	c.at++
	return c.picks[c.at-1]
}

// next turns to the course after this one; it reports false after the last.
func (c *course) next() bool {
	for i := len(c.picks) - 1; i >= 0; i-- {
		if c.picks[i]+1 < c.of[i] {
			c.picks[i]++
			c.picks, c.of, c.at = c.picks[:i+1], c.of[:i+1], 0
			return true
		}
	}
	return false
}

// An event is what may happen between two messages.
type event struct {
	name string
	do   func(w *world)
}

func (w *world) a() *device { return w.devices[0] }
func (w *world) b() *device { return w.devices[1] }
func (w *world) c() *device { return w.devices[2] }

var events = []event{
	{"A writes", func(w *world) { w.write(w.a(), put("k1", "by A")) }},
	{"B writes", func(w *world) { w.write(w.b(), put("k1", "by B"), put("new", "by B")) }},
	{"A deletes and forgets", func(w *world) { w.write(w.a(), del("k2")); w.forget(w.a()) }},
	{"B deletes and forgets", func(w *world) { w.write(w.b(), del("k2")); w.forget(w.b()) }},
	{"A meets C", func(w *world) { w.sync(w.a(), w.c()) }},
	{"C meets B", func(w *world) { w.sync(w.c(), w.b()) }},
}

// situations are where the exhaustive tests begin. C has deleted and forgotten what the others may still show.
var situations = []event{
	{"nothing between A and B", func(w *world) {}},
	{"both wrote", func(w *world) { w.write(w.a(), put("k0", "A")); w.write(w.b(), put("k0", "B")) }},
	{"B below A's floor", func(w *world) { w.write(w.a(), del("k3")); w.forget(w.a()); w.write(w.b(), put("k3", "B")) }},
	{"A below B's floor", func(w *world) { w.write(w.b(), del("k3")); w.forget(w.b()); w.write(w.a(), put("k0", "A")) }},
	{"both below", func(w *world) {
		w.write(w.a(), del("k3"))
		w.forget(w.a())
		w.write(w.b(), del("k0"))
		w.forget(w.b())
	}},
	{"B is new", func(w *world) {
		*w.b() = device{State: crdt.NewState(), name: "B", id: replicaID(9)}
		w.write(w.b(), put("k2", "B"))
	}},
	{"A and C share what C deleted", func(w *world) {
		w.write(w.a(), put("x", "1"))
		w.sync(w.a(), w.c())
		w.write(w.c(), del("x"))
		w.forget(w.c())
		w.write(w.b(), del("k3"))
		w.forget(w.b())
	}},
}

func threeDevices(t testing.TB) *world {
	w := newWorld(t, "A", "B", "C")
	for i := range 4 {
		w.write(w.a(), put(fmt.Sprintf("k%d", i), "first"))
	}
	w.sync(w.a(), w.b())
	w.sync(w.b(), w.c())
	w.write(w.c(), del("k0"), put("k1", "by C"))
	w.forget(w.c())
	return w
}

// TestSessionIsExactWhateverHappensBetweenItsMessages takes every course of one session with one event between two of its
// messages, or a break in place of one: after every step each replica holds exactly what follows from the operations that it has
// seen, no message is refused, nobody waits for ever, and one more session makes the replicas equal.
func TestSessionIsExactWhateverHappensBetweenItsMessages(t *testing.T) {
	for _, believed := range []bool{false, true} {
		for _, s := range situations {
			for _, limits := range cuts {
				if limits.Limits != (crdt.Limits{}) && (believed || testing.Short() && limits.Names > 0) {
					continue
				}
				c, runs := &course{}, 0
				for more := true; more; more = c.next() {
					runs++
					story, err := oneCourse(t, c, s, believed, 1, limits)
					if err != nil {
						t.Errorf("%s, believed equal %v, limits %+v: %v\n%s", s.name, believed, limits, err, story)
						break
					}
				}
				t.Logf("%s, believed equal %v, limits %+v: %d courses", s.name, believed, limits, runs)
			}
		}
	}
}

// A cut is a bound of answers, and the size of first sketches.
type cut struct {
	crdt.Limits
	symbols int
}

// cuts are the bounds of the exhaustive tests: none that matter, two that cut every answer after one row, made by walking and from names,
// and two with sketches of whatever has three elements, which often do not suffice at first.
var cuts = []cut{{}, {Limits: crdt.Limits{Rows: 1, Bytes: 1}}, {Limits: crdt.Limits{Rows: 2, Bytes: 1 << 20, Names: 100}},
	{symbols: 1}, {Limits: crdt.Limits{Rows: 2, Bytes: 1 << 20, Names: 100}, symbols: 1}}

func oneCourse(t testing.TB, c *course, s event, believed bool, most int, limits cut) (story string, err error) {
	w := threeDevices(t)
	w.limits, w.symbols = limits.Limits, limits.symbols
	s.do(w)
	var log strings.Builder
	defer func() { story = log.String() }()
	m := w.meet(w.a(), w.b(), believed)
	said, first := 0, c.choose(2) // who hears first when both have something to hear
	happened := 0
	note := func(format string, args ...any) { fmt.Fprintf(&log, format+"\n", args...) }
	for len(m.inbox[0])+len(m.inbox[1]) > 0 {
		for ; said < len(m.sent); said++ {
			note("%s says %s", m.sent[said].from.name, describe(m.sent[said].bytes, w))
		}
		choices := 1 // deliver
		if happened < most {
			choices += len(events) + 1 // or one of the events, or the stream breaks
		}
		if k := c.choose(choices); k > len(events) {
			note("the stream breaks")
			return "", errOr(w.checkAll(), func() error { return equalAfterAll(w, note) })
		} else if k > 0 {
			happened++
			note("%s", events[k-1].name)
			events[k-1].do(w)
			if err := w.checkAll(); err != nil {
				return "", err
			}
			continue
		}
		at := 0
		switch {
		case len(m.inbox[0]) == 0:
			at = 1
		case len(m.inbox[1]) > 0:
			at = first
		}
		note("%s hears it", m.devices[at].name)
		if err := m.deliver(at); err != nil {
			return "", err
		}
		if err := w.checkAll(); err != nil {
			return "", err
		}
	}
	if err := m.ended(); err != nil {
		return "", err
	}
	for i, s := range m.sessions {
		r := s.Result()
		if r.RolledBack || r.Diverged || !r.Held.Within(m.devices[1-i].Context()) {
			return "", fmt.Errorf("%s found %+v", m.devices[i].name, r)
		}
	}
	return "", equalAfterAll(w, note)
}

func errOr(err error, f func() error) error {
	if err != nil {
		return err
	}
	return f()
}

func (w *world) checkAll() error {
	for _, d := range w.devices {
		if err := w.check(d); err != nil {
			return err
		}
	}
	return nil
}

func equalAfterAll(w *world, note func(string, ...any)) error {
	for range 2 { // the first may have to fill ranges that the other has not yet when it begins
		m := w.meet(w.a(), w.b(), false)
		if err := m.run(); err != nil {
			return err
		}
		note("afterwards:\n%s", m.transcript())
		if err := w.checkAll(); err != nil {
			return err
		}
		if w.limits == (crdt.Limits{}) {
			break
		}
	}
	if !w.a().Equal(w.b().State) {
		return fmt.Errorf("A and B differ after a session without disturbance")
	}
	return nil
}

// TestOverlappingSessionsAreExact runs several sessions among four devices at once, with writes, deletes, forgetting and breaks
// between any two messages.
func TestOverlappingSessionsAreExact(t *testing.T) {
	for _, seed := range seeds(40) {
		if err := overlap(t, seed, cuts[int(seed)%len(cuts)]); err != nil {
			t.Errorf("go test ./gossip -run TestOverlappingSessionsAreExact -seed=%d: %v", seed, err)
		}
	}
}

func overlap(t testing.TB, seed int64, limits cut) error {
	r := newRand(seed)
	w := newWorld(t, "A", "B", "C", "D")
	w.limits, w.symbols = limits.Limits, limits.symbols
	var running []*meeting
	for step := range 400 {
		d := w.devices[r.IntN(len(w.devices))]
		path := fmt.Sprintf("k%d", r.IntN(6))
		switch k := r.IntN(20); {
		case k < 4:
			w.write(d, put(path, fmt.Sprint(step)))
		case k == 4:
			w.write(d, put(path, fmt.Sprint(step)), del("k9"), del("k8"))
		case k < 7:
			w.write(d, del(path))
		case k == 7 && r.IntN(4) == 0:
			w.forget(d)
		case k == 8 && len(running) < 5:
			if e := w.devices[r.IntN(len(w.devices))]; e != d {
				running = append(running, w.meet(d, e, r.IntN(2) == 0))
			}
		case k == 9 && len(running) > 0 && r.IntN(4) == 0:
			running = running[1:] // it breaks
		case len(running) > 0:
			m := running[r.IntN(len(running))]
			at := r.IntN(2)
			if len(m.inbox[at]) == 0 {
				continue
			}
			if err := m.deliver(at); err != nil {
				return err
			}
			if err := w.check(m.devices[at]); err != nil {
				return err
			}
			if len(m.inbox[0])+len(m.inbox[1]) == 0 {
				if err := m.ended(); err != nil {
					return err
				}
				for i, s := range m.sessions {
					if res := s.Result(); res.Diverged || res.RolledBack || !res.Held.Within(m.devices[1-i].Context()) {
						return fmt.Errorf("step %d: %s found %+v", step, m.devices[i].name, res)
					}
				}
			}
		}
	}
	for range 4 {
		for _, d := range w.devices[1:] {
			if err := w.meet(w.devices[0], d, false).run(); err != nil {
				return err
			}
		}
	}
	for _, d := range w.devices {
		if err := w.check(d); err != nil {
			return err
		}
		if !d.Equal(w.devices[0].State) {
			return fmt.Errorf("%s and %s differ in the end", d.name, w.devices[0].name)
		}
	}
	return nil
}

var _ crdt.Base = (*device)(nil)
