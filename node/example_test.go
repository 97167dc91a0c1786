package node_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"strings"

	"github.com/ipfs/go-datastore"

	"syncline/crdt"
	"syncline/node"
	"syncline/node/nodetest"
)

// A node in memory, without a network: put, get, list, delete.
func Example() {
	ctx := context.Background()
	n, err := node.Open(ctx, node.Config{Name: "laptop"})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	sp, err := n.Space("") // the default space
	if err != nil {
		log.Fatal(err)
	}
	sp.Put(ctx, "todo/1", node.Text("buy milk"))
	sp.Put(ctx, "todo/2", node.JSON(map[string]any{"title": "call Ana", "done": false}))
	for e, err := range sp.List(ctx, "todo/", node.ListOptions{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s = %s (%s)\n", e.Path, e.Shown().Data, e.Shown().Type)
	}
	sp.Delete(ctx, "todo/1")
	_, err = sp.Get(ctx, "todo/1")
	fmt.Println(errors.Is(err, node.ErrNotFound))
	// Output:
	// todo/1 = buy milk (text/plain; charset=utf-8)
	// todo/2 = {"done":false,"title":"call Ana"} (application/json)
	// true
}

// Several paths change together, on every device at once.
func ExampleSpace_Tx() {
	ctx := context.Background()
	n, _ := node.Open(ctx, node.Config{})
	defer n.Close()
	sp, _ := n.Space("")
	sp.Put(ctx, "account/a", node.Text("100"))
	_, err := sp.Tx(ctx, func(tx *node.Tx) error {
		tx.Put("account/a", node.Text("70"))
		tx.Put("account/b", node.Text("30"), node.IfAbsent())
		return nil
	})
	fmt.Println(err)
	b, _ := sp.Get(ctx, "account/b")
	fmt.Printf("%s\n", b.Shown().Data)
	// Output:
	// <nil>
	// 30
}

// Entries as values of a Go type.
func ExampleOf() {
	ctx := context.Background()
	n, _ := node.Open(ctx, node.Config{})
	defer n.Close()
	sp, _ := n.Space("")
	type todo struct {
		Title string
		Done  bool
	}
	todos := node.Of[todo](sp, "todo/")
	todos.Put(ctx, "1", todo{Title: "buy milk"})
	todos.Put(ctx, "2", todo{Title: "call Ana", Done: true})
	for id, t := range todos.All(ctx) {
		fmt.Println(id, t.Title, t.Done)
	}
	fmt.Println(todos.Err())
	// Output:
	// 1 buy milk false
	// 2 call Ana true
	// <nil>
}

// Going on only when another device has, on its disk, what was written here.
func ExampleSpace_WaitFor() {
	ctx := context.Background()
	hub := new(nodetest.Hub) // a network in memory; programs use p2p.New
	laptop, _ := node.Open(ctx, node.Config{Name: "laptop", Network: hub.New()})
	defer laptop.Close()
	nas, _ := node.Open(ctx, node.Config{Name: "nas", Network: hub.New()})
	defer nas.Close()
	inv, _ := laptop.Invite(ctx, nil, node.InviteOptions{AutoAccept: true})
	if _, err := nas.Join(ctx, inv.Ticket); err != nil {
		log.Fatal(err)
	}
	sp, _ := laptop.Space("")
	sp.Put(ctx, "draft", node.Text("finished"))
	if err := sp.WaitFor(ctx, "nas"); err != nil {
		log.Fatal(err)
	}
	there, _ := nas.Space("")
	e, _ := there.Get(ctx, "draft")
	fmt.Printf("%s\n", e.Shown().Data)
	// Output: finished
}

// A write that must not clobber what somebody else wrote meanwhile names the version it has seen.
func ExampleIfVersion() {
	ctx := context.Background()
	n, _ := node.Open(ctx, node.Config{})
	defer n.Close()
	sp, _ := n.Space("")
	seen, _ := sp.Put(ctx, "page", node.Text("first"))
	sp.Put(ctx, "page", node.Text("second"))
	_, err := sp.Put(ctx, "page", node.Text("third"), node.IfVersion(seen.Version))
	fmt.Println(errors.Is(err, node.ErrVersionMismatch))
	// Output: true
}

// Two devices write the same entry while they are apart. Both values are kept, both devices show the same Conflict, and one of
// them resolves it for both.
func ExampleSpace_Resolve() {
	ctx := context.Background()
	hub := new(nodetest.Hub) // a network in memory; programs use p2p.New
	laptop, _ := node.Open(ctx, node.Config{Name: "laptop", Network: hub.New()})
	defer laptop.Close()
	phone, _ := node.Open(ctx, node.Config{Name: "phone", Network: hub.New()})
	defer phone.Close()
	inv, _ := laptop.Invite(ctx, nil, node.InviteOptions{AutoAccept: true})
	if _, err := phone.Join(ctx, inv.Ticket); err != nil {
		log.Fatal(err)
	}
	onLaptop, _ := laptop.Space("")
	onPhone, _ := phone.Space("")

	hub.Cut(phone.ID())
	onLaptop.Put(ctx, "cart", node.Text("milk"))
	onPhone.Put(ctx, "cart", node.Text("bread"))
	hub.Heal()
	onLaptop.WaitSync(ctx, node.SyncOptions{Device: "phone"})
	onPhone.WaitSync(ctx, node.SyncOptions{Device: "laptop"})

	for c, err := range onPhone.Conflicts(ctx, "") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %d values, %s\n", c.Path, len(c.Values), c.Reason)
	}
	e, err := onPhone.Resolve(ctx, "cart", node.Resolution{Merge: func(c node.Conflict) (node.Content, error) {
		return node.Text("bread, milk"), nil
	}})
	fmt.Printf("%s %v\n", e.Shown().Data, err)
	// Output:
	// cart: 2 values, update/update
	// bread, milk <nil>
}

// mergeList merges lists of words: what one side added is in, what one side took out is not. Base tells the two apart.
func mergeList(_ context.Context, c node.Conflict) (node.Content, error) {
	if c.Base == nil {
		return node.Content{}, errors.New(c.BaseReason) // the Conflict stays open, and PolicyReason says why
	}
	base := strings.Fields(string(c.Base.Data))
	on := map[string]int{} // how many of the values have a word
	for _, v := range c.Values {
		words := strings.Fields(string(v.Data))
		slices.Sort(words)
		for _, word := range slices.Compact(words) {
			on[word]++
		}
	}
	var merged []string
	for word, n := range on {
		if n == len(c.Values) || !slices.Contains(base, word) {
			merged = append(merged, word)
		}
	}
	slices.Sort(merged) // the result must be the same on every device
	return node.Text(strings.Join(merged, " ")), nil
}

// A program settles Conflicts by a function of its own. One device writes the result, a moment after the values met; all are told of it.
func ExampleNode_RegisterMerge() {
	ctx := context.Background()
	hub := new(nodetest.Hub) // a network in memory; programs use p2p.New
	laptop, _ := node.Open(ctx, node.Config{Name: "laptop", Network: hub.New()})
	defer laptop.Close()
	phone, _ := node.Open(ctx, node.Config{Name: "phone", Network: hub.New()})
	defer phone.Close()
	for _, n := range []*node.Node{laptop, phone} { // right after Open, on every device
		if err := n.RegisterMerge("list", mergeList); err != nil {
			log.Fatal(err)
		}
	}
	inv, _ := laptop.Invite(ctx, nil, node.InviteOptions{AutoAccept: true})
	if _, err := phone.Join(ctx, inv.Ticket); err != nil {
		log.Fatal(err)
	}
	onLaptop, _ := laptop.Space("")
	onPhone, _ := phone.Space("")
	if err := onLaptop.SetPolicy(ctx, "lists/*", node.PolicyMerge("list")); err != nil { // once, on any device
		log.Fatal(err)
	}
	onLaptop.Put(ctx, "lists/food", node.Text("milk tea"))
	onLaptop.WaitFor(ctx, "phone")

	hub.Cut(phone.ID())
	onLaptop.Put(ctx, "lists/food", node.Text("bread milk tea"))
	onPhone.Put(ctx, "lists/food", node.Text("milk"))
	hub.Heal()

	for ev, err := range onPhone.Watch(ctx, "lists/", "") {
		if err != nil {
			log.Fatal(err)
		}
		if ev.Change.Type == node.ChangeResolved {
			fmt.Printf("%s, by %s\n", ev.Change.Entry.Shown().Data, ev.Change.Policy)
			break
		}
	}
	// Output: bread milk, by merge:list
}

// A program that keeps the cursor of what it has dealt with misses nothing while it does not run.
func ExampleSpace_Changes() {
	ctx := context.Background()
	n, _ := node.Open(ctx, node.Config{})
	defer n.Close()
	sp, _ := n.Space("")
	sp.Put(ctx, "notes/a", node.Text("1"))
	page, err := sp.Changes(ctx, node.ChangesOptions{Prefix: "notes/"}) // the current state
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(page.Changes), page.UpToDate)

	sp.Put(ctx, "notes/b", node.Text("2"))
	sp.Delete(ctx, "notes/a")
	page, err = sp.Changes(ctx, node.ChangesOptions{Prefix: "notes/", Since: page.Cursor})
	if errors.Is(err, node.ErrCursorExpired) {
		page, err = sp.Changes(ctx, node.ChangesOptions{Prefix: "notes/"}) // begin anew: what is not there was deleted
	}
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range page.Changes {
		fmt.Println(c.Type, c.Path)
	}
	// Output:
	// 1 true
	// put notes/b
	// delete notes/a
}

// Watch yields what is there, says when that is all, and goes on with what changes.
func ExampleSpace_Watch() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n, _ := node.Open(ctx, node.Config{})
	defer n.Close()
	sp, _ := n.Space("")
	sp.Put(ctx, "notes/a", node.Text("here before"))
	for ev, err := range sp.Watch(ctx, "notes/", "") {
		switch {
		case err != nil:
			log.Fatal(err)
		case ev.UpToDate:
			fmt.Println("up to date")
			sp.Delete(ctx, "notes/a")
		default:
			fmt.Println(ev.Change.Type, ev.Change.Path)
			if ev.Change.Type == node.ChangeDelete {
				return
			}
		}
	}
	// Output:
	// put notes/a
	// up to date
	// delete notes/a
}

// An entry of kind LWW settles concurrent writes at once: the newest is shown, and nothing is asked.
func ExampleAs() {
	ctx := context.Background()
	n, _ := node.Open(ctx, node.Config{})
	defer n.Close()
	sp, _ := n.Space("")
	sp.Put(ctx, "presence/laptop", node.Text("online"), node.As(crdt.LWW))
	e, _ := sp.Get(ctx, "presence/laptop")
	fmt.Println(e.Kind)
	// Output: lww
}

// A program written for a go-datastore keeps its data on all devices of a space. The hooks tell what others changed.
func ExampleSpace_Datastore() {
	ctx := context.Background()
	hub := new(nodetest.Hub) // a network in memory; programs use p2p.New
	laptop, _ := node.Open(ctx, node.Config{Name: "laptop", Network: hub.New()})
	defer laptop.Close()
	phone, _ := node.Open(ctx, node.Config{Name: "phone", Network: hub.New()})
	defer phone.Close()
	inv, _ := laptop.Invite(ctx, nil, node.InviteOptions{AutoAccept: true})
	if _, err := phone.Join(ctx, inv.Ticket); err != nil {
		log.Fatal(err)
	}
	onLaptop, _ := laptop.Space("")
	onPhone, _ := phone.Space("")

	told := make(chan string, 100) // a hook that waits holds up the next, and Close
	there, err := onPhone.Datastore(node.DatastoreOptions{
		PutHook:    func(k datastore.Key, v []byte) { told <- fmt.Sprintf("put %s %s", k, v) },
		DeleteHook: func(k datastore.Key) { told <- fmt.Sprintf("delete %s", k) },
	})
	if err != nil {
		log.Fatal(err)
	}
	here, err := onLaptop.Datastore(node.DatastoreOptions{})
	if err != nil {
		log.Fatal(err)
	}
	if err := here.Put(ctx, datastore.NewKey("/pins/a"), []byte("1")); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-told)
	v, err := there.Get(ctx, datastore.NewKey("/pins/a"))
	fmt.Printf("%s %v\n", v, err)
	if err := here.Delete(ctx, datastore.NewKey("/pins/a")); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-told)
	// Output:
	// put /pins/a 1
	// 1 <nil>
	// delete /pins/a
}
