package node

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"testing"

	"syncline/crdt"
	"syncline/gossip"
)

// In the moment in which a space is left its store is closed before its readers are told: they say why all the same.
func TestAReaderOfASpaceThatIsBeingLeftSaysSo(t *testing.T) {
	ctx := context.Background()
	s := openSpaceInMemory(t)
	importing(t, s, line("a", "1"))
	s.over.Store(ErrSpaceLeft.With("the device joined a space since"))
	if err := s.store.Close(ctx, true); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Get":       func() error { _, err := s.Get(ctx, "a"); return err },
		"Conflict":  func() error { _, err := s.Conflict(ctx, "a"); return err },
		"List":      func() error { return lastOf(s.List(ctx, "", ListOptions{})) },
		"Conflicts": func() error { return lastOf(s.Conflicts(ctx, "")) },
		"History":   func() error { return lastOf(s.History(ctx, "a", HistoryOptions{})) },
		"Restore":   func() error { _, err := s.Restore(ctx, "a", "h.1"); return err },
		"Undo":      func() error { _, err := s.Undo(ctx, ""); return err },
	} {
		if err := call(); !errors.Is(err, ErrSpaceLeft) {
			t.Errorf("%s: %v, want ErrSpaceLeft", name, err)
		}
	}
}

func lastOf[T any](seq iter.Seq2[T, error]) (err error) {
	for _, e := range seq {
		err = e
	}
	return err
}

// A Join that was under way when the node was closed finishes nothing after that: the directory may be another node's by then.
func TestAJoinFinishesNothingAfterClose(t *testing.T) {
	dir := t.TempDir()
	n, err := Open(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s, err := n.Space("")
	if err != nil {
		t.Fatal(err)
	}
	other := newMember(gossip.DeviceID{1}, "laptop", n.id, n.cfg.Clock())
	if err := s.adoptMembers(t.Context(), [][]byte{crdt.Marshal(&other)}); err != nil {
		t.Fatal(err)
	}
	rec := s.rec
	rec.Replaces = "another space"
	if err := s.keepRecord(rec); err != nil { // a join that was cut short
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	before := filesOf(t, dir)
	if _, _, err := n.checkTicket(ticket{inviter: gossip.DeviceID{1}, space: [8]byte(s.id[:8])}); !errors.Is(err, ErrClosed) {
		t.Errorf("the join goes on: %v", err)
	}
	if after := filesOf(t, dir); after != before {
		t.Errorf("it wrote\n%s\nfor\n%s", after, before)
	}
}

// filesOf returns what the files that name the spaces of a directory say.
func filesOf(t *testing.T, dir string) (all string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, spacesDir, "*", spaceFile))
	if err != nil || len(found) == 0 {
		t.Fatalf("spaces: %v, %v", found, err)
	}
	for _, name := range append(found, filepath.Join(dir, defaultFile)) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all += name + ": " + string(b) + "\n"
	}
	return all
}
