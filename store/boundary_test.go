package store

import (
	"context"
	"strings"
	"testing"

	"syncline/crdt"
	"syncline/store/mem"
)

// TestAPartMayBeginRightBehindTheLongestPath: a repair asks for one path alone, and the range that it fills ends there.
func TestAPartMayBeginRightBehindTheLongestPath(t *testing.T) {
	ctx, ds, token := context.Background(), mem.New(), new(MemoryToken)
	s, err := Open(ctx, ds, Options{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	path := strings.Repeat("x", crdt.PathBytesMax)
	tx := s.Begin()
	tx.Cut(path)
	tx.Cut(path + "\x00")
	tx.AdvancePart(1, crdt.Dot{Replica: crdt.ReplicaID{1}, Counter: 1})
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(ctx, true); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(ctx, ds, Options{Token: token}); err != nil {
		t.Fatal(err)
	}
	if parts := s.Parts(); len(parts) != 3 || len(parts[2].From) != crdt.BoundaryBytesMax {
		t.Errorf("%d parts, want 3", len(parts))
	}
}
