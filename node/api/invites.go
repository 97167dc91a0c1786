package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"syncline/gossip"
	"syncline/node"
	"syncline/node/api/wire"
)

// admitTimeout is how long an accepted device has to become a member before the answer says that it has not.
const admitTimeout = 10 * time.Second

// inviteExpiresMax is the longest life of an invite.
const inviteExpiresMax = 7 * 24 * time.Hour

// invite opens an invite. The daemon keeps it, whether or not the client stays.
func (s *Server) invite(w http.ResponseWriter, r *http.Request) error {
	var ask wire.NewInvite
	if err := question(r, &ask); err != nil {
		return err
	}
	expires, err := duration("expires", ask.Expires, 0, 10*inviteExpiresMax)
	if err != nil {
		return err
	}
	if expires > inviteExpiresMax {
		return node.ErrBadRequest.With("An invite is valid for 7 days at most.").Next("Give a shorter time, as --expires 24h")
	}
	sp, err := s.space(r)
	if err != nil {
		return err
	}
	inv, err := s.node.Invite(r.Context(), sp, node.InviteOptions{Expires: expires, AutoAccept: ask.AutoAccept})
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/invites/"+inv.ID)
	return answer(w, http.StatusCreated, wire.InviteOf(inv, time.Now()).WithSchema())
}

func (s *Server) listInvites(w http.ResponseWriter, r *http.Request) error {
	all, err := s.node.Invites(r.Context())
	if err != nil {
		return err
	}
	doc := wire.Invites{Schema: wire.SchemaInvites, Invites: []wire.Invite{}}
	for _, inv := range all {
		doc.Invites = append(doc.Invites, wire.InviteOf(inv, time.Now()))
	}
	return answer(w, http.StatusOK, doc)
}

// getInvite answers with one invite: with ?wait= once its state is no longer ?state=, or when the time is over.
func (s *Server) getInvite(w http.ResponseWriter, r *http.Request) error {
	inv, err := s.findInvite(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	wait, err := duration("wait", q.Get("wait"), 0, waitMax)
	if err != nil {
		return err
	}
	doc := wire.InviteOf(inv, time.Now())
	if wait > 0 && doc.State == cmpState(q.Get("state"), doc.State) {
		if inv, err = s.awaitInvite(r, inv, wait); err != nil {
			return err
		}
		doc = wire.InviteOf(inv, time.Now())
	}
	return answer(w, http.StatusOK, doc.WithSchema())
}

func cmpState(asked, have string) string {
	if asked == "" {
		return have
	}
	return asked
}

// awaitInvite waits for news of seen; when the time is over it returns what there is.
func (s *Server) awaitInvite(r *http.Request, seen node.Invite, wait time.Duration) (node.Invite, error) {
	ctx, stop := s.streaming(r, wait)
	defer stop()
	inv, err := s.node.AwaitInvite(ctx, seen.ID, seen)
	switch {
	case err == nil:
		return inv, nil
	case errors.Is(err, context.DeadlineExceeded):
		return seen, nil
	}
	return seen, err
}

func (s *Server) findInvite(r *http.Request) (node.Invite, error) {
	all, err := s.node.Invites(r.Context())
	if err != nil {
		return node.Invite{}, err
	}
	id := r.PathValue("id")
	for _, inv := range all {
		if inv.ID == id {
			return inv, nil
		}
	}
	// A spent invite is not listed any more, but who waited for it wants to know who joined.
	ended, cancel := context.WithCancel(r.Context())
	cancel()
	if inv, _ := s.node.AwaitInvite(ended, id, node.Invite{}); inv.ID != "" {
		return inv, nil
	}
	return node.Invite{}, node.ErrTicketUnknown.With("There is no invite %s on this device.", id).Next("peer invites lists them.")
}

// answerInvite lets the waiting device in, or turns it away: the one that the request names, or whoever waits now.
func (s *Server) answerInvite(admit bool) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		var ask wire.AnswerInvite
		if err := question(r, &ask); err != nil {
			return err
		}
		var device gossip.DeviceID
		if ask.Device != nil {
			var err error
			if device, err = gossip.ParseDeviceID(*ask.Device); err != nil || device.IsZero() {
				return node.ErrBadRequest.With("device is not the id of a device.").Next("Give the whole id in request.device.id of the invite.")
			}
		}
		inv, err := s.node.AnswerInvite(r.Context(), r.PathValue("id"), device, admit)
		if err != nil {
			return err
		}
		if admit && inv.Joined == nil {
			if inv, err = s.awaitInvite(r, inv, admitTimeout); err != nil {
				return err
			}
		}
		return answer(w, http.StatusOK, wire.InviteOf(inv, time.Now()).WithSchema())
	}
}

// closeInvite closes an invite before its time.
func (s *Server) closeInvite(w http.ResponseWriter, r *http.Request) error {
	inv, err := s.node.CloseInvite(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	doc := wire.InviteOf(inv, time.Now())
	doc.State = wire.InviteClosed
	return answer(w, http.StatusOK, doc.WithSchema())
}

// join joins with a ticket. It answers when this device has been let in.
func (s *Server) join(w http.ResponseWriter, r *http.Request) error {
	var ask wire.Join
	if err := question(r, &ask); err != nil {
		return err
	}
	if ask.Ticket == "" {
		return node.ErrBadRequest.With("ticket is missing.").Next("Make one on the other device: peer invite.")
	}
	ctx, stop := s.streaming(r, 0)
	defer stop()
	res, err := s.node.Join(ctx, ask.Ticket)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, wire.JoinedOf(res))
}
