package crdt

import (
	"slices"
	"testing"
)

// A lineage writes values of one path as replicas do that hold what the test says.
type lineage map[string]Value

// write makes the value of a dot over others, and keeps it under a name.
func (l lineage) write(name string, d Dot, over ...string) {
	var reg Register
	var preds []Dot
	for _, o := range over {
		reg = reg.withValue(l[o])
		preds = append(preds, l[o].Dot)
	}
	slices.SortFunc(preds, Dot.Compare)
	l[name] = Value{Dot: d, Descent: descend(d, preds, nil, reg), Data: []byte(name)}
}

func (l lineage) values(names ...string) (vs []Value) {
	for _, n := range names {
		vs = append(vs, l[n])
	}
	return vs
}

// TestCommonAncestor: two devices, a and b, and what is at hand of the past.
func TestCommonAncestor(t *testing.T) {
	l := lineage{}
	const a, b, c = 1, 2, 3
	l.write("x", dot(c, 5))
	l.write("a1", dot(a, 1), "x")
	l.write("a2", dot(a, 4), "a1")
	l.write("a3", dot(a, 9), "a2")
	l.write("b1", dot(b, 1), "x")
	l.write("b2", dot(b, 2), "b1")
	l.write("b over a1", dot(b, 7), "a1")
	l.write("a over both", dot(a, 20), "a3", "b2")
	l.write("b over both", dot(b, 20), "a3", "b2")
	l.write("new at a", dot(a, 30))
	l.write("new at b", dot(b, 30))
	l.write("new at b, again", dot(b, 31), "new at b")
	l["old"] = Value{Dot: dot(c, 1), Data: []byte("old")}
	l.write("a over old", dot(a, 40), "old")
	l.write("b over old", dot(b, 40), "old")
	for _, row := range []struct {
		name       string
		live, past []string
		want       string
		how        Ancestry
	}{
		{"one write each", []string{"a1", "b1"}, []string{"x"}, "x", AncestorFound},
		{"many writes each, none of them at hand", []string{"a3", "b2"}, []string{"x"}, "x", AncestorFound},
		{"one wrote over an earlier value of the other", []string{"a3", "b over a1"}, []string{"x", "a1"}, "a1", AncestorFound},
		{"of which the value is not at hand", []string{"a3", "b over a1"}, []string{"x"}, "", AncestorMissing},
		{"the base is not at hand", []string{"a3", "b2"}, []string{"a2"}, "", AncestorMissing},
		{"both settled the same values", []string{"a over both", "b over both"}, []string{"x", "a3", "b2"}, "", AncestorSeveral},
		{"one settled what the other went on with", []string{"a over both", "b over a1"}, []string{"x", "a1", "a3", "b2"}, "a1", AncestorFound},
		{"what was settled is not at hand", []string{"a over both", "b over a1"}, []string{"x", "a1", "a3"}, "", AncestorMissing},
		{"begun apart", []string{"new at a", "new at b"}, []string{"x"}, "", AncestorNothing},
		{"begun apart, and one went on", []string{"new at a", "new at b, again"}, []string{"x"}, "", AncestorNone},
		{"one of them begun apart", []string{"new at a", "b1"}, []string{"x"}, "", AncestorNone},
		{"over a value that does not say", []string{"a over old", "b over old"}, []string{"old"}, "old", AncestorFound},
		{"a value that does not say", []string{"old", "a1"}, []string{"x"}, "", AncestorUntold},
		{"three from one", []string{"a1", "b1", "x2"}, []string{"x"}, "x", AncestorFound},
		{"three, two of which are nearer", []string{"a3", "b over a1", "x2"}, []string{"x", "a1"}, "", AncestorSeveral},
	} {
		if row.live[len(row.live)-1] == "x2" {
			l.write("x2", dot(c, 6), "x")
		}
		got, how := CommonAncestor(l.values(row.live...), l.values(row.past...))
		if how != row.how || string(got.Data) != row.want {
			t.Errorf("%s: got %q, %d, want %q, %d", row.name, got.Data, how, row.want, row.how)
		}
	}
}

// TestDescentOfManyWritesIsShort: a run has one descent, however long it is, and another device's value begins a new one.
func TestDescentOfManyWritesIsShort(t *testing.T) {
	s := NewState()
	write := func(r byte, counter uint64) Value {
		w := Writer{Dot: dot(r, counter), Time: Timestamp(counter)}
		if counter == 1 {
			w.Open = []byte("open")
		}
		if _, _, err := Write(s, w, []Change{{Path: "k", ShownAll: true}}); err != nil {
			t.Fatal(err)
		}
		return s.Get("k").Live[0]
	}
	want := func(v Value, since uint64, from ...Dot) {
		t.Helper()
		if v.Descent.Since != since || !slices.Equal(v.Descent.From, from) {
			t.Errorf("%v: got %+v, want since %d from %v", v.Dot, v.Descent, since, from)
		}
	}
	want(write(1, 1), 1)
	for n := range uint64(100) {
		want(write(1, n+2), 1)
	}
	want(write(2, 1), 1, dot(1, 101))
	want(write(2, 2), 1, dot(1, 101))
	want(write(1, 102), 102, dot(2, 2))
	_, effects, err := Write(s, Writer{Dot: dot(2, 3)}, []Change{{Path: "k", Data: []byte("beside")}})
	if err != nil {
		t.Fatal(err)
	}
	if v, _ := effects[0].After.value(dot(2, 3)); v.Descent.IsKnown() {
		t.Errorf("a value that was put beside another has the descent %+v", v.Descent)
	}
}

// TestAWriteOverAValueThatIsGoneHasNoDescent: of what the writer was shown, some is here no more. Its value was made from that, too, so it
// descends neither from the rest alone nor from nothing.
func TestAWriteOverAValueThatIsGoneHasNoDescent(t *testing.T) {
	for _, c := range []struct {
		name  string
		shown func(gone, live Dot) []Dot
		known bool
	}{
		{"all is live", func(gone, live Dot) []Dot { return []Dot{live} }, true},
		{"some is gone", func(gone, live Dot) []Dot { return []Dot{live, gone} }, false},
		{"one is unknown", func(gone, live Dot) []Dot { return []Dot{live, dot(9, 9)} }, false},
	} {
		r, s := newReplica(1), newReplica(2)
		old, beside := r.put("p", "old"), s.put("p", "beside")
		r.pull(s)
		r.write(Change{Path: "p", Delete: true, Shown: []Dot{old.Dot}})
		op := r.write(Change{Path: "p", Data: []byte("new"), Shown: c.shown(old.Dot, beside.Dot)})
		if d := op.Entries[0].Descent; d.IsKnown() != c.known || !slices.Equal(op.Entries[0].Preds, []Dot{beside.Dot}) {
			t.Errorf("%s: %v over %v", c.name, d, op.Entries[0].Preds)
		}
		if again, err := DecodeOp(op.Encode()); err != nil || again.Entries[0].Descent.IsKnown() != c.known {
			t.Errorf("%s: decoded: %v", c.name, err)
		}
	}
	r := newReplica(1)
	old := r.put("p", "old")
	r.remove("p")
	if op := r.write(Change{Path: "p", Data: []byte("new"), Shown: []Dot{old.Dot}}); op.Entries[0].Descent.IsKnown() {
		t.Errorf("over a deleted value alone: %v", op.Entries[0].Descent)
	}
}

// TestALongHistoryCostsItsLength: two devices took turns, and then wrote apart. Four times the turns cost about four times as much, and not
// sixteen times.
func TestALongHistoryCostsItsLength(t *testing.T) {
	cost := func(turns int) uint64 {
		last := Value{Dot: dot(3, 1), Descent: Descent{Since: 1}}
		past := []Value{last}
		next := func(n byte, counter int, data string) Value {
			d := dot(n, uint64(counter))
			return Value{Dot: d, Time: At(int64(counter)), Data: []byte(data), Descent: Descent{Since: d.Counter, From: []Dot{last.Dot}}}
		}
		for i := range turns {
			last = next(byte(1+i%2), 2+i, "")
			past = append(past, last)
		}
		live := []Value{next(1, 2+turns, "a"), next(2, 2+turns, "b")}
		return allocated(func() {
			if v, how := CommonAncestor(live, past); how != AncestorFound || v.Dot != last.Dot {
				t.Errorf("%d turns: got %v, %d, want %v", turns, v.Dot, how, last.Dot)
			}
		})
	}
	few, many := cost(1000), cost(4000)
	t.Logf("1000 turns: %d bytes, 4000: %d", few, many)
	if many > 8*few {
		t.Errorf("four times the turns cost %d times as many bytes", many/few)
	}
}
