package node

import (
	"context"
	"fmt"
	"testing"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"syncline/store/mem"
)

// TestQueriesCostWhatTheyReturn counts the entries that queries read from the store below.
func TestQueriesCostWhatTheyReturn(t *testing.T) {
	ctx := context.Background()
	n, err := Open(ctx, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	s, err := n.Space("")
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.Datastore(DatastoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		b, _ := d.Batch(ctx)
		for j := range 50 {
			b.Put(ctx, datastore.NewKey(fmt.Sprintf("/dir%02d/%02d", i, j)), []byte("v"))
		}
		if err := b.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
	byKey := []query.Order{query.OrderByKey{}}
	for _, c := range []struct {
		q             query.Query
		results, most int
	}{
		{query.Query{}, 1000, 1001},
		{query.Query{Prefix: "/dir07"}, 50, 51},
		{query.Query{Prefix: "/dir07", KeysOnly: true}, 50, 51},
		{query.Query{Prefix: "/dir07", Orders: []query.Order{query.OrderByValue{}}}, 50, 51},
		{query.Query{Limit: 10}, 10, 11},
		{query.Query{Limit: 10, Offset: 20, Orders: byKey}, 10, 31},
		{query.Query{Prefix: "/dir"}, 0, 1},
	} {
		before := s.ds.(*mem.Datastore).EntriesRead()
		res, err := d.Query(ctx, c.q)
		if err != nil {
			t.Fatal(err)
		}
		got, err := res.Rest()
		if err != nil || len(got) != c.results {
			t.Errorf("%s: %d results, %v", c.q, len(got), err)
		}
		if read := s.ds.(*mem.Datastore).EntriesRead() - before; read > c.most {
			t.Errorf("%s: %d results, %d entries read, want at most %d", c.q, len(got), read, c.most)
		}
	}
}
