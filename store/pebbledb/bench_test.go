package pebbledb

import (
	"fmt"
	"testing"
)

// BenchmarkFloor measures pebble alone with the keys that a store writes for a put of 64 bytes, in batches of 1,000: a value and a name
// for a new path; for an overwrite also the name that goes, and the value that becomes past. No store on pebble is faster.
func BenchmarkFloor(b *testing.B) {
	const puts, paths = 1000, 100_000
	for _, kind := range []string{"value", "new", "overwrite", "overwrite+history"} {
		b.Run(kind, func(b *testing.B) {
			ds, err := Open(b.TempDir(), Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer ds.Close()
			value, past := make([]byte, 64+22), make([]byte, 64+52)
			for n := 0; b.Loop(); n++ {
				made, err := ds.Batch(ctx)
				if err != nil {
					b.Fatal(err)
				}
				in := made.(*batch)
				put := func(value []byte, format string, args ...any) { in.PutBytes(fmt.Appendf(nil, format, args...), value) }
				for i := n * puts; i < (n+1)*puts; i++ {
					put(value, "/d/bench/%06d", i%paths)
				}
				for i := n * puts; kind != "value" && i < (n+1)*puts; i++ {
					if old := n - paths/puts; old >= 0 && kind != "new" {
						in.DeleteBytes(fmt.Appendf(nil, "/i/10/6%06x:bench/%06d", old, i%paths))
					}
					put(nil, "/i/10/6%06x:bench/%06d", n, i%paths)
				}
				for i := n * puts; kind == "overwrite+history" && i < (n+1)*puts; i++ {
					put(past, "/y/1c/bench/%06d:8%08x", i%paths, i)
				}
				if err := made.Commit(ctx); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(puts*float64(b.N)/b.Elapsed().Seconds(), "puts/s")
		})
	}
}
