package gossip

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"syncline/crdt"
)

// encodeRows returns rows as one message, however large.
func encodeRows(kind uint8, rows []crdt.Row) []byte {
	b := newRowsBuilder(kind)
	for i := range rows {
		b.add(&rows[i])
	}
	return b.finish()
}

// anyRows generates rows as a sender might make them: few replicas, counters that jump, all kinds of shapes.
func anyRows() *rapid.Generator[[]crdt.Row] {
	return rapid.Custom(func(t *rapid.T) []crdt.Row {
		paths := rapid.SliceOfNDistinct(rapid.StringMatching(`/?([abé]{1,6}/){0,3}[a-z]{1,9}`), 0, 40, rapid.ID).Draw(t, "paths")
		slices.Sort(paths)
		replicas := rapid.IntRange(1, 5).Draw(t, "replicas")
		dots := func(label string, least int) []crdt.Dot {
			ds := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) crdt.Dot {
				return crdt.Dot{Replica: replicaID(rapid.IntRange(1, replicas).Draw(t, "replica")),
					Counter: rapid.OneOf(rapid.Uint64Range(1, 20), rapid.Uint64Range(1, crdt.CounterMax)).Draw(t, "counter")}
			}), least, 4, rapid.ID).Draw(t, label)
			slices.SortFunc(ds, crdt.Dot.Compare)
			return ds
		}
		moment := rapid.OneOf(rapid.Just(crdt.At(wallMillis)), rapid.Custom(func(t *rapid.T) crdt.Timestamp { return crdt.Timestamp(rapid.Uint64().Draw(t, "time")) }))
		var rows []crdt.Row
		for _, path := range paths {
			row := crdt.Row{Path: path}
			for _, d := range dots("values", 0) {
				resolved := rapid.Bool().Draw(t, "resolved")
				v := crdt.Value{Dot: d, Time: moment.Draw(t, "time"), Kind: crdt.Kind(rapid.IntRange(0, 1).Draw(t, "kind")),
					Type: rapid.SampledFrom([]string{"", "text/plain; charset=utf-8", "application/json", "image/x-" + strings.Repeat("y", 100)}).Draw(t, "type"),
					Data: rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "data"), Won: rapid.Bool().Draw(t, "won"), Resolved: resolved}
				if rapid.Bool().Draw(t, "descent") {
					v.Descent.Since = d.Counter - rapid.OneOf(rapid.Just(uint64(0)), rapid.Uint64Range(0, d.Counter-1)).Draw(t, "back")
					v.Descent.From = slices.Clip(dots("from", 0))
				}
				if resolved {
					v.Policy = rapid.SampledFrom([]string{"", "merge:json", "merge:text"}).Draw(t, "policy")
				}
				row.Values = append(row.Values, v)
			}
			for _, d := range dots("known", 0) {
				row.Known = append(row.Known, crdt.KnownValue{Dot: d, Won: rapid.Bool().Draw(t, "won")})
			}
			for _, d := range dots("deletes", 0) {
				row.Deletes = append(row.Deletes, crdt.Delete{Dot: d, Time: moment.Draw(t, "time")})
			}
			rows = append(rows, row)
		}
		return rows
	})
}

func sameRows(a, b []crdt.Row) bool {
	return slices.EqualFunc(a, b, func(x, y crdt.Row) bool {
		return x.Path == y.Path && slices.Equal(x.Known, y.Known) && slices.Equal(x.Deletes, y.Deletes) &&
			slices.EqualFunc(x.Values, y.Values, func(v, w crdt.Value) bool {
				return v.Dot == w.Dot && v.Time == w.Time && v.Kind == w.Kind && v.Won == w.Won && v.Resolved == w.Resolved && v.SameContent(w) &&
					v.Policy == w.Policy && v.Descent.Since == w.Descent.Since && slices.Equal(v.Descent.From, w.Descent.From)
			})
	})
}

func TestRowsComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := anyRows().Draw(t, "rows")
		msg := encodeRows(msgRows, rows)
		got, err := decodeRows(msg)
		if err != nil || !sameRows(got, rows) {
			t.Fatalf("got %v, %v\nwant %v", got, err, rows)
		}
	})
}

// TestRowsThatFillManyMessagesComeBackAsTheyWere sends rows through the two ends of a session, large ones in parts.
func TestRowsThatFillManyMessagesComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := anyRows().Draw(t, "rows")
		for i := range rows {
			for k := range rows[i].Values {
				if size := rapid.SampledFrom([]int{0, 0, 0, 100_000, 250_000, crdt.ValueBytesMax}).Draw(t, "size"); size > 0 {
					rows[i].Values[k].Data = bytes.Repeat([]byte{byte(i)}, size)
				}
			}
		}
		var from Session
		to := Session{knowTheirs: true, toldVector: true, waiting: true}
		from.sendRows(msgRows, rows)
		for msg := from.Next(); msg != nil; msg = from.Next() {
			if len(msg) > crdt.ValueBytesMax+FrameBytesMax {
				t.Fatalf("a message of %d bytes", len(msg))
			}
			if err := to.onRows(msgRows, msg); err != nil {
				t.Fatal(err)
			}
		}
		if !sameRows(to.rows, rows) {
			t.Fatalf("got %d rows, want %d", len(to.rows), len(rows))
		}
	})
}

// sampleRows has one of everything.
func sampleRows() []crdt.Row {
	a, b := replicaID(1), replicaID(2)
	at := crdt.At(wallMillis)
	return []crdt.Row{
		{Path: "notes/alpha", Values: []crdt.Value{{Dot: crdt.Dot{Replica: a, Counter: 7}, Time: at, Type: "text/plain; charset=utf-8", Data: []byte("milk"),
			Descent: crdt.Descent{Since: 7}}}},
		{Path: "notes/beta", Values: []crdt.Value{{Dot: crdt.Dot{Replica: a, Counter: 7}, Time: at, Type: "text/plain; charset=utf-8", Data: []byte{},
			Descent: crdt.Descent{Since: 2}}},
			Known: []crdt.KnownValue{{Dot: crdt.Dot{Replica: b, Counter: 3}, Won: true}}, Deletes: []crdt.Delete{{Dot: crdt.Dot{Replica: a, Counter: 5}, Time: at - 65536*1000}}},
		{Path: "photos/1", Values: []crdt.Value{{Dot: crdt.Dot{Replica: a, Counter: 8}, Time: at + 3, Kind: crdt.LWW, Type: "image/png", Data: []byte{1, 2, 3}, Won: true, Resolved: true,
			Policy: "merge:text", Descent: crdt.Descent{Since: 8, From: []crdt.Dot{{Replica: a, Counter: 5}, {Replica: b, Counter: 3}}}}}},
	}
}

func TestRowsAreRefusedUnlessCanonical(t *testing.T) {
	id, other := replicaID(1), replicaID(2)
	base := func() wireRows {
		return wireRows{Type: msgRows, Replicas: id[:], Shapes: []byte{2, 1, 0, 0}, Paths: []byte{0, 2, 'a', 'a', 1, 1, 'b'}, Indexes: []byte{2, 0}, Counters: []byte{2, 2},
			Times: []byte{2, 0, 2, 0}, Flags: []byte{2, 0}, Types: []byte{2, 0}, Sizes: []byte{0, 0}, Data: []byte{}}
	}
	const policy, unresolved, isNew, again, from = rowPolicy | rowResolved, rowPolicy, byte(crdt.DescentNew) << rowDescentShift, byte(crdt.DescentAgain) << rowDescentShift, byte(crdt.DescentFrom) << rowDescentShift
	good := base()
	good.Flags, good.Backs, good.Froms = []byte{1, from | policy, 1, isNew}, []byte{0}, []byte{1, 1}
	good.Origins, good.OriginCounters, good.Policies = []byte{1, 0}, []byte{2}, []byte{1, 1, 'p'}
	if rows, err := decodeRows(good.encode()); err != nil {
		t.Fatalf("descents and a policy: %v, %v", rows, err)
	}

	w := base()
	if _, err := decodeRows(crdt.Marshal(&w)); err != nil {
		t.Fatalf("the frame that the others are made of: %v", err)
	}
	for name, alter := range map[string]func(*wireRows){
		"shared too short":     func(w *wireRows) { w.Paths = []byte{0, 2, 'a', 'a', 0, 2, 'a', 'b'} },
		"shared too long":      func(w *wireRows) { w.Paths = []byte{0, 2, 'a', 'a', 3, 1, 'b'} },
		"paths out of order":   func(w *wireRows) { w.Paths = []byte{0, 2, 'b', 'b', 0, 1, 'a'} },
		"the same path twice":  func(w *wireRows) { w.Paths = []byte{0, 2, 'a', 'a', 2, 0} },
		"two runs of the same": func(w *wireRows) { w.Flags = []byte{1, 0, 1, 0} },
		"an empty run":         func(w *wireRows) { w.Flags = []byte{0, 1, 2, 0} },
		"a run too long":       func(w *wireRows) { w.Types = []byte{3, 0} },
		"a run too short":      func(w *wireRows) { w.Types = []byte{1, 0} },
		"replica not used":     func(w *wireRows) { w.Replicas = append(id[:], other[:]...) },
		"replica out of order": func(w *wireRows) { w.Replicas = append(id[:], other[:]...); w.Indexes = []byte{1, 1, 1, 0} },
		"replica twice":        func(w *wireRows) { w.Replicas = append(id[:], id[:]...); w.Indexes = []byte{1, 0, 1, 1} },
		"replica unknown":      func(w *wireRows) { w.Indexes = []byte{2, 1} },
		"replica cut":          func(w *wireRows) { w.Replicas = id[:7] },
		"replica zero":         func(w *wireRows) { w.Replicas = make([]byte, 8) },
		"unknown flag":         func(w *wireRows) { w.Flags = []byte{2, 64} },
		"policy left out":      func(w *wireRows) { w.Flags = []byte{2, policy} },
		"policy of no name":    func(w *wireRows) { w.Flags, w.Policies = []byte{2, policy}, []byte{2, 0} },
		"policy, not settled":  func(w *wireRows) { w.Flags, w.Policies = []byte{2, unresolved}, []byte{2, 1, 'p'} },
		"policy left over":     func(w *wireRows) { w.Policies = []byte{1, 1, 'p'} },
		"run of one":           func(w *wireRows) { w.Flags, w.Backs = []byte{1, again, 1, 0}, []byte{0} },
		"run before the first": func(w *wireRows) { w.Flags, w.Backs = []byte{1, again, 1, 0}, []byte{2} },
		"run left out":         func(w *wireRows) { w.Flags = []byte{1, 0, 1, again} },
		"run left over":        func(w *wireRows) { w.Backs = []byte{0} },
		"from none":            func(w *wireRows) { w.Flags, w.Backs, w.Froms = []byte{1, from, 1, 0}, []byte{0}, []byte{1, 0} },
		"from, not named":      func(w *wireRows) { w.Flags, w.Backs, w.Froms = []byte{1, from, 1, 0}, []byte{0}, []byte{1, 1} },
		"from too many": func(w *wireRows) {
			w.Flags, w.Backs, w.Froms = []byte{1, from, 1, 0}, []byte{0}, []byte{1, 17}
			w.Origins, w.OriginCounters = []byte{17, 0}, bytes.Repeat([]byte{2}, 17)
		},
		"from out of order": func(w *wireRows) {
			w.Flags, w.Backs, w.Froms, w.Origins, w.OriginCounters = []byte{1, from, 1, 0}, []byte{0}, []byte{1, 2}, []byte{2, 0}, []byte{4, 1}
		},
		"origins left over": func(w *wireRows) { w.Origins, w.OriginCounters = []byte{1, 0}, []byte{2} },
		"flags of a known": func(w *wireRows) {
			w.Shapes = []byte{1, 1, 0, 0, 1, 0, 1, 0}
			w.Times, w.Types, w.Sizes, w.Flags = []byte{2, 0}, []byte{1, 0}, []byte{0}, []byte{1, 0, 1, 1}
		},
		"counter zero":          func(w *wireRows) { w.Counters = []byte{2, 1} },
		"counter negative":      func(w *wireRows) { w.Counters = []byte{2, 9} },
		"counter beyond bound":  func(w *wireRows) { w.Counters = crdt.AppendVarint([]byte{2}, 1<<58) },
		"time negative":         func(w *wireRows) { w.Times = []byte{1, 0, 2, 0} },
		"time beyond 48 bits":   func(w *wireRows) { w.Times = append(crdt.AppendVarint(nil, 1<<48), 0, 2, 0) },
		"logical time too much": func(w *wireRows) { w.Times = []byte{2, 0x80, 0x80, 0x04, 2, 0} },
		"long varint":           func(w *wireRows) { w.Sizes = []byte{0, 0x80, 0} },
		"size beyond data":      func(w *wireRows) { w.Sizes = []byte{0, 1} },
		"data left over":        func(w *wireRows) { w.Data = []byte{1} },
		"unknown short type":    func(w *wireRows) { w.Types = []byte{2, 1, 0x1f} },
		"long form of a short":  func(w *wireRows) { w.Types = append([]byte{2, 16}, "application/json"...) },
		"many values, no bytes": func(w *wireRows) { w.Shapes = []byte{2, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0} },
		"many known, no bytes":  func(w *wireRows) { w.Shapes = []byte{2, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0} },
		"bad path":              func(w *wireRows) { w.Paths = []byte{0, 2, '.', '.', 0, 1, 'b'} },
	} {
		w := base()
		alter(&w)
		if rows, err := decodeRows(crdt.Marshal(&w)); !errors.Is(err, crdt.ErrDecode) {
			t.Errorf("%s: got %v, %v", name, rows, err)
		}
	}
}

// FuzzDecodeRows: whatever decodes is what a sender would have sent.
func FuzzDecodeRows(f *testing.F) {
	f.Add(encodeRows(msgRows, sampleRows()))
	f.Add(encodeRows(msgLive, nameRows([]crdt.Name{{Dot: crdt.Dot{Replica: replicaID(1), Counter: 3}, Path: "p"}})))
	f.Add(encodeRows(msgRows, nil))
	rapidSeed := rapid.Custom(func(t *rapid.T) []byte { return encodeRows(msgRows, anyRows().Draw(t, "rows")) })
	for i := range 20 {
		f.Add(rapidSeed.Example(i))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		var rows []crdt.Row
		var err error
		if n := allocated(func() { rows, err = decodeRows(msg) }); n > 4*rowsMemoryMax {
			t.Fatalf("%d bytes become %d", len(msg), n)
		}
		if err != nil {
			if !errors.Is(err, crdt.ErrDecode) {
				t.Errorf("the error is %v", err)
			}
			return
		}
		if again := encodeRows(msg[1], rows); !bytes.Equal(again, msg) {
			t.Errorf("two encodings of the same:\n%x\n%x", msg, again)
		}
	})
}

// TestRowsCostFewBytes measures what a row costs beside its path and its value.
func TestRowsCostFewBytes(t *testing.T) {
	for _, n := range []int{1, 10, 100, 1000, 100_000} {
		var from Session
		rows := manyRows(n)
		payload, wire := 0, 0
		for _, r := range rows {
			payload += len(r.Path) + len(r.Values[0].Data)
		}
		from.sendRows(msgRows, rows)
		for msg := from.Next(); msg != nil; msg = from.Next() {
			wire += message{bytes: msg}.size()
		}
		ratio := float64(wire) / float64(payload)
		t.Logf("%6d rows of %d bytes of path and %d of value: %.4f times the payload, %.2f bytes a row", n, len(rows[0].Path), len(rows[0].Values[0].Data), ratio, float64(wire)/float64(n))
		if n >= 100 && ratio > 1.05 {
			t.Errorf("%d rows cost %.4f times their payload, want at most 1.05", n, ratio)
		}
	}
}

// manyRows returns n rows as a device writes them over some time: paths of 20 bytes, values of 64 that do not compress.
func manyRows(n int) []crdt.Row {
	r := newRand(int64(n))
	rows := make([]crdt.Row, n)
	millis := int64(wallMillis)
	for i := range rows {
		data := make([]byte, 64)
		for k := range data {
			data[k] = byte(r.Uint32())
		}
		millis += r.Int64N(5000)
		rows[i] = crdt.Row{Path: fmt.Sprintf("sensors/room/%07d", i), Values: []crdt.Value{{Dot: crdt.Dot{Replica: replicaID(1), Counter: uint64(10_000 + i)},
			Time: crdt.At(millis), Type: "application/octet-stream", Data: data}}}
	}
	return rows
}

func TestRowsInAnyOrderOfCountersStayCheap(t *testing.T) {
	rows := manyRows(1000)
	r := newRand(1)
	for i, k := range r.Perm(len(rows)) { // the paths' order is not the order in which they were written
		rows[i].Values[0].Dot.Counter = uint64(10_000 + k)
		rows[i].Values[0].Time = crdt.At(wallMillis + int64(k)*3000)
		rows[i].Values[0].Dot.Replica = replicaID(1 + i%3)
	}
	wire := len(encodeRows(msgRows, rows))
	t.Logf("1000 rows of 3 replicas, shuffled: %.4f times the payload, %.2f bytes a row", float64(wire)/84_000, float64(wire)/1000)
	if wire > 96_000 {
		t.Errorf("%d bytes, want at most 96,000", wire)
	}
}

// TestDescentsCostFewBytes: what a descent adds to a row of 84 bytes, for 1000 values that replaced others of their own replica or of
// another one.
func TestDescentsCostFewBytes(t *testing.T) {
	r := newRand(1)
	once := 0
	for _, c := range []struct {
		name     string
		bytesMax float64 // a row
		descent  func(i int, d crdt.Dot) crdt.Descent
	}{
		{"written once", 0, func(i int, d crdt.Dot) crdt.Descent { return crdt.Descent{Since: d.Counter} }},
		{"written twice, in order", 1.1, func(i int, d crdt.Dot) crdt.Descent { return crdt.Descent{Since: d.Counter - 1000} }},
		{"written often, in any order", 2.5, func(i int, d crdt.Dot) crdt.Descent { return crdt.Descent{Since: 1 + r.Uint64N(d.Counter)} }},
		{"over those of another device, in order", 2.5, func(i int, d crdt.Dot) crdt.Descent {
			return crdt.Descent{Since: d.Counter, From: []crdt.Dot{{Replica: replicaID(2), Counter: uint64(1 + i)}}}
		}},
		{"often over those of another device, in any order", 5, func(i int, d crdt.Dot) crdt.Descent {
			return crdt.Descent{Since: 1 + r.Uint64N(d.Counter), From: []crdt.Dot{{Replica: replicaID(2), Counter: 1 + r.Uint64N(10_000)}}}
		}},
	} {
		rows := manyRows(1000)
		for i := range rows {
			rows[i].Values[0].Descent = c.descent(i, rows[i].Values[0].Dot)
		}
		wire := len(encodeRows(msgRows, rows))
		if once == 0 {
			once = wire
		}
		more := float64(wire-once) / 1000
		t.Logf("%s: %.2f bytes a row more, %.4f times the payload", c.name, more, float64(wire)/84_000)
		if more > c.bytesMax || wire > 84_000 {
			t.Errorf("%s: %.2f bytes a row, want at most %.1f", c.name, more, c.bytesMax)
		}
	}
}

func BenchmarkRowsEncode(b *testing.B) {
	rows := manyRows(1000)
	b.ReportAllocs()
	b.SetBytes(int64(len(encodeRows(msgRows, rows))))
	for b.Loop() {
		encodeRows(msgRows, rows)
	}
}

func BenchmarkRowsDecode(b *testing.B) {
	msg := encodeRows(msgRows, manyRows(1000))
	b.ReportAllocs()
	b.SetBytes(int64(len(msg)))
	for b.Loop() {
		if _, err := decodeRows(msg); err != nil {
			b.Fatal(err)
		}
	}
}

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
