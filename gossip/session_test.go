package gossip

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"syncline/crdt"
	"syncline/gossip/sketch"
)

// spread writes on n replicas and gives everything to a and b.
func (w *world) spread(n int, a, b *device) {
	for i := range n {
		d := &device{State: crdt.NewState(), name: fmt.Sprintf("r%d", i), id: replicaID(100 + i)}
		w.devices = append(w.devices, d)
		for range 200 {
			w.write(d, put(fmt.Sprintf("shared/%d", i), "x"))
		}
		w.sync(d, a)
	}
	w.sync(a, b)
}

func TestEqualReplicasPartAfterOneRoundTripOf128Bytes(t *testing.T) {
	for _, n := range []int{1, 10, 100} {
		w := newWorld(t, "A", "B")
		a, b := w.devices[0], w.devices[1]
		w.spread(n, a, b)
		m := w.meet(a, b, true)
		if err := m.run(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d replicas, believed equal: %d bytes in both directions", n, m.bytes())
		if len(m.sent) != 2 || m.bytes() > 128 {
			t.Errorf("%d replicas: %d messages of %d bytes, want 2 of at most 128:\n%s", n, len(m.sent), m.bytes(), m.transcript())
		}
		for i, s := range m.sessions {
			if r := s.Result(); !r.Equal || !r.SameHash || r.Diverged || !r.Held.Equal(a.Context()) || r.PeerWall != wallMillis {
				t.Errorf("%d replicas: end %d found %+v", n, i, r)
			}
		}
	}
}

func TestEqualReplicasPartAfterOneRoundTripWithoutBelief(t *testing.T) {
	w := newWorld(t, "A", "B")
	a, b := w.devices[0], w.devices[1]
	w.spread(3, a, b)
	m := w.sync(a, b)
	if len(m.sent) != 2 || !m.sessions[0].Result().Equal {
		t.Errorf("got\n%s", m.transcript())
	}
}

// TestSessionMakesReplicasEqual runs the shapes of a session: who lacks what, who is below whose floor, and whether the
// initiator believed that there was no difference.
func TestSessionMakesReplicasEqual(t *testing.T) {
	shapes := map[string]func(w *world, a, b *device){
		"both empty":       func(w *world, a, b *device) {},
		"initiator empty":  func(w *world, a, b *device) { w.write(b, put("p", "1")) },
		"responder empty":  func(w *world, a, b *device) { w.write(a, put("p", "1")) },
		"initiator behind": func(w *world, a, b *device) { w.spread(2, a, b); w.write(b, put("p", "1"), put("q", "2")) },
		"responder behind": func(w *world, a, b *device) { w.spread(2, a, b); w.write(a, put("p", "1"), put("q", "2")) },
		"both behind":      func(w *world, a, b *device) { w.spread(2, a, b); w.write(a, put("p", "1")); w.write(b, put("p", "2")) },
		"initiator below the floor": func(w *world, a, b *device) {
			w.spread(3, a, b)
			w.write(b, del("shared/1"))
			w.forget(b)
			w.write(a, put("p", "1"))
		},
		"responder below the floor": func(w *world, a, b *device) {
			w.spread(3, a, b)
			w.write(a, del("shared/1"))
			w.forget(a)
			w.write(b, put("p", "1"))
		},
		"both below the floor": func(w *world, a, b *device) {
			w.spread(4, a, b)
			w.write(a, del("shared/0"))
			w.write(a, put("shared/3", "kept by A"))
			w.forget(a)
			w.write(b, del("shared/2"))
			w.write(b, del("shared/3"))
			w.forget(b)
		},
	}
	for name, shape := range shapes {
		for _, believed := range []bool{false, true} {
			w := newWorld(t, "A", "B")
			a, b := w.devices[0], w.devices[1]
			shape(w, a, b)
			m := w.meet(a, b, believed)
			if err := m.run(); err != nil {
				t.Errorf("%s, believed equal %v: %v", name, believed, err)
				continue
			}
			if !a.Equal(b.State) {
				t.Errorf("%s, believed equal %v: the replicas differ after\n%s", name, believed, m.transcript())
			}
			for _, d := range []*device{a, b} {
				if err := w.check(d); err != nil {
					t.Errorf("%s, believed equal %v: %v", name, believed, err)
				}
			}
			for i, s := range m.sessions {
				if r := s.Result(); !r.SameHash || r.Diverged || r.RolledBack || !r.Held.Equal(a.Context()) {
					t.Errorf("%s, believed equal %v: end %d found %+v", name, believed, i, r)
				}
			}
		}
	}
}

// TestWhoOnlyGivesIsBroughtNothing: an answer in which there is nothing new is no news, nor is one that gossip has overtaken.
func TestWhoOnlyGivesIsBroughtNothing(t *testing.T) {
	for _, overtaken := range []bool{false, true} {
		w := newWorld(t, "A", "B")
		a, b := w.devices[0], w.devices[1]
		w.spread(2, a, b)
		op := w.write(b, put("p", "1"))
		m := w.meet(a, b, false)
		if err := m.deliver(1); err != nil { // B answers
			t.Fatal(err)
		}
		if overtaken {
			if _, err := crdt.Apply(a.State, op); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.run(); err != nil {
			t.Fatal(err)
		}
		for i, s := range m.sessions {
			if r := s.Result(); r.Answers != 1 || r.Brought != (i == 0 && !overtaken) {
				t.Errorf("overtaken %v: end %d found %+v\n%s", overtaken, i, r, m.transcript())
			}
		}
	}
}

// TestValuesDeletedBelowTheFloorDie is about zombies: a delete was forgotten before the other replica heard of it.
func TestValuesDeletedBelowTheFloorDie(t *testing.T) {
	for _, deleter := range []int{0, 1} {
		w := newWorld(t, "A", "B")
		a, b := w.devices[0], w.devices[1]
		w.spread(5, a, b)
		w.write(w.devices[deleter], del("shared/2"))
		w.forget(w.devices[deleter])
		w.sync(a, b)
		for _, d := range []*device{a, b} {
			if live := d.Get("shared/2").Live; len(live) > 0 {
				t.Errorf("deleted by %s: %s still shows %v", w.devices[deleter].name, d.name, live)
			}
			if got := len(d.Paths()); got != 4 {
				t.Errorf("deleted by %s: %s has %d paths, want 4", w.devices[deleter].name, d.name, got)
			}
		}
	}
}

func TestOverwritesWhileAwayCostTheLastValuesOnly(t *testing.T) {
	w := newWorld(t, "A", "B")
	a, b := w.devices[0], w.devices[1]
	value := strings.Repeat("v", 64)
	path := func(i int) string { return fmt.Sprintf("sensors/kitchen/%04d", i) }
	for i := range 10 {
		w.write(a, put(path(i), "first"))
	}
	w.sync(a, b)
	for i := range 100_000 {
		w.write(a, put(path(i%10), value))
	}
	m := w.meet(b, a, false)
	came := false
	m.committed = func(to *device, d *crdt.Delta) {
		if to == b {
			came = true
		}
	}
	m.deliver(1)                       // its HELLO
	for len(m.inbox[0]) > 0 && !came { // what A said at once
		m.deliver(0)
	}
	if !came || len(m.inbox[0]) > 0 {
		t.Errorf("the data is not here after one round trip:\n%s", m.transcript())
	}
	if err := m.run(); err != nil {
		t.Fatal(err)
	}
	values, paths := 10*len(value), 10*len(path(0))
	t.Logf("%d bytes in both directions: %d of values, %d of paths, %d of protocol\n%s", m.bytes(), values, paths, m.bytes()-values-paths, m.transcript())
	if !a.Equal(b.State) {
		t.Errorf("the replicas differ")
	}
	if got := m.bytes() - values; got > 460 {
		t.Errorf("%d bytes beside the values, want at most 460", got)
	}
}

func TestRollbackIsFoundBeforeAnythingIsExchanged(t *testing.T) {
	for _, initiator := range []int{0, 1} {
		w := newWorld(t, "A", "B")
		a, b := w.devices[0], w.devices[1]
		w.write(a, put("p", "1"))
		backup := a.Clone()
		w.write(a, put("p", "2"))
		w.sync(a, b)
		a.State = backup
		m := w.meet(w.devices[initiator], w.devices[1-initiator], false)
		if err := m.run(); err != nil {
			t.Fatal(err)
		}
		if !m.sessions[initiator].Result().RolledBack {
			t.Errorf("opened by %s: A did not find that it was set back:\n%s", w.devices[initiator].name, m.transcript())
		}
		if got := m.sessions[1-initiator].Result().Refused; got != "rolled_back" {
			t.Errorf("opened by %s: B was told %q", w.devices[initiator].name, got)
		}
		if a.Context().Get(a.id) != 1 || len(a.Get("p").Live) != 1 || string(a.Get("p").Live[0].Data) != "1" {
			t.Errorf("opened by %s: A took something over", w.devices[initiator].name)
		}
	}
}

// TestRollbackIsFoundInAnAnswer is about a peer that learns of the lost writes after it said its vector.
func TestRollbackIsFoundInAnAnswer(t *testing.T) {
	w := newWorld(t, "A", "B", "C")
	a, b, c := w.devices[0], w.devices[1], w.devices[2]
	w.spread(1, a, b)
	w.write(a, put("p", "1"))
	w.sync(a, b)
	backup := a.Clone()
	w.write(a, put("p", "2"))
	w.sync(a, c)
	a.State = backup
	w.write(b, del("shared/0"))
	w.forget(b) // A is below B's floor, so B answers after A's ASK
	m := w.meet(a, b, false)
	m.deliver(1) // HELLO
	m.deliver(0) // HELLO
	w.sync(b, c)
	if err := m.run(); err != nil {
		t.Fatal(err)
	}
	if !m.sessions[0].Result().RolledBack || a.Context().Get(a.id) != 1 {
		t.Errorf("A took over writes of its own that it did not make: %v\n%s", a.Context().Get(a.id), m.transcript())
	}
}

func TestDivergenceIsFoundByBothWhenVectorsAreEqual(t *testing.T) {
	w := newWorld(t, "A", "B")
	a, b := w.devices[0], w.devices[1]
	w.spread(2, a, b)
	damage(b, "shared/0")
	m := w.sync(a, b)
	if !m.sessions[1].Result().Diverged {
		t.Errorf("B did not find the difference:\n%s", m.transcript())
	}
}

func TestDivergenceIsFoundAfterAnExchange(t *testing.T) {
	w := newWorld(t, "A", "B")
	a, b := w.devices[0], w.devices[1]
	w.spread(2, a, b)
	damage(b, "shared/0")
	w.write(a, put("p", "1"))
	m := w.sync(a, b)
	if !m.sessions[0].Result().Diverged && !m.sessions[1].Result().Diverged {
		t.Errorf("nobody found the difference:\n%s", m.transcript())
	}
}

// damage changes a value behind the back of everything.
func damage(d *device, path string) {
	reg := d.Get(path)
	reg.Live = crdt.CloneValues(reg.Live)
	reg.Live[0].Data = []byte("damaged")
	d.SetRegister(path, reg)
}

func TestBusyPeerChangesNothing(t *testing.T) {
	w := newWorld(t, "A", "B")
	a, b := w.devices[0], w.devices[1]
	w.write(b, put("p", "1"))
	m := w.meet(a, b, false)
	m.sessions[1].RefuseBusy()
	m.pump(1)
	if err := m.run(); err != nil {
		t.Fatal(err)
	}
	if r := m.sessions[0].Result(); !r.Busy || r.Equal || r.Held.Len() > 0 || a.Context().Len() > 0 {
		t.Errorf("A found %+v", r)
	}
}

func TestRefusalIsTold(t *testing.T) {
	w := newWorld(t, "A", "B")
	a, b := w.devices[0], w.devices[1]
	w.write(b, put("p", "1"))
	m := w.meet(a, b, false)
	if err := m.deliver(1); err != nil {
		t.Fatal(err)
	}
	m.sessions[1].Refuse("shutting_down", "this device stops")
	m.pump(1)
	if err := m.run(); err != nil {
		t.Fatal(err)
	}
	if r := m.sessions[0].Result(); r.Refused != "shutting_down" {
		t.Errorf("A found %+v", r)
	}
}

// TestOptimistWithNothingSaysSo: an empty vector is a full one.
func TestOptimistWithNothingSaysSo(t *testing.T) {
	w := newWorld(t, "A", "B")
	a, b := w.devices[0], w.devices[1]
	w.write(b, put("p", "1"))
	m := w.meet(a, b, true)
	if err := m.run(); err != nil {
		t.Fatal(err)
	}
	if len(a.Paths()) != 1 {
		t.Errorf("A has %v", a.Paths())
	}
}

func TestLargeValuesTravelInSeveralMessages(t *testing.T) {
	w := newWorld(t, "A", "B")
	a, b := w.devices[0], w.devices[1]
	large := strings.Repeat("x", crdt.ValueBytesMax)
	for i := range 5 { // five siblings of one path, and neighbours before and after
		d := &device{State: crdt.NewState(), name: fmt.Sprintf("r%d", i), id: replicaID(50 + i)}
		w.devices = append(w.devices, d)
		w.write(d, put("m", large[:crdt.ValueBytesMax-i*200_000]))
		w.sync(a, d)
	}
	w.write(a, put("a", "1"), put("z", "2"), put("n", large))
	m := w.sync(b, a)
	if !a.Equal(b.State) || len(b.Get("m").Live) != 5 {
		t.Fatalf("the replicas differ")
	}
	rows := 0
	for _, s := range m.sent {
		if len(s.bytes) > crdt.ValueBytesMax+FrameBytesMax {
			t.Errorf("a message of %d bytes", len(s.bytes))
		}
		if s.bytes[1] == msgRows {
			rows++
		}
	}
	if rows < 5 {
		t.Errorf("%d messages of rows, want at least 5", rows)
	}
}

// TestManyBindingsFitIntoAnAnswer is about a device that joins a space with a long past: every start of a device that writes
// may leave a replica behind.
func TestManyBindingsFitIntoAnAnswer(t *testing.T) {
	w := newWorld(t, "A", "B")
	a, b := w.devices[0], w.devices[1]
	const n = 30_000
	for i := range n {
		id := replicaID(1000 + i)
		op := &crdt.Op{Dot: crdt.Dot{Replica: id, Counter: 1}, Time: crdt.At(wallMillis), Open: make([]byte, 104),
			Entries: []crdt.OpEntry{{Path: "p", Data: []byte("1"), Preds: livePreds(a, "p")}}}
		if _, err := crdt.Apply(a.State, op); err != nil {
			t.Fatal(err)
		}
	}
	m := w.meet(b, a, false)
	if err := m.run(); err != nil {
		t.Fatalf("%.300v", err)
	}
	if got := b.Context().Len(); got != n {
		t.Errorf("B knows %d replicas, want %d", got, n)
	}
	for _, s := range m.sent {
		if len(s.bytes) > MessageBytesMax {
			t.Errorf("a message of %d bytes", len(s.bytes))
		}
	}
}

func livePreds(d *device, path string) (dots []crdt.Dot) {
	for _, v := range d.Get(path).Live {
		dots = append(dots, v.Dot)
	}
	return dots
}

// exchange returns the messages of a session of two replicas that both lack something, one below the floor of the other. Unless symbols is 0, they
// tell by sketches that begin with so many symbols.
func exchange(t testing.TB, symbols int) (*world, *meeting) {
	w := newWorld(t, "A", "B", "C")
	a, b := w.devices[0], w.devices[1]
	if w.symbols = symbols; symbols > 0 {
		for i := range 24 {
			d := &device{State: crdt.NewState(), name: fmt.Sprintf("r%d", i), id: replicaID(100 + i)}
			w.devices = append(w.devices, d)
			w.write(d, put(fmt.Sprintf("shared/%d", 2+i), "x"))
			w.sync(d, a)
		}
		w.sync(a, b)
	}
	w.write(w.devices[2], put("shared/0", "0"), put("shared/1", "1"))
	w.sync(w.devices[2], a)
	w.sync(a, b)
	w.write(a, put("p", "1"))
	w.write(b, put("p", "2"))
	w.write(b, del("shared/0"))
	w.forget(b)
	return w, w.meet(a, b, false)
}

// TestBrokenRulesChangeNothing plays a session and, before each message, tries what a broken or hostile peer might send
// instead. Everything must be refused, and the replica must stay as it was.
func TestBrokenRulesChangeNothing(t *testing.T) {
	for _, symbols := range []int{0, 1} {
		breakRules(t, symbols)
	}
}

func breakRules(t *testing.T, symbols int) {
	all := func() [][]byte { // every message of the undisturbed session
		_, m := exchange(t, symbols)
		if err := m.run(); err != nil {
			t.Fatal(err)
		}
		var msgs [][]byte
		for _, s := range m.sent {
			msgs = append(msgs, s.bytes)
		}
		return msgs
	}()
	for step := range all {
		for at := range 2 {
			_, ref := exchange(t, symbols)
			play(t, ref, step)
			if len(ref.inbox[at]) == 0 {
				continue
			}
			next := ref.inbox[at][0]
			tries := [][]byte{next[:len(next)-1], next[:len(next)/2], next[:1], {}, append(next[:len(next):len(next)], 0), make([]byte, MessageBytesMax+1)}
			for _, msg := range all {
				if string(msg) != string(next) {
					tries = append(tries, msg)
				}
			}
			for k, bad := range tries {
				w, m := exchange(t, symbols)
				play(t, m, step)
				d := m.devices[at]
				before := d.Clone()
				delta, err := m.sessions[at].Receive(d, bad)
				if err == nil && delta == nil && len(bad) > 1 && sameTurn(next[1], bad[1]) {
					// It is as good as the real one so far; END tells.
					m.inbox[at] = m.inbox[at][1:]
					if err := m.run(); err == nil || !d.Equal(before) {
						t.Errorf("symbols %d, step %d, %s, try %d: with %s instead of %s all went well: %v", symbols, step, d.name, k, describe(bad, w), describe(next, w), err)
					}
					continue
				}
				if delta != nil || err == nil && !m.sessions[at].Finished() {
					t.Errorf("symbols %d, step %d, %s, try %d: %s was taken instead of %s", symbols, step, d.name, k, describe(bad, w), describe(next, w))
				}
				if err != nil && !errors.Is(err, crdt.ErrDecode) && !isVersion(err) {
					t.Errorf("symbols %d, step %d, %s, try %d: the error is %v", symbols, step, d.name, k, err)
				}
				if !d.Equal(before) {
					t.Errorf("symbols %d, step %d, %s, try %d: the replica changed", symbols, step, d.name, k)
				}
			}
		}
	}
}

func isVersion(err error) bool {
	var v *VersionError
	return errors.As(err, &v)
}

// sameTurn says whether two types of message may come at the same point of an answer.
func sameTurn(a, b uint8) bool {
	rows := func(x uint8) bool {
		return slices.Contains([]uint8{msgRows, msgKill, msgLive, msgEnd, msgAsk, msgHello, msgOpens, msgDone, msgVector, msgMore, msgFloor, msgDead, msgLeft}, x)
	}
	return rows(a) && rows(b)
}

// play delivers messages in turn.
func play(t testing.TB, m *meeting, steps int) {
	for range steps {
		i := 0
		if len(m.inbox[1]) > 0 {
			i = 1
		}
		if len(m.inbox[i]) == 0 {
			return
		}
		if err := m.deliver(i); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDoubledMessageIsRefused: no message may come twice, but for those that say nothing new of themselves.
func TestDoubledMessageIsRefused(t *testing.T) {
	for at := range 60 {
		symbols, step := at%2, at/2
		_, m := exchange(t, symbols)
		play(t, m, step)
		for i := range m.inbox {
			if len(m.inbox[i]) == 0 {
				continue
			}
			msg := m.inbox[i][0]
			if err := m.deliver(i); err != nil {
				t.Fatal(err)
			}
			if m.sessions[i].Finished() {
				continue
			}
			before := m.devices[i].Clone()
			delta, err := m.sessions[i].Receive(m.devices[i], msg)
			if err == nil || delta != nil || !m.devices[i].Equal(before) {
				t.Errorf("symbols %d, step %d: %s took %s twice: %v", symbols, step, m.devices[i].name, describe(msg, m.w), err)
			}
		}
	}
}

func TestAnswerBeforeHelloIsRefused(t *testing.T) {
	w := newWorld(t, "A", "B")
	a, b := w.devices[0], w.devices[1]
	w.write(b, put("p", "1"))
	m := w.meet(a, b, false)
	m.deliver(1)
	m.inbox[0] = m.inbox[0][1:] // the HELLO of B is lost, ROWS and END come
	if err := m.run(); !errors.Is(err, crdt.ErrDecode) || a.Context().Len() > 0 {
		t.Errorf("A took an answer of a peer that has not said who it is: %v", err)
	}
}

func TestHelloThatComesTwiceIsRefusedBeforeTheAnswerIsOut(t *testing.T) {
	w := newWorld(t, "A", "B")
	a, b := w.devices[0], w.devices[1]
	w.spread(1, a, b)
	w.write(b, put("p", "1"))
	m := w.meet(a, b, true)
	if _, err := m.sessions[1].Receive(b, m.inbox[1][0]); err != nil {
		t.Fatal(err)
	}
	if _, err := m.sessions[1].Receive(b, m.inbox[1][0]); !errors.Is(err, crdt.ErrDecode) {
		t.Errorf("a second HELLO was taken: %v", err)
	}
}

// TestAbsurdCountersAreRefused alters the vectors and answers of a peer.
func TestAbsurdCountersAreRefused(t *testing.T) {
	w := newWorld(t, "A", "B")
	a, b := w.devices[0], w.devices[1]
	w.write(a, put("p", "1"))
	w.write(b, put("q", "1"))
	hashOf := func(raw []byte) [16]byte {
		v, _ := crdt.DecodeVector(raw)
		return v.Hash()
	}
	id := replicaID(7)
	over := append(id[:], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)
	zero := append(id[:], 0)
	top := append(id[:], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x03)
	for name, h := range map[string]hello{
		"counter above the bound":        {Form: formWhole, Entries: over},
		"counter zero":                   {Form: formWhole, Entries: zero},
		"half a vector":                  {Form: formWhole, Entries: id[:]},
		"wrong hash":                     {Form: formWhole, Entries: top, Hash: [16]byte{1}},
		"unknown form":                   {Form: 4, Entries: top},
		"entries that are not told":      {Form: formNone, Entries: top},
		"changes to nothing":             {Form: formChanges, Entries: top},
		"top within the vector":          {Form: formWhole, Entries: top, Top: top},
		"top of a sketch":                {Form: formSketch, Entries: make([]byte, 25), Top: top},
		"no symbols":                     {Form: formSketch},
		"half a symbol":                  {Form: formSketch, Entries: make([]byte, 40)},
		"more symbols than there may be": {Form: formSketch, Entries: make([]byte, 25*(sketch.SymbolsMax+1))},
	} {
		h.Type, h.Version = msgHello, ProtocolVersion
		if h.Hash == [16]byte{} {
			h.Hash = hashOf(h.Entries)
		}
		s := NewSession(SessionConfig{})
		if delta, err := s.Receive(a, crdt.Marshal(&h)); !errors.Is(err, crdt.ErrDecode) || delta != nil {
			t.Errorf("%s: delta %v, error %v", name, delta, err)
		}
	}
}

func TestUnknownVersionIsNamed(t *testing.T) {
	w := newWorld(t, "A", "B")
	a, b := w.devices[0], w.devices[1]
	m := w.meet(a, b, false)
	msg := m.inbox[1][0]
	msg[2] = 9
	_, err := m.sessions[1].Receive(b, msg)
	var v *VersionError
	if !errors.As(err, &v) || v.Theirs != 9 || !strings.Contains(err.Error(), "version 9") {
		t.Errorf("got %v, want a VersionError of version 9", err)
	}
	// The last word of the one that was asked tells its own version, so that both know.
	answer := m.sessions[1].Next()
	if kind, err := messageType(answer); err != nil || kind != msgHello || answer[2] != ProtocolVersion || !m.sessions[1].Finished() {
		t.Errorf("the answer to a hello of version 9 is %x", answer)
	}
	// A later version may have other fields.
	if _, err := NewSession(SessionConfig{}).Receive(b, []byte{0x84, msgHello, ProtocolVersion + 1, 0, 0}); !errors.As(err, &v) || v.Theirs != ProtocolVersion+1 {
		t.Errorf("got %v, want a VersionError of the next version", err)
	}
}
