package merge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// A row is a merge and what it comes to; a want that begins with "!" is a part of the error.
type row struct {
	name, base string
	values     []string
	want       string
}

func (r row) check(t *testing.T, f func(base string, values []string) (string, error)) {
	t.Helper()
	for range 2 {
		got, err := f(r.base, r.values)
		if reason, refused := strings.CutPrefix(r.want, "!"); refused && (err == nil || !strings.Contains(err.Error(), reason)) || !refused && (err != nil || got != r.want) {
			t.Errorf("%s: got %q, %v; want %q", r.name, got, err, r.want)
		}
		slices.Reverse(r.values)
	}
}

func TestTextMergesByLines(t *testing.T) {
	for _, r := range []row{
		{"one side", "a\nb\n", []string{"a\nc\n", "a\nb\n"}, "a\nc\n"},
		{"apart", "a\nb\nc\n", []string{"A\nb\nc\n", "a\nb\nC\n"}, "A\nb\nC\n"},
		{"neighbours", "a\nb\n", []string{"A\nb\n", "a\nB\n"}, "A\nB\n"},
		{"added by both, and one changed the next line", "a\nb\n", []string{"a\nx\nb\n", "a\nx\nB\n"}, `!was changed in different ways`},
		{"added by both, and one removed the line before", "- a\n- b\n", []string{"- a\n- new\n- b\n", "- new\n- b\n"}, `!was changed in different ways`},
		{"added after a line that was changed", "buy milk", []string{"buy milk\ncall Ana", "buy oat milk"}, "buy oat milk\ncall Ana"},
		{"added before a line that was removed", "a\nb\n", []string{"a\nx\nb\n", "a\n"}, "a\nx\n"},
		{"the same twice", "a\n", []string{"b\n", "b\n"}, "b\n"},
		{"the same addition", "a\n", []string{"a\nb\n", "a\nb\n"}, "a\nb\n"},
		{"three", "a\nb\nc\nd\n", []string{"A\nb\nc\nd\n", "a\nb\nC\nd\n", "a\nb\nc\nd\ne\n"}, "A\nb\nC\nd\ne\n"},
		{"a line feed at the end", "a", []string{"a\n", "b"}, "b\n"},
		{"all removed", "a\nb\n", []string{"", "a\nb\n"}, ""},
		{"line ends of Windows", "a\r\nb\r\nc\r\n", []string{"A\r\nb\r\nc\r\n", "a\r\nb\r\nC\r\n"}, "A\r\nb\r\nC\r\n"},
		{"one line, two ways", "a\nb\nc\n", []string{"a\nx\nc\n", "a\ny\nc\n"}, "!line 2 of"},
		{"several lines, two ways", "a\nb\nc\nd\n", []string{"a\nx\nd\n", "a\nb\ny\nd\n"}, "!lines 2 to 3 of"},
		{"changed and removed", "a\nb\nc\n", []string{"a\nc\n", "a\ny\nc\n"}, "!line 2 of"},
		{"two additions in one place", "a\nb\n", []string{"a\nx\nb\n", "a\ny\nb\n"}, "!different lines were added before line 2"},
		{"an addition within what was removed", "a\nb\nc\nd\n", []string{"a\nd\n", "a\nb\nx\nc\nd\n"}, "!lines 2 to 3 of"},
	} {
		r.check(t, func(base string, values []string) (string, error) { return Text(t.Context(), base, values) })
	}
}

func TestJSONMergesByFields(t *testing.T) {
	f := func(base string, values []string) (string, error) {
		var bs [][]byte
		for _, v := range values {
			bs = append(bs, []byte(v))
		}
		var from []byte
		if base != "" {
			from = []byte(base)
		}
		out, err := JSON(t.Context(), from, bs)
		return string(out), err
	}
	for _, r := range []row{
		{"one side", `{"a":1}`, []string{`{ "a": 2 }`, `{"a":1}`}, `{ "a": 2 }`},
		{"apart", `{"a":1,"b":2}`, []string{`{"a":3,"b":2}`, `{"a":1,"b":4}`}, `{"a":3,"b":4}`},
		{"added, removed, left", `{"a":1,"b":2}`, []string{`{"a":1,"b":2,"c":3}`, `{"a":1}`}, `{"a":1,"c":3}`},
		{"within", `{"p":{"a":1,"b":1},"q":0}`, []string{`{"p":{"a":2,"b":1},"q":0}`, `{"p":{"a":1},"q":0}`}, `{"p":{"a":2},"q":0}`},
		{"the same twice", `{"a":1}`, []string{`{"a":2,"b":1}`, `{"b":1,"a":2}`}, `{"a":2,"b":1}`},
		{"from nothing", ``, []string{`{"a":1}`, `{"b":2}`}, `{"a":1,"b":2}`},
		{"objects added on both sides", `{}`, []string{`{"p":{"a":1}}`, `{"p":{"b":2}}`}, `{"p":{"a":1,"b":2}}`},
		{"null is a value", `{"a":1}`, []string{`{"a":null}`, `{"a":1,"b":0}`}, `{"a":null,"b":0}`},
		{"numbers and strings stay as they are", `{}`, []string{`{"n":1.50e3}`, `{"s":"<\u00e4>"}`}, `{"n":1.50e3,"s":"<\u00e4>"}`},
		{"lines", "{\n \"a\": 1\n}\n", []string{"{\n \"a\": 2\n}\n", "{\n \"a\": 1,\n \"b\": [1, 2]\n}\n"}, "{\n  \"a\": 2,\n  \"b\": [\n    1,\n    2\n  ]\n}\n"},
		{"a field, two ways", `{"p":{"a":1}}`, []string{`{"p":{"a":2}}`, `{"p":{"a":3}}`}, `!the field “/p/a” was`},
		{"a name with a slash", `{"a/b":1}`, []string{`{"a/b":2}`, `{"a/b":3}`}, `!the field “/a~1b” was`},
		{"changed and removed", `{"a":1}`, []string{`{"a":2}`, `{}`}, `!the field “/a” was`},
		{"arrays are taken whole", `{"a":[1]}`, []string{`{"a":[1,2]}`, `{"a":[0,1]}`}, `!the field “/a” was`},
		{"no objects", `1`, []string{`2`, `3`}, `!the value as a whole`},
		{"an object and none", `{"a":1}`, []string{`[]`, `{"a":2}`}, `!the value as a whole`},
		{"not JSON", `{}`, []string{`{}`, `{`}, `!cannot be read as JSON`},
		{"a field twice", `{}`, []string{`{"a":1,"a":2}`, `{}`}, `!two fields “a”`},
		{"not UTF-8", `{}`, []string{"{\"a\":\"\xff\"}", `{}`}, `!not UTF-8`},
		{"a name of half a character", `{"k":0}`, []string{`{"k":1,"\ud800":1}`, `{"k":0,"\udbff":1}`}, `!is no text`},
		{"base is not JSON", `x`, []string{`{}`, `{"a":1}`}, `!they were made from cannot be read`},
	} {
		r.check(t, f)
	}
}

// thirds returns n lines, of which those whose number leaves k when it is divided by 3 are changed.
func thirds(n, k int) string {
	var b strings.Builder
	for i := range n {
		if i%3 == k {
			fmt.Fprintf(&b, "changed by %d: ", k)
		}
		fmt.Fprintf(&b, "line %d\n\n", i)
	}
	return b.String()
}

// TestManyChangesOfALongTextMerge: how much was changed does not matter, only where.
func TestManyChangesOfALongTextMerge(t *testing.T) {
	got, err := Text(t.Context(), thirds(2000, -1), []string{thirds(2000, 0), thirds(2000, 1)})
	if err != nil || strings.Count(got, "changed by 0") != 667 || strings.Count(got, "changed by 1") != 667 || strings.Count(got, "\n") != 4000 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// TestDiffMakesOneOfTheOther holds for all lines, however often they occur.
func TestDiffMakesOneOfTheOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOf(rapid.Int32Range(0, rapid.SampledFrom([]int32{1, 3, 300}).Draw(t, "kinds")))
		a, b := lines.Draw(t, "a"), lines.Draw(t, "b")
		var made []rune
		at := 0
		for _, d := range diff(a, b) {
			if at > 0 && d.Start == at {
				t.Fatalf("two changes meet at %d", at)
			}
			made = append(append(made, a[at:d.Start]...), b[d.ReplStart:d.ReplEnd]...)
			at = d.End
		}
		if made = append(made, a[at:]...); !slices.Equal(made, b) {
			t.Fatalf("%v became %v, want %v", a, made, b)
		}
	})
}

// An endingContext ends when it has been asked n times whether it has.
type endingContext struct {
	context.Context
	n int
}

func (c *endingContext) Err() error {
	if c.n--; c.n < 0 {
		return context.Canceled
	}
	return nil
}

// TestMergesEndWithTheirContext: wherever they are.
func TestMergesEndWithTheirContext(t *testing.T) {
	for name, merge := range map[string]func(context.Context) error{
		"text": func(ctx context.Context) error {
			_, err := Text(ctx, "a\nb\n", []string{"A\nb\n", "a\nB\n"})
			return err
		},
		"json": func(ctx context.Context) error {
			_, err := JSON(ctx, []byte(`{"a":1,"p":{"b":2}}`), [][]byte{[]byte(`{"a":2,"p":{"b":2}}`), []byte(`{"a":1,"p":{"b":3}}`)})
			return err
		},
	} {
		asked := 0
		for ; ; asked++ {
			err := merge(&endingContext{t.Context(), asked})
			if err == nil {
				break
			}
			if err != context.Canceled {
				t.Fatalf("%s, asked %d times: %v", name, asked, err)
			}
		}
		if asked < 3 {
			t.Errorf("%s asks its context %d times", name, asked)
		}
	}
}

// TestJSONTakesMemoryInProportion, whatever the shape: deep objects, a long name of a field above many others, deep arrays to indent.
func TestJSONTakesMemoryInProportion(t *testing.T) {
	var long strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&long, `,"k%d":%d`, i, i)
	}
	within := func(x string) []byte {
		return []byte(`{"` + strings.Repeat("n", 100_000) + `":{"x":` + x + long.String() + "}}")
	}
	arrays := func(x string) []byte {
		return []byte("{\n\"x\":" + x + `,"a":` + strings.Repeat("[", 5000) + "0" + strings.Repeat(",0", 50_000) + strings.Repeat("]", 5000) + "}")
	}
	for _, r := range []struct {
		name       string
		base, x, y []byte
	}{
		{"deep", deepObject(5000, "0"), deepObject(5000, "1"), deepObject(5001, "0")},
		{"long name", within("0"), within("1"), within(`0,"y":1`)},
		{"arrays", arrays("0"), arrays("1"), arrays(`0,"y":1`)},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		out, err := JSON(t.Context(), r.base, [][]byte{r.x, r.y})
		runtime.ReadMemStats(&after)
		if err != nil || !json.Valid(out) {
			t.Errorf("%s: %d bytes, %v", r.name, len(out), err)
		}
		if all := len(r.base) + len(r.x) + len(r.y); after.TotalAlloc-before.TotalAlloc > uint64(100*all) {
			t.Errorf("%s: %d bytes for %d", r.name, after.TotalAlloc-before.TotalAlloc, all)
		}
	}
}

// TestAClashOfLongNamesIsToldInFewWords: the reason travels to people.
func TestAClashOfLongNamesIsToldInFewWords(t *testing.T) {
	object := func(x string) []byte { return []byte(`{"` + strings.Repeat("é", 1000) + `":` + x + `}`) }
	_, err := JSON(t.Context(), object("0"), [][]byte{object("1"), object("2")})
	if err == nil || len(err.Error()) > 300 || !strings.Contains(err.Error(), "é…” was changed") || !utf8.ValidString(err.Error()) {
		t.Errorf("%v", err)
	}
}

// lines draws a text of few different lines.
func drawText(t *rapid.T, label string) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "b", "c", "d"}), 0, 8).Draw(t, label), "\n")
}

// change draws what somebody made of a text.
func drawChange(t *rapid.T, base string) string {
	lines := strings.Split(base, "\n")
	for range rapid.IntRange(0, 2).Draw(t, "edits") {
		from := rapid.IntRange(0, len(lines)).Draw(t, "from")
		to := rapid.IntRange(from, min(len(lines), from+2)).Draw(t, "to")
		lines = slices.Concat(lines[:from], rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "x", "y"}), 0, 2).Draw(t, "new"), lines[to:])
	}
	return strings.Join(lines, "\n")
}

// TestTextLaws: the order of values does not matter, nor the base among them, nor a value twice; what only one side changed is taken as it
// is; and a merge with a value that it was made of is the merge.
func TestTextLaws(t *testing.T) {
	merged := 0
	rapid.Check(t, func(t *rapid.T) {
		base := drawText(t, "base")
		x, y := drawChange(t, base), drawChange(t, base)
		if got, err := Text(context.Background(), base, []string{x, base}); err != nil || got != x {
			t.Fatalf("with the base %q: %q became %q, %v", base, x, got, err)
		}
		xy, err := Text(context.Background(), base, []string{x, y})
		yx, err2 := Text(context.Background(), base, []string{y, x, base, x})
		if xy != yx || (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
			t.Fatalf("base %q, values %q and %q: %q, %v, the other way round %q, %v", base, x, y, xy, err, yx, err2)
		}
		if err == nil && x != y && x != base && y != base {
			merged++
		}
	})
	if merged == 0 {
		t.Error("nothing was ever merged")
	}
}

func drawJSON(t *rapid.T, depth int) any {
	if depth == 0 || rapid.IntRange(0, 3).Draw(t, "kind") == 0 {
		return rapid.SampledFrom([]any{nil, 1.0, 2.0, "s", []any{1.0}}).Draw(t, "scalar")
	}
	out := map[string]any{}
	for _, name := range rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c/~", "é"}), 0, 3).Draw(t, "names") {
		out[name] = drawJSON(t, depth-1)
	}
	return out
}

// drawJSONChange draws what somebody made of a value: fields that stay, go, change, and come.
func drawJSONChange(t *rapid.T, base any, depth int) any {
	fields, ok := base.(map[string]any)
	if !ok || rapid.IntRange(0, 7).Draw(t, "anew") == 0 {
		return drawJSON(t, depth)
	}
	out := maps.Clone(fields)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch rapid.IntRange(0, 5).Draw(t, "change") {
		case 0:
			delete(out, name)
		case 1:
			out[name] = drawJSONChange(t, fields[name], max(0, depth-1))
		}
	}
	if rapid.Bool().Draw(t, "come") {
		out[rapid.SampledFrom([]string{"d", "e", "f"}).Draw(t, "name")] = drawJSON(t, max(0, depth-1))
	}
	return out
}

func TestJSONLaws(t *testing.T) {
	merged := 0
	rapid.Check(t, func(t *rapid.T) {
		text := func(value any) []byte {
			b, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		from := drawJSON(t, 3)
		if rapid.IntRange(0, 3).Draw(t, "fields") > 0 {
			from = map[string]any{"a": from, "b": drawJSON(t, 2), "é": drawJSON(t, 1)}
		}
		base, x, y := text(from), text(drawJSONChange(t, from, 3)), text(drawJSONChange(t, from, 3))
		if got, err := JSON(context.Background(), base, [][]byte{x, base}); err != nil || !bytes.Equal(got, x) {
			t.Fatalf("with the base %s: %s became %s, %v", base, x, got, err)
		}
		xy, err := JSON(context.Background(), base, [][]byte{x, y})
		yx, err2 := JSON(context.Background(), base, [][]byte{y, x, base, x})
		if !bytes.Equal(xy, yx) || (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
			t.Fatalf("base %s, values %s and %s: %s, %v, the other way round %s, %v", base, x, y, xy, err, yx, err2)
		}
		if err != nil {
			return
		}
		if !bytes.Equal(x, y) && !bytes.Equal(x, base) && !bytes.Equal(y, base) {
			merged++
		}
		if again, err := JSON(context.Background(), base, [][]byte{xy, x}); err != nil || !bytes.Equal(again, xy) {
			t.Fatalf("%s, merged with %s of which it was made: %s, %v", xy, x, again, err)
		}
	})
	if merged == 0 {
		t.Error("nothing was ever merged")
	}
}

// FuzzText: no text makes a merge fail other than by an error, and one side's change is taken as it is.
func FuzzText(f *testing.F) {
	f.Add("a\nb\n", "a\n", "b\n")
	f.Add("", "\n", "\r\n")
	f.Add("a\x00\xff", "a", "\xfe\n\n")
	f.Fuzz(func(t *testing.T, base, x, y string) {
		if got, err := Text(context.Background(), base, []string{base, x}); err != nil || got != x {
			t.Fatalf("base %q, value %q: %q, %v", base, x, got, err)
		}
		xy, err := Text(context.Background(), base, []string{x, y})
		if yx, err2 := Text(context.Background(), base, []string{y, x}); xy != yx || (err == nil) != (err2 == nil) {
			t.Fatalf("base %q, values %q and %q: %q, %v and %q, %v", base, x, y, xy, err, yx, err2)
		}
	})
}

// FuzzJSON: no bytes make a merge fail other than by an error, and a result is JSON.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"a":1}`), []byte(`{"a":2}`), []byte(`{"a":1,"b":{"c":[1,{}]}}`))
	f.Add([]byte(`{`), []byte(`null`), []byte("\"\\ud800\""))
	f.Add([]byte(strings.Repeat(`{"a":`, 70)+"1"+strings.Repeat("}", 70)), []byte(`{}`), []byte(` [ ] `))
	f.Fuzz(func(t *testing.T, base, x, y []byte) {
		out, err := JSON(context.Background(), base, [][]byte{x, y})
		if err == nil && !json.Valid(out) {
			t.Fatalf("base %q, values %q and %q: %q is not JSON", base, x, y, out)
		}
		if again, err2 := JSON(context.Background(), base, [][]byte{y, x}); !bytes.Equal(out, again) || (err == nil) != (err2 == nil) {
			t.Fatalf("base %q, values %q and %q: %q, %v and %q, %v", base, x, y, out, err, again, err2)
		}
	})
}
