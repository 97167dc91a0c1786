package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ipfs/go-datastore"
)

// openSpaceInMemory returns the default space of a node in memory.
func openSpaceInMemory(t testing.TB) *Space {
	t.Helper()
	n, err := Open(context.Background(), Config{RuntimeDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	s, err := n.Space("")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// importing imports one line and returns how many entries it changed.
func importing(t testing.TB, s *Space, lines ...ImportLine) int {
	t.Helper()
	res, err := s.Import(context.Background(), each(lines...))
	if err != nil {
		t.Fatal(err)
	}
	return res.Changed
}

func each(lines ...ImportLine) func(func(ImportLine, error) bool) {
	return func(yield func(ImportLine, error) bool) {
		for _, l := range lines {
			if !yield(l, nil) {
				return
			}
		}
	}
}

func line(path string, values ...string) ImportLine {
	l := ImportLine{Path: path}
	for _, v := range values {
		l.Values = append(l.Values, Text(v))
	}
	return l
}

func contents(t testing.TB, s *Space, path string) (out []string) {
	t.Helper()
	e, err := s.Get(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range e.Values {
		out = append(out, string(v.Data))
	}
	return out
}

// A line of which one value cannot be stored changes nothing, wherever that value stands.
func TestALineWithABadValueChangesNothing(t *testing.T) {
	s := openSpaceInMemory(t)
	importing(t, s, line("a", "one", "two"))
	for i := range 3 {
		bad := line("a", "x", "y", "z")
		bad.Values[i].Data = make([]byte, ValueBytesMax+1)
		if _, err := s.Import(context.Background(), each(bad)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("value %d: %v", i, err)
		}
		bad = line("a", "x", "y", "z")
		bad.Values[i].Type = strings.Repeat("x", ContentTypeBytesMax+1)
		if _, err := s.Import(context.Background(), each(bad)); !errors.Is(err, ErrBadRequest) {
			t.Errorf("value %d: %v", i, err)
		}
	}
	if got := contents(t, s, "a"); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("it holds %q", got)
	}
}

// A line of several values sets exactly these; one of a single value that is shown changes nothing.
func TestImportIsIdempotent(t *testing.T) {
	s := openSpaceInMemory(t)
	s.Put(context.Background(), "a", Text("local"))
	if n := importing(t, s, line("a", "one", "two", "one")); n != 1 {
		t.Errorf("%d changed", n)
	}
	if got := contents(t, s, "a"); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("it holds %q", got)
	}
	before, _ := s.Get(context.Background(), "a")
	if n := importing(t, s, line("a", "one", "two")) + importing(t, s, line("a", "two", "one")) + importing(t, s, line("a", "one")); n != 0 {
		t.Errorf("%d changed", n)
	}
	if after, _ := s.Get(context.Background(), "a"); after.Version != before.Version {
		t.Errorf("version %s, was %s", after.Version, before.Version)
	}
	for range 2 {
		importing(t, s, line("a", "three"), line("b", "1"), line("a", "four"), line("c", "2", "3"), line("b", "5"), line("c", "6"))
		if got := contents(t, s, "a"); !slices.Equal(got, []string{"four", "two"}) {
			t.Errorf("a holds %q", got)
		}
		if b, c := contents(t, s, "b"), contents(t, s, "c"); !slices.Equal(b, []string{"5"}) || c[0] != "6" {
			t.Errorf("b holds %q, c %q", b, c)
		}
	}
}

// The batch knows its size when a later line replaces an earlier one.
func TestARepeatedPathCountsOnce(t *testing.T) {
	s := openSpaceInMemory(t)
	im := importer{space: s, ctx: context.Background(), at: map[string]int{}}
	for i, n := range []int{10, 1000, 10} {
		for _, path := range []string{"a", "b", "c"} {
			if err := im.add(line(path, strings.Repeat("x", n))); err != nil {
				t.Fatal(err)
			}
		}
		if want := 3 * (n + 1); im.bytes != want || len(im.ops) != 3 || len(im.at) != 3 {
			t.Errorf("round %d: %d bytes in %d writes of %d paths, want %d", i, im.bytes, len(im.ops), len(im.at), want)
		}
	}
	if err := im.flush(); err != nil || im.res.Changed != 3 {
		t.Errorf("%d changed, %v", im.res.Changed, err)
	}
}

// Two that delete the same do not fail over each other.
func TestDeletePrefixPassesOverWhatIsGone(t *testing.T) {
	s := openSpaceInMemory(t)
	const n = 3000
	var lines []ImportLine
	for i := range n {
		lines = append(lines, line(fmt.Sprintf("d/%04d", i), "x"))
	}
	importing(t, s, lines...)
	var all sync.WaitGroup
	var deleted [2]Deleted
	var errs [2]error
	for i := range 2 {
		all.Go(func() { deleted[i], errs[i] = s.DeletePrefix(context.Background(), "d/") })
	}
	for i := 500; i < n; i += 1000 { // and some in the middle of a batch
		all.Go(func() { s.Delete(context.Background(), fmt.Sprintf("d/%04d", i)) })
	}
	all.Wait()
	if errs[0] != nil || errs[1] != nil || deleted[0].Entries+deleted[1].Entries > n || deleted[0].Entries+deleted[1].Entries < n-3 {
		t.Errorf("%v deleted, %v", deleted, errs)
	}
	for e, err := range s.List(context.Background(), "", ListOptions{}) {
		t.Errorf("left: %s %v", e.Path, err)
	}
}

// A damaged record is named, and hides nothing else.
func TestListGoesOnAfterADamagedRecord(t *testing.T) {
	ctx := context.Background()
	s := openSpaceInMemory(t)
	importing(t, s, line("a", "1"), line("b", "2"), line("c", "3"))
	if err := s.ds.Put(ctx, datastore.RawKey("/d/b"), []byte{9}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for e, err := range s.List(ctx, "", ListOptions{Limit: 2}) {
		if err != nil {
			if p := ProblemOf(err); !errors.Is(err, ErrStore) || p.Path != "b" || e.Path != "b" {
				t.Errorf("%s: %v", e.Path, err)
			}
			got = append(got, "!"+e.Path)
			continue
		}
		got = append(got, e.Path)
	}
	if !slices.Equal(got, []string{"a", "!b", "c"}) {
		t.Errorf("listed %q", got)
	}
	if n, err := s.DeletePrefix(ctx, ""); !errors.Is(err, ErrStore) {
		t.Errorf("delete: %+v, %v", n, err)
	}
}

// TestAnImportEndsWithItsContext: that is no fault of a line, nor of ours.
func TestAnImportEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := openSpaceInMemory(t).Import(ctx, each(line("a", "1", "2", "3")))
	if err != context.Canceled {
		t.Errorf("%v, want the end of the context", err)
	}
}
