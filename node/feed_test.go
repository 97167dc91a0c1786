package node_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"syncline/node"
	"syncline/node/nodetest"
)

// readAll follows the feed page by page and returns the last type of each path.
func readAll(t testing.TB, sp *node.Space, since node.Cursor, limit int) (map[string]node.ChangeType, node.Cursor) {
	t.Helper()
	last := map[string]node.ChangeType{}
	for {
		page, err := sp.Changes(within(t), node.ChangesOptions{Since: since, Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Changes {
			last[c.Path] = c.Type
		}
		if since = page.Cursor; page.UpToDate {
			return last, since
		}
	}
}

func TestTheFeedCanBeReadInPagesAfterDeletesWereForgotten(t *testing.T) {
	sp := space(t, open(t, node.Config{DeleteLog: 4}))
	ctx := within(t)
	for i := range 20 {
		if _, err := sp.Put(ctx, fmt.Sprintf("k/%02d", i), node.Text("x")); err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			if _, err := sp.Delete(ctx, fmt.Sprintf("k/%02d", i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, cursor := readAll(t, sp, "", 3)
	for i := range 20 {
		path := fmt.Sprintf("k/%02d", i)
		if here := got[path] == node.ChangePut; here != (i%2 == 0) {
			t.Errorf("%s: %q", path, got[path])
		}
	}
	if _, err := sp.Delete(ctx, "k/00"); err != nil {
		t.Fatal(err)
	}
	if got, _ := readAll(t, sp, cursor, 3); len(got) != 1 || got["k/00"] != node.ChangeDelete {
		t.Errorf("after a delete: %v", got)
	}
	for i := 2; i < 20; i += 2 {
		if _, err := sp.Delete(ctx, fmt.Sprintf("k/%02d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := sp.Changes(ctx, node.ChangesOptions{Since: cursor}); !errors.Is(err, node.ErrCursorExpired) {
		t.Errorf("a cursor older than what is remembered: %v, want ErrCursorExpired", err)
	}
}

func TestAPagedReadHearsOfWhatIsDeletedMeanwhile(t *testing.T) {
	sp := space(t, open(t, node.Config{}))
	ctx := within(t)
	for i := range 6 {
		if _, err := sp.Put(ctx, fmt.Sprintf("k/%d", i), node.Text("x")); err != nil {
			t.Fatal(err)
		}
	}
	page, err := sp.Changes(ctx, node.ChangesOptions{Limit: 2})
	if err != nil || len(page.Changes) != 2 || page.UpToDate {
		t.Fatalf("first page %+v, %v", page, err)
	}
	if _, err := sp.Delete(ctx, page.Changes[0].Path); err != nil {
		t.Fatal(err)
	}
	if got, _ := readAll(t, sp, page.Cursor, 2); got[page.Changes[0].Path] != node.ChangeDelete || len(got) != 5 {
		t.Errorf("the rest: %v", got)
	}
}

// follow reads the feed from a cursor by Watch, breaks off after every k-th event, goes on from that event's cursor, and returns the
// paths in the order in which they came.
func follow(t testing.TB, sp *node.Space, since node.Cursor, k int) (paths []string) {
	t.Helper()
	for range 100 {
		n := 0
		for ev, err := range sp.Watch(within(t), "", since) {
			if err != nil {
				t.Fatal(err)
			}
			if since = ev.Cursor; ev.UpToDate {
				return paths
			}
			paths = append(paths, ev.Change.Path)
			if n++; n == k {
				break
			}
		}
	}
	t.Fatalf("breaking off after %d, the feed does not end: %v", k, paths)
	return nil
}

// turn reads the feed by pages of a limit, each from the cursor of the k-th change of the page before, or its last.
func turn(t testing.TB, sp *node.Space, since node.Cursor, limit, k int) (paths []string) {
	t.Helper()
	for range 100 {
		page, err := sp.Changes(within(t), node.ChangesOptions{Since: since, Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		since = page.Cursor
		for i, c := range page.Changes {
			paths = append(paths, c.Path)
			if i+1 == k {
				page.UpToDate, since = false, c.Cursor
				break
			}
		}
		if page.UpToDate {
			return paths
		}
	}
	t.Fatalf("in pages of %d cut after %d, the feed does not end: %v", limit, k, paths)
	return nil
}

// A cursor of a change continues after that change, even in the middle of a transaction: nothing is left out, and what one transaction
// wrote is not repeated, wherever the reader stops and however small its pages are.
func TestEveryCursorContinuesAfterItsChange(t *testing.T) {
	hub, ctx := new(nodetest.Hub), within(t)
	a, b := pair(t, hub)
	sp := space(t, a)
	put := func(paths ...string) {
		t.Helper()
		if _, err := sp.Tx(ctx, func(tx *node.Tx) error {
			for _, p := range paths {
				tx.Put(p, node.Text("x"))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		rivals(t, ctx, hub, a, b, fmt.Sprintf("r/%d", i), node.Text("a"), node.Text("b"))
	}
	put("d/1", "d/2", "d/3", "d/4")
	_, start := readAll(t, sp, "", 100)
	put("t/1", "t/2", "t/3")
	if _, err := sp.DeletePrefix(ctx, "d/"); err != nil {
		t.Fatal(err)
	}
	if err := sp.SetPolicy(ctx, "r/**", node.PolicyNewest); err != nil {
		t.Fatal(err)
	}
	put("u/1", "u/2")
	_, err := sp.Delete(ctx, "t/2") // what is superseded leaves a gap in its transaction
	if err != nil {
		t.Fatal(err)
	}
	for _, since := range []node.Cursor{start, ""} {
		want := follow(t, sp, since, 1000)
		if since == start && len(want) != 12 {
			t.Fatalf("the feed tells of %v", want)
		}
		same := func(got []string) bool {
			if since == "" { // a page tells each path once; another page may tell again of one that has two reasons
				got, want := slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
				return slices.Equal(slices.Compact(got), slices.Compact(want))
			}
			return slices.Equal(got, want)
		}
		for k := 1; k <= len(want); k++ {
			if got := follow(t, sp, since, k); !same(got) {
				t.Fatalf("breaking off after %d: %v, want %v", k, got, want)
			}
			for limit := 1; limit <= len(want); limit++ {
				if got := turn(t, sp, since, limit, k); !same(got) {
					t.Fatalf("in pages of %d cut after %d: %v, want %v", limit, k, got, want)
				}
			}
		}
	}
}
