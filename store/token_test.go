package store_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ipfs/go-datastore"

	"syncline/crdt"
	"syncline/store"
	"syncline/store/mem"
)

// seeded makes a stream of distinct nonces.
type seeded struct{ n byte }

func (s *seeded) Read(p []byte) (int, error) {
	s.n++
	copy(p, bytes.Repeat([]byte{s.n}, len(p)))
	return len(p), nil
}

func mustOpen(t testing.TB, ds datastore.Batching, token store.BootToken) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), ds, store.Options{Token: token, Random: random})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var random = &seeded{}

// writeAs writes one value under the replica id, which it takes up first if it is new.
func writeAs(t testing.TB, s *store.Store, r crdt.ReplicaID, path, data string) {
	t.Helper()
	tx := s.Begin()
	defer tx.Discard()
	if now, ok := s.Incarnation(); !ok || now != r {
		tx.SetIncarnation(r)
	}
	w := crdt.Writer{Dot: crdt.Dot{Replica: r, Counter: tx.Context().Get(r) + 1}, Time: 1}
	if w.Dot.Counter == 1 {
		w.Open = []byte("device")
	}
	if _, _, err := crdt.Write(tx, w, []crdt.Change{{Path: path, ShownAll: true, Data: []byte(data)}}); err != nil {
		t.Fatal(err)
	}
	commit(t, tx)
}

func closeStore(t testing.TB, s *store.Store, clean bool) {
	t.Helper()
	if err := s.Close(context.Background(), clean); err != nil {
		t.Fatal(err)
	}
}

func wantIncarnation(t *testing.T, s *store.Store, want bool) {
	t.Helper()
	if r, ok := s.Incarnation(); ok != want {
		t.Errorf("incarnation %v, %v: want %v", r, ok, want)
	}
}

// TestIncarnationIsContinuedOnlyAfterACleanClose checks rule R5: the last close was clean, and the token says the same as the data.
func TestIncarnationIsContinuedOnlyAfterACleanClose(t *testing.T) {
	r := replicaOf(1)
	start := func(t *testing.T) (*mem.Datastore, *store.MemoryToken, *store.Store) {
		ds, token := mem.New(), &store.MemoryToken{}
		s := mustOpen(t, ds, token)
		wantIncarnation(t, s, false)
		writeAs(t, s, r, "a", "1")
		wantIncarnation(t, s, true)
		return ds, token, s
	}
	t.Run("clean", func(t *testing.T) {
		ds, token, s := start(t)
		for range 3 {
			closeStore(t, s, true)
			s = mustOpen(t, ds, token)
			wantIncarnation(t, s, true)
			writeAs(t, s, r, "a", "2")
		}
	})
	t.Run("clean without a write", func(t *testing.T) {
		ds, token, s := start(t)
		closeStore(t, s, true)
		for _, clean := range []bool{true, false, true} {
			s = mustOpen(t, ds, token)
			wantIncarnation(t, s, true)
			closeStore(t, s, clean)
		}
		wantIncarnation(t, mustOpen(t, ds, token), true)
	})
	t.Run("unclean", func(t *testing.T) {
		ds, token, s := start(t)
		closeStore(t, s, true)
		s = mustOpen(t, ds, token)
		writeAs(t, s, r, "a", "2")
		closeStore(t, s, false)
		wantIncarnation(t, mustOpen(t, ds, token), false)
	})
	t.Run("killed", func(t *testing.T) {
		ds, token, s := start(t)
		closeStore(t, s, true)
		s = mustOpen(t, ds, token)
		writeAs(t, s, r, "a", "2")
		ds.Crash(0)
		// The clean mark was taken back durably before the write, although the write itself is lost.
		wantIncarnation(t, mustOpen(t, ds, token), false)
	})
	t.Run("restart of the machine", func(t *testing.T) {
		ds, token, s := start(t)
		closeStore(t, s, true)
		token.Remove()
		wantIncarnation(t, mustOpen(t, ds, token), false)
	})
	t.Run("no token", func(t *testing.T) {
		ds, _, s := start(t)
		closeStore(t, s, true)
		wantIncarnation(t, mustOpen(t, ds, nil), false)
	})
	t.Run("copy", func(t *testing.T) {
		ds, token, s := start(t)
		closeStore(t, s, true)
		wantIncarnation(t, mustOpen(t, ds.Clone(), &store.MemoryToken{}), false)
		wantIncarnation(t, mustOpen(t, ds, token), true)
	})
	t.Run("older backup", func(t *testing.T) {
		ds, token, s := start(t)
		closeStore(t, s, true)
		backup := ds.Clone()
		s = mustOpen(t, ds, token)
		writeAs(t, s, r, "a", "2")
		closeStore(t, s, true)
		wantIncarnation(t, mustOpen(t, backup, token), false)
	})
	t.Run("older backup of equal counter", func(t *testing.T) {
		ds, token, s := start(t)
		closeStore(t, s, true)
		backup := ds.Clone()
		s = mustOpen(t, ds, token)
		tx := s.Begin()
		tx.SetClock(77)
		commit(t, tx)
		closeStore(t, s, true)
		wantIncarnation(t, mustOpen(t, backup, token), false)
	})
	t.Run("write after a fresh start", func(t *testing.T) {
		ds, token, s := start(t)
		closeStore(t, s, false)
		s = mustOpen(t, ds, token)
		writeAs(t, s, replicaOf(2), "a", "2")
		closeStore(t, s, true)
		s = mustOpen(t, ds, token)
		if got, ok := s.Incarnation(); !ok || got != replicaOf(2) {
			t.Errorf("incarnation %v, %v, want %v", got, ok, replicaOf(2))
		}
	})
}

// TestTokenIsConsumedBeforeTheFirstWrite: a first commit that cannot take the clean mark back changes nothing, and a later one can; after
// a sync that failed, one of another run.
func TestTokenIsConsumedBeforeTheFirstWrite(t *testing.T) {
	for name, fail := range map[string]func(mem.Op, int) error{"disk full": mem.NoReserve, "sync fails": mem.SyncFails} {
		t.Run(name, func(t *testing.T) {
			ds, token := mem.New(), &store.MemoryToken{}
			s := mustOpen(t, ds, token)
			writeAs(t, s, replicaOf(1), "a", "1")
			closeStore(t, s, true)
			s = mustOpen(t, ds, token)
			ds.Inject(fail)
			tx := s.Begin()
			put(t, tx, []crdt.Change{{Path: "b"}})
			err := tx.Commit()
			if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EIO) {
				t.Fatalf("commit: %v", err)
			}
			tx.Discard()
			if s.Head().Entries != 1 {
				t.Fatalf("%d entries", s.Head().Entries)
			}
			ds.Inject(nil)
			if errors.Is(err, store.ErrUnsynced) {
				closeStore(t, s, false)
				s = mustOpen(t, ds, token)
				wantIncarnation(t, s, false)
			}
			writeAs(t, s, replicaOf(1), "b", "2")
			if _, found, _ := token.Load(); found {
				t.Error("the token is still there after a write")
			}
		})
	}
}

// TestADeleteAfterACleanCloseOnAFullDisk: the first delete of a run takes the clean mark back, which the full disk does not keep it from.
func TestADeleteAfterACleanCloseOnAFullDisk(t *testing.T) {
	ds, token := mem.New(), &store.MemoryToken{}
	s := mustOpen(t, ds, token)
	writeAs(t, s, replicaOf(1), "a", "1")
	closeStore(t, s, true)
	s = mustOpen(t, ds, token)
	ds.Inject(mem.DiskFull)
	tx := s.Begin()
	defer tx.Discard()
	put(t, tx, []crdt.Change{{Path: "a", Delete: true, ShownAll: true}})
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if s.Head().Entries != 0 {
		t.Errorf("%d entries", s.Head().Entries)
	}
}

// TestASyncThatFailedIsNotTriedAgain: what the disk refused is not on it, whatever a later sync says. The store can be read, and is
// written again when it was opened anew.
func TestASyncThatFailedIsNotTriedAgain(t *testing.T) {
	ctx := context.Background()
	ds := mem.New()
	s := mustOpen(t, ds, nil)
	writeAs(t, s, replicaOf(1), "a", "1")
	ds.Inject(mem.SyncFails)
	if err := s.Sync(ctx); !errors.Is(err, syscall.EIO) || !errors.Is(err, store.ErrUnsynced) {
		t.Fatalf("sync: %v", err)
	}
	ds.Inject(nil)
	if err := s.Sync(ctx); !errors.Is(err, store.ErrUnsynced) {
		t.Errorf("a second sync: %v, want ErrUnsynced", err)
	}
	tx := s.Begin()
	tx.SetClock(77)
	if err := tx.Commit(); !errors.Is(err, store.ErrUnsynced) {
		t.Errorf("commit: %v, want ErrUnsynced", err)
	}
	tx.Discard()
	if err := s.Close(ctx, true); !errors.Is(err, store.ErrUnsynced) {
		t.Errorf("close: %v, want ErrUnsynced", err)
	}
	s = mustOpen(t, ds, nil)
	if reg, err := s.Get("a"); err != nil || len(reg.Live) != 1 {
		t.Errorf("a = %v, %v", reg, err)
	}
	writeAs(t, s, replicaOf(2), "b", "2")
	if err := s.Sync(ctx); err != nil {
		t.Errorf("sync of a store that was opened anew: %v", err)
	}
}

// TestASyncThatFailedCountsWhoeverAsked: also if nobody waits for it any more. One that was given up is no failure.
func TestASyncThatFailedCountsWhoeverAsked(t *testing.T) {
	for name, cause := range map[string]error{"the disk": syscall.EIO, "the caller": context.Canceled} {
		ds := mem.New()
		s := mustOpen(t, ds, nil)
		writeAs(t, s, replicaOf(1), "a", "1")
		over, end := context.WithCancel(context.Background())
		end()
		ds.Inject(func(op mem.Op, _ int) error {
			if op == mem.OpSync {
				return cause
			}
			return nil
		})
		if err := s.Sync(over); !errors.Is(err, cause) {
			t.Fatalf("%s: %v", name, err)
		}
		ds.Inject(nil)
		if err := s.Sync(context.Background()); errors.Is(err, store.ErrUnsynced) != (cause == syscall.EIO) {
			t.Errorf("after a sync that failed because of %s: %v", name, err)
		}
	}
}

// TestFileToken: a token counts for the directory that it was saved for, and for no copy of it.
func TestFileToken(t *testing.T) {
	base := t.TempDir()
	dir := func(name string) string {
		d := filepath.Join(base, name)
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
		return d
	}
	run, data := dir("run"), dir("data")
	token, err := store.NewFileToken(run, data)
	if err != nil {
		t.Fatal(err)
	}
	want := store.Token{Replica: replicaOf(1), Counter: 7, Nonce: [16]byte{1, 2}}
	load := func(f *store.FileToken) bool {
		t.Helper()
		got, found, err := f.Load()
		if err != nil || found && got != want {
			t.Fatalf("load: %v, %v, %v", got, found, err)
		}
		return found
	}
	if load(token) {
		t.Error("a token that nobody saved")
	}
	if err := token.Save(want); err != nil {
		t.Fatal(err)
	}
	if !load(token) {
		t.Error("no token after save")
	}
	other, err := store.NewFileToken(run, dir("copy"))
	if err != nil {
		t.Fatal(err)
	}
	if load(other) {
		t.Error("the token counts for another directory")
	}
	// The directory is replaced by a copy under its own name.
	if err := os.Rename(data, data+".old"); err != nil {
		t.Fatal(err)
	}
	dir("data")
	if load(token) {
		t.Error("the token counts for a copy under the same name")
	}
	os.WriteFile(filepath.Join(run, "boot-token"), []byte("nonsense"), 0o600)
	if load(token) {
		t.Error("nonsense is a token")
	}
	for range 2 {
		if err := token.Remove(); err != nil || load(token) {
			t.Errorf("after remove: %v", err)
		}
	}
}

// TestFileTokenNotBesideTheData: what copies the data must not copy the token.
func TestFileTokenNotBesideTheData(t *testing.T) {
	data := t.TempDir()
	inside := filepath.Join(data, "run")
	if err := os.Mkdir(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(inside, link); err != nil {
		t.Fatal(err)
	}
	for _, run := range []string{data, inside, link, filepath.Dir(data)} {
		if _, err := store.NewFileToken(run, data); err == nil || !strings.Contains(err.Error(), " lies in ") {
			t.Errorf("%s for %s: %v", run, data, err)
		}
	}
	if _, err := store.NewFileToken(filepath.Join(data, "none"), data); err == nil {
		t.Error("a runtime directory that does not exist")
	}
}
