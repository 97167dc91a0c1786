package node

import "time"

// A store that has failed for good writes again when it is opened anew, as a crash would have it. The first try is made at once, the next ones
// ever later, until the disk has been well for a while.
const (
	reopenPauseMin = time.Second
	reopenPauseMax = time.Minute
	reopenCalm     = 5 * time.Minute
)

// warnStore is the code of the warning of a store that cannot be written.
const warnStore = "store_failed"

// storeFailed warns of an error of the store until it is over. Where nothing else helps, the store is opened anew.
func (s *Space) storeFailed(err error) {
	p := storeProblem(err)
	s.warn(warnStore, Warning{Code: warnStore, Text: p.Error(), Hint: p.Hint})
	if s.store.Failed() != nil {
		s.node.lookAtStores()
	}
}

// lookAtStores lets keepStores look for stores to be opened anew.
func (n *Node) lookAtStores() {
	select {
	case n.failed <- struct{}{}:
	default:
	}
}

// keepStores opens anew the stores that have failed, as soon as their disk works.
func (n *Node) keepStores() {
	pause, last := time.Duration(0), time.Now()
	for {
		select {
		case <-n.failed:
		case <-n.ctx.Done():
			return
		}
		if time.Since(last) > reopenCalm {
			pause = 0
		}
		select {
		case <-time.After(pause):
		case <-n.ctx.Done():
			return
		}
		pause, last = min(max(2*pause, reopenPauseMin), reopenPauseMax), time.Now()
		if !n.reopenStores() {
			n.lookAtStores()
		}
	}
}

// reopenStores opens anew what can be, and reports whether nothing is left.
func (n *Node) reopenStores() (done bool) {
	n.entering.Lock()
	defer n.entering.Unlock()
	done = true
	for _, s := range n.spaceList() {
		if n.ended() != nil {
			break
		}
		if err := n.revive(s); err != nil {
			s.log.Info("a store that has failed is not opened anew yet", "err", err)
			done = false
		}
	}
	return done
}

// revive opens the space anew if its store has failed, or if it was closed and did not open. The node's entering is held.
func (n *Node) revive(s *Space) error {
	const why = "its store failed and was opened anew"
	failed := s.store.Failed()
	if s.ended() == nil {
		if failed == nil {
			return nil
		}
		if err := s.store.Reopenable(); err != nil {
			return err // it can still be read
		}
		s.leave(why)
	}
	n.mu.Lock()
	for _, i := range n.invites {
		if i.space == s {
			n.dropInvite(i) // it is read again
		}
	}
	n.mu.Unlock()
	s.touch(nil)
	if _, err := n.reopen(s); err != nil {
		return err
	}
	s.over.Store(ErrSpaceLeft.With(why))
	s.log.Warn("the store was opened anew", "failed", failed)
	return nil
}
