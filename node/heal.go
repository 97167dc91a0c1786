package node

import (
	"context"
	"time"
)

// healPause is how long a damaged path is left alone after nobody who was connected had what was lost; healPathsMax bounds the paths
// that are remembered so.
const (
	healPause    = 10 * time.Second
	healPathsMax = 256
)

// healing is what is remembered of damaged records that replication or a write met.
type healing struct {
	busy bool
	// next says when a path may be tried again; the empty path stands for bindings.
	next map[string]time.Time
}

// heal repairs what is damaged if a connected device has what was lost, because a path of it stands in the way: all of it at once, for an
// answer may bring other damaged paths, too. The empty path stands for bindings. Nothing is given up: that is for a person to decide. What is met
// meanwhile is met again.
func (l *loop) heal(path string) {
	s := l.space
	now := time.Now()
	s.mu.Lock()
	wait := s.healing.busy || now.Before(s.healing.next[path])
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
		s.touch(func() { s.healing.busy = false })
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
