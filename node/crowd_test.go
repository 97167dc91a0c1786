package node_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"syncline/gossip/p2p"
	"syncline/node"
)

const (
	crowd       = 10          // devices that come to one at once
	crowdPeriod = time.Second // between sessions: what came by one goes on by the next, for all are connected to one alone
)

// onLoopback opens a device with real connections.
func onLoopback(t testing.TB, name string) *node.Node {
	t.Helper()
	return open(t, node.Config{Name: name, AntiEntropy: crowdPeriod, Network: p2p.New(p2p.Config{NoLAN: true, Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}})})
}

// TestAHouseholdJoinsAtOnce: ten devices with one address between them, as behind one router or in one machine, join at the same time, none is
// refused, and each has what every other writes.
func TestAHouseholdJoinsAtOnce(t *testing.T) {
	host := onLoopback(t, "host")
	ctx := within(t)
	guests := make([]*node.Node, crowd)
	tickets := make([]string, crowd)
	for i := range guests {
		inv, err := host.Invite(ctx, nil, node.InviteOptions{AutoAccept: true})
		if err != nil {
			t.Fatal(err)
		}
		guests[i], tickets[i] = onLoopback(t, fmt.Sprintf("guest%d", i)), inv.Ticket
	}
	var joins sync.WaitGroup
	start := time.Now()
	for i, g := range guests {
		joins.Go(func() {
			if _, err := g.Join(ctx, tickets[i]); err != nil {
				t.Errorf("guest %d: %v", i, err)
			}
		})
	}
	joins.Wait()
	if t.Failed() {
		return
	}
	t.Logf("%d devices joined within %v", crowd, time.Since(start).Round(time.Millisecond))
	everybodyHas(t, append(guests, host), "hello")
}

// everybodyHas lets each device write a path and waits until all show all.
func everybodyHas(t *testing.T, nodes []*node.Node, under string) {
	t.Helper()
	for _, n := range nodes {
		if _, err := space(t, n).Put(within(t), under+"/"+n.Name(), node.Text(n.Name())); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes {
		for _, o := range nodes {
			await(t, space(t, n), under+"/"+o.Name(), o.Name())
		}
	}
}

// TestTenMembersConnectAtOnce: the devices of a space find one that was away all at the same moment. It takes what each has written, and
// gives what it has.
func TestTenMembersConnectAtOnce(t *testing.T) {
	dir := t.TempDir()
	config := node.Config{Name: "host", Dir: dir, AntiEntropy: crowdPeriod}
	network := func() *p2p.Network { // at the port that follows from the key, where the others look for it
		return p2p.New(p2p.Config{NoLAN: true, BookFile: filepath.Join(dir, "addresses.json")})
	}
	config.Network = network()
	host := open(t, config)
	var guests []*node.Node
	for i := range crowd {
		guests = append(guests, onLoopback(t, fmt.Sprintf("guest%d", i)))
		join(t, host, guests[i])
	}
	everybodyHas(t, append(guests[:crowd:crowd], host), "before")
	if err := host.Close(); err != nil {
		t.Fatal(err)
	}
	for _, g := range guests {
		if _, err := space(t, g).Put(within(t), "meanwhile/"+g.Name(), node.Text("1")); err != nil {
			t.Fatal(err)
		}
	}
	config.Network = network()
	host = open(t, config)
	for _, g := range guests {
		await(t, space(t, host), "meanwhile/"+g.Name(), "1")
	}
	everybodyHas(t, append(guests, host), "after")
	connected := 0
	for _, p := range config.Network.Peers() {
		if p.Connected {
			connected++
		}
	}
	if connected != crowd {
		t.Errorf("%d of %d are connected to the one that was away", connected, crowd)
	}
}
