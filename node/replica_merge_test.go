package node

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"
)

// askedMerge steps a rig until a merge is asked for, and returns it; nil if none is within a minute.
func askedMerge(r *rig) *Merge {
	for range 600 {
		r.now.Mono += 100 * time.Millisecond
		for _, o := range r.step(Tick{}) {
			if m, ok := o.(Merge); ok {
				return &m
			}
		}
	}
	return nil
}

// rivalRigs are two devices with one conflict at x, and a policy that both know the function of.
func rivalRigs(t *testing.T) (a, b *rig) {
	a, b = newRig(t, "a"), newRig(t, "b")
	rule := PolicyRule{"x", PolicyMerge("join")}.Op()
	for _, o := range a.step(Write{Tag: 1, Ops: []WriteOp{rule}}) {
		if p, ok := o.(Publish); ok {
			b.step(from(a, p.Op))
		}
	}
	for _, r := range []*rig{a, b} {
		r.step(MergeNames{Names: []string{"join"}})
	}
	one := a.put("x", "1")
	two := b.put("x", "2")
	a.step(from(b, two))
	b.step(from(a, one))
	return a, b
}

func published(out []Output) (ops [][]byte) {
	for _, o := range out {
		if p, ok := o.(Publish); ok {
			ops = append(ops, p.Op)
		}
	}
	return ops
}

// The author of the newest value merges first; its result closes the Conflict everywhere, and nobody else is asked.
func TestTheAuthorOfTheNewestValueMergesFirst(t *testing.T) {
	a, b := rivalRigs(t)
	reg, err := a.st.Get("x")
	if err != nil {
		t.Fatal(err)
	}
	shown, _ := reg.Shown()
	author, other := a, b
	if string(shown.Data) == "2" {
		author, other = b, a
	}
	at, ok := author.Wake()
	later, ok2 := other.Wake()
	if !ok || !ok2 || at-author.now.Mono > mergeFirst || later-other.now.Mono <= mergeFirst {
		t.Fatalf("the author wakes in %v, the other in %v", at-author.now.Mono, later-other.now.Mono)
	}
	m := askedMerge(author)
	if m == nil || m.Path != "x" || m.Policy != "merge:join" {
		t.Fatalf("asked for %+v", m)
	}
	ops := published(author.step(Merged{Merge: *m, Content: Text("12")}))
	if len(ops) != 1 || author.shown("x") != "12" {
		t.Fatalf("%d operations, x = %q", len(ops), author.shown("x"))
	}
	other.step(from(author, ops...))
	if got := other.shown("x"); got != "12" || other.st.Head().Conflicts != 0 {
		t.Errorf("x = %q, %d conflicts", got, other.st.Head().Conflicts)
	}
	if m := askedMerge(other); m != nil {
		t.Errorf("the other device is asked for %+v", m)
	}
}

// A result of the function of an earlier policy is not taken for that of the one that holds now, which is asked in its turn.
func TestAResultOfAnEarlierPolicyIsNotTaken(t *testing.T) {
	a, _ := rivalRigs(t)
	a.step(MergeNames{Names: []string{"join", "other"}})
	early := askedMerge(a)
	if early == nil {
		t.Fatal("nobody was asked")
	}
	a.step(Write{Tag: 1, Ops: []WriteOp{PolicyRule{"x", PolicyMerge("other")}.Op()}})
	late := askedMerge(a)
	if late == nil || late.Policy != PolicyMerge("other") {
		t.Fatalf("asked for %+v", late)
	}
	if ops := published(a.step(Merged{Merge: *early, Content: Text("early")})); len(ops) != 0 {
		t.Errorf("x = %q", a.shown("x"))
	}
	a.step(Merged{Merge: *late, Content: Text("late")})
	if got := a.shown("x"); got != "late" || len(a.running) != 0 {
		t.Errorf("x = %q, %d functions count as running", got, len(a.running))
	}
}

// A value that came while a function ran survives it; a failure is told once and not tried again until something changes.
func TestAMergeNeverReplacesWhatItWasNotGiven(t *testing.T) {
	a, b := rivalRigs(t)
	m := askedMerge(a)
	if m == nil {
		t.Fatal("nobody was asked")
	}
	three := b.put("x", "3")
	a.step(from(b, three))
	if ops := published(a.step(Merged{Merge: *m, Content: Text("12")})); len(ops) != 0 {
		t.Fatal("a merge of other values was written")
	}
	if m = askedMerge(a); m == nil {
		t.Fatal("the new values are not merged")
	}
	told := 0
	for _, o := range a.step(Merged{Merge: *m, Reason: "panicked"}) {
		if f, ok := o.(MergeFailed); ok && f.Reason == "panicked" && f.Version == m.Version {
			told++
		}
	}
	if again := askedMerge(a); told != 1 || again != nil {
		t.Errorf("told %d times, then asked for %+v", told, again)
	}
	// A change of the policy is a reason to try again.
	a.step(Write{Tag: 2, Ops: []WriteOp{PolicyRule{"y", PolicyMax}.Op()}})
	if askedMerge(a) == nil {
		t.Error("after a change of the policies nothing is tried")
	}
}

// Two devices whose functions differ do not go on for ever: after two results that differ in a row the Conflict stays open.
func TestResultsThatDifferTwiceRunningEndTheMerging(t *testing.T) {
	a, b := rivalRigs(t)
	writes := 0
	for round := range 5 {
		ma, mb := askedMerge(a), askedMerge(b)
		if ma == nil && mb == nil {
			if round != 2 {
				t.Errorf("%d rounds of merges, want 2", round)
			}
			break
		}
		if ma == nil || mb == nil {
			t.Fatalf("only one device goes on: %v, %v", ma, mb)
		}
		oa := published(a.step(Merged{Merge: *ma, Content: Text("a's")}))
		ob := published(b.step(Merged{Merge: *mb, Content: Text("b's")}))
		writes += len(oa) + len(ob)
		a.step(from(b, ob...))
		b.step(from(a, oa...))
	}
	if writes != 4 || a.st.Head().Conflicts != 1 || b.st.Head().Conflicts != 1 {
		t.Errorf("%d writes, %d and %d conflicts; want 4, 1 and 1", writes, a.st.Head().Conflicts, b.st.Head().Conflicts)
	}
}

// What could not be merged costs a step nothing more; it is remembered until it changes, and then tried again.
func TestWhatCouldNotBeMergedIsLeftAlone(t *testing.T) {
	a, b := rivalRigs(t)
	for range 3 {
		m := askedMerge(a)
		if m == nil {
			t.Fatal("nobody was asked")
		}
		a.step(Merged{Merge: *m, Reason: "no"})
		if again := askedMerge(a); again != nil || len(a.merges) != 0 || len(a.tried) != 1 {
			t.Errorf("asked for %+v again; %d merges wait, %d were tried", again, len(a.merges), len(a.tried))
		}
		if _, wakes := a.mergeWake(); wakes {
			t.Error("it wakes the loop")
		}
		a.step(from(b, b.put("x", "changed")))
	}
	a.step(Write{Tag: 3, Ops: []WriteOp{{Path: "x", Content: Text("done"), Resolve: true}}})
	if len(a.merges)+len(a.tried) != 0 {
		t.Errorf("of a Conflict that is closed, %d merges wait, %d were tried", len(a.merges), len(a.tried))
	}
}

// Many merges are asked for in the order of their paths, as many at once as may run.
func TestMergesAreAskedForInOrder(t *testing.T) {
	a, b := rivalRigs(t)
	a.step(Write{Tag: 1, Ops: []WriteOp{PolicyRule{"**", PolicyMerge("join")}.Op()}})
	var want, got []string
	for i := range 2*mergesMax + 3 {
		path := fmt.Sprintf("p%02d", i)
		one, two := a.put(path, "1"), b.put(path, "2")
		a.step(from(b, two))
		b.step(from(a, one))
		want = append(want, path)
	}
	a.now.Mono += time.Minute
	running := map[string]Version{}
	take := func(out []Output) {
		for _, o := range out {
			if m, ok := o.(Merge); ok {
				running[m.Path] = m.Version
				if m.Path != "x" {
					got = append(got, m.Path)
				}
			}
		}
		if len(running) > mergesMax {
			t.Fatalf("%d functions run at once", len(running))
		}
	}
	for take(a.step(Tick{})); len(running) > 0; {
		path := slices.Min(slices.Collect(maps.Keys(running)))
		version := running[path]
		delete(running, path)
		take(a.step(Merged{Merge: Merge{Path: path, Version: version, Policy: PolicyMerge("join")}, Content: Text("12")}))
	}
	if !slices.Equal(got, want) || a.st.Head().Conflicts != 0 {
		t.Errorf("asked for %q, want %q; %d conflicts are left", got, want, a.st.Head().Conflicts)
	}
}

// The binding of the author of a value is damaged: who merges first is not known, and nothing else suffers.
func TestAMergeOfAnUnknownAuthorIsPlanned(t *testing.T) {
	a, _ := rivalRigs(t)
	a.rot("/o/10")
	a.rot("/o/11")
	clear(a.devices)
	a.step(MergeNames{Names: []string{"join"}})
	a.put("y", "1")
	m := askedMerge(a)
	if m == nil || m.Path != "x" {
		t.Fatalf("asked for %+v", m)
	}
	a.step(Merged{Merge: *m, Content: Text("12")})
	if got := a.shown("x"); got != "12" {
		t.Errorf("x = %q", got)
	}
}

// The record of what competes is damaged while a function runs.
func TestAMergeOfADamagedRecordIsNotWritten(t *testing.T) {
	a, b := rivalRigs(t)
	m := askedMerge(a)
	a.spoil("x")
	op := from(b, b.put("y", "1"))
	if out := a.step(Merged{Merge: *m, Content: Text("12")}, op); len(published(out)) != 0 || a.shown("y") != "1" {
		t.Errorf("%+v, y = %q", out, a.shown("y"))
	}
}

// TestAMergeThatCannotBeWrittenRests: a full disk refuses the result. Each such step breaks off all sessions, so the next does not come at once.
func TestAMergeThatCannotBeWrittenRests(t *testing.T) {
	a, _ := rivalRigs(t)
	m := askedMerge(a)
	if m == nil {
		t.Fatal("no merge is asked for")
	}
	a.failing(a.now, Merged{Merge: *m, Content: Text("1+2")})
	rests := a.now.Mono + a.cfg.AntiEntropy
	if m = askedMerge(a); m == nil || a.now.Mono < rests {
		t.Fatalf("asked for again at %v, it may be from %v on: %+v", a.now.Mono, rests, m)
	}
	a.step(Merged{Merge: *m, Content: Text("1+2")})
	if got := a.shown("x"); got != "1+2" {
		t.Errorf("x = %q when the disk has room again", got)
	}
}
