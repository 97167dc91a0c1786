package gossip

import (
	"fmt"
	"slices"
	"testing"

	"syncline/crdt"
)

// fetch is a session in which a fetches paths from b; it returns what came, which is not joined.
func (w *world) fetch(a, b *device, paths ...string) (m *meeting, came []*crdt.Delta, err error) {
	m = w.meet(a, b, false)
	m.inbox, m.sent = [2][][]byte{}, nil
	m.sessions[0] = NewSession(SessionConfig{Initiator: true, WallMillis: wallMillis, Symbols: w.symbols, Fetch: paths})
	m.sessions[0].Start(a)
	m.pump(0)
	for len(m.inbox[0])+len(m.inbox[1]) > 0 {
		if len(m.inbox[1]) > 0 {
			if err := m.deliver(1); err != nil {
				return m, came, err
			}
			continue
		}
		msg := m.inbox[0][0]
		m.inbox[0] = m.inbox[0][1:]
		delta, err := m.sessions[0].Receive(a, msg)
		if err != nil {
			return m, came, err
		}
		if delta != nil {
			came = append(came, delta)
			if err := m.sessions[0].Committed(a); err != nil {
				return m, came, err
			}
		}
		m.pump(0)
	}
	return m, came, m.ended()
}

// TestFetchBringsOnePathAtATime: what is there under the other's context, values and remembered deletes, whatever floor, sketches and ranges
// there are, and nothing else; and nothing is told.
func TestFetchBringsOnePathAtATime(t *testing.T) {
	for _, c := range []struct {
		name    string
		symbols int
		arrange func(w *world, b *device) *device
	}{
		{"equal", 0, func(_ *world, b *device) *device { return b }},
		{"vectors as sketches", 1, func(_ *world, b *device) *device { return b }},
		{"below the floor", 0, func(w *world, b *device) *device { w.forget(b); return b }},
		{"a device that fills", 0, func(w *world, b *device) *device {
			n := w.devices[2]
			w.limits = crdt.Limits{Rows: 16, Bytes: 1 << 20, Names: 10}
			m := w.meet(n, b, false)
			for len(n.Parts()) < 2 && len(m.inbox[0])+len(m.inbox[1]) > 0 {
				for i := range m.inbox {
					if len(m.inbox[i]) > 0 {
						if err := m.deliver(i); err != nil {
							w.t.Fatal(err)
						}
					}
				}
			}
			return n
		}},
	} {
		w, a, b := filled(t, 300)
		w.symbols = c.symbols
		w.write(b, put("k0001", "written since"), del("k0002"))
		w.write(a, put("k0003", "written apart"))
		from := c.arrange(w, b)
		paths := []string{"k0000", "k0001", "k0002", "k0003", "never was"}
		m, came, err := w.fetch(a, from, paths...)
		if err != nil {
			t.Fatalf("%s: %v\n%s", c.name, err, m.transcript())
		}
		if len(came) != len(paths) {
			t.Fatalf("%s: %d answers\n%s", c.name, len(came), m.transcript())
		}
		for i, d := range came {
			want, _ := from.Register(paths[i])
			var row crdt.Row
			if len(d.Rows) > 0 {
				row = d.Rows[0]
			}
			if d.From != paths[i] || d.To != paths[i]+"\x00" || len(d.Rows) > 1 || len(d.Kills) > 0 || len(row.Known) > 0 ||
				fmt.Sprint(row.Values, row.Deletes) != fmt.Sprint(want.Live, want.Deletes) ||
				!d.Context.Equal(from.Parts()[from.Parts().Of(paths[i])].Context) {
				t.Errorf("%s: %s: %+v, want %+v", c.name, paths[i], d, want)
			}
		}
		told := slices.ContainsFunc(m.sent, func(x message) bool { return x.from == a && (x.bytes[1] == msgRows || x.bytes[1] == msgLive) })
		if held := m.sessions[1].Result().Held; told || held.Len() > 0 || m.sessions[1].Result().Refused != "fetched" {
			t.Errorf("%s: the other is told rows (%v), that %v is held, and %q\n%s", c.name, told, held, m.sessions[1].Result().Refused, m.transcript())
		}
	}
}

// TestFetchNamesThePathThatIsNotAnswered: whoever cannot read one path says so, and which it was is known.
func TestFetchNamesThePathThatIsNotAnswered(t *testing.T) {
	w, a, b := filled(t, 4)
	m, _, _ := w.fetch(a, b) // an empty list is no fetch
	if m.sessions[0].Fetching() != "" {
		t.Error("fetching without being told to")
	}
	s := NewSession(SessionConfig{Initiator: true, Fetch: []string{"k0000", "k0002"}})
	s.Start(a)
	if s.Fetching() != "" {
		t.Error("fetching before the peer was heard")
	}
	other := NewSession(SessionConfig{})
	if _, err := other.Receive(b, s.Next()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Receive(a, other.Next()); err != nil {
		t.Fatal(err)
	}
	if s.Fetching() != "k0000" {
		t.Errorf("fetching %q", s.Fetching())
	}
	other.Refuse(ByeDamaged, "")
	if _, err := s.Receive(a, other.Next()); err != nil || s.Fetching() != "k0000" || s.Result().Refused != ByeDamaged {
		t.Errorf("%v, fetching %q, refused %q", err, s.Fetching(), s.Result().Refused)
	}
}
