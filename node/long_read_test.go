package node

import (
	"context"
	"fmt"
	"testing"

	"syncline/store"
)

// manyEntries returns a space with n entries, a thousand in each transaction.
func manyEntries(t *testing.T, n int) *Space {
	t.Helper()
	s := openSpaceInMemory(t)
	for i := 0; i < n; i += 1000 {
		if _, err := s.Tx(context.Background(), func(tx *Tx) error {
			for j := i; j < min(i+1000, n); j++ {
				tx.Put(fmt.Sprintf("e/%06d", j), Text("1"))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestLongReadsLetOthersThrough: a page of the feed that finds nothing, and a count of all that a device lacks, look at so many names at a time.
// In between the loop of the space goes on.
func TestLongReadsLetOthersThrough(t *testing.T) {
	const n = 2*readNamesMax + 3500
	ctx, s := context.Background(), manyEntries(t, n)
	page, err := s.page(ctx, position{}, "none/", 1)
	if err != nil || page.whole || len(page.changes) > 0 || page.next.since.Len() == 0 {
		t.Errorf("the first page is whole %t, %d changes, next %+v, %v", page.whole, len(page.changes), page.next, err)
	}
	for _, wait := range []ChangesOptions{{Prefix: "none/"}, {Prefix: "none/", Wait: 1}} {
		if all, err := s.Changes(ctx, wait); err != nil || !all.UpToDate || len(all.Changes) > 0 {
			t.Errorf("all pages: %+v, %v", all, err)
		}
	}
	last := fmt.Sprintf("e/%06d", n-1)
	for ev, err := range s.Watch(ctx, last, "") {
		if err != nil || ev.UpToDate || ev.Change.Path != last {
			t.Errorf("%+v, %v", ev, err)
		}
		break
	}
	reads, l := 0, lack{upto: s.store.Parts().Top()}
	for more := true; more; reads++ {
		if err := s.loop.read(ctx, func(tx *store.Tx) (err error) { more, err = l.count(tx); return err }); err != nil {
			t.Fatal(err)
		}
	}
	if l.Entries != n || reads < 3 {
		t.Errorf("%d of %d entries counted in %d reads", l.Entries, n, reads)
	}
}

// TestWhatIsMissingIsCountedOnce, though an entry has several values, or was deleted and written again.
func TestWhatIsMissingIsCountedOnce(t *testing.T) {
	ctx, s := context.Background(), openSpaceInMemory(t)
	held := s.store.Context()
	importing(t, s, line("several", "1", "2", "3"), line("one", "1"), line("gone", "1"))
	if _, err := s.Delete(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	if m, err := s.missing(ctx, held); err != nil || m.Entries != 3 || m.Bytes != int64(len("several123one1gone")) {
		t.Errorf("%+v, %v", m, err)
	}
}
