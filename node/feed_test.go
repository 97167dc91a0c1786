package node_test

import (
	"errors"
	"fmt"
	"testing"

	"syncline/node"
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
