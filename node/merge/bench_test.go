package merge

import (
	"fmt"
	"strings"
	"testing"
)

// deepObject returns an object of n fields within 63 others, one of whose fields is x.
func deepObject(n int, x string) []byte {
	var b strings.Builder
	b.WriteString(strings.Repeat(`{"a":`, 63) + `{"x":` + x)
	for i := range n {
		fmt.Fprintf(&b, `,"k%d":%d`, i, i)
	}
	return []byte(b.String() + strings.Repeat("}", 64))
}

// BenchmarkJSON merges objects of 1 MiB whose fields lie 64 levels deep.
func BenchmarkJSON(b *testing.B) {
	base, x, y := deepObject(70_000, "0"), deepObject(70_000, "1"), deepObject(70_001, "0")
	b.SetBytes(int64(len(base) + len(x) + len(y)))
	for b.Loop() {
		if _, err := JSON(b.Context(), base, [][]byte{x, y}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkText merges texts of about 1 MiB: with every third line changed on each side, and with nothing but line feeds.
func BenchmarkText(b *testing.B) {
	for _, bm := range []struct{ name, base, x, y string }{
		{"thirds", thirds(100_000, -1), thirds(100_000, 0), thirds(100_000, 1)},
		{"equal lines", strings.Repeat("\n", 1<<20), strings.Repeat("\n", 1<<19), strings.Repeat("\n", 1<<20) + "x"},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.SetBytes(int64(len(bm.base) + len(bm.x) + len(bm.y)))
			for b.Loop() {
				Text(b.Context(), bm.base, []string{bm.x, bm.y})
			}
		})
	}
}

// BenchmarkJSONOfMany merges 128 objects with 1,000 fields each that no other has.
func BenchmarkJSONOfMany(b *testing.B) {
	var values [][]byte
	for v := range 128 {
		var fields []string
		for f := range 1000 {
			fields = append(fields, fmt.Sprintf(`"%d-%d":%d`, v, f, f))
		}
		values = append(values, []byte("{"+strings.Join(fields, ",")+"}"))
	}
	for b.Loop() {
		if _, err := JSON(b.Context(), []byte("{}"), values); err != nil {
			b.Fatal(err)
		}
	}
}
