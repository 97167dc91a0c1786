package node

import (
	"strings"
	"sync"

	"syncline/crdt"
)

// hooks calls the hooks of a datastore. The loop names the paths that changed; their state is read when their turn comes. So what
// waits is at most one path for each that changed, however slow a hook is, and deletes are told that the feed has forgotten.
type hooks struct {
	d    *Datastore
	wake chan struct{}
	quit chan struct{}
	done chan struct{}
	once sync.Once

	mu      sync.Mutex // guards the fields below
	order   []string   // by the first change since the path was taken
	waiting map[string]struct{}
}

func newHooks(d *Datastore) *hooks {
	return &hooks{d: d, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}), waiting: map[string]struct{}{}}
}

// changed is called by the loop after each commit.
func (h *hooks) changed(paths []string) {
	h.mu.Lock()
	for _, path := range paths {
		if _, waits := h.waiting[path]; waits || crdt.IsSystemPath(path) || !strings.HasPrefix(path, h.d.prefix) {
			continue
		}
		h.waiting[path] = struct{}{}
		h.order = append(h.order, path)
	}
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// take returns the paths that wait. Each may change, and wait again, from now on.
func (h *hooks) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	order := h.order
	h.order, h.waiting = nil, map[string]struct{}{}
	return order
}

func (h *hooks) run() {
	defer close(h.done)
	if h.d.opts.ConflictHook != nil {
		for path, err := range h.d.space.store.Conflicts(h.d.prefix, "") {
			if err != nil {
				h.d.space.log.Warn("conflicts for a hook", "err", err)
				break
			}
			if !h.call(path, h.conflict) {
				return
			}
		}
	}
	for {
		for _, path := range h.take() {
			if !h.call(path, h.tell) {
				return
			}
		}
		select {
		case <-h.wake:
		case <-h.quit:
			return
		}
	}
}

// call reads the state of a path and hands it on. It reports false once the datastore is closed.
func (h *hooks) call(path string, to func(string, crdt.Register)) bool {
	select {
	case <-h.quit:
		return false
	default:
	}
	reg, err := h.d.space.store.Get(path)
	if err != nil {
		h.d.space.log.Warn("read for a hook", "path", path, "err", err)
		return true
	}
	to(path, reg)
	return true
}

// tell calls the hooks for a path that changed.
func (h *hooks) tell(path string, reg crdt.Register) {
	shown, there := h.d.space.shown(path, reg)
	switch {
	case there && h.d.opts.PutHook != nil:
		h.d.opts.PutHook(h.d.key(path), shown.Data)
	case !there && h.d.opts.DeleteHook != nil:
		h.d.opts.DeleteHook(h.d.key(path))
	}
	h.conflict(path, reg)
}

// conflict calls the ConflictHook if a Conflict is open.
func (h *hooks) conflict(path string, reg crdt.Register) {
	if h.d.opts.ConflictHook != nil && h.d.space.open(path, reg) {
		h.d.opts.ConflictHook(h.d.key(path), h.d.space.conflict(path, reg))
	}
}

// close waits for the hook that runs.
func (h *hooks) close() {
	h.once.Do(func() { close(h.quit) })
	<-h.done
}
