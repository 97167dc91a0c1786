package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/ipfs/go-datastore"

	"syncline/crdt"
	"syncline/store"
	"syncline/store/mem"
	"syncline/store/pebbledb"
)

func benchStore(b testing.TB, dir string) (*store.Store, datastore.Batching) {
	b.Helper()
	ds, err := pebbledb.Open(dir, pebbledb.Options{})
	if err != nil {
		b.Fatal(err)
	}
	s, err := store.Open(context.Background(), ds, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	return s, ds
}

// put writes the values of one operation.
func put(b testing.TB, tx *store.Tx, changes []crdt.Change) {
	r := replicaOf(0)
	w := crdt.Writer{Dot: crdt.Dot{Replica: r, Counter: tx.Context().Get(r) + 1}, Time: 1 << 20}
	if w.Dot.Counter == 1 {
		w.Open = []byte("device")
	}
	if _, _, err := crdt.Write(tx, w, changes); err != nil {
		b.Fatal(err)
	}
}

func commit(b testing.TB, tx *store.Tx) {
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
}

func fill(b testing.TB, s *store.Store, keys int) {
	for i := 0; i < keys; i += 1000 {
		tx := s.Begin()
		put(b, tx, changesFrom(i, 1000))
		commit(b, tx)
	}
}

func changesFrom(i, n int) []crdt.Change {
	out := make([]crdt.Change, n)
	data := make([]byte, 64*n)
	for j := range out {
		v := data[64*j : 64*j+64]
		for k := range v {
			v[k] = byte(rand.Uint32())
		}
		out[j] = crdt.Change{Path: fmt.Sprintf("bench/%09d", i+j), ShownAll: true, Data: v}
	}
	return out
}

// cpu returns the processor time that the process has used, which other load on the machine does not change.
func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// report adds the rate and the processor time of one of n things.
func report(b *testing.B, n int, since time.Duration, unit string) {
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), unit+"s/s")
	b.ReportMetric(float64((cpu()-since).Nanoseconds())/float64(n), "cpu-ns/"+unit)
}

// BenchmarkCommit measures puts of 64 bytes: ops operations of n paths each in one commit, without and with Sync. "again" writes
// over 100,000 paths at random; the others write new paths.
func BenchmarkCommit(b *testing.B) {
	for _, size := range []struct {
		name   string
		ops, n int
	}{{"single", 1, 1}, {"batch64", 64, 1}, {"transaction1000", 1, 1000}} {
		for _, sync := range []bool{false, true} {
			for _, again := range []bool{false, true} {
				b.Run(fmt.Sprintf("%s/sync=%v/again=%v", size.name, sync, again), func(b *testing.B) {
					s, ds := benchStore(b, b.TempDir())
					defer ds.Close()
					all := changesFrom(0, 200_000)
					next := 0
					if again {
						fill(b, s, len(all))
					}
					step := func() {
						tx := s.Begin()
						for range size.ops {
							at := next
							if again {
								at = rand.IntN(len(all) - size.n)
							}
							put(b, tx, all[at:at+size.n])
							next += size.n
						}
						commit(b, tx)
						if sync {
							if err := s.Sync(context.Background()); err != nil {
								b.Fatal(err)
							}
						}
					}
					per := size.ops * size.n
					b.ReportAllocs()
					b.ResetTimer()
					start := cpu()
					for range b.N {
						if next+per > len(all) {
							next = 0
						}
						step()
					}
					report(b, b.N*per, start, "put")
				})
			}
		}
	}
}

// BenchmarkJoin measures one answer of 10,000 rows into an empty store, and the making of it.
func BenchmarkJoin(b *testing.B) {
	s, ds := benchStore(b, b.TempDir())
	defer ds.Close()
	fill(b, s, 10_000)
	tx := s.Begin()
	d, err := crdt.Answer(tx, crdt.Vector{})
	if err != nil {
		b.Fatal(err)
	}
	tx.Discard()
	b.Run("answer", func(b *testing.B) {
		start := cpu()
		for range b.N {
			tx := s.Begin()
			if _, err := crdt.Answer(tx, crdt.Vector{}); err != nil {
				b.Fatal(err)
			}
			tx.Discard()
		}
		report(b, b.N*len(d.Rows), start, "row")
	})
	b.Run("join", func(b *testing.B) {
		b.ReportAllocs()
		start := cpu()
		for range b.N {
			b.StopTimer()
			s, ds := benchStore(b, b.TempDir())
			b.StartTimer()
			tx := s.Begin()
			if _, err := crdt.Join(tx, d); err != nil {
				b.Fatal(err)
			}
			commit(b, tx)
			if err := s.Sync(context.Background()); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			ds.Close()
			b.StartTimer()
		}
		report(b, b.N*len(d.Rows), start, "row")
	})
}

// BenchmarkOpen measures the restart of a store with 100,000 keys.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s, ds := benchStore(b, dir)
	fill(b, s, 100_000)
	s.Close(context.Background(), true)
	ds.Close()
	for b.Loop() {
		_, ds := benchStore(b, dir)
		ds.Close()
	}
}

// BenchmarkGet measures reads of present and of absent paths.
func BenchmarkGet(b *testing.B) {
	s, ds := benchStore(b, b.TempDir())
	defer ds.Close()
	fill(b, s, 100_000)
	b.Run("present", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.Get(fmt.Sprintf("bench/%09d", rand.IntN(100_000)))
		}
	})
	b.Run("absent", func(b *testing.B) {
		for b.Loop() {
			s.Get(fmt.Sprintf("bench/%09d", 1_000_000+rand.IntN(100_000)))
		}
	})
	b.Run("list", func(b *testing.B) {
		n := 0
		for b.Loop() {
			for range s.List("", "") {
				n++
			}
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
	})
}

// BenchmarkMem measures what a simulation pays: making a store, and one small commit.
func BenchmarkMem(b *testing.B) {
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := store.Open(context.Background(), mem.New(), store.Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("commit", func(b *testing.B) {
		b.ReportAllocs()
		s, err := store.Open(context.Background(), mem.New(), store.Options{})
		if err != nil {
			b.Fatal(err)
		}
		cs := changesFrom(0, 1000)
		for b.Loop() {
			tx := s.Begin()
			i := rand.IntN(1000)
			put(b, tx, cs[i:i+1])
			commit(b, tx)
			s.Sync(context.Background())
		}
	})
}

// BenchmarkBackends compares the backends on disk: one put and a transaction of 1,000 new paths, each with its sync, reads, and a list.
func BenchmarkBackends(b *testing.B) {
	for _, backend := range []string{"pebble:", "leveldb:"} {
		b.Run(backend, func(b *testing.B) {
			ds, err := store.OpenBackend(backend, b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer ds.Close()
			s, err := store.Open(context.Background(), ds, store.Options{})
			if err != nil {
				b.Fatal(err)
			}
			next := 0
			write := func(b *testing.B, n int) {
				start := cpu()
				for b.Loop() {
					tx := s.Begin()
					put(b, tx, changesFrom(next, n))
					commit(b, tx)
					if err := s.Sync(context.Background()); err != nil {
						b.Fatal(err)
					}
					next += n
				}
				report(b, b.N*n, start, "put")
			}
			b.Run("single", func(b *testing.B) { write(b, 1) })
			b.Run("transaction1000", func(b *testing.B) { write(b, 1000) })
			b.Run("get", func(b *testing.B) {
				start := cpu()
				for b.Loop() {
					if r, err := s.Get(fmt.Sprintf("bench/%09d", rand.IntN(next))); err != nil || len(r.Live) != 1 {
						b.Fatal(r, err)
					}
				}
				report(b, b.N, start, "get")
			})
			b.Run("list", func(b *testing.B) {
				start, n := cpu(), 0
				for b.Loop() {
					for range s.List("", "") {
						n++
					}
				}
				report(b, n, start, "row")
			})
		})
	}
}
