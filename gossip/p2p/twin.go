package p2p

import (
	"slices"

	ma "github.com/multiformats/go-multiaddr"
)

// rivals returns the other links of the same device that another process opened. The caller holds n.mu.
func (n *Network) rivals(l *link) []*link {
	var out []*link
	for _, o := range n.peers[l.peer] {
		if o != l && o.twin != (instance{}) && o.twin != l.twin {
			out = append(out, o)
		}
	}
	return out
}

// resolveTwins decides what it means that one device has connections from two processes. If the older one no longer
// answers, the device was restarted and its old connection is closed. If both answer, two live processes share one key:
// each is told where the other one is.
func (n *Network) resolveTwins(older, younger *link) {
	if !older.alive() {
		_ = older.conn.Close()
		return
	}
	if !younger.alive() {
		return
	}
	n.log.Warn("two processes use the key of one device", "device", older.device.String(),
		"addr", older.conn.RemoteMultiaddr().String(), "other", younger.conn.RemoteMultiaddr().String())
	older.tell(message{kind: kindTwin, text: whereabouts(younger)})
	younger.tell(message{kind: kindTwin, text: whereabouts(older)})
}

// whereabouts is the address of the other end as text, cut to what a twin notice may carry.
func whereabouts(l *link) string {
	addr := l.conn.RemoteMultiaddr().String()
	return addr[:min(len(addr), twinTextMax)]
}

// reportTwin passes a member's notice on, if the member has proved itself.
func (n *Network) reportTwin(l *link, where string) {
	if n.proved(l) {
		n.events.post(func() { n.handler.Twin(where) })
	}
}

// foundSelf is told of an advert that names this device under an instance name that this process never used. Whether it is a
// twin, who listens there must prove: the advert can be forged, or an echo of the process before this one.
func (n *Network) foundSelf(addrs []ma.Multiaddr) {
	own := n.localAddrs()
	addrs = slices.DeleteFunc(addrs, func(a ma.Multiaddr) bool { return isQUIC(a) || slices.ContainsFunc(own, a.Equal) })
	if len(addrs) == 0 || !n.prober.begin() {
		return
	}
	started := n.group.run(func() {
		defer n.prober.end()
		n.probeAll(addrs)
	})
	if !started {
		n.prober.end()
	}
}

// probeAll reports a twin at the first address that has one.
func (n *Network) probeAll(addrs []ma.Multiaddr) {
	for _, a := range addrs {
		twin, err := n.probe(n.ctx, a)
		if err != nil {
			n.log.Debug("an advert names this device, and who listens there does not", "addr", a.String(), "err", err)
		}
		if twin {
			n.log.Warn("another process uses the key of this device", "addr", a.String())
			n.events.post(func() { n.handler.Twin(a.String()) })
			return
		}
	}
}
