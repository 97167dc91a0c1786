package crdt

import (
	"bytes"
	"maps"
	"slices"
	"testing"
)

// reachable yields states that a run of the model went through, with deletes, conflicts, transactions, floors and restores.
func reachable(t *testing.T, yield func(seed int64, states []*State)) {
	t.Helper()
	for _, seed := range seeds(60) {
		w := newWorld(config{log: int(seed % 4), loss: 0.35, restore: seed%2 == 0}, seed).run()
		yield(seed, append(w.snapshots[:min(len(w.snapshots), 6)], NewState()))
	}
}

func join(t *testing.T, a, b *State) *State {
	t.Helper()
	out, _ := Merge(a, Diff(a, b))
	if err := out.Check(); err != nil {
		t.Fatalf("the join of two states is none: %v", err)
	}
	return out
}

const reproduceSeed = "\nreproduce: go test ./crdt -run '^%s$' -seed=%d"

// TestJoinIsCommutative checks a ⊔ b = b ⊔ a, so that after an exchange of deltas both sides are equal.
func TestJoinIsCommutative(t *testing.T) {
	reachable(t, func(seed int64, states []*State) {
		for i, a := range states {
			for j, b := range states[:i] {
				if ab, ba := join(t, a, b), join(t, b, a); !ab.Equal(ba) || ab.Digest() != ba.Digest() {
					t.Fatalf("seed %d: states %d and %d join to %x one way, %x the other"+reproduceSeed, seed, i, j, ab.Digest(), ba.Digest(), t.Name(), seed)
				}
			}
		}
	})
}

// TestJoinIsAssociative checks (a ⊔ b) ⊔ c = a ⊔ (b ⊔ c).
func TestJoinIsAssociative(t *testing.T) {
	reachable(t, func(seed int64, states []*State) {
		for i, a := range states {
			for j, b := range states {
				c := states[(i+j+1)%len(states)]
				if left, right := join(t, join(t, a, b), c), join(t, a, join(t, b, c)); !left.Equal(right) {
					t.Fatalf("seed %d: states %d, %d, %d join to %x and %x"+reproduceSeed, seed, i, j, (i+j+1)%len(states), left.Digest(), right.Digest(), t.Name(), seed)
				}
			}
		}
	})
}

// TestJoinIsIdempotent checks a ⊔ a = a, and that a delta merged twice changes and reports nothing the second time.
func TestJoinIsIdempotent(t *testing.T) {
	reachable(t, func(seed int64, states []*State) {
		for i, a := range states {
			if d := Diff(a, a); !d.IsEmpty() || !join(t, a, a).Equal(a) {
				t.Fatalf("seed %d: state %d lacks %+v of itself"+reproduceSeed, seed, i, d, t.Name(), seed)
			}
			for j, b := range states {
				d := Diff(a, b)
				once, _ := Merge(a, d)
				twice, conflicts := Merge(once, d)
				if !twice.Equal(once) || len(conflicts) > 0 || !Diff(once, b).IsEmpty() {
					t.Fatalf("seed %d: the delta from %d to %d does more the second time; conflicts %v"+reproduceSeed, seed, i, j, conflicts, t.Name(), seed)
				}
			}
		}
	})
}

// TestJoinOnlyGrowsTheContext checks that the join is an upper bound: what either side has seen stays seen.
func TestJoinOnlyGrowsTheContext(t *testing.T) {
	reachable(t, func(seed int64, states []*State) {
		for _, a := range states {
			for _, b := range states {
				ab := join(t, a, b)
				want := a.Context().Clone()
				want.Join(b.Context())
				if !ab.Context().Equal(want) || !a.Floor().Within(ab.Floor()) {
					t.Fatalf("seed %d: got context %v, want %v"+reproduceSeed, seed, ab.Context(), want, t.Name(), seed)
				}
			}
		}
	})
}

// TestDeltaOfAnOldStateMergesIntoAGrownOne checks the delta-interval property (arXiv:1603.01529, section 6): for every c above a,
// merging the delta from a to b into c gives c ⊔ b.
func TestDeltaOfAnOldStateMergesIntoAGrownOne(t *testing.T) {
	reachable(t, func(seed int64, states []*State) {
		for _, a := range states {
			for _, b := range states {
				d := Diff(a, b)
				for _, other := range states {
					grown := join(t, a, other)
					got, _ := Merge(grown, d)
					if want := join(t, grown, b); !got.Equal(want) {
						t.Fatalf("seed %d: got %x, want %x"+reproduceSeed, seed, got.Digest(), want.Digest(), t.Name(), seed)
					}
				}
			}
		}
	})
}

// TestOrderOfMergesDoesNotMatter checks that deltas for one state may be merged in any order.
func TestOrderOfMergesDoesNotMatter(t *testing.T) {
	reachable(t, func(seed int64, states []*State) {
		a := states[0]
		for _, b := range states {
			for _, c := range states {
				toB, toC := Diff(a, b), Diff(a, c)
				x, _ := Merge(a, toB)
				x, _ = Merge(x, toC)
				y, _ := Merge(a, toC)
				y, _ = Merge(y, toB)
				if !x.Equal(y) {
					t.Fatalf("seed %d: got %x and %x"+reproduceSeed, seed, x.Digest(), y.Digest(), t.Name(), seed)
				}
			}
		}
	})
}

// TestMergeLeavesItsArgumentsAlone checks that neither the state nor the delta changes.
func TestMergeLeavesItsArgumentsAlone(t *testing.T) {
	reachable(t, func(seed int64, states []*State) {
		for _, a := range states {
			for _, b := range states {
				beforeA, beforeB := a.Clone(), b.Clone()
				d := Diff(a, b)
				out, _ := Merge(a, d)
				for _, path := range out.Paths() {
					out.SetRegister(path, Register{})
				}
				out.Advance(dot(1, 1000))
				if !a.Equal(beforeA) || !b.Equal(beforeB) || a.Digest() != beforeA.Digest() || a.DeleteCount() != beforeA.DeleteCount() {
					t.Fatalf("seed %d: Diff or Merge changed what it was given"+reproduceSeed, seed, t.Name(), seed)
				}
				if again, _ := Merge(a, d); !again.Equal(join(t, a, b)) {
					t.Fatalf("seed %d: changing the result changed the delta"+reproduceSeed, seed, t.Name(), seed)
				}
			}
		}
	})
}

// joinParts returns the join of a with all parts of b.
func joinParts(t *testing.T, a, b *State) *State {
	t.Helper()
	out, asked := a.Clone(), a.Context()
	for i := range b.parts {
		d, err := AnswerPart(b, asked, b.parts[i].From, b.parts.To(i), unlimited)
		if err != nil {
			t.Fatal(err)
		}
		if BelowFloor(b, asked) {
			live, _ := liveAbove(a, Vector{}, d.From, d.To, 0)
			d.Kills, _ = Kills(b, slices.Values(live))
		}
		if err := d.Bind(b, func(ReplicaID) bool { return false }); err != nil {
			t.Fatal(err)
		}
		if _, err := Join(out, d); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Check(); err != nil {
		t.Fatalf("the join of two states is none: %v", err)
	}
	return out
}

// marks returns the names of the values of a state that won over a delete.
func marks(s *State) map[Name]bool {
	won := map[Name]bool{}
	for _, path := range s.Paths() {
		for _, v := range s.Get(path).Live {
			if v.Won {
				won[Name{v.Dot, path}] = true
			}
		}
	}
	return won
}

// brings reports whether b has something at a path that a has not seen, so that an answer has a row for it.
func brings(b, a *State, path string) bool {
	row := newRow(path, b.Get(path), a.Context())
	return len(row.Values)+len(row.Deletes) > 0
}

// TestJoinLawsHoldForAllThatValuesSay checks the three laws for states of any number of parts and for everything that a value carries:
// contents, times, kinds, resolutions, policies and descents. The mark of a value that won over a delete is no part of the join: it
// is told with what is new at its path. So a join loses no mark of either side there, and where both sides bring something they agree.
func TestJoinLawsHoldForAllThatValuesSay(t *testing.T) {
	parted, marked, policies := 0, 0, 0
	for _, seed := range seeds(60) {
		w := newWorld(config{log: int(seed % 4), loss: 0.35, ranges: seed%3 > 0, restore: seed%2 == 0}, seed).run()
		states := append(w.snapshots[:min(len(w.snapshots), 6)], NewState())
		same := func(law string, x, y *State) {
			t.Helper()
			if !x.Equal(y) || !maps.EqualFunc(x.opens, y.opens, bytes.Equal) {
				t.Fatalf("seed %d: %s fails: %v and %v"+reproduceSeed, seed, law, x, y, t.Name(), seed)
			}
		}
		lost := func(law string, n Name) {
			t.Helper()
			t.Fatalf("seed %d: %v: %s"+reproduceSeed, seed, n, law, t.Name(), seed)
		}
		for i, a := range states {
			same("a ⊔ a = a", joinParts(t, a, a), a)
			for j, b := range states {
				ab, ba, c := joinParts(t, a, b), joinParts(t, b, a), states[(i+j+1)%len(states)]
				same("a ⊔ b = b ⊔ a", ab, ba)
				same("(a ⊔ b) ⊔ b = a ⊔ b", joinParts(t, ab, b), ab)
				same("(a ⊔ b) ⊔ c = a ⊔ (b ⊔ c)", joinParts(t, ab, c), joinParts(t, a, joinParts(t, b, c)))
				if len(a.parts) > 1 && len(b.parts) > 1 {
					parted++
				}
				for _, path := range ab.Paths() {
					if slices.ContainsFunc(ab.Get(path).Live, func(v Value) bool { return v.Policy != "" }) {
						policies++
					}
				}
				own, news, here, there := marks(a), marks(b), marks(ab), marks(ba)
				for n := range maps.Keys(here) {
					if marked++; !there[n] && brings(a, b, n.Path) {
						lost("a mark of a ⊔ b is none of b ⊔ a", n)
					}
				}
				for n := range maps.Keys(own) {
					if ab.Get(n.Path).has(n.Dot) && !here[n] {
						lost("a mark of a is none of a ⊔ b", n)
					}
				}
				for n := range maps.Keys(news) {
					if ab.Get(n.Path).has(n.Dot) && !here[n] && brings(b, a, n.Path) {
						lost("a mark of b that came is none of a ⊔ b", n)
					}
				}
			}
		}
	}
	if (parted == 0 || marked == 0 || policies == 0) && *seedFlag < 0 {
		t.Errorf("%d pairs of several parts, %d marks, %d values by policies", parted, marked, policies)
	}
}

// TestKillsRemoveWhatAForgottenDeleteRemoved: a deletes the value that b holds and forgets the delete; nothing but the comparison
// of live values can tell b.
func TestKillsRemoveWhatAForgottenDeleteRemoved(t *testing.T) {
	a, b := newReplica(1), newReplica(2)
	a.put("k", "v")
	b.pull(a)
	a.remove("k")
	if err := Trim(a.State, 0); err != nil {
		t.Fatal(err)
	}
	if a.DeleteCount() != 0 || a.Floor().Get(a.id) != 2 {
		t.Fatalf("after Trim: %d deletes, floor %v; want 0 and the delete's dot", a.DeleteCount(), a.Floor())
	}
	d := Diff(b.State, a.State)
	if want := (Name{dot(1, 1), "k"}); len(d.Kills) != 1 || d.Kills[0] != want {
		t.Fatalf("kills: got %v, want %v", d.Kills, want)
	}
	b.pull(a)
	if b.Get("k").Live != nil || !b.Floor().Has(dot(1, 2)) {
		t.Errorf("after the merge: live %v, floor %v; want nothing live and the sender's floor", b.Get("k").Live, b.Floor())
	}
}

// TestALateCommitDoesNotRevive is rule R7: a learns a value from c between asking b and committing b's answer, and b, who had
// seen it deleted, had forgotten the delete.
func TestALateCommitDoesNotRevive(t *testing.T) {
	a, b, c := newReplica(1), newReplica(2), newReplica(3)
	write := c.put("k", "v")
	b.pull(c)
	b.remove("k")
	Trim(b.State, 0)
	answer := Diff(a.State, b.State)
	a.receive(t, write)
	a.merge(answer)
	if live := a.Get("k").Live; len(live) > 0 {
		t.Errorf("live: got %v, want nothing", live)
	}
}

// TestAKillNamesThePath: one transaction writes two paths; deleting one of them leaves the other, though both have one dot.
func TestAKillNamesThePath(t *testing.T) {
	a, b := newReplica(1), newReplica(2)
	a.write(Change{Path: "k", Data: []byte("1")}, Change{Path: "l", Data: []byte("2")})
	b.pull(a)
	a.remove("k")
	Trim(a.State, 0)
	b.pull(a)
	if got := b.Paths(); len(got) != 1 || got[0] != "l" {
		t.Errorf("paths: got %q, want only l", got)
	}
}

// TestAnswerToAnEqualContextIsEmpty checks that only what is missing travels.
func TestAnswerToAnEqualContextIsEmpty(t *testing.T) {
	a, b := newReplica(1), newReplica(2)
	for range 5 {
		a.put("k", "v")
	}
	b.pull(a)
	if d := Diff(b.State, a.State); !d.IsEmpty() {
		t.Errorf("got %+v, want an empty delta", d)
	}
	a.put("other", "v")
	d := Diff(b.State, a.State)
	if len(d.Rows) != 1 || d.Rows[0].Path != "other" || len(d.Rows[0].Values) != 1 || len(d.Opens) != 0 {
		t.Errorf("got %+v, want one row with one value", d)
	}
}

// TestAnswerCarriesTheBindingsOfNewReplicas checks that a replica learns who wrote what it learns.
func TestAnswerCarriesTheBindingsOfNewReplicas(t *testing.T) {
	a, b := newReplica(1), newReplica(2)
	a.put("k", "v")
	b.pull(a)
	if open, _ := b.Open(a.id); string(open) != "device 1" {
		t.Errorf("binding of %v: got %q, want %q", a.id, open, "device 1")
	}
}

// TestAChainOfOverwritesLeavesOneValue is counter-example 1 of the design: the middle of a chain of overwrites never arrives, and
// the answer must take the first value away all the same.
func TestAChainOfOverwritesLeavesOneValue(t *testing.T) {
	a, b := newReplica(1), newReplica(2)
	a.put("k", "1")
	b.pull(a)
	a.put("k", "2")
	a.put("k", "3")
	b.pull(a)
	if live := b.Get("k").Live; len(live) != 1 || string(live[0].Data) != "3" {
		t.Errorf("live: got %v, want one value \"3\"", live)
	}
}

// TestTrimForgetsTheOldest checks which deletes go, that the floor covers them, and that some room is left for the next.
func TestTrimForgetsTheOldest(t *testing.T) {
	for _, max := range []int{0, 1, 2, 16, 32, 39, 40, 41} {
		a := newReplica(1)
		for i := range 40 {
			path := string(rune('a' + i%26))
			if i >= 26 {
				path += "2"
			}
			a.put(path, "v")
			a.remove(path)
		}
		if err := Trim(a.State, max); err != nil {
			t.Fatal(err)
		}
		want := max - max/16
		if max >= 40 {
			want = 40
		}
		if got := a.DeleteCount(); got != want {
			t.Errorf("max %d: %d deletes are left, want %d", max, got, want)
		}
		if err := a.Check(); err != nil {
			t.Errorf("max %d: %v", max, err)
		}
		if top := a.Floor().Get(a.id); top != uint64(2*(40-want)) {
			t.Errorf("max %d: floor %d, want %d", max, top, 2*(40-want))
		}
	}
}
