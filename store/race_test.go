package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/go-datastore"

	"syncline/crdt"
	"syncline/store"
	"syncline/store/mem"
	"syncline/store/pebbledb"
)

// TestReadersBesideCommits: whatever runs beside the transactions sees whole commits. The writer moves one value through four paths, by
// a delete and a write in one transaction, so that exactly one path is live at any moment; a register is never live and deleted.
func TestReadersBesideCommits(t *testing.T) {
	onPebble, err := pebbledb.Open("db", pebbledb.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	for name, ds := range map[string]datastore.Batching{"mem": mem.New(), "pebble": onPebble} {
		t.Run(name, func(t *testing.T) {
			defer ds.Close()
			s := mustOpen(t, ds, nil)
			r := replicaOf(0)
			path := func(n int) string { return fmt.Sprintf("p%d", n%4) }
			move := func(n int) {
				tx := s.Begin()
				defer tx.Discard()
				w := crdt.Writer{Dot: crdt.Dot{Replica: r, Counter: uint64(n + 1)}, Time: crdt.Timestamp(n + 1)}
				changes := []crdt.Change{{Path: path(n), ShownAll: true, Data: []byte("v")}, {Path: path(n + 3), ShownAll: true, Delete: true}}
				if _, _, err := crdt.Write(tx, w, changes); err != nil {
					t.Error(err)
				}
				if err := tx.Commit(); err != nil {
					t.Error(err)
				}
			}
			move(0)
			done := make(chan struct{})
			var readers sync.WaitGroup
			for _, read := range []func() error{
				func() error {
					n := 0
					for e, err := range s.List("", "") {
						if err != nil || len(e.Live) != 1 {
							return fmt.Errorf("entry %v, %v", e, err)
						}
						n++
					}
					if n != 1 {
						return fmt.Errorf("%d entries are listed", n)
					}
					return nil
				},
				func() error {
					for n := range 4 {
						if r, err := s.Get(path(n)); err != nil || len(r.Live) > 0 && len(r.Deletes) > 0 {
							return fmt.Errorf("register %v, %v", r, err)
						}
					}
					return nil
				},
				func() error {
					before, h, after := s.Context().Get(r), s.Head(), s.Context().Get(r)
					if h.Entries != 1 || before > after || !s.Floor().Within(s.Context()) {
						return fmt.Errorf("head %+v, counters %d, %d", h, before, after)
					}
					return s.Sync(context.Background())
				},
			} {
				readers.Go(func() {
					for {
						select {
						case <-done:
							return
						default:
						}
						if err := read(); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			for n := 1; n < 500; n++ {
				move(n)
			}
			close(done)
			readers.Wait()
			if err := s.Check(); err != nil {
				t.Error(err)
			}
			closeStore(t, s, true)
			if _, err := s.Get("p0"); err != store.ErrClosed {
				t.Errorf("get after close: %v", err)
			}
		})
	}
}
