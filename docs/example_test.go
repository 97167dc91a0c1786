package docs

import (
	"context"
	"fmt"
	"log"

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
		if err == nil && !ev.UpToDate {
			fmt.Println(ev.Change.Type, ev.Change.Path)
		}
	}
}
