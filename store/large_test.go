package store

import (
	"context"
	"fmt"
	"testing"

	"syncline/crdt"
	"syncline/store/mem"
)

// TestATransactionHoldsLittleOfWhatItReplaces: one that replaces many large values holds their data once, for history, up to a bound. What is
// beyond it is counted, and is replaced all the same.
func TestATransactionHoldsLittleOfWhatItReplaces(t *testing.T) {
	const n, size = 80, 1 << 20
	s, err := Open(context.Background(), mem.New(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	write := func(counter uint64, c func(path string) crdt.Change, from, to int) []crdt.Effect {
		tx := s.Begin()
		var changes []crdt.Change
		for i := from; i < to; i++ {
			changes = append(changes, c(fmt.Sprintf("k/%02d", i)))
		}
		_, effects, err := crdt.Write(tx, crdt.Writer{Dot: crdt.Dot{Replica: crdt.ReplicaID{1}, Counter: counter}, Time: crdt.Timestamp(counter << 16)}, changes)
		if err != nil {
			t.Fatal(err)
		}
		held := 0
		for _, e := range tx.dirty {
			held += dataBytes(e.before)
			for _, p := range e.past {
				held += len(p.Value.Data)
			}
		}
		for _, e := range effects {
			held += dataBytes(e.Before)
		}
		if held > pastBytesMax+n<<10 { // and some for each
			t.Errorf("it holds %d bytes of what it replaces", held)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		return effects
	}
	for i := range n {
		write(uint64(i+1), func(path string) crdt.Change {
			return crdt.Change{Path: path, ShownAll: true, Data: make([]byte, size)}
		}, i, i+1)
	}
	write(n+1, func(path string) crdt.Change { return crdt.Change{Path: path, ShownAll: true, Delete: true} }, 0, n)
	past := 0
	for i := range n {
		for _, err := range s.History(fmt.Sprintf("k/%02d", i), 0) {
			if err != nil {
				t.Fatal(err)
			}
			past++
		}
	}
	if want := pastBytesMax / size; past != want || s.tx.Dropped() != n-want {
		t.Errorf("%d values in history and %d dropped, want %d and %d", past, s.tx.Dropped(), want, n-want)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}
