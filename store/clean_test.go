package store

import (
	"context"
	"fmt"
	"testing"

	"syncline/crdt"
	"syncline/store/mem"
)

// TestATransactionKeepsFewOfTheBytesThatItReads: an operation that names many large values has all of them read, and few of them held.
func TestATransactionKeepsFewOfTheBytesThatItReads(t *testing.T) {
	s, err := Open(context.Background(), mem.New(), Options{Token: new(MemoryToken)})
	if err != nil {
		t.Fatal(err)
	}
	const n = 100
	paths := make([]string, n)
	for i := range paths {
		paths[i] = fmt.Sprintf("p%03d", i)
		tx := s.Begin()
		dot := crdt.Dot{Replica: crdt.ReplicaID{1}, Counter: uint64(i + 1)}
		tx.SetRegister(paths[i], crdt.Register{Live: []crdt.Value{{Dot: dot, Data: make([]byte, crdt.ValueBytesMax)}}})
		tx.Advance(dot)
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	tx := s.Begin()
	defer tx.Discard()
	first, err := tx.Register(paths[0])
	if err != nil || tx.SetRegister(paths[0], crdt.Register{Live: first.Live, Deletes: nil}) != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if r, err := tx.Register(path); err != nil || len(r.Live) != 1 {
			t.Fatalf("%s: %d values (%v)", path, len(r.Live), err)
		}
		held := 0
		for i := range tx.slab {
			held += dataBytes(tx.slab[i].after)
		}
		if most := cleanBytesMax + 2*(crdt.ValueBytesMax+100); held > most {
			t.Fatalf("after %s: %d bytes are held, want at most %d", path, held, most)
		}
	}
	if e := tx.entries[paths[0]]; e == nil || !e.dirty || len(e.after.Live) != 1 {
		t.Error("what the transaction changed is forgotten")
	}
}
