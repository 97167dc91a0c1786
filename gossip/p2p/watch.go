package p2p

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/peer"
)

// watch notices that the machine changed networks or slept, long before libp2p does (its view is up to a minute old), and
// then behaves as if everything had to be tried anew.
func (n *Network) watch() {
	tick := time.NewTicker(n.cfg.WatchEvery)
	defer tick.Stop()
	last, lastNet := n.cfg.Clock(), interfacePrint()
	for {
		select {
		case <-tick.C:
		case <-n.ctx.Done():
			return
		}
		now, nowNet := n.cfg.Clock(), interfacePrint()
		slept := asleep(now.Round(0).Sub(last.Round(0)), now.Sub(last)) // Round strips the monotonic reading
		moved := nowNet != lastNet
		if slept || moved {
			n.log.Info("network changed", "slept", slept, "interfaces", nowNet)
			n.startOver()
		}
		last, lastNet = now, nowNet
	}
}

// asleep reports whether so much more wall time than monotonic time passed, which stands still while the machine sleeps,
// that it must have slept. A clock set forward looks the same and does no harm.
func asleep(wall, monotonic time.Duration) bool { return wall-monotonic > sleepJump }

// startOver checks every connection and tries every member and discovery at once.
func (n *Network) startOver() {
	for _, l := range n.allLinks() {
		n.group.run(func() {
			if n.useful(l) && n.isAdmitted(l.peer) && !l.alive() {
				_ = l.conn.Close()
			}
		})
	}
	n.redial.resetAll()
	n.discovery.refresh()
}

// interfacePrint is equal for equal interfaces and addresses.
func interfacePrint() string {
	ifaces, err := interfaces()
	if err != nil {
		return err.Error()
	}
	var parts []string
	for _, i := range ifaces {
		parts = append(parts, fmt.Sprint(i.Name, i.addrs))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// learnAddrs puts the addresses that members name when they connect into the book.
func (n *Network) learnAddrs() {
	sub, err := n.host.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		n.log.Warn("addresses of members stay unknown", "err", err)
		return
	}
	defer sub.Close()
	for {
		select {
		case e, ok := <-sub.Out():
			if !ok {
				return
			}
			n.learn(e.(event.EvtPeerIdentificationCompleted))
		case <-n.ctx.Done():
			return
		}
	}
}

// learn keeps what makes sense from here: an address on the other machine's loopback only if the connection is local.
func (n *Network) learn(e event.EvtPeerIdentificationCompleted) {
	if !n.isMember(e.Peer) {
		return
	}
	local := isLoopback(e.Conn.RemoteMultiaddr())
	var addrs []string
	for _, a := range e.ListenAddrs {
		if a, _ = peer.SplitAddr(a); dialable(a) && (local || !isLoopback(a)) {
			addrs = append(addrs, a.String())
		}
	}
	n.book.learn(deviceOrZero(e.Peer), addrs...)
	n.redial.learned(e.Peer) // its connection may have ended meanwhile
}
