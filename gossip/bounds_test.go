package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"syncline/crdt"
)

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// swollen returns messages of rows that are small for what they hold: n of each kind, in as few bytes as the form allows.
func swollen(n int) map[string][]byte {
	dots := func(i int) crdt.Dot { return crdt.Dot{Replica: replicaID(1), Counter: uint64(1 + i)} }
	row := crdt.Row{Path: "p"}
	many := map[string][]crdt.Row{}
	for i := range n {
		row.Known = append(row.Known, crdt.KnownValue{Dot: dots(i)})
	}
	many["known values"] = []crdt.Row{row}
	row.Known = nil
	for i := range n {
		row.Deletes = append(row.Deletes, crdt.Delete{Dot: dots(i)})
	}
	many["deletes"] = []crdt.Row{row}
	row.Deletes = nil
	for i := range n {
		row.Values = append(row.Values, crdt.Value{Dot: dots(i)})
	}
	many["values"] = []crdt.Row{row}
	var from []crdt.Dot
	for i := range crdt.DescentMax {
		from = append(from, dots(i))
	}
	row.Values = nil
	for i := range n / crdt.DescentMax {
		row.Values = append(row.Values, crdt.Value{Dot: dots(i), Descent: crdt.Descent{Since: uint64(1 + i), From: from}})
	}
	many["descents"] = []crdt.Row{row}
	var rows []crdt.Row
	long := strings.Repeat("long/", 200)
	for i := range n / 4 {
		rows = append(rows, crdt.Row{Path: long + fmt.Sprintf("%07d", i), Known: []crdt.KnownValue{{Dot: dots(0)}}})
	}
	many["paths"] = rows
	msgs := map[string][]byte{}
	for name, rows := range many {
		msgs[name] = encodeRows(msgRows, rows)
	}
	return msgs
}

// TestASmallMessageTakesLittleMemory: whatever a message of rows holds, what is made of it is bounded before it is made.
func TestASmallMessageTakesLittleMemory(t *testing.T) {
	for name, msg := range swollen(400_000) {
		if len(msg) > MessageBytesMax {
			t.Fatalf("%s: the message has %d bytes", name, len(msg))
		}
		var err error
		n := allocated(func() { _, err = decodeRows(msg) })
		t.Logf("%d bytes of %s: %d bytes of memory", len(msg), name, n)
		if !errors.Is(err, crdt.ErrDecode) || n > 4*rowsMemoryMax {
			t.Errorf("%d bytes of %s take %d bytes of memory (%v)", len(msg), name, n, err)
		}
	}
}

// TestAnAnswerTakesBoundedMemory: many messages that are small for what they hold are refused when they come to too much together.
func TestAnAnswerTakesBoundedMemory(t *testing.T) {
	for _, kind := range []uint8{msgRows, msgLive, msgKill} {
		s := Session{knowTheirs: true, toldVector: true, more: true, waiting: true}
		var err error
		messages := 0
		for counter := 0; err == nil && messages < 1000; messages++ {
			row := crdt.Row{Path: fmt.Sprintf("p%07d", messages)}
			for range 100_000 {
				counter++
				row.Known = append(row.Known, crdt.KnownValue{Dot: crdt.Dot{Replica: replicaID(1), Counter: uint64(counter)}})
			}
			err = s.onRows(kind, encodeRows(kind, []crdt.Row{row}))
		}
		if want := AnswerMemoryMax / (100_000 * dotMemory); !errors.Is(err, crdt.ErrDecode) || messages > want+1 || messages < want {
			t.Errorf("messages of type %d: %d of 100,000 dots are taken, want %d (%v)", kind, messages-1, want, err)
		}
	}
}

// TestRowsOfAnySizeTravel: whatever a row holds most of, it is cut, and no message is larger than a message may be.
func TestRowsOfAnySizeTravel(t *testing.T) {
	const n = 150_000
	dots := func(i int) crdt.Dot { return crdt.Dot{Replica: replicaID(1 + i%50_000), Counter: uint64(1+i) << 40} }
	known, deletes, values := crdt.Row{Path: "known"}, crdt.Row{Path: "deletes"}, crdt.Row{Path: "values"}
	for i := range n {
		d := crdt.Dot{Replica: crdt.ReplicaID{0: 1, 5: byte(i >> 16), 6: byte(i >> 8), 7: byte(i)}, Counter: dots(i).Counter}
		known.Known = append(known.Known, crdt.KnownValue{Dot: d, Won: i%2 == 0})
		deletes.Deletes = append(deletes.Deletes, crdt.Delete{Dot: d, Time: crdt.Timestamp(uint64(i) * 0x9e3779b97f4a7c15)})
		values.Values = append(values.Values, crdt.Value{Dot: d, Time: crdt.Timestamp(uint64(i) * 0x9e3779b97f4a7c15),
			Type: strings.Repeat("t", 200+i%2), Resolved: true, Policy: strings.Repeat("p", 200+i%2), Data: []byte{}})
	}
	values.Values = values.Values[:n/4]
	long := make([]crdt.Row, 20_000)
	for i := range long {
		long[i] = crdt.Row{Path: strings.Repeat("x", 1000) + fmt.Sprintf("%06d", i), Known: known.Known[i : i+1]}
	}
	for kind, rows := range map[uint8][]crdt.Row{msgRows: {deletes, known, values}, msgLive: {known}, msgKill: long} {
		var from Session
		to := Session{knowTheirs: true, toldVector: true, more: true, waiting: true}
		from.sendRows(kind, rows)
		for msg := from.Next(); msg != nil; msg = from.Next() {
			if len(msg) > MessageBytesMax {
				t.Fatalf("type %d: a message of %d bytes", kind, len(msg))
			}
			if err := to.onRows(kind, msg); err != nil {
				t.Fatalf("type %d: %v", kind, err)
			}
		}
		if got := *map[uint8]*[]crdt.Row{msgRows: &to.rows, msgLive: &to.theirLive, msgKill: &to.kills}[kind]; !sameRows(got, rows) {
			t.Errorf("type %d: got %d rows, want %d", kind, len(got), len(rows))
		}
	}
}

// TestABoundaryIsAPathOrRightBehindOne: where an answer or a question begins and ends is kept on disk, so it is no longer than that.
func TestABoundaryIsAPathOrRightBehindOne(t *testing.T) {
	fits, long := strings.Repeat("x", crdt.PathBytesMax)+"\x00", strings.Repeat("x", crdt.PathBytesMax+2)
	for _, c := range []struct {
		to string
		ok bool
	}{{fits, true}, {long, false}} {
		var e end
		if err := e.decode((&end{Type: msgEnd, To: c.to}).encode()); (err == nil) != c.ok {
			t.Errorf("an END to %d bytes: %v", len(c.to), err)
		}
		for _, q := range []ask{{Type: msgAsk, To: c.to}, {Type: msgAsk, From: c.to}} {
			var a ask
			if err := a.decode(q.encode()); (err == nil) != c.ok {
				t.Errorf("an ASK about %d bytes: %v", len(c.to), err)
			}
		}
	}
	for ok, boundaries := range map[bool][]string{
		false: {"\x00", "p\x00\x00", "p\x1b[2J", "p/", "\xff", "/", "a//b"},
		true:  {"p", "p\x00", "/member", "/member\x00", ""},
	} {
		for _, b := range boundaries {
			for what, err := range map[string]error{
				"an END to":   new(end).decode((&end{Type: msgEnd, To: b}).encode()),
				"an ASK from": new(ask).decode((&ask{Type: msgAsk, From: b}).encode()),
				"an ASK to":   new(ask).decode((&ask{Type: msgAsk, To: b}).encode()),
			} {
				if (err == nil) != ok || err != nil && !errors.Is(err, crdt.ErrDecode) {
					t.Errorf("%s %q: %v", what, b, err)
				}
			}
		}
	}
}

// TestAFarewellIsShort: what is kept and shown of a peer's reason is bounded.
func TestAFarewellIsShort(t *testing.T) {
	for _, c := range []struct {
		code, text int
		ok         bool
	}{{byeCodeMax, byeTextMax, true}, {byeCodeMax + 1, 0, false}, {0, byeTextMax + 1, false}} {
		var m bye
		if err := m.decode((&bye{Type: msgBye, Code: strings.Repeat("c", c.code), Text: strings.Repeat("t", c.text)}).encode()); (err == nil) != c.ok {
			t.Errorf("a code of %d bytes and a text of %d: %v", c.code, c.text, err)
		}
	}
}

// TestQuestionsWaitForTheAnswer: whoever asks on while the last answer is not even taken would make us hold one answer for each question.
func TestQuestionsWaitForTheAnswer(t *testing.T) {
	w := newWorld(t, "A", "B")
	a, b := w.devices[0], w.devices[1]
	for i := range 10 {
		w.write(a, put(fmt.Sprint(i), "x"))
	}
	w.write(b, put("b", "x"))
	w.limits = crdt.Limits{Rows: 2, Bytes: 1 << 20, Names: 100}
	m := w.meet(b, a, false)
	s := m.sessions[1]
	if _, err := s.Receive(a, m.inbox[1][0]); err != nil || !s.answered || s.next == "" {
		t.Fatalf("HELLO was not answered in part: %v", err)
	}
	q := (&ask{Type: msgAsk, From: "5", Sketch: []byte{}}).encode()
	if _, err := s.Receive(a, q); !errors.Is(err, crdt.ErrDecode) {
		t.Errorf("a question before the answer was taken: %v", err)
	}
	for s.Next() != nil {
	}
	if _, err := s.Receive(a, q); err != nil {
		t.Errorf("a question after it: %v", err)
	}
}

// TestAListOfWhatIsLiveIsBoundedInBytes: with long paths a question is about fewer of them, so that what it lists fits, and the session
// goes on with the others.
func TestAListOfWhatIsLiveIsBoundedInBytes(t *testing.T) {
	for _, names := range []int{0, 1000} { // by a walk, and from the names
		w := newWorld(t, "A", "B")
		a, b := w.devices[0], w.devices[1]
		w.limits = crdt.Limits{Rows: 1000, Bytes: 50_000, Names: names}
		for i := range 300 {
			w.write(a, put(strings.Repeat("x", 1000)+fmt.Sprintf("%03d", i), "1"))
		}
		w.sync(b, a)
		for i := range 10 {
			w.write(a, del(strings.Repeat("x", 1000)+fmt.Sprintf("%03d", 30*i)))
		}
		w.forget(a)
		listed := 0
		m := w.meet(b, a, false)
		if err := m.run(); err != nil {
			t.Fatal(err)
		}
		for _, s := range m.sent {
			if s.bytes[1] == msgLive {
				rows, err := decodeRows(s.bytes)
				if err != nil {
					t.Fatal(err)
				}
				listed = max(listed, len(rows))
			}
		}
		if !a.Equal(b.State) || listed > 60 {
			t.Errorf("names %d: %d of 300 long paths are listed at once, equal %v", names, listed, a.Equal(b.State))
		}
	}
}

// TestASketchIsNoLongerThanWhatIsTold: a few symbols that are said to stand for a million of millions of values cost no walk through all that
// is live here.
func TestASketchIsNoLongerThanWhatIsTold(t *testing.T) {
	w, a, b := apart(t, 2000, 1, 0)
	w.limits = crdt.Limits{Rows: 100, Bytes: 1 << 20, Names: 100}
	m := w.meet(b, a, false)
	play(t, m, 2) // both have said HELLO
	forged := append(make([]byte, 40), binary.AppendUvarint(nil, 1<<40)...)
	counted := &countingView{device: a}
	q := ask{Type: msgAsk, Listed: listedSketch, Sketch: forged}
	if _, err := m.sessions[1].Receive(counted, q.encode()); err != nil {
		t.Fatal(err)
	}
	if counted.names > 1000 {
		t.Errorf("%d names were looked at", counted.names)
	}
}

// A countingView counts the names of live values that are looked at.
type countingView struct {
	*device
	names int
}

func (c *countingView) LiveAbove(v crdt.Vector) crdt.NameSeq {
	return func(yield func(crdt.Name, error) bool) {
		for n, err := range c.device.LiveAbove(v) {
			if c.names++; !yield(n, err) {
				return
			}
		}
	}
}

// TestAPathOfTooManyValuesIsLeftOut: what one path holds beyond what an answer may is in nobody's way. Everything else comes, at both ends it is
// known which path it is, and once it is settled it comes, too.
func TestAPathOfTooManyValuesIsLeftOut(t *testing.T) {
	crowd := func(w *world, d *device, path string, n int) {
		for i := range n {
			w.write(d, crdt.Change{Path: path, Data: []byte(fmt.Sprint(i))}) // beside the others
		}
	}
	for _, first := range []int{0, 1} { // who begins
		for _, floor := range []bool{false, true} {
			w := newWorld(t, "A", "B")
			a, b := w.devices[0], w.devices[1]
			w.rowsMemory = 40 * valueMemory
			if floor {
				w.write(a, put("k0", "old"), put("z", "old"))
				w.sync(a, b)
				w.write(a, del("z"))
				w.forget(a)
			}
			for i := range 20 {
				w.write(a, put(fmt.Sprint("k", i), "x"))
			}
			crowd(w, a, "k10", 100)
			crowd(w, a, "k11", 30) // fits, but not beside others
			crowd(w, a, "k2", 100)
			w.write(b, put("own", "x"))
			meet := func() *meeting {
				m := w.meet(w.devices[first], w.devices[1-first], false)
				if err := m.run(); err != nil {
					t.Fatalf("floor %v: %v\n%s", floor, err, m.transcript())
				}
				return m
			}
			for range 2 {
				m := meet()
				for i, s := range m.sessions {
					if r := s.Result(); !slices.Equal(r.Left, []string{"k10", "k2"}) || r.SameHash || r.Diverged {
						t.Errorf("floor %v: end %d found %+v\n%s", floor, i, r, m.transcript())
					}
				}
				for _, path := range a.Paths() {
					want := len(a.Get(path).Live)
					if path == "k10" || path == "k2" {
						want = 0
					}
					if got := len(b.Get(path).Live); got != want {
						t.Errorf("floor %v: %d values of %s came, want %d\n%s", floor, got, path, want, m.transcript())
					}
				}
				if len(b.Get("z").Live) > 0 || len(a.Get("own").Live) != 1 {
					t.Errorf("floor %v: a delete or the other direction is missing", floor)
				}
				for _, d := range w.devices {
					if err := w.check(d); err != nil {
						t.Error(err)
					}
				}
				w.write(a, put("later", "x"))
			}
			w.write(a, put("k10", "settled"), put("k2", "settled"))
			if m := meet(); !a.Equal(b.State) || len(b.Parts()) != 1 {
				t.Errorf("floor %v: after it is settled the two differ\n%s", floor, m.transcript())
			}
		}
	}
}

// TestWhatBothLeaveOutIsNamedOnce: each end has too many values of the path.
func TestWhatBothLeaveOutIsNamedOnce(t *testing.T) {
	w := newWorld(t, "A", "B")
	w.rowsMemory = 10 * valueMemory
	for _, d := range w.devices {
		for _, path := range []string{"q", "p"} {
			for i := range 20 {
				w.write(d, crdt.Change{Path: path, Data: []byte(d.name + fmt.Sprint(i))})
			}
		}
	}
	m := w.sync(w.devices[0], w.devices[1])
	for i, s := range m.sessions {
		if left := s.Result().Left; !slices.Equal(left, []string{"p", "q"}) {
			t.Errorf("end %d: %q\n%s", i, left, m.transcript())
		}
	}
}

// TestWhatIsLeftOutIsWhatWasAskedFor: nobody is led astray by it.
func TestWhatIsLeftOutIsWhatWasAskedFor(t *testing.T) {
	w := newWorld(t, "A")
	for name, s := range map[string]*Session{
		"nothing is due":     {from: "p"},
		"another path":       {waiting: true, from: "o"},
		"all paths":          {waiting: true},
		"behind a path":      {waiting: true, from: "p\x00"},
		"no path":            {waiting: true, from: "p\x1b[2J"},
		"an answer has come": {waiting: true, from: "p", rows: make([]crdt.Row, 1)},
	} {
		path := "p"
		if name == "behind a path" || name == "all paths" || name == "no path" {
			path = s.from
		}
		if _, err := s.Receive(w.devices[0], (&left{Type: msgLeft, Path: path}).encode()); !errors.Is(err, crdt.ErrDecode) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTheLargestRowsAreTaken: the rows that an answer may hold are taken, in one row and in many, beside as many bindings and kills as there may
// be; and no row that is more gets into one.
func TestTheLargestRowsAreTaken(t *testing.T) {
	row := func(path string, n int) crdt.Row {
		r := crdt.Row{Path: path, Values: make([]crdt.Value, n)}
		for i := range r.Values {
			r.Values[i] = crdt.Value{Dot: crdt.Dot{Replica: replicaID(1), Counter: uint64(1 + i)}, Data: []byte{}}
		}
		return r
	}
	most := (rowsLoadMax.memory - rowMemory - 4) / valueMemory
	tooMany := &crdt.Delta{From: "busy", Rows: []crdt.Row{row("busy", most+1)}}
	if fit(tooMany, rowsLoadMax) {
		t.Errorf("a row of %d values is answered", most+1)
	}
	for name, d := range map[string]*crdt.Delta{
		"one":  {From: "busy", Rows: []crdt.Row{row("busy", most)}},
		"many": {Rows: []crdt.Row{row("a", most/2), row("b", most/2-2), row("c", most/2)}},
	} {
		if !fit(d, rowsLoadMax) || name == "many" && (len(d.Rows) != 2 || d.To != "c") {
			t.Fatalf("%s: %d rows up to %q", name, len(d.Rows), d.To)
		}
		var from Session
		from.sendRows(msgRows, d.Rows)
		to := Session{waiting: true, load: load{memory: 100_000*rowMemory + answerLimits.Names*(rowMemory+dotMemory) + answerLimits.Bytes}}
		for msg := from.Next(); msg != nil; msg = from.Next() {
			if err := to.onRows(msgRows, msg); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

// TestNothingHidesBehindWhatIsLeftOut: however many paths are left out, and whatever lies between them, some sessions come to all others, and then each
// names all of them, as far as there is room for names.
func TestNothingHidesBehindWhatIsLeftOut(t *testing.T) {
	const crowded = asksMax + asksMax/8
	for _, between := range []bool{false, true} {
		w := newWorld(t, "A", "B")
		a, b := w.devices[0], w.devices[1]
		w.rowsMemory = 3 * valueMemory
		var want []string
		for i := range crowded {
			path := fmt.Sprintf("crowded/%04d", i)
			want = append(want, path)
			for k := range 4 {
				w.write(a, crdt.Change{Path: path, Data: []byte(fmt.Sprint(k))})
			}
			if between {
				w.write(a, put(path+"/behind", "x"))
			}
		}
		w.write(a, put("last", "x"))
		sessions := 0
		for ; len(b.Get("last").Live) == 0; sessions++ {
			if sessions > 5 {
				t.Fatalf("between %v: after %d sessions the last path has not come", between, sessions)
			}
			m := w.sync(b, a)
			if r := m.sessions[0].Result(); r.Done != (len(b.Get("last").Live) > 0) {
				t.Errorf("between %v: done %v, and the last path has come %v", between, r.Done, !r.Done)
			}
		}
		t.Logf("between %v: %d sessions", between, sessions)
		m := w.sync(b, a)
		for i, s := range m.sessions {
			if r := s.Result(); !slices.Equal(r.Left, want) || !r.Done {
				t.Errorf("between %v: end %d names %d paths, want %d", between, i, len(r.Left), len(want))
			}
		}
		if got, all := len(b.Paths()), len(a.Paths()); got != all-crowded {
			t.Errorf("between %v: %d paths came, want %d", between, got, all-crowded)
		}
	}
}

// TestAFarewellIsReadable: the reason of a peer is shown to people, on terminals, too.
func TestAFarewellIsReadable(t *testing.T) {
	w := newWorld(t, "A")
	for code, ok := range map[string]bool{"rolled_back": true, "\x1b[2Jfetched": false, "a\nb": false, "\u009b2J": false, "": true} {
		s := NewSession(SessionConfig{})
		_, err := s.Receive(w.devices[0], (&bye{Type: msgBye, Code: code}).encode())
		if (err == nil) != ok || s.Finished() != ok || err != nil && !errors.Is(err, crdt.ErrDecode) {
			t.Errorf("%q: %v, kept %q", code, err, s.Result().Refused)
		}
	}
}

// TestRangesAreBounded: a peer that ends each answer somewhere else, always under another context, does not cut a replica into ranges without end, each
// with contexts of its own that every commit writes. Where a range begins already an answer may end.
func TestRangesAreBounded(t *testing.T) {
	w := newWorld(t, "A")
	a := w.devices[0]
	for i := range rangesMax - 1 {
		a.Cut(fmt.Sprintf("p%05d", i))
	}
	for to, ok := range map[string]bool{"p00001": true, "p00001x": false, "q": false} {
		s := &Session{waiting: true}
		d, err := s.Receive(a, (&end{Type: msgEnd, Asked: crdt.Vector{}.Hash(), Hash: crdt.Vector{}.Hash(), To: to}).encode())
		if err != nil || (d != nil) != ok || s.short == ok || s.doneHere == ok {
			t.Errorf("up to %q: taken %v, done %v, short %v, %v", to, d != nil, s.doneHere, s.short, err)
		}
	}
}
