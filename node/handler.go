package node

import (
	"context"
	"errors"
	"strings"
	"syscall"

	"syncline/gossip"
	"syncline/store"
)

// handler receives what the network has to say.
type handler struct{ n *Node }

func (h handler) space(id gossip.SpaceID) *Space {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	return h.n.spaces[id]
}

// PeerUp implements gossip.Handler.
func (h handler) PeerUp(id gossip.SpaceID, p gossip.DeviceID) {
	h.n.meeting.RLock()
	defer h.n.meeting.RUnlock()
	if s := h.space(id); s != nil {
		s.meet(p)
		s.log.Info("connected", "device", s.roster.Load().ref(p).Name)
	}
}

// meet notes that a device is connected.
func (s *Space) meet(p gossip.DeviceID) {
	s.touch(func() { s.up[p], s.unheard[p] = true, true }) // before the first session can tell
	s.loop.put(context.Background(), PeerUp{p})
}

// PeerDown implements gossip.Handler.
func (h handler) PeerDown(id gossip.SpaceID, p gossip.DeviceID) {
	h.n.meeting.RLock()
	defer h.n.meeting.RUnlock()
	if s := h.space(id); s != nil {
		s.loop.put(context.Background(), PeerDown{p})
		s.touch(func() { delete(s.up, p); delete(s.unheard, p) })
		s.log.Info("disconnected", "device", s.roster.Load().ref(p).Name)
	}
}

// Frame implements gossip.Handler.
func (h handler) Frame(f gossip.Frame) {
	if s := h.space(f.Space); s != nil {
		s.loop.offer(Ops{Author: f.Author, From: f.From, Ops: f.Ops})
	}
}

// Lost implements gossip.Handler.
func (h handler) Lost(id gossip.SpaceID, p gossip.DeviceID) {
	if s := h.space(id); s != nil {
		s.loop.put(context.Background(), Lost{p})
	}
}

// Session implements gossip.Handler.
func (h handler) Session(id gossip.SpaceID, p gossip.DeviceID, conn gossip.Stream) {
	if s := h.space(id); s != nil {
		s.loop.streams.accept(p, conn)
	} else {
		conn.Reset()
	}
}

// Join implements gossip.Handler.
func (h handler) Join(p gossip.DeviceID, conn gossip.Stream) { h.n.admit(p, conn) }

// Twin implements gossip.Handler: both live processes with one key stop syncing, because neither can know which of them the
// others mean.
func (h handler) Twin(where string) {
	h.n.mu.Lock()
	again := h.n.twin
	h.n.twin = true
	h.n.mu.Unlock()
	if again {
		return
	}
	h.n.log.Error(ErrTwin.Title, "where", where)
	h.n.accessChanged()
	for _, s := range h.n.spaceList() {
		s.touch(nil)
	}
}

// networkProblem turns an error of the network's start into what people are told.
func networkProblem(err error) error {
	var p *Problem
	switch {
	case errors.As(err, &p):
		return p
	case strings.Contains(err.Error(), "in use"):
		return ErrPortInUse.Because(err).Next("Another program, or another peer, listens there. Choose another port with --listen, or none.")
	}
	return ErrNetwork.Because(err)
}

// openProblem turns an error of opening a store into what people are told.
func openProblem(err error) error {
	var p *Problem
	var corrupt *store.CorruptError
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, store.ErrNoBackend):
		return ErrBadRequest.Because(err).Next("Name the store as pebble: or leveldb:, or leave it out.")
	case errors.Is(err, store.ErrOtherBackend):
		return ErrStoreOther.Because(err)
	case errors.Is(err, store.ErrNewer):
		return ErrStoreNewer.Because(err)
	case errors.As(err, &corrupt):
		return ErrStore.Because(err)
	case errors.Is(err, syscall.EAGAIN), strings.Contains(err.Error(), "lock held by current process"): // the latter is pebble's
		return ErrDirInUse.Because(err).Next("Close the program that has it open, or name another directory.")
	}
	return storeProblem(err)
}
