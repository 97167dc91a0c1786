package api_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"syncline/node"
	"syncline/node/api"
	"syncline/node/api/client"
)

// A program that embeds a node serves the local API beside its own work. Then peer --api SOCKET, curl --unix-socket SOCKET and package
// client reach the node.
func ExampleServer() {
	ctx := context.Background()
	n, err := node.Open(ctx, node.Config{Name: "laptop"})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	dir, err := os.MkdirTemp("", "api") // a folder of this user alone
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "peer.sock")
	l, err := api.Listen(socket)
	if err != nil {
		log.Fatal(err)
	}
	server := api.New(api.Config{Node: n})
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()

	c := client.New(socket, "") // the default space
	if _, err := c.Put(ctx, "notes/todo", node.Text("buy milk"), client.PutOptions{}); err != nil {
		log.Fatal(err)
	}
	v, err := c.Get(ctx, "notes/todo")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", v.Data)

	c.Close()
	if err := server.Close(ctx); err != nil { // before the node
		log.Fatal(err)
	}
	fmt.Println(<-served)
	// Output:
	// buy milk
	// <nil>
}
