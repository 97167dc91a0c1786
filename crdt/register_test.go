package crdt

import (
	"math/rand"
	"slices"
	"testing"
)

func value(n byte, counter uint64, millis int64, data string) Value {
	return Value{Dot: dot(n, counter), Time: At(millis), Type: "text/plain", Data: []byte(data)}
}

// TestTheNewestValueIsShown: by time, then replica, then counter, so that all replicas show the same.
func TestTheNewestValueIsShown(t *testing.T) {
	for name, c := range map[string]struct {
		live []Value
		want []string
	}{
		"time":    {[]Value{value(1, 1, 5, "new"), value(2, 9, 4, "old")}, []string{"new", "old"}},
		"replica": {[]Value{value(1, 9, 5, "low"), value(2, 1, 5, "high")}, []string{"high", "low"}},
		"counter": {[]Value{value(1, 1, 5, "first"), value(1, 2, 5, "second")}, []string{"second", "first"}},
		"none":    {nil, nil},
	} {
		r := Register{Live: c.live}
		if got := contents(r.Newest()); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
		shown, ok := r.Shown()
		if ok != (len(c.want) > 0) || ok && string(shown.Data) != c.want[0] {
			t.Errorf("%s: shown %q, %v; want the first of %q", name, shown.Data, ok, c.want)
		}
	}
}

func TestContendingCountsDifferentContents(t *testing.T) {
	lww, won := value(3, 1, 1, "c"), value(4, 1, 1, "d")
	lww.Kind = LWW
	won.Won = true
	wonLWW := won
	wonLWW.Kind = LWW
	for name, c := range map[string]struct {
		live []Value
		want int
		kind Kind
	}{
		"nothing":                  {nil, 0, Multi},
		"one":                      {[]Value{value(1, 1, 1, "a")}, 0, Multi},
		"two":                      {[]Value{value(1, 1, 1, "a"), value(2, 1, 1, "b")}, 2, Multi},
		"two equal":                {[]Value{value(1, 1, 1, "a"), value(2, 1, 1, "a")}, 0, Multi},
		"two equal and one":        {[]Value{value(1, 1, 1, "a"), value(2, 1, 1, "a"), value(4, 1, 1, "b")}, 2, Multi},
		"lww":                      {[]Value{lww}, 0, LWW},
		"lww beside multi":         {[]Value{value(1, 1, 1, "a"), lww}, 2, Multi},
		"won over a delete":        {[]Value{won}, 1, Multi},
		"lww, won over a delete":   {[]Value{wonLWW}, 0, LWW},
		"won beside another":       {[]Value{value(1, 1, 1, "a"), won}, 2, Multi},
		"won beside equal content": {[]Value{value(1, 1, 1, "d"), won}, 1, Multi},
	} {
		r := Register{Live: c.live}
		if got := r.Contending(); got != c.want || r.Kind() != c.kind {
			t.Errorf("%s: got %d of kind %v, want %d of kind %v", name, got, r.Kind(), c.want, c.kind)
		}
	}
}

// TestRegistersAreValues: what is computed from a register never changes it.
func TestRegistersAreValues(t *testing.T) {
	a, b, c := value(1, 1, 1, "a"), value(2, 1, 1, "b"), value(3, 1, 1, "c")
	r := Register{Live: make([]Value, 0, 8), Deletes: make([]Delete, 0, 8)}
	r.Live = append(r.Live, a, c)
	r.Deletes = append(r.Deletes, Delete{dot(5, 1), 1}, Delete{dot(7, 1), 1})
	before := Register{CloneValues(r.Live), slices.Clone(r.Deletes)}
	marked := a
	marked.Won = true
	for name, got := range map[string]Register{
		"withValue":         r.withValue(b),
		"withValue, again":  r.withValue(marked),
		"withDelete":        r.withDelete(Delete{dot(6, 1), 1}),
		"withDelete, again": r.withDelete(Delete{dot(5, 1), 1}),
		"without":           r.without([]Dot{a.Dot, dot(5, 1)}, nil),
		"without anything":  r.without([]Dot{a.Dot, c.Dot}, []Dot{dot(5, 1), dot(7, 1)}),
	} {
		var seen Vector
		for n := byte(1); n < 9; n++ {
			seen.Add(dot(n, 9))
		}
		if err := CheckRegister("k", got, seen, Vector{}); err != nil && name != "without anything" {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.Newest()[0].Won = true
	if !slices.EqualFunc(r.Live, before.Live, func(v, w Value) bool { return v.Dot == w.Dot && v.Won == w.Won }) || !slices.Equal(r.Deletes, before.Deletes) {
		t.Errorf("the register changed: got %v, want %v", r, before)
	}
	copied := CloneValues(r.Live)
	copied[0].Data[0] = '!'
	if r.Live[0].Data[0] != 'a' {
		t.Error("a clone shares its data")
	}
}

// TestCheckNamesBrokenInvariants: each line breaks one.
func TestCheckNamesBrokenInvariants(t *testing.T) {
	var seen, floor Vector
	seen.Add(dot(1, 5))
	seen.Add(dot(2, 5))
	floor.Add(dot(2, 3))
	ok := Register{Live: []Value{value(1, 1, 1, "a"), value(1, 2, 1, "b")}, Deletes: []Delete{{dot(2, 4), 1}}}
	if err := CheckRegister("k", ok, seen, floor); err != nil {
		t.Fatalf("a sound register: %v", err)
	}
	for name, r := range map[string]Register{
		"empty":                {},
		"out of order":         {Live: []Value{value(1, 2, 1, "b"), value(1, 1, 1, "a")}},
		"twice":                {Live: []Value{value(1, 1, 1, "a"), value(1, 1, 1, "a")}},
		"outside the context":  {Live: []Value{value(1, 6, 1, "a")}},
		"delete not seen":      {Deletes: []Delete{{dot(3, 1), 1}}},
		"deletes out of order": {Deletes: []Delete{{dot(2, 5), 1}, {dot(2, 4), 1}}},
		"delete below floor":   {Deletes: []Delete{{dot(2, 3), 1}}},
		"live and deleted":     {Live: []Value{value(1, 1, 1, "a")}, Deletes: []Delete{{dot(1, 1), 1}}},
	} {
		if err := CheckRegister("k", r, seen, floor); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	s := NewState()
	s.Raise(0, Vector{}, vectorOf(dot(1, 1)))
	if s.Check() == nil {
		t.Error("a floor above the context: got no error")
	}
}

// TestDigestDependsOnTheSetOnly: values come and go in any order.
func TestDigestDependsOnTheSetOnly(t *testing.T) {
	for _, seed := range seeds(50) {
		random := rand.New(rand.NewSource(seed))
		var all []Name
		for i := range 12 {
			all = append(all, Name{dot(byte(1+i%3), uint64(1+i)), string(rune('a' + i%5))})
		}
		valueOf := func(n Name) Value { return value(n.Dot.Replica[7], n.Dot.Counter, 5, n.Path+"data") }
		var want Digest
		for _, n := range all[:6] {
			want.Add(n.Path, valueOf(n))
		}
		var got Digest
		random.Shuffle(6, func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, i := range random.Perm(12) {
			got.Add(all[i].Path, valueOf(all[i]))
		}
		for _, i := range random.Perm(6) {
			got.Remove(all[6+i].Path, valueOf(all[6+i]))
		}
		if got != want || got.Short() != want.Short() || DigestOf(got.Bytes()) != got {
			t.Fatalf("seed %d: got %x, want %x"+reproduceSeed, seed, got, want, t.Name(), seed)
		}
		for _, n := range all[:6] {
			got.Remove(n.Path, valueOf(n))
		}
		if got != (Digest{}) {
			t.Fatalf("seed %d: after removing everything: got %x, want zero"+reproduceSeed, seed, got, t.Name(), seed)
		}
	}
}

// TestDigestTellsValuesApart: every part counts on which replicas must agree, and bytes do not slip from one part to the next.
func TestDigestTellsValuesApart(t *testing.T) {
	long := make([]byte, 513)
	base := value(1, 1, 1, "data")
	edits := map[string]func(*Value, *string){
		"nothing":    func(*Value, *string) {},
		"replica":    func(v *Value, _ *string) { v.Dot.Replica[0]++ },
		"counter":    func(v *Value, _ *string) { v.Dot.Counter++ },
		"time":       func(v *Value, _ *string) { v.Time++ },
		"kind":       func(v *Value, _ *string) { v.Kind = LWW },
		"type":       func(v *Value, _ *string) { v.Type = "text/html" },
		"data":       func(v *Value, _ *string) { v.Data = []byte("Data") },
		"no data":    func(v *Value, _ *string) { v.Data = nil },
		"path":       func(_ *Value, p *string) { *p = "l" },
		"path, data": func(v *Value, p *string) { *p, v.Data = "kd", []byte("ata") },
		"path, type": func(v *Value, p *string) { *p, v.Type = "nk", "text/plai" },
		"512 bytes":  func(v *Value, _ *string) { v.Data = long[:512] },
		"513 bytes":  func(v *Value, _ *string) { v.Data = long },
	}
	seen := map[Digest]string{}
	for name, edit := range edits {
		v, path := base, "k"
		edit(&v, &path)
		var g Digest
		g.Add(path, v)
		if other, ok := seen[g]; ok {
			t.Errorf("%q and %q have one digest", name, other)
		}
		seen[g] = name
	}
	var plain, marked Digest
	plain.Add("k", base)
	base.Won = true
	marked.Add("k", base)
	if plain != marked {
		t.Error("the mark is part of the digest, though replicas with equal contexts may differ in it")
	}
}
