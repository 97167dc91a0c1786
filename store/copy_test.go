package store

import (
	"context"
	"errors"
	"io"
	"testing"

	"syncline/crdt"
	"syncline/store/mem"
)

type record struct{ key, value []byte }

func copyOf(t *testing.T, s *Store) (out []record) {
	t.Helper()
	err := s.Copy(context.Background(), func(key, value []byte) error {
		out = append(out, record{append([]byte(nil), key...), append([]byte(nil), value...)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func from(records []record) func() (key, value []byte, err error) {
	return func() (key, value []byte, err error) {
		if len(records) == 0 {
			return nil, nil, io.EOF
		}
		r := records[0]
		records = records[1:]
		return r.key, r.value, nil
	}
}

// TestCopyIsTheStateWithoutTheWriter: a copy holds what the store held, its past included, and neither the replica id nor local records.
func TestCopyIsTheStateWithoutTheWriter(t *testing.T) {
	ctx := context.Background()
	s, err := Open(ctx, goldenStore(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	ds := mem.New()
	if err := Paste(ctx, ds, from(copyOf(t, s))); err != nil {
		t.Fatal(err)
	}
	c, err := Open(ctx, ds, Options{Token: &MemoryToken{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	if c.Head() != s.Head() || !c.Context().Equal(s.Context()) || !c.Floor().Equal(s.Floor()) {
		t.Errorf("the copy holds %+v, want %+v", c.Head(), s.Head())
	}
	if id, ok := c.Incarnation(); ok {
		t.Errorf("the copy goes on as %v", id)
	}
	if b, err := c.Meta("cursor/p"); b != nil || err != nil {
		t.Errorf("a local record is copied: %q, %v", b, err)
	}
	n := 0
	for _, err := range c.History("b/c", 0) {
		if err != nil {
			t.Error(err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("%d past values", n)
	}
	tx := c.Begin()
	defer tx.Discard()
	if b, err := tx.Open(rid(0x11)); err != nil || string(b) != "other" {
		t.Errorf("binding %q, %v", b, err)
	}
	if _, _, err := crdt.Write(tx, crdt.Writer{Dot: crdt.Dot{Replica: rid(3), Counter: 1}, Time: 9, Open: []byte("new")}, []crdt.Change{put("a", "1")}); err != nil {
		t.Error(err)
	}
}

// TestPasteRefusesWhatNoCopyHolds: a replica id is not smuggled in, and errors of the source end it.
func TestPasteRefusesWhatNoCopyHolds(t *testing.T) {
	for _, key := range []string{"/n", "/p/held/x", "x", "/", "", "/d/"} {
		if err := Paste(context.Background(), mem.New(), from([]record{{key: []byte(key)}})); err == nil {
			t.Errorf("%q is pasted", key)
		}
	}
	broken := errors.New("broken")
	if err := Paste(context.Background(), mem.New(), func() ([]byte, []byte, error) { return nil, nil, broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
}
