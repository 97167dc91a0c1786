package node_test

import (
	"fmt"
	"strings"
	"testing"

	"syncline/node"
	"syncline/node/nodetest"
)

// A transaction becomes visible at once on every device: whenever another device looks, it shows both halves of it or neither.
func TestATransactionBecomesVisibleAtOnceOnOtherDevices(t *testing.T) {
	const rounds = 50
	for _, way := range []struct {
		name    string
		padding int // bytes of one value; beyond 64 KiB an operation is not gossiped
		apart   bool
	}{
		{name: "gossip"},
		{name: "session at once", padding: node.GossipOpBytesMax},
		{name: "session after a cut", apart: true},
	} {
		t.Run(way.name, func(t *testing.T) {
			hub := new(nodetest.Hub)
			a, b := pair(t, hub)
			sa, sb := space(t, a), space(t, b)
			write := func() error {
				for i := 1; i <= rounds; i++ {
					v := fmt.Sprintf("%04d", i)
					_, err := sa.Tx(within(t), func(tx *node.Tx) error {
						tx.Put("half/a", node.Text(v+strings.Repeat("x", way.padding)))
						tx.Put("half/z", node.Text(v))
						return nil
					})
					if err != nil {
						return err
					}
				}
				return nil
			}
			done := make(chan error, 1)
			if way.apart {
				hub.Cut(a.ID())
				done <- write()
				hub.Heal()
			} else {
				go func() { done <- write() }()
			}
			looks := 0
			for ev, err := range sb.Watch(within(t), "half/", "") {
				if err != nil {
					t.Fatal(err)
				}
				if ev.UpToDate {
					continue
				}
				first, second := halves(t, sb)
				if first != second {
					t.Fatalf("half a transaction is visible: %q and %q", first, second)
				}
				if looks++; first == fmt.Sprintf("%04d", rounds) {
					break
				}
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if looks == 0 {
				t.Error("the other device never looked")
			}
		})
	}
}

// halves reads both entries as they were at one moment.
func halves(t testing.TB, s *node.Space) (first, second string) {
	t.Helper()
	for e, err := range s.List(within(t), "half/", node.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		v := string(e.Shown().Data[:4])
		if e.Path == "half/a" {
			first = v
		} else {
			second = v
		}
	}
	return first, second
}
