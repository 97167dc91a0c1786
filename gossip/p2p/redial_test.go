package p2p

import (
	"fmt"
	"testing"

	"syncline/gossip"
)

// The redialer looks only at those who can be dialled: a member whose addresses nobody knows waits for news, and is looked at then.
func TestRedialerLeavesOutWhoCannotBeDialled(t *testing.T) {
	n := startNode(t, "self", func(c *Config) { c.RedialMin, c.RedialMax, c.RedialFarMax = dialTimeout, dialTimeout, dialTimeout })
	members := []gossip.DeviceID{n.device}
	var keys []gossip.DeviceID
	for i := range 300 {
		keys = append(keys, deviceOfKey(testKey(fmt.Sprint("member ", i))))
	}
	access := testAccess("one")
	access.Members = append(members, keys...)
	states := func() (waiting, dialing, all int) {
		n.redial.dialDue()
		n.redial.mu.Lock()
		defer n.redial.mu.Unlock()
		for _, a := range n.redial.peers {
			if a.dialing {
				dialing++
			}
		}
		return len(n.redial.waiting), dialing, len(n.redial.peers)
	}
	want := func(when string, wantActive, wantAll int) {
		t.Helper()
		if waiting, dialing, all := states(); waiting+dialing != wantActive || all != wantAll {
			t.Errorf("%s: %d wait and %d are dialled, of %d; want %d of %d", when, waiting, dialing, all, wantActive, wantAll)
		}
	}
	n.SetSpaces([]gossip.Access{access})
	want("at first", 0, len(keys))
	n.Redial()
	want("after a redial", 0, len(keys))
	must(t, n.AddAddr(keys[0], "/ip4/127.0.0.1/udp/1/quic-v1"))
	must(t, n.AddAddr(keys[1], "/ip4/127.0.0.1/udp/1/quic-v1"))
	want("with two addresses", 2, len(keys))
	stranger := deviceOfKey(testKey("stranger"))
	must(t, n.AddAddr(stranger, "/ip4/127.0.0.1/udp/1/quic-v1"))
	want("with a stranger's", 2, len(keys))
	access.Members = access.Members[:10]
	n.SetSpaces([]gossip.Access{access})
	want("with fewer members", 2, 9)
}
