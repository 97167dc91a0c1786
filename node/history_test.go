package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"syncline/node"
	"syncline/node/nodetest"
)

// history returns the revisions of a path in short: content or "deleted", who wrote it, and what replaced it.
func history(t testing.TB, s *node.Space, path string, limit int) (short string, all []node.Revision) {
	t.Helper()
	var out []string
	for r, err := range s.History(context.Background(), path, node.HistoryOptions{Limit: limit}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
		text := string(r.Data)
		if r.Deleted {
			text = "deleted"
		}
		if r.Replaced != nil {
			text += "-" + string(r.Replaced.How)
		}
		out = append(out, text)
	}
	return strings.Join(out, " "), all
}

func mustPut(t testing.TB, s *node.Space, path, text string, opts ...node.WriteOption) node.WriteResult {
	t.Helper()
	res, err := s.Put(within(t), path, node.Text(text), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// TestHistory: what was written, deleted and written again is listed newest first, survives a restart, and comes back by any of its
// names.
func TestHistory(t *testing.T) {
	dir, run := t.TempDir(), t.TempDir()
	n := open(t, node.Config{Dir: dir, RuntimeDir: run, Name: "laptop"})
	s := space(t, n)
	one := mustPut(t, s, "a", "1")
	mustPut(t, s, "a", "2")
	if _, err := s.Delete(within(t), "a"); err != nil {
		t.Fatal(err)
	}
	if got, _ := history(t, s, "a", 0); got != "deleted 2-delete 1-put" {
		t.Errorf("after the delete: %q", got)
	}
	mustPut(t, s, "a", "3")
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	s = space(t, open(t, node.Config{Dir: dir, RuntimeDir: run}))
	got, all := history(t, s, "a", 0)
	if got != "3 deleted 2-delete 1-put" {
		t.Fatalf("after a restart: %q", got)
	}
	if got, _ := history(t, s, "a", 2); got != "3 deleted" {
		t.Errorf("two of them: %q", got)
	}
	past := all[3]
	if past.Replaced.By != all[2].ID || past.Replaced.Device.Name != "laptop" || past.Device.Name != "laptop" || past.Replaced.Seen.IsZero() {
		t.Errorf("%+v", past)
	}
	for _, name := range []string{past.ID, past.ID[:10], past.ID[2:9], string(one.Version)} {
		if r, err := s.Revision(within(t), "a", name); err != nil || string(r.Data) != "1" {
			t.Errorf("%s: %q, %v", name, r.Data, err)
		}
	}
	for name, want := range map[string]error{"h.": node.ErrBadRequest, "": node.ErrBadRequest, "h.0123456789abcdef": node.ErrHistoryExpired} {
		if _, err := s.Restore(within(t), "a", name); !errors.Is(err, want) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := s.Restore(within(t), "a", all[1].ID); !errors.Is(err, node.ErrBadRequest) {
		t.Errorf("a delete is restored: %v", err)
	}
	if _, err := s.Restore(within(t), "nowhere", all[1].ID); !errors.Is(err, node.ErrNotFound) {
		t.Errorf("a path that never was: %v", err)
	}
	before, _ := s.Get(within(t), "a")
	if res, err := s.Restore(within(t), "a", all[0].ID); err != nil || res.Version != before.Version {
		t.Errorf("restoring what is shown: %+v, %v", res, err)
	}
	if _, err := s.Restore(within(t), "a", past.ID); err != nil {
		t.Fatal(err)
	}
	if got, _ := history(t, s, "a", 0); got != "1 3-put deleted 2-delete 1-put" {
		t.Errorf("after the restore: %q", got)
	}
}

// TestRestoreAfterDelete brings an entry back with content type and kind.
func TestRestoreAfterDelete(t *testing.T) {
	s := space(t, open(t, node.Config{}))
	if _, err := s.Put(within(t), "a", node.JSON(1), node.As(1)); err != nil {
		t.Fatal(err)
	}
	before, err := s.Get(within(t), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Delete(within(t), "a"); err != nil {
		t.Fatal(err)
	}
	res, err := s.Restore(within(t), "a", before.Values[0].ID)
	if err != nil || !res.Created {
		t.Fatalf("%+v, %v", res, err)
	}
	if e, err := s.Get(within(t), "a"); err != nil || e.Kind != before.Kind || e.Shown().Type != node.MediaTypeJSON {
		t.Errorf("%+v, %v", e, err)
	}
}

// TestHistoryOfOthers: a device keeps what others overwrite and what loses a resolution, and says who did it.
func TestHistoryOfOthers(t *testing.T) {
	hub := new(nodetest.Hub)
	a, b := pair(t, hub)
	sa, sb := space(t, a), space(t, b)
	mustPut(t, sa, "x", "from laptop")
	await(t, sb, "x", "from laptop")
	mustPut(t, sb, "x", "from desktop")
	await(t, sa, "x", "from desktop")
	got, all := history(t, sa, "x", 0)
	if got != "from desktop from laptop-put" || all[1].Replaced.Device.Name != "desktop" {
		t.Errorf("%q, %+v", got, all)
	}
	hub.Cut(a.ID())
	mustPut(t, sa, "y", "mine")
	mustPut(t, sb, "y", "theirs")
	hub.Heal()
	if _, err := sa.WaitSync(within(t), node.SyncOptions{}); err != nil {
		t.Fatal(err)
	}
	c, err := sa.Conflict(within(t), "y")
	if err != nil {
		t.Fatal(err)
	}
	both := string(c.Values[0].Data) + " " + string(c.Values[1].Data)
	if got, _ := history(t, sa, "y", 0); got != both {
		t.Errorf("of a conflict: %q, want %q", got, both)
	}
	content := node.Text("decided")
	if _, err := sa.Resolve(within(t), "y", node.Resolution{Value: &content}); err != nil {
		t.Fatal(err)
	}
	await(t, sb, "y", "decided")
	for _, s := range []*node.Space{sa, sb} {
		got, _ := history(t, s, "y", 0)
		want := fmt.Sprintf("decided %s-resolve %s-resolve", c.Values[0].Data, c.Values[1].Data)
		if got != want {
			t.Errorf("after the decision: %q, want %q", got, want)
		}
	}
}

// TestHistoryIsBoundedByConfig: versions and age as configured; switched off there is none.
func TestHistoryIsBoundedByConfig(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := space(t, open(t, node.Config{HistoryVersions: 2, HistoryAge: time.Hour, Clock: func() time.Time { return now }}))
	for i := range 5 {
		mustPut(t, s, "a", fmt.Sprint(i))
	}
	if got, _ := history(t, s, "a", 0); got != "4 3-put 2-put" {
		t.Errorf("two versions: %q", got)
	}
	now = now.Add(2 * time.Hour)
	if got, _ := history(t, s, "a", 0); got != "4" {
		t.Errorf("after two hours: %q", got)
	}
	off := space(t, open(t, node.Config{HistoryVersions: -1}))
	mustPut(t, off, "a", "1")
	mustPut(t, off, "a", "2")
	if got, _ := history(t, off, "a", 0); got != "2" {
		t.Errorf("off: %q", got)
	}
}

// TestHistoryTellsWhatAViewDoes: which value a policy shows, which it passes over, and what it made of all of them, which no device wrote.
func TestHistoryTellsWhatAViewDoes(t *testing.T) {
	n, ctx := open(t, node.Config{}), within(t)
	s := space(t, n)
	for _, path := range []string{"max", "union"} {
		conflict(t, ctx, n, path, node.Text("b\na\n"), node.Text("c\n"))
	}
	for pattern, p := range map[string]node.Policy{"max": node.PolicyMax, "union": node.PolicyUnion} {
		if err := s.SetPolicy(ctx, pattern, p); err != nil {
			t.Fatal(err)
		}
	}
	tell := func(path string) (out []string) {
		_, all := history(t, s, path, 0)
		for _, r := range all {
			out = append(out, fmt.Sprintf("%q id %t shown %t current %t %s", r.Data, r.ID != "", r.Shown, r.Current, r.SettledBy))
		}
		return out
	}
	want := []string{`"b\na\n" id true shown false current true max`, `"c\n" id true shown true current true max`}
	if got := tell("max"); !slices.Equal(got, want) {
		t.Errorf("max: %q", got)
	}
	want = []string{`"a\nb\nc\n" id false shown true current false union`, `"b\na\n" id true shown false current true union`,
		`"c\n" id true shown false current true union`}
	if got := tell("union"); !slices.Equal(got, want) {
		t.Errorf("union: %q", got)
	}
	e, err := s.Get(ctx, "union")
	if err != nil {
		t.Fatal(err)
	}
	if r, err := s.Revision(ctx, "union", string(e.Version)); err != nil || string(r.Data) != "a\nb\nc\n" {
		t.Errorf("the union by the version of the entry: %q, %v", r.Data, err)
	}
	if res, err := s.Restore(ctx, "union", string(e.Version)); err != nil || res.Version != e.Version {
		t.Errorf("restoring what is shown: %+v, %v", res, err)
	}
}
