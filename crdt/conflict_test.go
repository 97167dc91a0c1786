package crdt

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// apart returns two replicas that wrote k without knowledge of each other, b a second after a.
func apart(dataA, dataB string) (a, b *replica) {
	a, b = newReplica(1), newReplica(2)
	b.now += 500
	a.put("k", dataA)
	b.put("k", dataB)
	return a, b
}

func TestMergeReportsValuesWrittenApart(t *testing.T) {
	a, b := apart("from a", "from b")
	toA, toB := Diff(a.State, b.State), Diff(b.State, a.State)
	atA, atB := a.merge(toA), b.merge(toB)
	if !a.Equal(b.State) {
		t.Errorf("after both directions: %v and %v differ", a.Get("k"), b.Get("k"))
	}
	for _, side := range []struct {
		name          string
		got           []Conflict
		local, remote string
	}{{"a", atA, "from a", "from b"}, {"b", atB, "from b", "from a"}} {
		if len(side.got) != 1 {
			t.Fatalf("at %s: got %d conflicts, want 1: %v", side.name, len(side.got), side.got)
		}
		c := side.got[0]
		if c.Path != "k" || string(c.Local.Data) != side.local || string(c.Remote.Data) != side.remote || c.Settled {
			t.Errorf("at %s: got %q with local %q, remote %q, settled %v; want k, %q, %q, false", side.name, c.Path, c.Local.Data, c.Remote.Data, c.Settled, side.local, side.remote)
		}
		if got := contents(c.Siblings); !slices.Equal(got, []string{"from b", "from a"}) {
			t.Errorf("at %s: siblings %q, want the newest first", side.name, got)
		}
	}
}

// TestMergeReportsAConflictThatTheSenderFoundFirst: a merges b's value and reports; then b learns of the conflict from a's state,
// which holds both. b must be told too, or the device that wrote first would never hear of it.
func TestMergeReportsAConflictThatTheSenderFoundFirst(t *testing.T) {
	a, b := apart("from a", "from b")
	a.pull(b)
	got := b.pull(a)
	if len(got) != 1 || string(got[0].Local.Data) != "from b" || string(got[0].Remote.Data) != "from a" {
		t.Errorf("at b: got %v, want one conflict of b's value with a's", got)
	}
}

// TestMergeReportsAConflictToAReplicaThatHadNeither: a new replica receives a conflict that is open elsewhere, whole.
func TestMergeReportsAConflictToAReplicaThatHadNeither(t *testing.T) {
	a, b := apart("from a", "from b")
	a.pull(b)
	c := newReplica(3)
	got := c.pull(a)
	if len(got) != 1 || string(got[0].Remote.Data) != "from b" || string(got[0].Local.Data) != "from a" {
		t.Errorf("at c: got %v, want one conflict", got)
	}
	if again := c.pull(b); len(again) > 0 {
		t.Errorf("the same conflict once more: %v", again)
	}
}

// TestMergeReportsNewRivalsWhereAConflictIsOpen: c has told of a conflict between the first values of a and b. Both write again, and their
// second values come to c together. They are not those that c has told of (rule 21).
func TestMergeReportsNewRivalsWhereAConflictIsOpen(t *testing.T) {
	a, b := apart("from a", "from b")
	c := newReplica(3)
	c.pull(a)
	if got := c.pull(b); len(got) != 1 {
		t.Fatalf("at c: got %v, want one conflict", got)
	}
	a.put("k", "again from a")
	b.put("k", "again from b")
	a.pull(b)
	got := c.pull(a)
	if len(got) != 1 || !slices.Equal(contents(got[0].Siblings), []string{"again from b", "again from a"}) {
		t.Errorf("at c: got %v, want one conflict between the new values", got)
	}
	if again := c.pull(a); len(again) > 0 {
		t.Errorf("at c: got %v once more", again)
	}
}

// TestMergeReportsNoConflictBetweenAWriteAndItsSuccessor: b knew a's value when it wrote.
func TestMergeReportsNoConflictBetweenAWriteAndItsSuccessor(t *testing.T) {
	a, b := newReplica(1), newReplica(2)
	a.put("k", "1")
	b.pull(a)
	b.put("k", "2")
	if got := a.pull(b); len(got) > 0 {
		t.Errorf("got %v, want no conflict", got)
	}
	if got := contents(a.Get("k").Live); !slices.Equal(got, []string{"2"}) {
		t.Errorf("live: got %q, want only \"2\"", got)
	}
}

func TestEqualContentsDoNotConflict(t *testing.T) {
	a, b := apart("same", "same")
	if got := a.pull(b); len(got) > 0 {
		t.Errorf("got %v, want no conflict", got)
	}
	if r := a.Get("k"); len(r.Live) != 2 || r.Contending() != 0 {
		t.Errorf("got %d values of which %d contend, want 2 and 0", len(r.Live), r.Contending())
	}
}

// TestTheSidesOfAConflictAreOfOnePair: of two values on either side the newest ones have the same content and are no conflict; each
// conflicts with the other one of the other side.
func TestTheSidesOfAConflictAreOfOnePair(t *testing.T) {
	a, b := apart("third", "same")
	c, d := newReplica(3), newReplica(4)
	c.put("k", "fourth")
	d.now += 700
	d.put("k", "same")
	a.pull(b)
	c.pull(d)
	got := c.pull(a)
	if len(got) != 1 || string(got[0].Remote.Data) != "same" || string(got[0].Local.Data) != "fourth" {
		t.Errorf("at c: got %v, want the arrived %q against %q", got, "same", "fourth")
	}
}

// TestEqualBytesOfDifferentTypesConflict: the media type is part of the content.
func TestEqualBytesOfDifferentTypesConflict(t *testing.T) {
	a, b := newReplica(1), newReplica(2)
	a.write(Change{Path: "k", Type: "text/plain", Data: []byte("1")})
	b.write(Change{Path: "k", Type: "application/json", Data: []byte("1")})
	if got := a.pull(b); len(got) != 1 {
		t.Errorf("got %v, want one conflict", got)
	}
}

func TestMoreThanTwoSiblings(t *testing.T) {
	a := newReplica(1)
	a.put("k", "1")
	var last []Conflict
	for i := byte(2); i <= 5; i++ {
		r := newReplica(i)
		r.now += int64(i)
		r.put("k", fmt.Sprint(i))
		last = a.pull(r)
	}
	if len(last) != 1 || !slices.Equal(contents(last[0].Siblings), []string{"5", "4", "3", "2", "1"}) {
		t.Fatalf("got %v, want one conflict with five siblings, newest first", last)
	}
	if n := a.Get("k").Contending(); n != 5 {
		t.Errorf("contending: got %d, want 5", n)
	}
}

// TestLWWConflictsAreSettledAndReported: nothing is overruled in silence.
func TestLWWConflictsAreSettledAndReported(t *testing.T) {
	a, b := newReplica(1), newReplica(2)
	b.now += 500
	a.write(Change{Path: "k", Kind: LWW, Data: []byte("older")})
	b.write(Change{Path: "k", Kind: LWW, Data: []byte("newer")})
	got := a.pull(b)
	if len(got) != 1 || !got[0].Settled {
		t.Fatalf("got %v, want one settled conflict", got)
	}
	if shown, _ := a.Get("k").Shown(); string(shown.Data) != "newer" || a.Get("k").Contending() != 0 {
		t.Errorf("shown %q with %d contending, want \"newer\" and 0", shown.Data, a.Get("k").Contending())
	}
}

// TestOneMultiValueKeepsTheConflictOpen: the kinds of the siblings disagree, and asking is the careful choice.
func TestOneMultiValueKeepsTheConflictOpen(t *testing.T) {
	a, b := newReplica(1), newReplica(2)
	a.write(Change{Path: "k", Kind: LWW, Data: []byte("1")})
	b.write(Change{Path: "k", Kind: Multi, Data: []byte("2")})
	if got := a.pull(b); len(got) != 1 || got[0].Settled {
		t.Errorf("got %v, want one conflict that is not settled", got)
	}
}

// TestUpdateWinsOverAConcurrentDelete: on both sides, through deltas and through gossip, the value stays, is marked and reported.
func TestUpdateWinsOverAConcurrentDelete(t *testing.T) {
	story := func() (a, b *replica, update, remove *Op) {
		a, b = newReplica(1), newReplica(2)
		a.put("k", "1")
		b.pull(a)
		return a, b, a.put("k", "2"), b.remove("k")
	}
	check := func(name string, r *replica, got []Conflict, local, remote string) {
		t.Helper()
		if reg := r.Get("k"); !slices.Equal(contents(reg.Live), []string{"2"}) || !reg.Live[0].Won || reg.Contending() != 1 {
			t.Errorf("%s: got %+v, want the update, marked", name, reg)
		}
		if len(got) != 1 || string(got[0].Local.Data) != local || string(got[0].Remote.Data) != remote {
			t.Errorf("%s: got conflicts %v, want one with local %q, remote %q", name, got, local, remote)
		}
	}
	a, b, _, _ := story()
	toA, toB := Diff(a.State, b.State), Diff(b.State, a.State)
	check("delta to the writer", a, a.merge(toA), "2", "")
	check("delta to the deleter", b, b.merge(toB), "", "2")
	a, b, update, remove := story()
	check("gossip to the writer", a, a.receive(t, remove), "2", "")
	check("gossip to the deleter", b, b.receive(t, update), "", "2")
	// Now the writer has merged before the deleter asks: the mark travels with the value, and the deleter is told.
	a, b, _, _ = story()
	a.pull(b)
	check("delta to the deleter, found by the writer first", b, b.pull(a), "", "2")
	// A third replica saw the delete and learns of the return of the value from one that has joined both.
	a, b, _, _ = story()
	c := newReplica(3)
	c.pull(a)
	c.State = NewState()
	c.pull(b)
	a.pull(b)
	check("delta to a witness of the delete", c, c.pull(a), "", "2")
	if again := c.pull(b); len(again) > 0 {
		t.Errorf("the witness is told twice: %v", again)
	}
}

// TestAMarkedValueStaysMarkedUntilSomebodyResolves: a plain write inherits the mark, a resolution clears it.
func TestAMarkedValueStaysMarkedUntilSomebodyResolves(t *testing.T) {
	marked := func() *replica {
		a, b := newReplica(1), newReplica(2)
		a.put("k", "1")
		b.pull(a)
		a.put("k", "2")
		b.remove("k")
		b.pull(a)
		// The delete is forgotten, or the next write would name it.
		Trim(b.State, 0)
		return b
	}
	r := marked()
	r.put("k", "3")
	if v, _ := r.Get("k").Shown(); !v.Won {
		t.Errorf("after a plain write: %+v, want the mark inherited", v)
	}
	r = marked()
	r.write(Change{Path: "k", Data: []byte("3"), ShownAll: true, Clear: true})
	if v, _ := r.Get("k").Shown(); v.Won || r.Get("k").Contending() != 0 {
		t.Errorf("after a resolution: %+v, want no mark", v)
	}
}

// TestAWriteOverAValueDeletedMeanwhileIsReportedAtOnce is rule 6: the person edited what was deleted behind their back.
func TestAWriteOverAValueDeletedMeanwhileIsReportedAtOnce(t *testing.T) {
	a := newReplica(1)
	a.put("k", "1")
	shown, _ := a.Get("k").dots()
	a.remove("k")
	_, effects := a.writeEffects(Change{Path: "k", Data: []byte("2"), Shown: shown})
	if !effects[0].Won {
		t.Errorf("got %+v, want the effect to say that the value won over a delete", effects[0])
	}
}

// TestAWriteOverAValueNeverSeenReportsNoDelete: after a restore a person may still hold a value that this replica has yet to
// learn of. Not there is not deleted.
func TestAWriteOverAValueNeverSeenReportsNoDelete(t *testing.T) {
	a, b := newReplica(1), newReplica(2)
	a.put("k", "1")
	shown, _ := a.Get("k").dots()
	op, effects := b.writeEffects(Change{Path: "k", Data: []byte("2"), Shown: shown})
	if effects[0].Won || effects[0].After.Live[0].Won {
		t.Errorf("got %+v, want no report of a delete that nobody made", effects[0])
	}
	if e := op.Entries[0]; len(e.Preds) > 0 || len(e.Also) > 0 {
		t.Errorf("the entry names %v and %v, want nothing: its writer had seen nothing (rule 2)", e.Preds, e.Also)
	}
}

func TestDeleteOfWhatIsGoneDoesNothing(t *testing.T) {
	a := newReplica(1)
	a.put("k", "1")
	old, _ := a.Get("k").dots()
	a.put("k", "2")
	if op := a.write(Change{Path: "k", Delete: true, Shown: old}); op != nil {
		t.Errorf("got %+v, want no operation: the value that was shown is gone", op)
	}
	if got := contents(a.Get("k").Live); !slices.Equal(got, []string{"2"}) {
		t.Errorf("live: got %q, want \"2\" untouched", got)
	}
	if next := a.put("k", "3"); next.Dot.Counter != 3 {
		t.Errorf("the next dot is %v, want counter 3: a delete of nothing uses none", next.Dot)
	}
}

func TestResolveClosesExactlyWhatWasSeen(t *testing.T) {
	a, b := apart("from a", "from b")
	conflict := a.pull(b)[0]
	c := newReplica(3)
	c.put("k", "unseen")
	a.pull(c)
	chosen, err := Resolve(conflict, ManualResolve(Value{Data: []byte("chosen"), Type: "text/plain"}))
	if err != nil {
		t.Fatal(err)
	}
	op := a.write(conflict.Change(chosen))
	if got := contents(a.Get("k").Newest()); len(got) != 2 || !slices.Contains(got, "chosen") || !slices.Contains(got, "unseen") {
		t.Errorf("live: got %q, want the choice beside the value that the person had not seen", got)
	}
	if e := op.Entries[0]; !e.Clear || len(e.Preds) != 2 || len(e.Also) != 1 {
		t.Errorf("entry %+v, want two predecessors, one left alone, and Clear", e)
	}
	b.pull(a)
	c.pull(b)
	if !a.Equal(b.State) || !a.Equal(c.State) {
		t.Error("the replicas disagree about the resolution")
	}
}

// TestAResolvedConflictIsClosedEverywhere: and it is not reported again.
func TestAResolvedConflictIsClosedEverywhere(t *testing.T) {
	a, b := apart("from a", "from b")
	conflict := a.pull(b)[0]
	v, err := Resolve(conflict, LastWriteWins)
	if err != nil || string(v.Data) != "from b" || v.Dot != (Dot{}) || v.Time != 0 {
		t.Fatalf("got %+v, %v; want the content of the newest value and no dot", v, err)
	}
	a.write(conflict.Change(v))
	if got := b.pull(a); len(got) > 0 || b.Get("k").Contending() != 0 || len(b.Get("k").Live) != 1 {
		t.Errorf("at b: conflicts %v, register %v; want one value and no conflict", got, b.Get("k").Live)
	}
}

// TestTwoDevicesResolveAlike: both resolve the same conflict by the same rule; their equal values do not conflict again.
func TestTwoDevicesResolveAlike(t *testing.T) {
	a, b := apart("from a", "from b")
	toA, toB := Diff(a.State, b.State), Diff(b.State, a.State)
	union := MergeValues(func(vs []Value) (Value, error) {
		parts := contents(vs)
		slices.Sort(parts)
		return Value{Data: []byte(strings.Join(parts, "+"))}, nil
	})
	for _, side := range []struct {
		r *replica
		d *Delta
	}{{a, toA}, {b, toB}} {
		c := side.r.merge(side.d)[0]
		v, err := Resolve(c, union)
		if err != nil || string(v.Data) != "from a+from b" {
			t.Fatalf("got %q, %v", v.Data, err)
		}
		side.r.write(c.Change(v))
	}
	if got := a.pull(b); len(got) > 0 || a.Get("k").Contending() != 0 {
		t.Errorf("got %v, want no new conflict", got)
	}
}

// TestMergeValuesGivesCopiesOfTheDifferentContents: equal contents once, newest first, and the function may change them.
func TestMergeValuesGivesCopiesOfTheDifferentContents(t *testing.T) {
	a, b := apart("same", "same")
	c := newReplica(3)
	c.now += 900
	c.put("k", "other")
	a.pull(b)
	conflict := a.pull(c)[0]
	v, err := Resolve(conflict, MergeValues(func(vs []Value) (Value, error) {
		if got := contents(vs); !slices.Equal(got, []string{"other", "same"}) {
			t.Errorf("got %q, want the different contents, newest first", got)
		}
		for i := range vs {
			vs[i].Data[0] = '!'
		}
		return vs[0], nil
	}))
	if err != nil || string(v.Data) != "!ther" {
		t.Fatalf("got %q, %v", v.Data, err)
	}
	if got := contents(a.Get("k").Newest()); slices.ContainsFunc(got, func(s string) bool { return s[0] == '!' }) {
		t.Errorf("the merge function changed the state: %q", got)
	}
}

func TestResolveReportsFailure(t *testing.T) {
	broken := errors.New("no idea")
	if _, err := Resolve(Conflict{Path: "k"}, LastWriteWins); !errors.Is(err, ErrNoValue) {
		t.Errorf("LastWriteWins of nothing: got %v, want ErrNoValue", err)
	}
	if _, err := Resolve(Conflict{Path: "k"}, MergeValues(nil)); !errors.Is(err, ErrNoValue) {
		t.Errorf("MergeValues of nothing: got %v, want ErrNoValue", err)
	}
	_, err := Resolve(Conflict{Path: "k", Siblings: []Value{{}}}, MergeValues(func([]Value) (Value, error) { return Value{}, broken }))
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), `"k"`) {
		t.Errorf("got %v, want the function's error and the path", err)
	}
}

// TestCausalityBeatsTheClock: a write that saw another supersedes it, however wrong the clocks are.
func TestCausalityBeatsTheClock(t *testing.T) {
	a, b := newReplica(1), newReplica(2)
	a.now += 100 * 365 * 24 * 3600 * 1000
	a.write(Change{Path: "k", Kind: LWW, Data: []byte("from 2123")})
	b.pull(a)
	b.write(Change{Path: "k", Kind: LWW, Data: []byte("from now"), ShownAll: true})
	a.pull(b)
	if shown, _ := a.Get("k").Shown(); string(shown.Data) != "from now" {
		t.Errorf("shown: got %q, want the value whose writer saw the other", shown.Data)
	}
}

func TestWriteRefusesADotThatIsNotNext(t *testing.T) {
	for _, counter := range []uint64{0, 1, 3} {
		r := newReplica(1)
		r.put("k", "1")
		before := r.Clone()
		_, _, err := Write(r.State, Writer{Dot: dot(1, counter)}, []Change{{Path: "k", Data: []byte("2"), ShownAll: true}})
		if err == nil || !r.Equal(before) {
			t.Errorf("counter %d after 1: got error %v, want one and nothing changed", counter, err)
		}
	}
}

func TestWriteRefusesAPathTwice(t *testing.T) {
	r := newReplica(1)
	_, _, err := Write(r.State, Writer{Dot: dot(1, 1), Open: []byte("x")}, []Change{{Path: "k"}, {Path: "l"}, {Path: "k"}})
	if err == nil || len(r.Paths()) > 0 || r.Context().Len() > 0 {
		t.Errorf("got error %v and paths %q, want an error and nothing written", err, r.Paths())
	}
}

// TestCheckTellsReadySeenAndEarly goes through the delivery rule of gossip.
func TestCheckTellsReadySeenAndEarly(t *testing.T) {
	context := func(dots ...Dot) (v Vector) {
		for _, d := range dots {
			v.Add(d)
		}
		return v
	}
	entry := OpEntry{Path: "k"}
	for name, c := range map[string]struct {
		op   Op
		seen Vector
		want Readiness
	}{
		"first":                  {Op{Dot: dot(1, 1)}, context(), Ready},
		"next":                   {Op{Dot: dot(1, 3)}, context(dot(1, 2)), Ready},
		"gap":                    {Op{Dot: dot(1, 3)}, context(dot(1, 1)), Early},
		"seen":                   {Op{Dot: dot(1, 3)}, context(dot(1, 3)), Seen},
		"older":                  {Op{Dot: dot(1, 2)}, context(dot(1, 3)), Seen},
		"predecessor missing":    {Op{Dot: dot(1, 1), Entries: []OpEntry{entry, {Path: "l", Preds: []Dot{dot(2, 1)}}}}, context(), Early},
		"predecessor seen":       {Op{Dot: dot(1, 1), Entries: []OpEntry{{Path: "l", Preds: []Dot{dot(2, 1)}}}}, context(dot(2, 4)), Ready},
		"delete missing":         {Op{Dot: dot(1, 1), Entries: []OpEntry{{Path: "k", PredDeletes: []Dot{dot(2, 1)}}}}, context(), Early},
		"left alone and missing": {Op{Dot: dot(1, 1), Entries: []OpEntry{{Path: "k", Also: []Dot{dot(2, 2)}}}}, context(dot(2, 1)), Early},
		"dependency missing":     {Op{Dot: dot(1, 1), Deps: context(dot(3, 2))}, context(dot(3, 1)), Early},
		"dependency seen":        {Op{Dot: dot(1, 1), Deps: context(dot(3, 2))}, context(dot(3, 2)), Ready},
	} {
		if got := c.op.Check(c.seen); got != c.want {
			t.Errorf("%s: got readiness %d, want %d", name, got, c.want)
		}
	}
}

// TestTheValuesOfAReportDiffer: x and y meet another x and z. The newest that stood here and the newest that arrived are equal; the
// report names two that are not.
func TestTheValuesOfAReportDiffer(t *testing.T) {
	var r [4]*replica
	for i, w := range []struct {
		data string
		late int64
	}{{"x", 500}, {"y", 0}, {"x", 600}, {"z", 100}} {
		r[i] = newReplica(byte(i + 1))
		r[i].now += w.late
		r[i].put("k", w.data)
	}
	r[0].pull(r[1])
	r[2].pull(r[3])
	got := r[0].pull(r[2])
	if len(got) != 1 || string(got[0].Remote.Data) != "x" || string(got[0].Local.Data) != "y" {
		t.Errorf("got %v, want the newer x against y", got)
	}
}
