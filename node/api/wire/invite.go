package wire

import (
	"time"

	"syncline/node"
)

// Schemas of the documents about invites and joining.
const (
	SchemaInvite  = "peer.invite/v1"
	SchemaInvites = "peer.invites/v1"
	SchemaJoin    = "peer.join/v1"
)

// States of an invite.
const (
	InviteOpen    = "open"    // nobody has brought the ticket yet
	InviteWaiting = "waiting" // a device brought it and waits to be let in
	InviteJoined  = "joined"  // the device was let in; the invite is spent
	InviteExpired = "expired"
	InviteClosed  = "closed" // a person closed it; it is known no more
)

// Invite is an invite of this device. Ticket is a secret until it is spent.
type Invite struct {
	Schema     string       `json:"schema,omitempty"`
	ID         string       `json:"id"`
	Ticket     string       `json:"ticket,omitempty"`
	State      string       `json:"state"`
	Space      Space        `json:"space"`
	Expires    time.Time    `json:"expires"`
	AutoAccept bool         `json:"auto_accept"`
	Request    *JoinRequest `json:"request,omitempty"`
	Joined     *Device      `json:"joined,omitempty"`
}

// JoinRequest is a device that asks to be let in.
type JoinRequest struct {
	Device Device `json:"device"`
	Addr   string `json:"addr"`
}

// InviteOf returns the document for i as it stands at now.
func InviteOf(i node.Invite, now time.Time) Invite {
	w := Invite{
		ID: i.ID, Ticket: i.Ticket, State: InviteOpen, Space: SpaceOf(i.Space),
		Expires: i.Expires.UTC(), AutoAccept: i.AutoAccept,
	}
	if now.After(i.Expires) {
		w.State = InviteExpired
	}
	if i.Request != nil {
		w.State, w.Request = InviteWaiting, &JoinRequest{Device: DeviceOf(i.Request.Device), Addr: i.Request.Addr}
	}
	if i.Joined != nil {
		d := DeviceOf(*i.Joined)
		w.State, w.Joined, w.Ticket = InviteJoined, &d, ""
	}
	return w
}

// WithSchema returns i as a document that stands alone.
func (i Invite) WithSchema() Invite {
	i.Schema = SchemaInvite
	return i
}

// Invites lists the invites of this device.
type Invites struct {
	Schema  string   `json:"schema"`
	Invites []Invite `json:"invites"`
}

// NewInvite asks for an invite. Expires is a duration as "10m"; empty means ten minutes.
type NewInvite struct {
	Expires    string `json:"expires,omitempty"`
	AutoAccept bool   `json:"auto_accept,omitempty"`
}

// AnswerInvite answers the device that waits to be let in. Device is the whole id of the one that the person was shown; without
// it, whoever waits is answered.
type AnswerInvite struct {
	Device *string `json:"device,omitempty"`
}

// Join asks to join with a ticket.
type Join struct {
	Ticket string `json:"ticket"`
}

// Joined says what was joined. Kept names the space that was this device's default before, if it held something.
type Joined struct {
	Schema  string `json:"schema"`
	Space   Space  `json:"space"`
	Inviter Device `json:"inviter"`
	Kept    *Space `json:"kept,omitempty"`
}

// JoinedOf returns the document for r.
func JoinedOf(r node.JoinResult) Joined {
	w := Joined{Schema: SchemaJoin, Space: SpaceOf(r.Space), Inviter: DeviceOf(r.Inviter)}
	if r.Kept != nil {
		s := SpaceOf(*r.Kept)
		w.Kept = &s
	}
	return w
}
