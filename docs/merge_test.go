package docs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"syncline/crdt"
	"syncline/node"
	"syncline/node/nodetest"
	"syncline/sim"
)

// The code of how-to/test-a-merge.md, as TestGoCodeIsCompiled wants it.

// mergeCart merges shopping carts: JSON arrays of items, each item once.
func mergeCart(values []crdt.Value) (crdt.Value, error) {
	items := []string{}
	for _, v := range values {
		var cart []string
		if err := json.Unmarshal(v.Data, &cart); err != nil {
			return crdt.Value{}, err // no cart: the Conflict stays open
		}
		items = append(items, cart...)
	}
	slices.Sort(items)
	data, err := json.Marshal(slices.Compact(items))
	return crdt.Value{Type: "application/json", Data: data}, err
}

// drawCart draws what somebody may have in a cart.
func drawCart(r *rand.Rand) []byte {
	items := []string{"bread", "eggs", "milk", "tea"}
	var cart []string
	for range r.IntN(4) {
		cart = append(cart, items[r.IntN(len(items))])
	}
	data, _ := json.Marshal(append([]string{}, cart...))
	return data
}

func TestMergeCart(t *testing.T) {
	sim.CheckMerge(t, mergeCart, drawCart)
}

func TestCartsOnDevices(t *testing.T) {
	sim.Check(t, sim.Config{
		Seeds: 20,
		Paths: []string{"cart/home", "cart/office", "note"},
		Value: func(r *rand.Rand, path string) []byte { return drawCart(r) },
		Merge: map[string]sim.MergeFunc{"cart/*": mergeCart},
		Invariant: func(state map[string][][]byte) error {
			var items []string
			for _, cart := range state["cart/home"] {
				if err := json.Unmarshal(cart, &items); err != nil {
					return fmt.Errorf("cart/home holds %q: %w", cart, err)
				}
			}
			return nil
		},
		Always: true,
	})
}

// useCart lets mergeCart settle the Conflicts between carts.
func useCart(ctx context.Context, n *node.Node) error {
	if err := n.RegisterMerge("cart", node.MergeValues(mergeCart)); err != nil {
		return err
	}
	space, err := n.Space("")
	if err != nil {
		return err
	}
	return space.SetPolicy(ctx, "cart/*", node.PolicyMerge("cart"))
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

func TestMergeList(t *testing.T) {
	content := func(v crdt.Value) node.Content { return node.Content{Type: v.Type, Data: v.Data} }
	f := func(base, a, b crdt.Value) (crdt.Value, error) {
		out, err := mergeList(t.Context(), node.Conflict{
			Base:  &node.Value{ID: "h.1", Content: content(base)},
			Entry: node.Entry{Values: []node.Value{{Content: content(a)}, {Content: content(b)}}},
		})
		return crdt.Value{Type: out.Type, Data: out.Data}, err
	}
	sim.CheckMergeBase(t, f, func(r *rand.Rand) []byte {
		words := []string{"bread", "eggs", "milk", "tea"}
		r.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
		return []byte(strings.Join(words[:r.IntN(len(words))], " "))
	})
}

// TestUseCart: the code that the document shows for programs settles a Conflict between two devices, with and without the policy.
func TestUseCart(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	hub := new(nodetest.Hub)
	open := func() *node.Node {
		n, err := node.Open(ctx, node.Config{Network: hub.New()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		return n
	}
	laptop, phone := open(), open()
	inv, err := laptop.Invite(ctx, nil, node.InviteOptions{AutoAccept: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := phone.Join(ctx, inv.Ticket); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*node.Node{laptop, phone} {
		if err := useCart(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
	onLaptop, _ := laptop.Space("")
	onPhone, _ := phone.Space("")
	hub.Cut(phone.ID())
	for _, path := range []string{"cart/home", "elsewhere"} {
		onLaptop.Put(ctx, path, node.JSON([]string{"tea"}))
		onPhone.Put(ctx, path, node.JSON([]string{"milk", "tea"}))
	}
	hub.Heal()
	if err := onLaptop.WaitFor(ctx, phone.ID().String()); err != nil {
		t.Fatal(err)
	}
	e, err := onPhone.Resolve(ctx, "elsewhere", node.Resolution{Policy: node.PolicyMerge("cart")})
	if err != nil || e.Conflict != 0 || string(e.Shown().Data) != `["milk","tea"]` {
		t.Errorf("got %+v, %v", e, err)
	}
	for ev, err := range onLaptop.Watch(ctx, "cart/", "") {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Change.Type == node.ChangeResolved {
			if got := ev.Change.Entry.Shown(); string(got.Data) != `["milk","tea"]` || ev.Change.Policy != "merge:cart" {
				t.Errorf("got %s by %q", got.Data, ev.Change.Policy)
			}
			return
		}
	}
}
