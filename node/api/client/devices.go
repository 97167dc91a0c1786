package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"syncline/node/api/wire"
)

// Status returns one page about the device and the space.
func (c *Client) Status(ctx context.Context) (wire.Status, error) {
	var doc wire.Status
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/status"}, nil, &doc)
	return doc, err
}

// Version returns what the daemon runs.
func (c *Client) Version(ctx context.Context) (wire.Version, error) {
	var doc wire.Version
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/version"}, nil, &doc)
	return doc, err
}

// Down asks the daemon to end. It answers before it has.
func (c *Client) Down(ctx context.Context) (wire.Down, error) {
	var doc wire.Down
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/down"}, nil, &doc)
	return doc, err
}

// Devices returns the members of the space, this device first.
func (c *Client) Devices(ctx context.Context) (wire.Devices, error) {
	var doc wire.Devices
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/devices"}, nil, &doc)
	return doc, err
}

// Device returns the member with a name, short id or id.
func (c *Client) Device(ctx context.Context, device string) (wire.DeviceStatus, error) {
	var doc wire.DeviceStatus
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/devices/" + url.PathEscape(device)}, nil, &doc)
	return doc, err
}

// AddAddress adds a multiaddr of a member by hand.
func (c *Client) AddAddress(ctx context.Context, device, multiaddr string) (wire.Address, error) {
	var doc wire.Address
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/devices/" + url.PathEscape(device) + "/addresses"},
		wire.Address{Address: multiaddr}, &doc)
	return doc, err
}

// Ping asks a connected device for an answer.
func (c *Client) Ping(ctx context.Context, device string) (wire.Ping, error) {
	var doc wire.Ping
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/devices/" + url.PathEscape(device) + "/ping"}, nil, &doc)
	return doc, err
}

// WaitSync starts synchronising now and waits until the device, or every connected one, has caught up.
func (c *Client) WaitSync(ctx context.Context, device string, timeout time.Duration) (wire.Sync, error) {
	var doc wire.Sync
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/sync/wait"},
		wire.SyncWait{Device: device, Timeout: timeout.String()}, &doc)
	return doc, err
}

// Invite opens an invite.
func (c *Client) Invite(ctx context.Context, expires time.Duration, autoAccept bool) (wire.Invite, error) {
	ask := wire.NewInvite{AutoAccept: autoAccept}
	if expires > 0 {
		ask.Expires = expires.String()
	}
	var doc wire.Invite
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/invites"}, ask, &doc)
	return doc, err
}

// Invites lists the invites of the device.
func (c *Client) Invites(ctx context.Context) (wire.Invites, error) {
	var doc wire.Invites
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/invites"}, nil, &doc)
	return doc, err
}

// AwaitInvite waits until an invite is no longer in a state, for at most a minute, and returns how it is then.
func (c *Client) AwaitInvite(ctx context.Context, id, state string) (wire.Invite, error) {
	var doc wire.Invite
	err := c.call(ctx, request{
		method: http.MethodGet, path: "/v1/invites/" + url.PathEscape(id), query: query("wait", "1m", "state", state),
	}, nil, &doc)
	return doc, err
}

// AnswerInvite lets the waiting device in, or turns it away: the device with this whole id, or with "" whoever waits now.
func (c *Client) AnswerInvite(ctx context.Context, id, device string, admit bool) (wire.Invite, error) {
	verb := "/reject"
	if admit {
		verb = "/accept"
	}
	var ask wire.AnswerInvite
	if device != "" {
		ask.Device = &device
	}
	var doc wire.Invite
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/invites/" + url.PathEscape(id) + verb}, ask, &doc)
	return doc, err
}

// CloseInvite closes an open invite before its time.
func (c *Client) CloseInvite(ctx context.Context, id string) (wire.Invite, error) {
	var doc wire.Invite
	err := c.call(ctx, request{method: http.MethodDelete, path: "/v1/invites/" + url.PathEscape(id)}, nil, &doc)
	return doc, err
}

// Join joins with a ticket. It returns when this device has been let in.
func (c *Client) Join(ctx context.Context, ticket string) (wire.Joined, error) {
	var doc wire.Joined
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/join"}, wire.Join{Ticket: ticket}, &doc)
	return doc, err
}
