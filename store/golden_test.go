package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"syncline/crdt"
	"syncline/store/mem"
)

func rid(b byte) crdt.ReplicaID { return crdt.ReplicaID{b, 0, 0, 0, 0, 0, 0, 1} }

// goldenStore writes one of every record.
func goldenStore(t *testing.T) *mem.Datastore {
	t.Helper()
	ds := mem.New()
	s, err := Open(context.Background(), ds, Options{})
	if err != nil {
		t.Fatal(err)
	}
	tx := s.Begin()
	steps := []func() error{
		func() error { tx.SetIncarnation(rid(0xaa)); tx.SetClock(0x0102); return nil },
		func() error { return tx.SetMeta("cursor/p", []byte("m")) },
		func() error {
			_, _, err := crdt.Write(tx, crdt.Writer{Dot: crdt.Dot{Replica: rid(0xaa), Counter: 1}, Time: 0x10, Open: []byte("dev")},
				[]crdt.Change{{Path: "a", Type: "text/plain; charset=utf-8", Data: []byte("hi")}, {Path: "b/c", Data: []byte("x")}, {Path: "/members/m", Kind: crdt.LWW}})
			return err
		},
		func() error {
			_, _, err := crdt.Write(tx, crdt.Writer{Dot: crdt.Dot{Replica: rid(0xaa), Counter: 2}, Time: 0x11},
				[]crdt.Change{{Path: "b/c", Delete: true, ShownAll: true}, {Path: "/members/m", Delete: true, ShownAll: true}})
			return err
		},
		func() error {
			_, err := crdt.Apply(tx, &crdt.Op{Dot: crdt.Dot{Replica: rid(0x11), Counter: 1}, Time: 0x12, Open: []byte("other"),
				Entries: []crdt.OpEntry{{Path: "a", Data: []byte("ho")}, {Path: "/members/n", Data: []byte("z")}}})
			return err
		},
		func() error {
			return tx.Raise(0, crdt.Vector{}, crdt.VectorOf([]crdt.Dot{{Replica: rid(0x11), Counter: 1}}))
		},
		func() error { tx.Advance(crdt.Dot{Replica: rid(0xaa), Counter: 0x3e8}); return nil },
		tx.Commit,
		s.Check,
	}
	for i, step := range steps {
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	return ds
}

// golden is the whole datastore that goldenStore writes. A difference is a change of the format on disk: it needs a new version, a
// way to read the old one, and a word in docs/PROTOCOL.md.
const golden = `/c/a=
/d/a=021100000000000001010000000000000012000002686faa00000000000001010000000000000010100101026869
/h=023f8c5d42cfce256f16759545e82cfe965cb94761c36d291bdb93b12b227dafa20000000000000102010501010201
/i/10/11:a=
/i/11/11:/members/n=
/i/11/11:a=
/m=0104
/n=0100aa0000000000000100000000000000000000000000000000
/o/10=01646576
/o/11=016f74686572
/p/cursor/p=016d
/r/d/b/c=01aa00000000000001020000000000000011
/r/s/members/m=01aa00000000000001020000000000000011
/s/members/n=0211000000000000010100000000000000120000017a
/v/10=01aa00000000000001e80700
/v/11=0111000000000000010101
/x/10/12:/members/m=
/x/10/12:b/c=
/y/13/b/c:10=010002aa000000000000010200000000000000110002aa0000000000000101000000000000001010000178
`

// TestGoldenRecords pins the bytes of every record and key.
func TestGoldenRecords(t *testing.T) {
	ds := goldenStore(t)
	var got strings.Builder
	for e, err := range datastore.QueryIter(context.Background(), ds, query.Query{Orders: []query.Order{query.OrderByKey{}}}) {
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "%s=%x\n", e.Key, e.Value)
	}
	if got.String() != golden {
		t.Errorf("got\n%s\nwant\n%s", got.String(), golden)
	}
}

// goldenLayout3 is what a program of layout 3 wrote.
const goldenLayout3 = `/c/a=
/d/a=011100000000000001010000000000000012000002686faa00000000000001010000000000000010000101026869
/h=023f8c5d42cfce256f16759545e82cfe965cb94761c36d291bdb93b12b227dafa20000000000000102010501010201
/i/10/11:a=
/i/11/11:/members/n=
/i/11/11:a=
/m=0103
/n=0100aa0000000000000100000000000000000000000000000000
/o/10=01646576
/o/11=016f74686572
/p/cursor/p=016d
/r/d/b/c=01aa00000000000001020000000000000011
/r/s/members/m=01aa00000000000001020000000000000011
/s/members/n=0111000000000000010100000000000000120000017a
/v/10=01aa00000000000001e80700
/v/11=0111000000000000010101
/x/10/12:/members/m=
/x/10/12:b/c=
/y/13/b/c:10=010002aa000000000000010200000000000000110001aa0000000000000101000000000000001000000178
`

// TestLayout3IsRaised: a store from before descents is read; its values have none, a value over one of them names it, and the first
// commit raises the layout, so that an older program refuses the store.
func TestLayout3IsRaised(t *testing.T) {
	ctx, ds := context.Background(), mem.New()
	for line := range strings.Lines(goldenLayout3) {
		key, digits, _ := strings.Cut(strings.TrimSpace(line), "=")
		value, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		ds.Put(ctx, datastore.RawKey(key), value)
	}
	s, err := Open(ctx, ds, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	reg, err := s.Get("a")
	if err != nil || len(reg.Live) != 2 || reg.Live[0].Descent.IsKnown() || reg.Live[1].Descent.IsKnown() {
		t.Fatalf("got %+v, %v; want two values of unknown descent", reg, err)
	}
	tx := s.Begin()
	dot := crdt.Dot{Replica: rid(0xaa), Counter: 0x3e9}
	if _, _, err := crdt.Write(tx, crdt.Writer{Dot: dot, Time: 0x20}, []crdt.Change{{Path: "a", Data: []byte("new"), ShownAll: true}}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	reg, _ = s.Get("a")
	if d := reg.Live[0].Descent; d.Since != dot.Counter || len(d.From) != 2 {
		t.Errorf("the new value has the descent %+v", d)
	}
	if format, err := ds.Get(ctx, datastore.RawKey(keyFormat)); err != nil || !bytes.Equal(format, []byte{1, 4}) {
		t.Errorf("format %x, %v", format, err)
	}
	for p, err := range s.History("a", 0) {
		if err != nil || p.Value.Descent.IsKnown() {
			t.Errorf("past: %+v, %v", p, err)
		}
	}
}

// TestMetas: local records are read one by one and in order, in a transaction and after it, and a nil value removes one.
func TestMetas(t *testing.T) {
	s, err := Open(context.Background(), goldenStore(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	tx := s.Begin()
	for key, value := range map[string][]byte{"cursor/q": []byte("n"), "cursor/p": nil, "other": {}} {
		if err := tx.SetMeta(key, value); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := tx.Meta("cursor/q"); err != nil || string(got) != "n" {
		t.Errorf("in the transaction: %q, %v", got, err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for r, err := range s.Metas("") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.Key+"="+string(r.Data))
	}
	if want := "cursor/q=n other="; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, err := s.Meta("cursor/p"); err != nil || got != nil {
		t.Errorf("a removed record: %q, %v", got, err)
	}
	for _, bad := range []string{"", "/a", "a/", "a//b", ".."} {
		if _, err := s.Meta(bad); err == nil {
			t.Errorf("%q is a key", bad)
		}
	}
}

// TestGoldenIncarnation pins the clean form, whose nonce is drawn.
func TestGoldenIncarnation(t *testing.T) {
	n := incarnation{replica: rid(0xaa), clean: true, nonce: [16]byte{1, 15: 2}}
	const want = "0101aa0000000000000101000000000000000000000000000002"
	if got := hex.EncodeToString(appendIncarnation(nil, n)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestHexOrders: texts of numbers order as the numbers, and none begins another.
func TestHexOrders(t *testing.T) {
	last := ""
	for _, x := range []uint64{0, 1, 9, 10, 15, 16, 0xff, 0x100, 0x3e8, 1 << 20, 1<<32 - 1, crdt.CounterMax - 1, crdt.CounterMax} {
		text := string(appendHex(nil, x))
		if text <= last || last != "" && strings.HasPrefix(text, last) {
			t.Errorf("%d: %q after %q", x, text, last)
		}
		last = text
		if y, rest, ok := cutHex(text + "rest"); y != x || rest != "rest" || !ok {
			t.Errorf("%q: %d, %q, %v", text, y, rest, ok)
		}
	}
	for _, bad := range []string{"", "0", "01", "2", "21", "205", "1g", "1A", "g1"} {
		if x, _, ok := cutHex(bad); ok {
			t.Errorf("%q decodes to %d", bad, x)
		}
	}
}

// TestGoldenParts pins the records of a store that fills range by range, and that they go when it has one part again.
func TestGoldenParts(t *testing.T) {
	ds := goldenStore(t)
	s, err := Open(context.Background(), ds, Options{})
	if err != nil {
		t.Fatal(err)
	}
	seen := crdt.VectorOf([]crdt.Dot{{Replica: rid(0x22), Counter: 7}})
	records := func() (out []string) {
		lo := []byte(spacePart)
		if err := s.eng.scan(context.Background(), lo, after(lo), func(key, value []byte) bool {
			out = append(out, string(key)+"="+hex.EncodeToString(value))
			return true
		}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	join := func(from, to string) {
		tx := s.Begin()
		if _, err := crdt.Join(tx, &crdt.Delta{Context: seen, Floor: seen, From: from, To: to}); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if s, err = Open(context.Background(), ds, Options{}); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
	}
	join("", "m")
	want := []string{
		"/b/10=0100" + "1c" + "110000000000000101" + "220000000000000107" + "aa00000000000001e807" + "110000000000000101" + "220000000000000107",
		"/b/11=01016d" + "13" + "110000000000000101" + "aa00000000000001e807" + "110000000000000101",
	}
	if got := records(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if n := len(s.Parts()); n != 2 || s.Context().Get(rid(0x22)) != 0 {
		t.Errorf("%d parts, context %v", n, s.Context())
	}
	ds.Put(context.Background(), datastore.RawKey("/b/10"), []byte{1, 0, 0})
	var corrupt *CorruptError
	if _, err := Open(context.Background(), ds, Options{}); !errors.As(err, &corrupt) {
		t.Errorf("parts that do not fit the ordinals: %v", err)
	}
	value, _ := hex.DecodeString(strings.TrimPrefix(want[0], "/b/10="))
	ds.Put(context.Background(), datastore.RawKey("/b/10"), value)
	join("m", "")
	if got := records(); len(got) > 0 || len(s.Parts()) != 1 || s.Context().Get(rid(0x22)) != 7 {
		t.Errorf("filled: %s, parts %v", got, s.Parts())
	}
}

// TestNewerLayoutIsNamed: a store of a newer program is refused as what it is.
func TestNewerLayoutIsNamed(t *testing.T) {
	for _, format := range [][]byte{{1, layoutVersion + 1}, {2, 1}, {1, layoutVersion + 1, 9, 9}} {
		ds := goldenStore(t)
		ds.Put(context.Background(), datastore.RawKey(keyFormat), format)
		if _, err := Open(context.Background(), ds, Options{}); !errors.Is(err, ErrNewer) {
			t.Errorf("format %x: %v", format, err)
		}
	}
}

// TestDamageIsNamed flips and cuts bytes of every record. Whoever reads it gets an error with its key, never a panic, and all other
// paths stay readable.
func TestDamageIsNamed(t *testing.T) {
	ctx := context.Background()
	whole := goldenStore(t)
	for e := range datastore.QueryIter(ctx, whole, query.Query{}) {
		for _, bad := range [][]byte{{}, {9}, append(bytes.Clone(e.Value), 0), e.Value[:len(e.Value)/2]} {
			if len(e.Value) == 0 && len(bad) == 0 || e.Key == keyFormat && len(bad) > 0 && bad[0] == 9 {
				continue
			}
			ds := whole.Clone()
			ds.Put(ctx, datastore.RawKey(e.Key), bad)
			s, err := Open(ctx, ds, Options{Token: &MemoryToken{}})
			var damage *CorruptError
			if err != nil {
				if !errors.As(err, &damage) || damage.Key != e.Key {
					t.Errorf("%s = %x: open: %v", e.Key, bad, err)
				}
				continue
			}
			err = s.Check()
			blob := strings.HasPrefix(e.Key, spaceMeta) || strings.HasPrefix(e.Key, spaceOpen)
			if !blob && err == nil || err != nil && errors.As(err, &damage) && damage.Key != e.Key {
				t.Errorf("%s = %x: check: %v", e.Key, bad, err)
			}
			for _, path := range []string{"a", "b/c", "/members/m", "/members/n"} {
				_, err := s.Get(path)
				key := string(appendPath(nil, path))
				if mine := e.Key == key || e.Key == spaceDeletes+key; err != nil && (!mine || !errors.As(err, &damage) || damage.Path != path) {
					t.Errorf("%s = %x: get %q: %v", e.Key, bad, path, err)
				}
			}
			n := 0
			for range s.List("", "") {
				n++
			}
			if n != 1 {
				t.Errorf("%s = %x: %d entries are listed", e.Key, bad, n)
			}
		}
	}
}

// TestForeignDatastoreIsRefused: a datastore with other contents is not taken for an empty one.
func TestForeignDatastoreIsRefused(t *testing.T) {
	ds := mem.New()
	ds.Put(context.Background(), datastore.RawKey("/blocks/x"), []byte("y"))
	var damage *CorruptError
	if _, err := Open(context.Background(), ds, Options{}); !errors.As(err, &damage) {
		t.Error(err)
	}
}

// TestTokenOfAnotherBoot: a token survives neither a restart nor another machine, even if its file does.
func TestTokenOfAnotherBoot(t *testing.T) {
	here, err := currentPlace(t.TempDir())
	if err != nil || here.boot == "" || here.inode == 0 {
		t.Fatalf("%+v, %v", here, err)
	}
	f, err := NewFileToken(t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*savedToken){
		"same":    func(*savedToken) {},
		"boot":    func(s *savedToken) { s.Boot += "x" },
		"machine": func(s *savedToken) { s.Machine += "x" },
		"inode":   func(s *savedToken) { s.Inode++ },
		"device":  func(s *savedToken) { s.Device++ },
		"born":    func(s *savedToken) { s.Born++ },
		"version": func(s *savedToken) { s.Version++ },
	} {
		if err := f.Save(Token{Replica: rid(1), Counter: 3}); err != nil {
			t.Fatal(err)
		}
		b := readFile(t, f.path)
		saved, err := decodeToken(b)
		if err != nil {
			t.Fatal(err)
		}
		change(&saved)
		writeFile(t, f.path, crdt.Marshal(&saved))
		if _, found, err := f.Load(); found != (name == "same") || err != nil {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
}
