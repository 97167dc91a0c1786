package node

import (
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
	ops := published(author.step(Merged{Path: "x", Version: m.Version, Content: Text("12")}))
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

// A value that came while a function ran survives it; a failure is told once and not tried again until something changes.
func TestAMergeNeverReplacesWhatItWasNotGiven(t *testing.T) {
	a, b := rivalRigs(t)
	m := askedMerge(a)
	if m == nil {
		t.Fatal("nobody was asked")
	}
	three := b.put("x", "3")
	a.step(from(b, three))
	if ops := published(a.step(Merged{Path: "x", Version: m.Version, Content: Text("12")})); len(ops) != 0 {
		t.Fatal("a merge of other values was written")
	}
	if m = askedMerge(a); m == nil {
		t.Fatal("the new values are not merged")
	}
	told := 0
	for _, o := range a.step(Merged{Path: "x", Version: m.Version, Reason: "panicked"}) {
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
		oa := published(a.step(Merged{Path: "x", Version: ma.Version, Content: Text("a's")}))
		ob := published(b.step(Merged{Path: "x", Version: mb.Version, Content: Text("b's")}))
		writes += len(oa) + len(ob)
		a.step(from(b, ob...))
		b.step(from(a, oa...))
	}
	if writes != 4 || a.st.Head().Conflicts != 1 || b.st.Head().Conflicts != 1 {
		t.Errorf("%d writes, %d and %d conflicts; want 4, 1 and 1", writes, a.st.Head().Conflicts, b.st.Head().Conflicts)
	}
}

// TestAMergeThatCannotBeWrittenRests: a full disk refuses the result. Each such step breaks off all sessions, so the next does not come at once.
func TestAMergeThatCannotBeWrittenRests(t *testing.T) {
	a, _ := rivalRigs(t)
	m := askedMerge(a)
	if m == nil {
		t.Fatal("no merge is asked for")
	}
	a.failing(a.now, Merged{Path: m.Path, Version: m.Version, Content: Text("1+2")})
	rests := a.now.Mono + a.cfg.AntiEntropy
	if m = askedMerge(a); m == nil || a.now.Mono < rests {
		t.Fatalf("asked for again at %v, it may be from %v on: %+v", a.now.Mono, rests, m)
	}
	a.step(Merged{Path: m.Path, Version: m.Version, Content: Text("1+2")})
	if got := a.shown("x"); got != "1+2" {
		t.Errorf("x = %q when the disk has room again", got)
	}
}
