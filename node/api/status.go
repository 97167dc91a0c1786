package api

import (
	"context"
	"net/http"
	"os"
	"time"

	"syncline/node"
	"syncline/node/api/wire"
)

// status answers with one page about this device and a space.
func (s *Server) status(w http.ResponseWriter, r *http.Request) error {
	sp, err := s.space(r)
	if err != nil {
		return err
	}
	st, err := sp.Status(r.Context())
	if err != nil {
		return err
	}
	doc := wire.StatusOf(st)
	doc.API, doc.PID, doc.Version = s.cfg.Address, os.Getpid(), s.cfg.Version.Version
	return answer(w, http.StatusOK, doc)
}

func (s *Server) listSpaces(w http.ResponseWriter, r *http.Request) error {
	doc := wire.Spaces{Schema: wire.SchemaSpaces, Spaces: []wire.Space{}}
	for _, info := range s.node.Spaces() {
		doc.Spaces = append(doc.Spaces, wire.SpaceOf(info))
	}
	return answer(w, http.StatusOK, doc)
}

// Bounds of POST /v1/sync/wait.
const (
	syncWaitDefault = 30 * time.Second
	syncWaitMax     = time.Hour
)

// waitSync starts sessions now and waits until others hold all that this device holds.
func (s *Server) waitSync(w http.ResponseWriter, r *http.Request) error {
	var ask wire.SyncWait
	if err := question(r, &ask); err != nil {
		return err
	}
	wait, err := duration("timeout", ask.Timeout, syncWaitDefault, syncWaitMax)
	if err != nil {
		return err
	}
	sp, err := s.space(r)
	if err != nil {
		return err
	}
	ctx, stop := s.streaming(r, max(wait, time.Millisecond))
	defer stop()
	res, err := sp.WaitSync(ctx, node.SyncOptions{Device: ask.Device})
	if err != nil {
		return waitError(ctx, err)
	}
	return answer(w, http.StatusOK, wire.Sync{Schema: wire.SchemaSync, CaughtUp: res.CaughtUp, Devices: wire.DeviceStatusesOf(res.Devices)})
}

// waitError turns the end of the time into ErrNotCaughtUp, unless the node has said it already.
func waitError(ctx context.Context, err error) error {
	if err == context.DeadlineExceeded {
		return node.ErrNotCaughtUp.With("The time is over.").Next("See who is behind:  peer status")
	}
	return err
}

func (s *Server) version(w http.ResponseWriter, r *http.Request) error {
	return answer(w, http.StatusOK, s.cfg.Version)
}

func (s *Server) health(w http.ResponseWriter, r *http.Request) error {
	return answer(w, http.StatusOK, wire.Health{Schema: wire.SchemaHealth, Status: "ok"})
}

// down answers and then ends the daemon.
func (s *Server) down(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Shutdown == nil {
		return node.ErrForbidden.With("This node runs inside another program.").Next("End that program.")
	}
	if err := question(r, &struct{}{}); err != nil {
		return err
	}
	err := answer(w, http.StatusAccepted, wire.Down{Schema: wire.SchemaDown, WasRunning: true, PID: os.Getpid()})
	s.downOne.Do(func() { go s.cfg.Shutdown() })
	return err
}
