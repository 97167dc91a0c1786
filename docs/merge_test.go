package docs

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

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

// settleCart merges what competes at path.
func settleCart(ctx context.Context, space *node.Space, path string) error {
	_, err := space.Resolve(ctx, path, node.Resolution{Merge: func(c node.Conflict) (node.Content, error) {
		var values []crdt.Value
		for _, v := range c.Values {
			values = append(values, crdt.Value{Type: v.Type, Data: v.Data})
		}
		merged, err := mergeCart(values)
		return node.Content{Type: merged.Type, Data: merged.Data}, err
	}})
	return err
}

// TestSettleCart: the code that the document shows for programs settles a Conflict between two devices.
func TestSettleCart(t *testing.T) {
	ctx := context.Background()
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
	onLaptop, _ := laptop.Space("")
	onPhone, _ := phone.Space("")
	hub.Cut(phone.ID())
	onLaptop.Put(ctx, "cart/home", node.JSON([]string{"tea"}))
	onPhone.Put(ctx, "cart/home", node.JSON([]string{"milk", "tea"}))
	hub.Heal()
	if _, err := onPhone.WaitSync(ctx, node.SyncOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := onLaptop.WaitSync(ctx, node.SyncOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := settleCart(ctx, onPhone, "cart/home"); err != nil {
		t.Fatal(err)
	}
	e, err := onPhone.Get(ctx, "cart/home")
	if err != nil || e.Conflict != 0 || string(e.Shown().Data) != `["milk","tea"]` {
		t.Errorf("got %+v, %v", e, err)
	}
}
