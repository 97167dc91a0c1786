package docs

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"testing"
	"time"

	"syncline/gossip/p2p"
	"syncline/node"
	"syncline/node/api"
	"syncline/node/api/client"
	"syncline/node/nodetest"
)

// The code of how-to/embed-a-node.md, as TestGoCodeIsCompiled wants it.

func Example_embed() {
	dir := flag.String("dir", "notes", "where this device lives")
	ticket := flag.String("join", "", "the ticket of another device")
	invite := flag.Bool("invite", false, "let another device in")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	data := filepath.Join(*dir, "data")
	net := p2p.New(p2p.Config{BookFile: filepath.Join(data, "addresses.json")})
	err := run(ctx, node.Config{Dir: data, Network: net}, filepath.Join(*dir, "peer.sock"), *ticket, *invite)
	if err != nil && !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
}

// run is the program, until ctx ends.
func run(ctx context.Context, cfg node.Config, socket, ticket string, invite bool) error {
	n, err := node.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer n.Close() // returns when everything is on disk and nothing of the node runs any more
	if err := pair(ctx, n, ticket, invite); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // serve ends before the node
	go func() {
		if err := serve(ctx, n, socket); err != nil {
			log.Print("the program goes on, but peer and curl do not reach it: ", err)
		}
	}()
	for {
		space, err := n.Space("") // after Join: it is another one then
		if err != nil {
			return err
		}
		var m mirror
		if err := m.follow(ctx, space); !errors.Is(err, node.ErrSpaceLeft) {
			return err
		}
	}
}

// pair makes this device a member of the space of another one, or lets another one in. Once is enough: both remember.
func pair(ctx context.Context, n *node.Node, ticket string, invite bool) error {
	if ticket != "" {
		_, err := n.Join(ctx, ticket)
		if err != nil && !errors.Is(err, node.ErrMember) { // it is one after a restart with the same ticket
			return err
		}
	}
	if invite {
		i, err := n.Invite(ctx, nil, node.InviteOptions{AutoAccept: true})
		if err != nil {
			return err
		}
		fmt.Println("Start it on the other device with this ticket:", i.Ticket)
	}
	return nil
}

// A mirror is what the program makes of its notes. One goroutine uses it.
type mirror struct {
	notes map[string]string
	seen  node.Cursor // notes are true of this point
}

// follow keeps m true until ctx ends, and draws it whenever nothing more is waiting.
func (m *mirror) follow(ctx context.Context, space *node.Space) error {
	wait := time.Duration(0) // what is there is told at once
	for {
		page, err := space.Changes(ctx, node.ChangesOptions{Prefix: "notes/", Since: m.seen, Wait: wait})
		if errors.Is(err, node.ErrCursorExpired) {
			*m, wait = mirror{}, 0 // begin anew: what is not told again was deleted
			continue
		}
		if err != nil {
			return err
		}
		if m.notes == nil {
			m.notes = map[string]string{}
		}
		for _, c := range page.Changes {
			if c.Entry == nil {
				delete(m.notes, c.Path)
			} else {
				m.notes[c.Path] = string(c.Entry.Shown().Data)
			}
		}
		if m.seen = page.Cursor; page.UpToDate {
			m.draw()
			wait = time.Minute
		}
	}
}

func (m *mirror) draw() { fmt.Println(len(m.notes), "notes") }

// serve lets peer and curl reach the node, until ctx ends.
func serve(ctx context.Context, n *node.Node, socket string) error {
	os.Remove(socket) // a process that was killed left it; no other one lives, for this one has the folder
	l, err := api.Listen(socket)
	if err != nil {
		return err
	}
	server := api.New(api.Config{Node: n})
	defer context.AfterFunc(ctx, func() { server.Close(context.Background()) })()
	return server.Serve(l)
}

// TestAnEmbeddedNode: two programs as the page shows them pair through the socket of the first, share a note, and end.
func TestAnEmbeddedNode(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var hub nodetest.Hub
	sockets, err := os.MkdirTemp("", "embed") // the name of a socket is short, that of t.TempDir may not be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sockets) })
	ended := make(chan error, 2)
	start := func(ctx context.Context, dir, ticket string) *client.Client {
		cfg := node.Config{Dir: dir, RuntimeDir: t.TempDir(), Network: hub.New()}
		socket := filepath.Join(sockets, filepath.Base(dir))
		go func() { ended <- run(ctx, cfg, socket, ticket, ticket == "") }()
		c := client.New(socket, "")
		t.Cleanup(c.Close)
		await(t, ctx, func() bool { _, err := c.Version(ctx); return err == nil })
		return c
	}
	first := start(ctx, t.TempDir(), "")
	if _, err := first.Put(ctx, "notes/todo", node.Text("milk"), client.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	invite, err := first.Invite(ctx, time.Minute, true)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for range 2 { // the second time it is a member
		ctx, cancel := context.WithCancel(ctx)
		second := start(ctx, dir, invite.Ticket)
		await(t, ctx, func() bool { v, err := second.Get(ctx, "notes/todo"); return err == nil && string(v.Data) == "milk" })
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Fatalf("the second ended with %v", err)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the first ended with %v", err)
	}
}

// await waits until done says so.
func await(t *testing.T, ctx context.Context, done func() bool) {
	t.Helper()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatal("it did not come to that")
		case <-time.After(5 * time.Millisecond):
		}
	}
}
