package node

import (
	"cmp"
	"context"
	"encoding/hex"
	"io"
	"slices"
	"time"

	"syncline/crdt"
	"syncline/gossip"
)

// Bounds of invites.
const (
	InviteExpiresDefault = 10 * time.Minute
	InviteExpiresMax     = 7 * 24 * time.Hour
	// InvitesMax bounds the invites that are open at once.
	InvitesMax = 64
	// inviteTriesMax is the number of wrong proofs after which an invite is closed.
	inviteTriesMax = 5
	// inviteRetryMax is how long a device that was let in may come back for the answer.
	inviteRetryMax = time.Minute
)

// inviteRecord is what the store of the space keeps of an invite, under "invite/ID": open, or spent by one device.
type inviteRecord struct {
	_       struct{} `cbor:",toarray"`
	Version uint8
	Secret  [16]byte
	Expires int64 // seconds since 1970
	Auto    bool
	Spent   bool
	By      gossip.DeviceID
}

const invitePrefix = "invite/"

// invite is an invite of this device, open or spent lately. The node's lock guards it.
type invite struct {
	id      string
	space   *Space
	rec     inviteRecord
	ticket  string
	tries   int
	request *joinRequest
	joined  *DeviceRef
	// claimed is the device whose admission is under way, so that two that come at once cannot both be let in.
	claimed gossip.DeviceID
	// admitting is set while a device is made a member, and closing while the invite is closed: one excludes the other.
	admitting, closing bool
	// retryUntil is how long a device that was let in may ask again, if its connection broke before it heard of it.
	retryUntil time.Time
}

// joinRequest is a device that has proved that it holds the ticket, and waits for a person's answer.
type joinRequest struct {
	device gossip.DeviceID
	name   string
	addr   string
	answer chan bool // holds one
}

func (i *invite) expires() time.Time { return time.Unix(i.rec.Expires, 0) }

// view returns what is shown of an invite.
func (i *invite) view() Invite {
	out := Invite{ID: i.id, Ticket: i.ticket, Space: i.space.Info(), Expires: i.expires().UTC(), AutoAccept: i.rec.Auto, Joined: i.joined}
	if i.rec.Spent {
		out.Ticket = ""
	}
	if i.request != nil {
		out.Request = &JoinRequest{Device: DeviceRef{ID: i.request.device, Name: i.request.name}, Addr: i.request.addr}
	}
	return out
}

// Invite makes an invite to a space: a ticket for one device, to be used within o.Expires. A nil space is the default one.
func (n *Node) Invite(ctx context.Context, s *Space, o InviteOptions) (Invite, error) {
	if n.cfg.Network == nil {
		return Invite{}, ErrLocalOnly.With("it was started without a network")
	}
	if err := n.ended(); err != nil {
		return Invite{}, err
	}
	if s == nil {
		var err error
		if s, err = n.Space(""); err != nil {
			return Invite{}, err
		}
	}
	expires := cmp.Or(o.Expires, InviteExpiresDefault)
	if expires < time.Second || expires > InviteExpiresMax {
		return Invite{}, ErrBadRequest.With("an invite is valid for 1 second to 7 days, not %v", expires)
	}
	if _, member := s.roster.Load().members[n.id]; !member {
		return Invite{}, ErrForbidden.With("this device is no member of space %s", s.Info().Name).Next("Have it invited first:  peer invite  on a member.")
	}
	if open, err := n.Invites(ctx); err != nil {
		return Invite{}, err
	} else if len(open) >= InvitesMax {
		return Invite{}, ErrBadRequest.With("%d invites are open already", len(open))
	}
	i := &invite{space: s, rec: inviteRecord{Version: 1, Expires: n.cfg.Clock().Add(expires).Unix(), Auto: o.AutoAccept}}
	if _, err := io.ReadFull(n.cfg.Rand, i.rec.Secret[:]); err != nil {
		return Invite{}, err
	}
	i.id = inviteID(i.rec.Secret)
	t := ticket{space: [8]byte(s.id[:8]), inviter: n.id, secret: i.rec.Secret, expires: i.expires(), addrs: n.cfg.Network.Addrs()}
	i.ticket = t.String()
	if err := s.keepInvite(ctx, i.id, &i.rec); err != nil {
		return Invite{}, err
	}
	n.mu.Lock()
	n.invites[i.id] = i
	view := i.view()
	n.mu.Unlock()
	n.updateJoinable()
	return view, nil
}

// inviteID names an invite to people; it tells nothing of the secret.
func inviteID(secret [16]byte) string {
	tid := ticketID(secret)
	return "inv_" + hex.EncodeToString(tid[:4])
}

// keepInvite keeps or, with nil, forgets the record of an invite.
func (s *Space) keepInvite(ctx context.Context, id string, rec *inviteRecord) error {
	var b []byte
	if rec != nil {
		b = crdt.Marshal(rec)
	}
	return s.keepMeta(ctx, invitePrefix+id, b)
}

// keepMeta keeps a local record durably.
func (s *Space) keepMeta(ctx context.Context, key string, value []byte) error {
	_, err := s.write(ctx, Write{Meta: map[string][]byte{key: value}})
	return err
}

// loadInvites reads the invites that earlier runs left in spaces, and forgets those that expired.
func (n *Node) loadInvites(spaces ...*Space) error {
	now := n.cfg.Clock()
	for _, s := range spaces {
		expired := map[string][]byte{}
		for rec, err := range s.store.Metas(invitePrefix) {
			if unreadable(err) {
				n.log.Warn("an invite cannot be read", "err", err) // whoever has its ticket is told that it is not known
				continue
			} else if err != nil {
				return openProblem(err)
			}
			i := &invite{id: rec.Key[len(invitePrefix):], space: s}
			if crdt.Unmarshal(rec.Data, &i.rec) != nil || now.After(i.expires()) {
				expired[rec.Key] = nil
				continue
			}
			var addrs []string // the addresses of then may not be those of now; discovery finds this device
			t := ticket{space: [8]byte(s.id[:8]), inviter: n.id, secret: i.rec.Secret, expires: i.expires(), addrs: addrs}
			i.ticket = t.String()
			if i.rec.Spent {
				ref := s.roster.Load().ref(i.rec.By)
				i.joined, i.retryUntil = &ref, now.Add(inviteRetryMax)
			}
			n.mu.Lock()
			n.invites[i.id] = i
			n.mu.Unlock()
		}
		if len(expired) > 0 {
			if _, err := s.write(context.Background(), Write{Meta: expired}); err != nil {
				n.log.Warn("expired invites stay on disk until the next start", "err", err) // a full disk can still be read
			}
		}
	}
	return nil
}

// Invites returns the open invites, the one that expires first first.
func (n *Node) Invites(ctx context.Context) ([]Invite, error) {
	if err := n.ended(); err != nil {
		return nil, err
	}
	n.expireInvites()
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []Invite
	for _, i := range n.invites {
		if !i.rec.Spent {
			out = append(out, i.view())
		}
	}
	slices.SortFunc(out, func(a, b Invite) int { return cmp.Or(a.Expires.Compare(b.Expires), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

// expireInvites forgets invites whose time is over. Their records go at the next start.
func (n *Node) expireInvites() {
	now := n.cfg.Clock()
	n.mu.Lock()
	for id, i := range n.invites {
		if now.After(i.expires()) && i.request == nil {
			delete(n.invites, id)
		}
	}
	n.mu.Unlock()
	n.updateJoinable()
}

// updateJoinable opens the door for strangers while an invite is open.
func (n *Node) updateJoinable() {
	if n.cfg.Network == nil {
		return
	}
	n.joining.Lock() // what is found out and what the network is told must not be overtaken
	defer n.joining.Unlock()
	now := n.cfg.Clock()
	n.mu.Lock()
	open := false
	for _, i := range n.invites {
		open = open || !i.rec.Spent && now.Before(i.expires()) || now.Before(i.retryUntil)
	}
	n.mu.Unlock()
	n.cfg.Network.SetJoinable(open)
}

func (n *Node) findInvite(id string) (*invite, error) {
	n.expireInvites()
	n.mu.Lock()
	defer n.mu.Unlock()
	if i := n.invites[id]; i != nil {
		return i, nil
	}
	return nil, ErrTicketUnknown.With("no invite %q is open here", id).Next("peer invites lists those that are.")
}

// CloseInvite closes an open invite before its time. From then on nobody joins with its ticket, and a device that waits is turned away.
// It returns [ErrTicketSpent] if a device was let in with it. After another error the invite is open as before.
func (n *Node) CloseInvite(ctx context.Context, id string) (Invite, error) {
	if err := n.ended(); err != nil {
		return Invite{}, err
	}
	i, err := n.findInvite(id)
	if err != nil {
		return Invite{}, err
	}
	n.mu.Lock()
	used := i.rec.Spent || i.admitting
	i.closing = i.closing || !used
	n.mu.Unlock()
	if used {
		return Invite{}, ErrTicketSpent.With("a device was let in with invite %s before it could be closed", id).Next("peer devices shows who is a member.")
	}
	if err := i.space.keepInvite(n.ctx, id, nil); err != nil { // not with ctx: whether it is closed must be known
		n.mu.Lock()
		i.closing = false
		n.mu.Unlock()
		return Invite{}, err
	}
	n.mu.Lock()
	n.dropInvite(i)
	view := i.view()
	n.mu.Unlock()
	view.Ticket = ""
	i.space.touch(nil)
	n.updateJoinable()
	return view, nil
}

// dropInvite forgets an invite, and turns away the device that waits. The node's lock is held.
func (n *Node) dropInvite(i *invite) {
	delete(n.invites, i.id)
	i.closing = true
	if i.request != nil {
		select {
		case i.request.answer <- false:
		default: // somebody said yes and is too late
		}
		i.request = nil
	}
}

// AwaitInvite waits until an invite differs from seen, as when a device asks to be let in, and returns it. It returns
// [ErrTicketExpired] when the invite's time is over or it was closed.
func (n *Node) AwaitInvite(ctx context.Context, id string, seen Invite) (Invite, error) {
	for {
		over := ErrTicketExpired.With("the time of invite %s is over, or it was closed", id)
		i, err := n.findInvite(id)
		if err != nil {
			return Invite{}, over
		}
		pulse := i.space.pulse()
		n.mu.Lock()
		now, left, known := i.view(), i.expires().Sub(n.cfg.Clock()), n.invites[id] == i
		n.mu.Unlock()
		if !known {
			return Invite{}, over
		}
		if requester(now) != requester(seen) || (now.Joined == nil) != (seen.Joined == nil) {
			return now, nil
		}
		timer := time.NewTimer(max(left, 0) + time.Second)
		select {
		case <-pulse:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return now, ctx.Err()
		case <-n.ctx.Done():
			timer.Stop()
			return now, ErrClosed
		}
		timer.Stop()
	}
}

// requester returns the device that asks for an invite, zero if none does.
func requester(i Invite) gossip.DeviceID {
	if i.Request == nil {
		return gossip.DeviceID{}
	}
	return i.Request.Device.ID
}

// AnswerInvite lets the device that asks for an invite in, or turns it away. The answer is for the device that the person saw:
// if another one asks by now, it is refused with [ErrVersionMismatch]. A zero device means whoever asks. It returns once the
// device is a member.
func (n *Node) AnswerInvite(ctx context.Context, id string, device gossip.DeviceID, admit bool) (Invite, error) {
	if err := n.ended(); err != nil {
		return Invite{}, err
	}
	i, err := n.findInvite(id)
	if err != nil {
		return Invite{}, err
	}
	n.mu.Lock()
	req := i.request
	seen := i.view()
	n.mu.Unlock()
	if req == nil {
		return seen, ErrNotFound.With("nobody asks for invite %s", id).Next("Use its ticket on the other device:  peer join TICKET")
	}
	if !device.IsZero() && req.device != device {
		return seen, ErrVersionMismatch.With("another device, %s (%s), asks for invite %s by now", req.name, req.device.Short(), id).
			Next("Look at who asks, then answer again:  peer invites")
	}
	select {
	case req.answer <- admit:
	default: // somebody else answered
	}
	return n.AwaitInvite(ctx, id, seen)
}
