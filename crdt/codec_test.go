package crdt

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var updateFlag = flag.Bool("update", false, "write the golden files of this package anew")

func vectorOf(dots ...Dot) (v Vector) {
	for _, d := range dots {
		v.Add(d)
	}
	return v
}

// The operations of the golden file and the seeds of the fuzzer.
var goldenOps = []struct {
	name string
	op   Op
}{
	{"first", Op{Dot: dot(1, 1), Time: At(1_700_000_000_000) + 3, Open: []byte("binding"), Entries: []OpEntry{
		{Path: "k", Type: "text/plain; charset=utf-8", Data: []byte("hello"), Descent: Descent{Since: 1}}}}},
	{"empty value", Op{Dot: dot(1, 2), Entries: []OpEntry{{Path: "k"}}}},
	{"run", Op{Dot: dot(1, 9), Time: 1, Entries: []OpEntry{{Path: "k", Preds: []Dot{dot(1, 7)}, Descent: Descent{Since: 5, From: []Dot{dot(2, 3)}}}}}},
	{"policy", Op{Dot: dot(1, 9), Time: 1, Entries: []OpEntry{{Path: "k", Preds: []Dot{dot(1, 7), dot(2, 3)}, Clear: true, Policy: "merge:text",
		Descent: Descent{Since: 9, From: []Dot{dot(1, 7), dot(2, 3)}}}}}},
	{"delete", Op{Dot: dot(1, 3), Time: 1, Entries: []OpEntry{{Path: "k", Delete: true, Preds: []Dot{dot(1, 2), dot(2, 1)}, PredDeletes: []Dot{dot(3, 9)}}}}},
	{"transaction", Op{Dot: dot(2, 300), Time: math.MaxUint64, Deps: vectorOf(dot(1, 7), dot(3, 70_000)), Entries: []OpEntry{
		{Path: "/members/a", Kind: LWW, Type: "application/json", Data: []byte("{}"), Descent: Descent{Since: 300}},
		{Path: "notes/ü", Type: "image/png", Data: []byte{0, 255}, Preds: []Dot{dot(1, 1)}, Also: []Dot{dot(1, 5), dot(4, 1)}, Clear: true,
			Descent: Descent{Since: 300, From: []Dot{dot(1, 1)}}},
		{Path: "z", Delete: true, Clear: true, Preds: []Dot{dot(9, CounterMax)}},
	}}},
}

var goldenVectors = []struct {
	name string
	v    Vector
}{
	{"empty", Vector{}},
	{"one", vectorOf(dot(1, 1))},
	{"three", vectorOf(dot(2, 127), dot(1, 128), dot(3, CounterMax))},
}

var goldenValues = []struct {
	name string
	live []Value
}{
	{"one", []Value{{Dot: dot(1, 1), Time: At(1_700_000_000_000), Type: "text/plain; charset=utf-8", Data: []byte("hello"), Descent: Descent{Since: 1}}}},
	{"siblings", []Value{{Dot: dot(1, 1)}, {Dot: dot(1, 2), Time: 1, Kind: LWW, Type: "image/png", Data: []byte{0}}, {Dot: dot(2, 200), Time: 2, Won: true, Type: "application/json", Data: []byte("{}")},
		{Dot: dot(3, 3), Time: 3, Resolved: true, Type: "text/markdown; charset=utf-8", Data: []byte("#")}}},
	{"descents", []Value{{Dot: dot(1, 200), Descent: Descent{Since: 3}}, {Dot: dot(2, 9), Descent: Descent{Since: 9, From: []Dot{dot(1, 7)}}},
		{Dot: dot(3, 3), Time: 3, Resolved: true, Policy: "merge:text", Descent: Descent{Since: 2, From: []Dot{dot(1, 7), dot(2, 3)}}}}},
}

var goldenDeletes = []struct {
	name    string
	deletes []Delete
}{
	{"one", []Delete{{dot(1, 1), At(1_700_000_000_000)}}},
	{"two", []Delete{{dot(1, 300), 1}, {dot(2, 2), math.MaxUint64}}},
}

// golden compares named encodings with a file of lines "name: hexadecimal bytes".
func golden(t *testing.T, file string, names []string, encodings [][]byte) {
	t.Helper()
	file = filepath.Join("testdata", file)
	var got strings.Builder
	for i, name := range names {
		got.WriteString(name + ": " + hex.EncodeToString(encodings[i]) + "\n")
	}
	if *updateFlag {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("%s: the encoding changed; that needs a decision record and a way to read the old bytes\ngot:\n%swant:\n%sreproduce: go test ./crdt -run '^%s$' (-update accepts)", file, got.String(), want, t.Name())
	}
}

// TestEncodingsAreStable pins every byte that lies on disks and travels between versions.
func TestEncodingsAreStable(t *testing.T) {
	var names []string
	var encodings [][]byte
	flush := func(file string) {
		golden(t, file, names, encodings)
		names, encodings = nil, nil
	}
	add := func(name string, b []byte) { names, encodings = append(names, name), append(encodings, b) }
	for _, g := range goldenOps {
		add(g.name, g.op.Encode())
	}
	flush("op.golden")
	for _, g := range goldenVectors {
		add(g.name, AppendVector(nil, g.v))
	}
	flush("vector.golden")
	for _, g := range goldenValues {
		add(g.name, AppendValues(nil, g.live))
	}
	flush("values.golden")
	for _, g := range goldenDeletes {
		add(g.name, AppendDeletes(nil, g.deletes))
	}
	flush("deletes.golden")
}

// TestHashesAreStable pins what replicas compare.
func TestHashesAreStable(t *testing.T) {
	hash := goldenVectors[2].v.Hash()
	var g Digest
	for _, v := range goldenValues[1].live {
		g.Add("k", v)
	}
	short := g.Short()
	golden(t, "hash.golden", []string{"vector", "digest"}, [][]byte{hash[:], short[:]})
}

func TestOpsComeBackAsTheyWere(t *testing.T) {
	for _, g := range goldenOps {
		b := g.op.Encode()
		got, err := DecodeOp(b)
		if err != nil {
			t.Errorf("%s: %v", g.name, err)
			continue
		}
		want := g.op
		want.Entries = slices.Clone(want.Entries)
		for i, e := range want.Entries {
			if !e.Delete && e.Data == nil {
				want.Entries[i].Data = []byte{}
			}
		}
		if !reflect.DeepEqual(got, &want) && !(got.Deps.Len() == 0 && want.Deps.Len() == 0) {
			t.Errorf("%s: got %+v, want %+v", g.name, got, &want)
		}
		clear(b)
		if !bytes.Equal(got.Encode(), g.op.Encode()) {
			t.Errorf("%s: the operation shares memory with its encoding", g.name)
		}
	}
}

func drawDots(t *rapid.T, label string) (dots []Dot) {
	set := vectorOf()
	for range rapid.IntRange(0, 4).Draw(t, label) {
		set.Add(Dot{testReplica(byte(rapid.IntRange(1, 5).Draw(t, label))), rapid.Uint64Range(1, CounterMax).Draw(t, label)})
	}
	return slices.Collect(set.All())
}

func drawType(t *rapid.T) string {
	return rapid.OneOf(rapid.SampledFrom(shortTypes), rapid.StringMatching(`[ -~]{0,255}`)).
		Filter(func(s string) bool { return CheckType(s) == nil }).Draw(t, "type")
}

// drawDescent draws what may be the descent of d.
func drawDescent(t *rapid.T, d Dot) Descent {
	if rapid.Bool().Draw(t, "unknown") {
		return Descent{}
	}
	return Descent{Since: rapid.OneOf(rapid.Just(d.Counter), rapid.Uint64Range(1, d.Counter)).Draw(t, "since"), From: drawDots(t, "from")}
}

// drawPolicy draws what may be the policy of a value.
func drawPolicy(t *rapid.T, resolved bool) string {
	if !resolved {
		return ""
	}
	return rapid.SampledFrom([]string{"", "merge:text", strings.Repeat("é", PolicyBytesMax/2)}).Draw(t, "policy")
}

// TestValuesOfVersion1AreRead: values of a store from before descents have none, and else come back as they were.
func TestValuesOfVersion1AreRead(t *testing.T) {
	old, err := os.ReadFile("testdata/values-1.golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range goldenValues {
		_, line, found := strings.Cut("\n"+string(old), "\n"+g.name+": ")
		if !found {
			continue
		}
		digits, _, _ := strings.Cut(line, "\n")
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		want := slices.Clone(g.live)
		for i := range want {
			want[i].Descent = Descent{}
			want[i].Data = append([]byte{}, want[i].Data...)
		}
		if got, err := DecodeValues(b); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v; want %+v", g.name, got, err, want)
		}
		b[1+8+1+8] |= byte(DescentNew) << descentShift
		if got, err := DecodeValues(b); !errors.Is(err, ErrDecode) {
			t.Errorf("%s with a flag that version 1 has not: got %+v, %v", g.name, got, err)
		}
	}
}

// TestRoundTripOfRegisters: whatever is appended decodes to the same, in full.
func TestRoundTripOfRegisters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var live []Value
		var deletes []Delete
		var v Vector
		for _, d := range drawDots(t, "dots") {
			resolved := rapid.Bool().Draw(t, "resolved")
			live = append(live, Value{Dot: d, Time: Timestamp(rapid.Uint64().Draw(t, "time")), Kind: Kind(rapid.IntRange(0, 1).Draw(t, "kind")),
				Type: drawType(t), Data: rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "data"), Won: rapid.Bool().Draw(t, "won"),
				Resolved: resolved, Policy: drawPolicy(t, resolved), Descent: drawDescent(t, d)})
			deletes = append(deletes, Delete{d, Timestamp(rapid.Uint64().Draw(t, "time"))})
			v.Add(d)
		}
		if got, err := DecodeVector(AppendVector(nil, v)); err != nil || !got.Equal(v) {
			t.Fatalf("vector: got %v, %v; want %v", got, err, v)
		}
		if len(live) == 0 {
			return
		}
		if got, err := DecodeValues(AppendValues(nil, live)); err != nil || !reflect.DeepEqual(got, live) {
			t.Fatalf("values: got %v, %v; want %v", got, err, live)
		}
		if got, err := DecodeDeletes(AppendDeletes(nil, deletes)); err != nil || !slices.Equal(got, deletes) {
			t.Fatalf("deletes: got %v, %v; want %v", got, err, deletes)
		}
	})
}

// TestDecodersRefuseAbsurdCounters: 0 names nothing, and nobody reaches CounterMax; adding to a greater one might overflow.
func TestDecodersRefuseAbsurdCounters(t *testing.T) {
	for _, counter := range []uint64{0, CounterMax + 1, math.MaxUint64} {
		d := dot(1, counter)
		ops := map[string]Op{
			"dot":             {Dot: d, Entries: []OpEntry{{Path: "k"}}},
			"predecessor":     {Dot: dot(2, 2), Entries: []OpEntry{{Path: "k", Preds: []Dot{d}}}},
			"deleted":         {Dot: dot(2, 2), Entries: []OpEntry{{Path: "k", PredDeletes: []Dot{d}}}},
			"left alone":      {Dot: dot(2, 2), Entries: []OpEntry{{Path: "k", Also: []Dot{d}}}},
			"dependency":      {Dot: dot(2, 2), Deps: Vector{[]Dot{d}}, Entries: []OpEntry{{Path: "k"}}},
			"the zero id":     {Dot: Dot{Counter: 2}, Entries: []OpEntry{{Path: "k"}}},
			"pred of zero id": {Dot: dot(2, 2), Entries: []OpEntry{{Path: "k", Preds: []Dot{{Counter: 1}}}}},
		}
		for name, op := range ops {
			if got, err := DecodeOp(op.Encode()); !errors.Is(err, ErrDecode) {
				t.Errorf("%s with counter %d: got %+v, %v; want it refused", name, counter, got, err)
			}
		}
		if v, err := DecodeVector(AppendVector(nil, Vector{[]Dot{d}})); !errors.Is(err, ErrDecode) {
			t.Errorf("vector with counter %d: got %v, %v; want it refused", counter, v, err)
		}
		if v, err := DecodeValues(AppendValues(nil, []Value{{Dot: d}})); !errors.Is(err, ErrDecode) {
			t.Errorf("value with counter %d: got %v, %v; want it refused", counter, v, err)
		}
		if v, err := DecodeDeletes(AppendDeletes(nil, []Delete{{Dot: d}})); !errors.Is(err, ErrDecode) {
			t.Errorf("delete with counter %d: got %v, %v; want it refused", counter, v, err)
		}
	}
}

// TestDecodeOpRefusesWhatNoWriterMakes goes through the rules that DecodeOp adds to the shape.
func TestDecodeOpRefusesWhatNoWriterMakes(t *testing.T) {
	entry := OpEntry{Path: "k"}
	many := make([]Dot, OpDotsMax+1)
	for i := range many {
		many[i] = dot(3, uint64(i+1))
	}
	paths := make([]OpEntry, OpEntriesMax+1)
	for i := range paths {
		paths[i].Path = "p" + string(rune(0x4e00+i))
	}
	for name, op := range map[string]Op{
		"no entries":             {Dot: dot(1, 2)},
		"too many entries":       {Dot: dot(1, 2), Entries: paths},
		"first without binding":  {Dot: dot(1, 1), Entries: []OpEntry{entry}},
		"second with binding":    {Dot: dot(1, 2), Open: []byte("x"), Entries: []OpEntry{entry}},
		"long binding":           {Dot: dot(1, 1), Open: make([]byte, OpenBytesMax+1), Entries: []OpEntry{entry}},
		"path twice":             {Dot: dot(1, 2), Entries: []OpEntry{entry, entry}},
		"paths out of order":     {Dot: dot(1, 2), Entries: []OpEntry{{Path: "l"}, entry}},
		"unknown kind":           {Dot: dot(1, 2), Entries: []OpEntry{{Path: "k", Kind: 2}}},
		"long value":             {Dot: dot(1, 2), Entries: []OpEntry{{Path: "k", Data: make([]byte, ValueBytesMax+1)}}},
		"long type":              {Dot: dot(1, 2), Entries: []OpEntry{{Path: "k", Type: strings.Repeat("a", TypeBytesMax+1)}}},
		"control in type":        {Dot: dot(1, 2), Entries: []OpEntry{{Path: "k", Type: "a\n"}}},
		"unknown short type":     {Dot: dot(1, 2), Entries: []OpEntry{{Path: "k", Type: "\x1f"}}},
		"delete of nothing":      {Dot: dot(1, 2), Entries: []OpEntry{{Path: "k", Delete: true}}},
		"delete with data":       {Dot: dot(1, 2), Entries: []OpEntry{{Path: "k", Delete: true, Data: []byte("x"), Preds: []Dot{dot(1, 1)}}}},
		"delete with type":       {Dot: dot(1, 2), Entries: []OpEntry{{Path: "k", Delete: true, Type: "text/html", Preds: []Dot{dot(1, 1)}}}},
		"delete with kind":       {Dot: dot(1, 2), Entries: []OpEntry{{Path: "k", Delete: true, Kind: LWW, Preds: []Dot{dot(1, 1)}}}},
		"predecessors unordered": {Dot: dot(1, 2), Entries: []OpEntry{{Path: "k", Preds: []Dot{dot(2, 2), dot(2, 1)}}}},
		"predecessor twice":      {Dot: dot(1, 2), Entries: []OpEntry{{Path: "k", Preds: []Dot{dot(2, 1), dot(2, 1)}}}},
		"too many predecessors":  {Dot: dot(1, 2), Entries: []OpEntry{{Path: "k", Preds: many}}},
		"descent of many":        {Dot: dot(1, 2), Entries: []OpEntry{{Path: "k", Preds: many[:DescentMax+1], Descent: Descent{2, many[:DescentMax+1]}}}},
		"descent beside others":  {Dot: dot(1, 2), Entries: []OpEntry{{Path: "k", Also: []Dot{dot(1, 1)}, Descent: Descent{Since: 2}}}},
		"run of another replica": {Dot: dot(1, 2), Entries: []OpEntry{{Path: "k", Preds: []Dot{dot(2, 1)}, Descent: Descent{Since: 1}}}},
		"run over several":       {Dot: dot(1, 3), Entries: []OpEntry{{Path: "k", Preds: []Dot{dot(1, 1), dot(2, 1)}, Descent: Descent{Since: 1}}}},
		"run begun too late":     {Dot: dot(1, 3), Entries: []OpEntry{{Path: "k", Preds: []Dot{dot(1, 1)}, Descent: Descent{Since: 2}}}},
		"policy unresolved":      {Dot: dot(1, 2), Entries: []OpEntry{{Path: "k", Policy: "p"}}},
		"policy of a delete":     {Dot: dot(1, 2), Entries: []OpEntry{{Path: "k", Delete: true, Clear: true, Policy: "p", Preds: []Dot{dot(1, 1)}}}},
		"long policy":            {Dot: dot(1, 2), Entries: []OpEntry{{Path: "k", Clear: true, Policy: strings.Repeat("p", PolicyBytesMax+1)}}},
	} {
		if got, err := DecodeOp(op.Encode()); !errors.Is(err, ErrDecode) {
			t.Errorf("%s: got %.80v, %v; want it refused", name, got, err)
		}
	}
}

// TestBoundsAreInclusive: the greatest that may be written can be read.
func TestBoundsAreInclusive(t *testing.T) {
	for name, op := range map[string]Op{
		"binding": {Dot: dot(1, 1), Open: make([]byte, OpenBytesMax), Entries: []OpEntry{{Path: "k"}}},
		"value":   {Dot: dot(1, 2), Entries: []OpEntry{{Path: "k", Data: make([]byte, ValueBytesMax)}}},
		"type":    {Dot: dot(1, 2), Entries: []OpEntry{{Path: "k", Type: strings.Repeat("a", TypeBytesMax)}}},
		"counter": {Dot: dot(1, CounterMax), Entries: []OpEntry{{Path: "k"}}},
	} {
		if _, err := DecodeOp(op.Encode()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	live := []Value{{Dot: dot(1, 1), Type: strings.Repeat("a", TypeBytesMax), Data: make([]byte, ValueBytesMax)}}
	if _, err := DecodeValues(AppendValues(nil, live)); err != nil {
		t.Errorf("values: %v", err)
	}
}

// TestDecodersAcceptOneFormOnly: each line is another way to write what has a canonical form.
func TestDecodersAcceptOneFormOnly(t *testing.T) {
	b := (&Op{Dot: dot(1, 2), Entries: []OpEntry{{Path: "k"}}}).Encode()
	replace := func(old, new string) []byte {
		h := hex.EncodeToString(b)
		if strings.Count(h, old) == 0 {
			t.Fatalf("%s does not hold %s", h, old)
		}
		out, err := hex.DecodeString(strings.Replace(h, old, new, 1))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	again := (&Op{Dot: dot(1, 2), Entries: []OpEntry{{Path: "k", Preds: []Dot{dot(1, 1)}, Descent: Descent{2, []Dot{dot(1, 1)}}}}}).Encode()
	if _, err := DecodeOp(again); err != nil || !bytes.Contains(again, []byte{0x40, 0x81, 0x01, 0x80}) {
		t.Fatalf("%x: %v; want a predecessor of the same replica as its counter", again, err)
	}
	spelled := bytes.Replace(again, []byte{0x40, 0x81, 0x01}, append(append([]byte{0x40, 0x81, 0x82, 0x48}, again[3:11]...), 0x01), 1)
	for name, other := range map[string][]byte{
		"the own replica spelled out": spelled,
		"bytes left over":             append(slices.Clone(b), 0),
		"truncated":                   b[:len(b)-1],
		"nothing":                     nil,
		"version 1":                   replace("8703", "8701"),
		"version 2":                   replace("8703", "8702"),
		"version 4":                   replace("8703", "8704"),
		"version 24":                  replace("8703", "871818"),
		"version in two bytes":        replace("8703", "871803"),
		"long array header":           replace("8703", "980703"),
		"array without end":           append(append([]byte{0x9f}, b[1:]...), 0xff),
		"a field too many":            append(replace("8703", "8803"), 0),
		"short replica id":            replace("48a000000000000001", "47a0000000000000"),
		"long replica id":             replace("48a000000000000001", "49a00000000000000100"),
		"replica id as text":          replace("48a000000000000001", "684100000000000001"),
		"counter in two bytes":        replace("000000000000010200", "00000000000001180200"),
		"null for the binding":        append(slices.Clone(b[:len(b)-1]), 0xf6),
		"null for the dependencies":   append(slices.Clone(b[:len(b)-2]), 0xf6, 0x40),
		"null for data":               replace("60408080", "60f68080"),
		"null for predecessors":       replace("60408080", "6040f680"),
		"null for the type":           replace("60408080", "f6408080"),
		"undefined for predecessors":  replace("60408080", "6040f780"),
	} {
		if got, err := DecodeOp(other); !errors.Is(err, ErrDecode) {
			t.Errorf("%s: got %+v, %v; want it refused", name, got, err)
		}
	}
	vector := AppendVector(nil, vectorOf(dot(1, 1), dot(2, 2)))
	values := AppendValues(nil, []Value{{Dot: dot(1, 1)}, {Dot: dot(2, 2)}})
	one := len(values)/2 + 1
	for name, err := range map[string]error{
		"vector, truncated":          second(DecodeVector(vector[:len(vector)-1])),
		"vector, out of order":       second(DecodeVector(append(slices.Clone(vector[9:]), vector[:9]...))),
		"vector, replica twice":      second(DecodeVector(append(slices.Clone(vector), vector[9:]...))),
		"vector, long varint":        second(DecodeVector(append(slices.Clone(vector[:8]), 0x81, 0))),
		"vector, varint of 11 bytes": second(DecodeVector(append(slices.Clone(vector[:8]), bytes.Repeat([]byte{0xff}, 11)...))),
		"values, none":               second(DecodeValues(values[:1])),
		"values, no version":         second(DecodeValues(nil)),
		"values, version 3":          second(DecodeValues(append([]byte{3}, values[1:]...))),
		"values, truncated":          second(DecodeValues(values[:len(values)-1])),
		"values, out of order":       second(DecodeValues(slices.Concat(values[:1], values[one:], values[1:one]))),
		"values, twice":              second(DecodeValues(append(slices.Clone(values), values[one:]...))),
		"values, long type":          second(DecodeValues(AppendValues(nil, []Value{{Dot: dot(1, 1), Type: strings.Repeat("a", 256)}}))),
		"values, long data":          second(DecodeValues(AppendValues(nil, []Value{{Dot: dot(1, 1), Data: make([]byte, ValueBytesMax+1)}}))),
		"values, unknown flag":       second(DecodeValues(slices.Concat(values[:18], []byte{1 << 7}, values[19:]))),
		"values, a run of one":       second(DecodeValues(slices.Concat(values[:18], []byte{byte(DescentAgain) << descentShift}, values[19:one], []byte{0}))),
		"values, a run too long":     second(DecodeValues(slices.Concat(values[:18], []byte{byte(DescentAgain) << descentShift}, values[19:one], []byte{1}))),
		"values, from nothing":       second(DecodeValues(slices.Concat(values[:18], []byte{byte(DescentFrom) << descentShift}, values[19:one], []byte{0, 0}))),
		"values, policy of none":     second(DecodeValues(slices.Concat(values[:18], []byte{flagPolicy | flagClear}, values[19:one], []byte{0}))),
		"values, policy, unresolved": second(DecodeValues(slices.Concat(values[:18], []byte{flagPolicy}, values[19:one], []byte{1, 'p'}))),
		"values, a delete":           second(DecodeValues(slices.Concat(values[:18], []byte{flagDelete}, values[19:]))),
		"deletes, none":              second(DecodeDeletes([]byte{1})),
		"deletes, no version":        second(DecodeDeletes(nil)),
		"deletes, version 0":         second(DecodeDeletes(append([]byte{0}, AppendDeletes(nil, goldenDeletes[0].deletes)[1:]...))),
		"deletes, truncated":         second(DecodeDeletes(AppendDeletes(nil, goldenDeletes[0].deletes)[:17])),
		"deletes, out of order":      second(DecodeDeletes(AppendDeletes(nil, []Delete{{dot(2, 1), 1}, {dot(1, 1), 1}}))),
	} {
		if !errors.Is(err, ErrDecode) {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestMediaTypesHaveOneForm: the common ones are a byte, and only that byte.
func TestMediaTypesHaveOneForm(t *testing.T) {
	for _, long := range shortTypes {
		packed := PackType(long)
		if got, err := UnpackType(packed); err != nil || got != long || len(packed) != 1 {
			t.Errorf("%q packs to %q, which unpacks to %q, %v", long, packed, got, err)
		}
		if got, err := UnpackType(long); !errors.Is(err, ErrDecode) {
			t.Errorf("UnpackType(%q): got %q, %v; want only its short form accepted", long, got, err)
		}
	}
	for _, bad := range []string{"\x00", "\x06", "\x1f", "\x7f", "\x01\x01", "ü", "a\x00"} {
		if got, err := UnpackType(bad); !errors.Is(err, ErrDecode) {
			t.Errorf("UnpackType(%q): got %q, %v; want it refused", bad, got, err)
		}
	}
}

// TestDecodersAllocateNoMoreThanTheyAreGiven: a few bytes that announce a lot.
func TestDecodersAllocateNoMoreThanTheyAreGiven(t *testing.T) {
	id := testReplica(1)
	for name, decode := range map[string]func() error{
		"op, 2^32 entries": func() error {
			return second(DecodeOp(slices.Concat([]byte{0x87, OpVersion, 0x48}, id[:], []byte{2, 0, 0x9a, 0xff, 0xff, 0xff, 0xff})))
		},
		"op, 131072 entries": func() error {
			return second(DecodeOp(slices.Concat([]byte{0x87, OpVersion, 0x48}, id[:], []byte{2, 0, 0x9a, 0, 2, 0, 0})))
		},
		"op, nested": func() error {
			return second(DecodeOp(append([]byte{0x87, OpVersion}, bytes.Repeat([]byte{0x81}, 1<<16)...)))
		},
		"values, 1 MiB": func() error {
			return second(DecodeValues(slices.Concat([]byte{1}, id[:], make([]byte, 0), []byte{1}, make([]byte, 8), []byte{0, 0}, []byte{0x80, 0x80, 0x40})))
		},
		"values, 2^63": func() error {
			return second(DecodeValues(slices.Concat([]byte{1}, id[:], []byte{1}, make([]byte, 8), []byte{0, 0}, bytes.Repeat([]byte{0xff}, 8), []byte{0x7f})))
		},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := decode()
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrDecode) {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<19 {
			t.Errorf("%s: %d bytes allocated", name, used)
		}
	}
}

// TestEveryWriteDecodes: what Write makes of any change that a user may ask for, a receiver accepts.
func TestEveryWriteDecodes(t *testing.T) {
	a, b := newReplica(1), newReplica(2)
	rapid.Check(t, func(t *rapid.T) {
		var changes []Change
		for i := range rapid.IntRange(1, 3).Draw(t, "changes") {
			c := Change{Path: []string{"a", "b/ü", "c"}[i], Delete: rapid.Bool().Draw(t, "delete"), Clear: rapid.Bool().Draw(t, "clear"), ShownAll: rapid.Bool().Draw(t, "all")}
			// Content beside Delete is ignored.
			c.Kind, c.Type, c.Data = Kind(rapid.IntRange(0, 1).Draw(t, "kind")), drawType(t), rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "data")
			changes = append(changes, c)
		}
		op := a.write(changes...)
		if op == nil {
			return
		}
		got, err := DecodeOp(op.Encode())
		if err != nil {
			t.Fatalf("%+v: %v", op, err)
		}
		if _, err := Apply(b.State, got); err != nil || !a.Equal(b.State) {
			t.Fatalf("the receiver differs from the writer after %+v (%v)", op, err)
		}
	})
}

// boundAllocation fails if a decoder makes more of b than a few times its bytes: an entry of an operation takes 11 of them and some 200 in
// memory. The rest is the test's own.
func boundAllocation(t *testing.T, b []byte, decode func()) {
	t.Helper()
	if n := allocated(decode); n > 32*uint64(len(b))+1<<20 {
		t.Fatalf("%d bytes become %d", len(b), n)
	}
}

func FuzzDecodeOp(f *testing.F) {
	for _, g := range goldenOps {
		b := g.op.Encode()
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	many := &Op{Dot: Dot{ReplicaID{1}, 70_000}, Entries: []OpEntry{{Path: "a", Delete: true}}}
	for i := range uint64(60_000) { // one to three bytes each
		many.Entries[0].Preds = append(many.Entries[0].Preds, Dot{ReplicaID{1}, i + 1})
	}
	f.Add(many.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		var op *Op
		var err error
		boundAllocation(t, b, func() { op, err = DecodeOp(b) })
		if err != nil {
			if !errors.Is(err, ErrDecode) || op != nil {
				t.Fatalf("got %v, %v; want ErrDecode and no operation", op, err)
			}
			return
		}
		if again := op.Encode(); !bytes.Equal(again, b) {
			t.Fatalf("got %x, want %x", again, b)
		}
		// A stranger's operation does not break a state that it is ready for.
		s := NewState()
		for _, e := range op.Entries {
			for _, d := range slices.Concat(e.Preds, e.PredDeletes, e.Also) {
				s.Advance(d)
			}
		}
		s.parts[0].Context.Join(op.Deps)
		s.Advance(Dot{op.Dot.Replica, op.Dot.Counter - 1})
		if op.Check(s.Context()) != Ready {
			return
		}
		if _, err := Apply(s, op); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzDecodeVector(f *testing.F) {
	for _, g := range goldenVectors {
		f.Add(AppendVector(nil, g.v))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var v Vector
		var err error
		boundAllocation(t, b, func() { v, err = DecodeVector(b) })
		if err != nil {
			if !errors.Is(err, ErrDecode) {
				t.Fatalf("got %v, want ErrDecode", err)
			}
			return
		}
		if again := AppendVector(nil, v); !bytes.Equal(again, b) {
			t.Fatalf("got %x, want %x", again, b)
		}
	})
}

func FuzzDecodeValues(f *testing.F) {
	for _, g := range goldenValues {
		f.Add(AppendValues(nil, g.live))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var live []Value
		var err error
		boundAllocation(t, b, func() { live, err = DecodeValues(b) })
		if err != nil {
			if !errors.Is(err, ErrDecode) {
				t.Fatalf("got %v, want ErrDecode", err)
			}
			return
		}
		again := AppendValues(nil, live)
		if b[0] == 1 { // an older form has a newer one
			if live, err = DecodeValues(again); err != nil || !bytes.Equal(AppendValues(nil, live), again) {
				t.Fatalf("%x of version 1 became %x, which is %v, %v", b, again, live, err)
			}
		} else if !bytes.Equal(again, b) {
			t.Fatalf("got %x, want %x", again, b)
		}
		var seen Vector
		for _, v := range live {
			seen.Add(v.Dot)
		}
		if err := CheckRegister("k", Register{Live: live}, seen, Vector{}); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzDecodeDeletes(f *testing.F) {
	for _, g := range goldenDeletes {
		f.Add(AppendDeletes(nil, g.deletes))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var deletes []Delete
		var err error
		boundAllocation(t, b, func() { deletes, err = DecodeDeletes(b) })
		if err != nil {
			if !errors.Is(err, ErrDecode) {
				t.Fatalf("got %v, want ErrDecode", err)
			}
			return
		}
		if again := AppendDeletes(nil, deletes); !bytes.Equal(again, b) {
			t.Fatalf("got %x, want %x", again, b)
		}
	})
}

// A wireDot is a dot as the library writes it.
type wireDot struct {
	_       struct{} `cbor:",toarray"`
	Replica ReplicaID
	Counter uint64
}

// FuzzItems says that what is written and read by hand is what the library writes and reads.
func FuzzItems(f *testing.F) {
	type message struct {
		_      struct{} `cbor:",toarray"`
		Kind   uint8
		Number int64
		Large  uint64
		Text   string
		Data   []byte
		Hash   [16]byte
		List   []wireDot
	}
	byHand := func(m *message) []byte {
		b := AppendInt(AppendUint(AppendArray(nil, 7), uint64(m.Kind)), m.Number)
		b = AppendBytes(AppendBytes(AppendText(AppendUint(b, m.Large), m.Text), m.Data), m.Hash[:])
		b = AppendArray(b, len(m.List))
		for _, d := range m.List {
			b = AppendUint(AppendBytes(AppendArray(b, 2), d.Replica[:]), d.Counter)
		}
		return b
	}
	for _, n := range []uint64{0, 23, 24, 255, 256, 65535, 65536, 1<<32 - 1, 1 << 32, 1<<63 - 1} {
		f.Add(Marshal(&message{Number: int64(n), Large: n, List: []wireDot{{Counter: n}}}))
		f.Add(Marshal(&message{Number: -1 - int64(n), Text: "ü", Data: make([]byte, n%70_000), List: make([]wireDot, n%300)}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var want, got message
		wantErr := Unmarshal(b, &want)
		i := ItemsOf(b)
		i.Array(7)
		got.Kind, got.Number, got.Large = uint8(i.Uint(math.MaxUint8)), i.Int(), i.Uint(math.MaxUint64)
		got.Text, got.Data = i.Text(len(b)), i.Bytes(len(b))
		i.Fill(got.Hash[:])
		for range i.Len(1 << 17) {
			i.Array(2)
			d := readDot(&i)
			got.List = append(got.List, wireDot{Replica: d.Replica, Counter: d.Counter})
		}
		err := i.End()
		if (err == nil) != (wantErr == nil) || err != nil && !errors.Is(err, ErrDecode) {
			t.Fatalf("%x: by hand %v, the library %v", b, err, wantErr)
		}
		if err != nil {
			return
		}
		if hand := byHand(&got); !bytes.Equal(hand, b) || !bytes.Equal(Marshal(&got), b) {
			t.Fatalf("%x: by hand %x, the library %x", b, hand, Marshal(&got))
		}
	})
}

// FuzzUnmarshal decodes into a structure with every type that messages use, and into no type at all.
func FuzzUnmarshal(f *testing.F) {
	type message struct {
		_      struct{} `cbor:",toarray"`
		Kind   uint8
		Number int64
		Text   string
		Data   []byte
		Yes    bool
		Hash   [16]byte
		List   []wireDot
		Map    map[string]uint64
		Inner  *wireDot
	}
	f.Add(Marshal(&message{Kind: 1, Number: -5, Text: "ü", Data: []byte{1}, Yes: true, List: []wireDot{{Counter: 7}}, Map: map[string]uint64{"b": 1, "a": 2}}))
	f.Add(Marshal([]any{1, "a", []byte{2}, map[string]any{"k": -1.5}, nil, true}))
	f.Add([]byte{0xf9, 0x7e, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var m message
		var untyped any
		for _, into := range []any{&m, &untyped} {
			err := Unmarshal(b, into)
			if err == nil {
				if again := Marshal(into); !bytes.Equal(again, b) {
					t.Fatalf("%T: got %x, want %x", into, again, b)
				}
			} else if !errors.Is(err, ErrDecode) {
				t.Fatalf("%T: got %v, want ErrDecode", into, err)
			}
		}
	})
}

// FuzzReader reads integers in every form; what it accepts has one encoding.
func FuzzReader(f *testing.F) {
	f.Add(AppendVarint(nil, -1))
	f.Add(AppendVarint(nil, math.MinInt64))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := Reader{B: b}
		x := r.Varint()
		if used := len(b) - len(r.B); r.Err == nil && !bytes.Equal(AppendVarint(nil, x), b[:used]) {
			t.Fatalf("%d: got %x, want %x", x, AppendVarint(nil, x), b[:used])
		}
		for range 8 {
			r.Bytes(16)
			r.Uint64()
			r.Replica()
			r.Byte()
		}
		if r.Err != nil && (r.Uvarint() != 0 || r.Byte() != 0 || r.Bytes(9) != nil || len(r.B) > 0) {
			t.Fatal("a reader goes on after an error")
		}
	})
}
