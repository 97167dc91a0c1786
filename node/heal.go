package node

import (
	"context"
	"time"
)

// healPause is how long a damaged path is left alone after nobody who was connected had what was lost; healPathsMax bounds the paths
// that are remembered so. A repair reads all records and indexes, so no other begins for healShare times as long as it took, at most healRestMax.
const (
	healPause    = 10 * time.Second
	healPathsMax = 256
	healShare    = 10
	healRestMax  = time.Minute
)

// healing is what is remembered of damaged records that replication or a write met.
type healing struct {
	busy bool
	// next says when a path may be tried again, rest when any may. The empty path stands for bindings.
	next map[string]time.Time
	rest time.Time
}

// heal repairs what is damaged if a connected device has what was lost, because a path of it stands in the way: all of it at once, for an
// answer may bring other damaged paths, too. The empty path stands for bindings. Nothing is given up: that is for a person to decide. What is met
// meanwhile is met again.
func (l *loop) heal(path string) {
	s := l.space
	now := time.Now()
	s.mu.Lock()
	wait := s.healing.busy || now.Before(s.healing.rest) || now.Before(s.healing.next[path])
	if !wait {
		if s.healing.busy = true; len(s.healing.next) >= healPathsMax || s.healing.next == nil {
			s.healing.next = map[string]time.Time{}
		}
		s.healing.next[path] = now.Add(healPause)
	}
	s.mu.Unlock()
	if wait {
		return
	}
	heal := s.healPaths
	if path == "" {
		heal = s.healBindings
	}
	l.wg.Go(func() {
		heal(l.ctx)
		s.touch(func() {
			s.healing.busy, s.healing.rest = false, time.Now().Add(min(healShare*time.Since(now), healRestMax))
		})
	})
}

func (s *Space) healPaths(ctx context.Context) {
	found, _ := s.repair(ctx, "", RepairOptions{})
	for _, r := range found {
		if r.Err == nil {
			s.log.Warn("repaired", "path", r.Path, "device", r.From.Name)
		}
	}
}

func (s *Space) healBindings(ctx context.Context) {
	if unbound, err := s.repairBindings(ctx); err == nil && unbound == 0 {
		s.log.Warn("repaired: which replica belongs to which device")
	}
}
