package gossip

import (
	"fmt"
	"testing"

	"syncline/crdt"
)

// filled returns two devices that hold the same n paths.
func filled(t testing.TB, n int) (w *world, a, b *device) {
	w = newWorld(t, "A", "B", "N", "M")
	a, b = w.devices[0], w.devices[1]
	for i := range n {
		w.write(w.devices[i%2], put(fmt.Sprintf("k%04d", i), "a value"))
	}
	w.sync(a, b)
	return w, a, b
}

// rowsTo counts the rows that were sent to a device.
func (m *meeting) rowsTo(d *device) (n int) {
	for _, s := range m.sent {
		if rows, err := decodeRows(s.bytes); err == nil && s.from != d && s.bytes[1] == msgRows {
			n += len(rows)
		}
	}
	return n
}

// TestFillingGoesOnWhereItStopped: a newcomer is cut off after some answers, writes, reads what it has, and goes on with another device.
// Nothing that it has is sent again, and no answer is larger than the limits.
func TestFillingGoesOnWhereItStopped(t *testing.T) {
	const n = 300
	for _, limits := range []crdt.Limits{{Rows: 16, Bytes: 1 << 20}, {Rows: 16, Bytes: 1 << 20, Names: 1000}, {Rows: 1000, Bytes: 400, Names: 1000}} {
		for stop := 1; stop < 20; stop += 3 {
			w, a, b := filled(t, n)
			w.limits = limits
			newcomer := w.devices[2]
			w.write(newcomer, put("k0250", "written before"))
			m := w.meet(newcomer, a, false)
			commits, largest := 0, 0
			m.committed = func(to *device, d *crdt.Delta) {
				if to == newcomer {
					commits++
					largest = max(largest, len(d.Rows))
				}
			}
			for commits < stop && len(m.inbox[0])+len(m.inbox[1]) > 0 {
				for i := range m.inbox {
					if len(m.inbox[i]) > 0 {
						if err := m.deliver(i); err != nil {
							t.Fatal(err)
						}
					}
				}
				if err := w.check(newcomer); err != nil {
					t.Fatal(err)
				}
			}
			had := len(newcomer.Paths())
			w.write(newcomer, put("k0000", "written over what has come"), put("k0299", "written ahead of what comes"))
			w.write(b, put("k0001", "changed behind"), del("k0002"), put("k0298", "changed ahead"))
			if err := w.check(newcomer); err != nil {
				t.Fatal(err)
			}
			next := w.meet(newcomer, b, false)
			next.committed = m.committed
			if err := next.run(); err != nil {
				t.Fatal(err)
			}
			if err := w.check(newcomer); err != nil {
				t.Fatal(err)
			}
			if got, most := next.rowsTo(newcomer), n-had+10+n/10; got > most {
				t.Errorf("%+v, stopped after %d answers with %d paths: the other device sent %d rows, want at most %d\n%s", limits, stop, had, got, most, next.transcript())
			}
			if largest > 40 || commits < 8 {
				t.Errorf("%+v: %d answers, the largest of %d rows", limits, commits, largest)
			}
			w.sync(newcomer, b)
			w.sync(newcomer, a)
			if !newcomer.Equal(a.State) || len(newcomer.Parts()) != 1 {
				t.Errorf("%+v, stopped after %d answers: the newcomer differs, in %d parts\n%s", limits, stop, len(newcomer.Parts()), next.transcript())
			}
			for _, d := range []*device{a, newcomer} {
				if err := w.check(d); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// TestAHalfFilledDeviceTellsWhatOnlyItHas: the device that a newcomer filled from is gone; what came reaches the others.
func TestAHalfFilledDeviceTellsWhatOnlyItHas(t *testing.T) {
	w, a, b := filled(t, 100)
	w.limits = crdt.Limits{Rows: 16, Bytes: 1 << 20}
	newcomer, other := w.devices[2], w.devices[3]
	w.write(a, put("k0003", "told to the newcomer only"))
	m := w.meet(newcomer, a, false)
	for range 6 {
		play(t, m, 1)
	}
	if n := len(newcomer.Parts()); n < 2 {
		t.Fatalf("the newcomer has %d part", n)
	}
	for range 2 {
		for _, d := range []*device{b, other} {
			if err := w.meet(newcomer, d, false).run(); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.checkAll(); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []*device{b, other} {
		if v, _ := d.Get("k0003").Shown(); string(v.Data) != "told to the newcomer only" {
			t.Errorf("%s shows %q", d.name, v.Data)
		}
	}
}
