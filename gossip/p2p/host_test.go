package p2p

import (
	"fmt"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// A household behind one router, which is one address, may be connected with all of its devices, and all at once. There is a bound, and
// it holds for this address alone.
func TestConnectionsFromOneAddress(t *testing.T) {
	resources, err := newResources()
	must(t, err)
	defer resources.Close()
	router, other := ma.StringCast("/ip4/192.0.2.1/tcp/1"), ma.StringCast("/ip4/192.0.2.2/tcp/1")
	var held []network.ConnManagementScope
	for range placeConnsMax {
		c, err := resources.OpenConnection(network.DirInbound, true, router)
		if err != nil {
			t.Fatalf("connection %d from one address: %v", len(held)+1, err)
		}
		must(t, c.SetPeer(peer.ID(fmt.Sprint("device", len(held))))) // no more than a handshake is in the way of the next
		held = append(held, c)
	}
	if _, err := resources.OpenConnection(network.DirInbound, true, router); err == nil {
		t.Error("there is no bound")
	}
	c, err := resources.OpenConnection(network.DirInbound, true, other)
	must(t, err)
	c.Done()
	for _, c := range held {
		c.Done()
	}
}
