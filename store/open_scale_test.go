package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"syncline/crdt"
	"syncline/store"
	"syncline/store/pebbledb"
)

// BenchmarkScale opens a store of a million keys, and answers a replica that lacks a hundred of them. 10,000 replicas have written.
func BenchmarkScale(b *testing.B) {
	const keys, perTx, replicas = 1_000_000, 100, 10_000
	dir := b.TempDir()
	ctx := context.Background()
	ds, err := pebbledb.Open(dir, pebbledb.Options{})
	if err != nil {
		b.Fatal(err)
	}
	s, err := store.Open(ctx, ds, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 64)
	for i := range keys / perTx {
		tx := s.Begin()
		var id crdt.ReplicaID
		id[0], id[1], id[2], id[7] = 1, byte(i%replicas>>8), byte(i%replicas), 1
		changes := make([]crdt.Change, perTx)
		for k := range changes {
			changes[k] = crdt.Change{Path: fmt.Sprintf("key/%07d", i*perTx+k), Data: data}
		}
		w := crdt.Writer{Dot: crdt.Dot{Replica: id, Counter: tx.Context().Get(id) + 1}, Time: crdt.At(int64(i)), Open: []byte("binding")}
		if _, _, err := crdt.Write(tx, w, changes); err != nil {
			b.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	asked := s.Context()
	last := crdt.Dot{Replica: asked.Replicas()[replicas-1]}
	asked.Retreat(last) // of one replica nothing was seen: a hundred keys
	if err := s.Sync(ctx); err != nil {
		b.Fatal(err)
	}
	s.Close(ctx, true)
	ds.Close()
	b.Run("open", func(b *testing.B) {
		for range b.N {
			begin := time.Now()
			ds, err := pebbledb.Open(dir, pebbledb.Options{})
			if err != nil {
				b.Fatal(err)
			}
			s, err := store.Open(ctx, ds, store.Options{})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms/open")
			s.Close(ctx, false)
			ds.Close()
		}
	})
	b.Run("answer", func(b *testing.B) {
		ds, err := pebbledb.Open(dir, pebbledb.Options{})
		if err != nil {
			b.Fatal(err)
		}
		defer ds.Close()
		s, err := store.Open(ctx, ds, store.Options{})
		if err != nil {
			b.Fatal(err)
		}
		for range b.N {
			tx := s.Begin()
			d, err := crdt.AnswerPart(tx, asked, "", "", crdt.Limits{Rows: 64 << 10, Bytes: 8 << 20, Whole: 24 << 20, Names: 64 << 10})
			if err != nil || len(d.Rows) != 100 || d.To != "" {
				b.Fatalf("%d rows, %v", len(d.Rows), err)
			}
			tx.Discard()
		}
	})
}
