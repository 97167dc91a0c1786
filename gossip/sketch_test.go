package gossip

import (
	"errors"
	"fmt"
	"testing"

	"syncline/crdt"
	"syncline/gossip/sketch"
)

// retired returns two equal devices that know n replicas, each of which wrote once.
func retired(t testing.TB, n int) (w *world, a, b *device) {
	w = newWorld(t, "A", "B")
	a, b = w.devices[0], w.devices[1]
	for i := range n {
		op := &crdt.Op{Dot: crdt.Dot{Replica: replicaID(1000 + i), Counter: 1}, Time: crdt.At(wallMillis),
			Entries: []crdt.OpEntry{{Path: fmt.Sprintf("p%d", i%10), Data: []byte("1"), Preds: livePreds(a, fmt.Sprintf("p%d", i%10))}}}
		if _, err := crdt.Apply(a.State, op); err != nil {
			t.Fatal(err)
		}
	}
	w.write(a, put("a", "by A"))
	w.write(b, put("b", "by B"))
	w.sync(a, b)
	return w, a, b
}

// TestManyIncarnationsCostTheirDifference: a vector of 10,000 entries has 100 kB, and travels in hundreds of bytes if little has changed.
func TestManyIncarnationsCostTheirDifference(t *testing.T) {
	const n = 10_000
	advance := func(w *world, d *device, replicas int) {
		for i := range replicas {
			id := replicaID(1000 + i*7)
			writer := &device{State: d.State, name: "again", id: id}
			w.write(writer, put("row", "value"))
		}
	}
	for name, c := range map[string]struct {
		change   func(w *world, a, b *device)
		believed bool
		most     int
	}{
		"nothing changed":             {func(w *world, a, b *device) {}, false, 600},
		"nothing changed, believed":   {func(w *world, a, b *device) {}, true, 60},
		"the initiator wrote":         {func(w *world, a, b *device) { w.write(a, put("row", "value")) }, false, 1000},
		"the initiator wrote, belief": {func(w *world, a, b *device) { w.write(a, put("row", "value")) }, true, 1000},
		"the responder wrote":         {func(w *world, a, b *device) { w.write(b, put("row", "value")) }, false, 1000},
		"the responder wrote, belief": {func(w *world, a, b *device) { w.write(b, put("row", "value")) }, true, 1000},
		"both wrote":                  {func(w *world, a, b *device) { w.write(a, put("row", "1")); w.write(b, put("row", "2")) }, false, 1000},
		"100 replicas wrote":          {func(w *world, a, b *device) { advance(w, b, 100) }, false, 30_000},
		"1,000 replicas wrote":        {func(w *world, a, b *device) { advance(w, b, 1000) }, false, 170_000},
		"the responder is new":        {func(w *world, a, b *device) { b.State = crdt.NewState(); b.id = replicaID(5) }, false, 220_000},
		"the initiator is new":        {func(w *world, a, b *device) { a.State = crdt.NewState(); a.id = replicaID(5) }, false, 220_000},
		"three replicas wrote":        {func(w *world, a, b *device) { advance(w, a, 3) }, false, 1000},
	} {
		w, a, b := retired(t, n)
		c.change(w, a, b)
		m := w.meet(a, b, c.believed)
		if err := m.run(); err != nil {
			t.Fatalf("%s: %.300v", name, err)
		}
		rows := 0
		for _, s := range m.sent {
			if s.bytes[1] == msgRows || s.bytes[1] == msgOpens {
				rows += s.size()
			}
		}
		t.Logf("%s: %d bytes in %d messages beyond %d of rows and bindings", name, m.bytes()-rows, len(m.sent), rows)
		if got := m.bytes() - rows; got > c.most {
			t.Errorf("%s: %d bytes beyond the rows, want at most %d\n%.2000s", name, got, c.most, m.transcript())
		}
		if !a.Equal(b.State) {
			t.Errorf("%s: the replicas differ", name)
		}
	}
}

// apart returns two devices with n values each, of which A deleted and forgot some since they met, and B some others; each wrote anew, too.
func apart(t testing.TB, n, deletedByA, deletedByB int) (w *world, a, b *device) {
	w = newWorld(t, "A", "B")
	a, b = w.devices[0], w.devices[1]
	path := func(i int) string { return fmt.Sprintf("notes/%06d", i) }
	for i := range n {
		w.write(w.devices[i%2], put(path(i), "x"))
	}
	w.sync(a, b)
	for i := range deletedByA {
		w.write(a, del(path(i*n/deletedByA)))
	}
	for i := range deletedByB {
		w.write(b, del(path(i*n/deletedByB+1)))
	}
	for _, d := range w.devices {
		w.write(d, put("new by "+d.name, "y"), put(path(7), "changed by "+d.name))
		w.forget(d)
	}
	return w, a, b
}

// said counts the messages of a type and their bytes.
func (m *meeting) said(kind uint8) (n, size int) {
	for _, s := range m.sent {
		if s.bytes[1] == kind {
			n++
			size += s.size()
		}
	}
	return n, size
}

// TestZombiesCostTheirNumber: below the floor a few dead values among many are told by a sketch, and many by names, of which there are 50 kB in
// each direction here.
func TestZombiesCostTheirNumber(t *testing.T) {
	const n = 5_000
	for _, c := range []struct{ dead, most int }{{1, 2_000}, {10, 8_000}, {100, 40_000}, {1000, 70_000}, {4_000, 70_000}} {
		w, a, b := apart(t, n, c.dead, min(c.dead, 20))
		m := w.meet(b, a, false)
		if err := m.run(); err != nil {
			t.Fatalf("%d dead: %.300v", c.dead, err)
		}
		asks, _ := m.said(msgAsk)
		mores, _ := m.said(msgMore)
		_, dead := m.said(msgDead)
		_, live := m.said(msgLive)
		_, rows := m.said(msgRows)
		t.Logf("%d dead of %d: %d bytes, of them %d of names, %d of dead ones, %d of rows; %d questions, %d times more", c.dead, n, m.bytes(), live, dead, rows, asks, mores)
		if m.bytes()-rows > c.most {
			t.Errorf("%d dead of %d: %d bytes beyond the rows, want at most %d", c.dead, n, m.bytes()-rows, c.most)
		}
		if err := w.checkAll(); err != nil {
			t.Fatal(err)
		}
		if !a.Equal(b.State) {
			t.Errorf("%d dead: the replicas differ", c.dead)
		}
	}
}

// TestAWrongDecodeIsNotTaken: whatever was read from symbols must have the hash, or the sum, that came with them. Else the whole is asked for.
func TestAWrongDecodeIsNotTaken(t *testing.T) {
	forge := func(key [16]byte, symbols []byte, x sketch.Item) []byte {
		k, err := sketch.Decode(key, symbols)
		if err != nil {
			t.Fatal(err)
		}
		k.Add(x)
		return k.Append([]byte{}, 0)
	}
	t.Run("vector", func(t *testing.T) {
		w, a, b := retired(t, 100)
		w.write(a, put("p", "1"))
		m := w.meet(a, b, false)
		var h hello
		if err := crdt.Unmarshal(m.inbox[1][0], &h); err != nil {
			t.Fatal(err)
		}
		for name, x := range map[string]sketch.Item{"an entry that is not there": entryItem(crdt.Dot{Replica: replicaID(9), Counter: 5}), "no entry": {9}} {
			w, a, b := retired(t, 100)
			w.write(a, put("p", "1"))
			m := w.meet(a, b, false)
			h.Entries = forge(h.Hash, h.Entries, x)
			m.inbox[1][0] = h.encode()
			if err := m.run(); err != nil {
				t.Fatal(err)
			}
			if whole, _ := m.said(msgVector); whole != 1 || !a.Equal(b.State) {
				t.Errorf("%s: the vector was told whole %d times:\n%s", name, whole, m.transcript())
			}
			h.Entries = forge(h.Hash, h.Entries, x) // for the next
		}
	})
	t.Run("live values", func(t *testing.T) {
		w, a, b := apart(t, 1000, 1, 0)
		m := w.meet(b, a, false)
		forged := 0
		for len(m.inbox[0])+len(m.inbox[1]) > 0 {
			for i := range m.inbox {
				for len(m.inbox[i]) > 0 {
					var q ask
					if msg := m.inbox[i][0]; msg[1] == msgAsk && q.decode(msg) == nil && q.Listed == listedSketch && i == 1 && forged == 0 {
						key := b.Context().Hash()
						x := nameItem(key, crdt.Name{Dot: crdt.Dot{Replica: a.id, Counter: 2}, Path: "notes/000002"})
						q.Sketch = append(append([]byte{}, q.Sketch[:16]...), forge(key, q.Sketch[16:], x)...)
						m.inbox[i][0] = q.encode()
						forged++
					}
					if err := m.deliver(i); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if mores, _ := m.said(msgMore); forged != 1 || mores != 1 || !a.Equal(b.State) {
			t.Errorf("forged %d, asked for more %d times:\n%s", forged, mores, m.transcript())
		}
		if err := w.checkAll(); err != nil {
			t.Error(err)
		}
	})
}

// TestEndlessMoreIsRefused: a peer that can never make out a sketch is told all in the end, and may ask nothing more.
func TestEndlessMoreIsRefused(t *testing.T) {
	w, a, b := retired(t, 1000)
	w.write(a, put("p", "1"))
	m := w.meet(a, b, false) // the vector has 9 kB; the first sketch is on its way
	for _, c := range []struct {
		symbols uint64
		ok      bool
	}{{16, false}, {sketch.SymbolsMax + 1, false}, {64, true}, {64, false}, {100, true}, {200, false}, {0, false}} {
		_, err := m.sessions[0].Receive(a, (&more{Type: msgMore, Symbols: c.symbols}).encode())
		if (err == nil) != c.ok || err != nil && !errors.Is(err, crdt.ErrDecode) {
			t.Errorf("MORE up to %d: %v", c.symbols, err)
		}
	}
}

// TestEndlessSketchesAreRefused: whoever is asked to go on with a sketch tells at least twice as much; else each small message would cost a pass over
// all that is here.
func TestEndlessSketchesAreRefused(t *testing.T) {
	t.Run("vector", func(t *testing.T) {
		w, a, b := retired(t, 1000)
		m := w.meet(a, b, false)
		var far crdt.Vector
		for i := range 1000 {
			far.Add(crdt.Dot{Replica: replicaID(50_000 + i), Counter: 1})
		}
		all := sketchVector(far, far.Hash(), 200)
		h := hello{Type: msgHello, Version: ProtocolVersion, Hash: far.Hash(), Form: formSketch, Entries: all.Prefix(20).Append([]byte{}, 0), Top: []byte{}}
		if _, err := m.sessions[1].Receive(b, h.encode()); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			to int
			ok bool
		}{{40, true}, {60, false}} {
			had := len(m.sessions[1].sighting.symbols)
			v := vector{Type: msgVector, Hash: far.Hash(), Form: formSketch, Entries: all.Prefix(c.to).Append([]byte{}, 0)[had:], Top: []byte{}}
			if _, err := m.sessions[1].Receive(b, v.encode()); (err == nil) != c.ok {
				t.Errorf("symbols up to %d: %v", c.to, err)
			}
		}
	})
	t.Run("live values", func(t *testing.T) {
		w, a, b := apart(t, 200, 1, 0)
		m := w.meet(b, a, false)
		play(t, m, 2) // both have said HELLO
		set := newNameSet(b.Context().Hash(), 64)
		for i := range 100 {
			set.add(crdt.Name{Dot: crdt.Dot{Replica: b.id, Counter: 1}, Path: fmt.Sprint(i)})
		}
		for _, c := range []struct {
			symbols int
			ok      bool
		}{{16, true}, {31, false}} {
			q := ask{Type: msgAsk, Listed: listedSketch, Sketch: set.append([]byte{}, c.symbols)}
			if _, err := m.sessions[1].Receive(a, q.encode()); (err == nil) != c.ok {
				t.Errorf("%d symbols: %v", c.symbols, err)
			}
		}
	})
}
