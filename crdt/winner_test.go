package crdt

import "testing"

// TestWinnerOverASecondDeleteIsNamed lets a value win over two deletes while a newer one stands beside it whose existence both
// writers of the deletes knew, or not: what is reported is the value that won, never the one that is merely shown.
func TestWinnerOverASecondDeleteIsNamed(t *testing.T) {
	s := NewState()
	dot := func(r byte) Dot { return Dot{ReplicaID{r}, 1} }
	apply := func(r byte, e OpEntry) []Conflict {
		e.Path = "p"
		effects, err := Apply(s, &Op{Dot: dot(r), Time: Timestamp(r), Entries: []OpEntry{e}, Open: []byte{1}})
		if err != nil {
			t.Fatal(err)
		}
		return Conflicts(effects)
	}
	apply('a', OpEntry{Data: []byte("first")})
	apply('b', OpEntry{Preds: []Dot{dot('a')}, Data: []byte("update")})
	first := apply('c', OpEntry{Preds: []Dot{dot('a')}, Delete: true})
	apply('y', OpEntry{Preds: []Dot{dot('a')}, Data: []byte("newest")})
	second := apply('d', OpEntry{Preds: []Dot{dot('a')}, Also: []Dot{dot('y')}, Delete: true})
	for _, got := range [][]Conflict{first, second} {
		if len(got) != 1 || got[0].Local.Dot != dot('b') {
			t.Errorf("got %+v, want one conflict in which %v won", got, dot('b'))
		}
	}
}
