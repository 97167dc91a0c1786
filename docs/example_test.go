package docs

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"testing"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"syncline/gossip/p2p"
	"syncline/node"
)

func Example() {
	ctx := context.Background()
	net := p2p.New(p2p.Config{BookFile: "data/addresses.json"})
	n, err := node.Open(ctx, node.Config{Dir: "data", Name: "laptop", Network: net}) // a nil Network: local only
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	space, _ := n.Space("") // the default space
	if _, err := space.Put(ctx, "notes/todo", node.Text("buy milk")); err != nil {
		log.Fatal(err)
	}
	for ev, err := range space.Watch(ctx, "notes/", node.CursorNow) { // also what other devices write
		if err != nil {
			log.Fatal(err) // the last event
		}
		if !ev.UpToDate {
			fmt.Println(ev.Change.Type, ev.Change.Path)
		}
	}
}

func Example_datastore() {
	ctx := context.Background()
	net := p2p.New(p2p.Config{BookFile: "data/addresses.json"})
	n, err := node.Open(ctx, node.Config{Dir: "data", Network: net})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	space, err := n.Space("")
	if err != nil {
		log.Fatal(err)
	}
	ds, err := space.Datastore(node.DatastoreOptions{
		Namespace:  datastore.NewKey("crdt"),
		PutHook:    func(k datastore.Key, v []byte) { fmt.Printf("put %s %s\n", k, v) },
		DeleteHook: func(k datastore.Key) { fmt.Printf("deleted %s\n", k) },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer ds.Close()
	if err := ds.Put(ctx, datastore.NewKey("/pins/a"), []byte("1")); err != nil {
		log.Fatal(err)
	}
}

// copyDatastore is the second block of how-to/switch-from-go-ds-crdt.md.
func copyDatastore(ctx context.Context, to datastore.Batching, from datastore.Datastore) error {
	batch, err := to.Batch(ctx)
	if err != nil {
		return err
	}
	entries, bytes := 0, 0
	for e, err := range datastore.QueryIter(ctx, from, query.Query{}) {
		if err != nil {
			return err
		}
		if entries == 1000 || bytes > 8<<20 { // more than 10,000 keys or 16 MiB are refused
			if err := batch.Commit(ctx); err != nil {
				return err
			}
			if batch, err = to.Batch(ctx); err != nil {
				return err
			}
			entries, bytes = 0, 0
		}
		if err := batch.Put(ctx, datastore.RawKey(e.Key), e.Value); err != nil {
			return err
		}
		entries, bytes = entries+1, bytes+len(e.Key)+len(e.Value)
	}
	return batch.Commit(ctx)
}

// TestTheCopyIsComplete runs the code that how-to/switch-from-go-ds-crdt.md gives for taking data along.
func TestTheCopyIsComplete(t *testing.T) {
	ctx := context.Background()
	n, err := node.Open(ctx, node.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	space, err := n.Space("")
	if err != nil {
		t.Fatal(err)
	}
	to, err := space.Datastore(node.DatastoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ entries, bytes int }{{0, 1}, {999, 1}, {1000, 1}, {2500, 1}, {600, 32 << 10}} { // the last are 19 MiB
		from := datastore.NewMapDatastore()
		want := bytes.Repeat([]byte{byte(c.entries)}, c.bytes)
		for i := range c.entries {
			from.Put(ctx, datastore.NewKey(fmt.Sprint(i)), want)
		}
		if err := copyDatastore(ctx, to, from); err != nil {
			t.Fatal(err)
		}
		for i := range c.entries {
			if v, err := to.Get(ctx, datastore.NewKey(fmt.Sprint(i))); err != nil || !bytes.Equal(v, want) {
				t.Fatalf("key %d of %d: got %d bytes, %v", i, c.entries, len(v), err)
			}
		}
	}
}
