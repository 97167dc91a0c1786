package api_test

import (
	"fmt"
	"strings"
	"testing"

	"syncline/node/api/wire"
	"syncline/node/nodetest"
)

// newPair starts two devices that can reach each other and share nothing yet.
func newPair(t *testing.T) (laptop, phone *peer) {
	var hub nodetest.Hub
	return newPeerOn(t, "laptop", hub.New()), newPeerOn(t, "phone", hub.New())
}

// invite makes an invite and checks its document.
func (p *peer) invite(body string) wire.Invite {
	p.t.Helper()
	a := p.want(201, "POST", "/v1/invites", body)
	inv := decode[wire.Invite](a, wire.SchemaInvite)
	if !strings.HasPrefix(inv.Ticket, "peer:") || inv.State != wire.InviteOpen || a.Header.Get("Location") != "/v1/invites/"+inv.ID {
		p.t.Errorf("got %s, headers %v", a.body, a.Header)
	}
	return inv
}

// state waits until an invite is in a state.
func (p *peer) state(id, before, want string) wire.Invite {
	p.t.Helper()
	inv := decode[wire.Invite](p.want(200, "GET", "/v1/invites/"+id+"?wait=1m&state="+before, ""), wire.SchemaInvite)
	if inv.State != want {
		p.t.Fatalf("the invite is %+v, want it %s", inv, want)
	}
	return inv
}

// joining starts a join and returns where its answer comes.
func (p *peer) joining(ticket string) <-chan answer {
	answers := make(chan answer, 1)
	go func() { answers <- p.do("POST", "/v1/join", `{"ticket":"`+ticket+`"}`) }()
	return answers
}

// A person lets the device in; then both hold the same, and say so.
func TestInviteAcceptJoinSync(t *testing.T) {
	laptop, phone := newPair(t)
	laptop.want(201, "PUT", "/v1/kv/hello", "world", "Content-Type", "text/plain; charset=utf-8")
	inv := laptop.invite(`{"expires":"1h"}`)
	if open := decode[wire.Invites](laptop.want(200, "GET", "/v1/invites", ""), wire.SchemaInvites); len(open.Invites) != 1 || open.Invites[0].ID != inv.ID {
		t.Errorf("open invites: %+v", open)
	}
	if same := decode[wire.Invite](laptop.want(200, "GET", "/v1/invites/"+inv.ID+"?wait=1ms&state=open", ""), wire.SchemaInvite); same.State != wire.InviteOpen {
		t.Errorf("nobody came, but %+v", same)
	}
	answers := phone.joining(inv.Ticket)
	waiting := laptop.state(inv.ID, wire.InviteOpen, wire.InviteWaiting)
	if waiting.Request.Device.Name != "phone" || len(waiting.Request.Device.ID) != 64 {
		t.Errorf("who asks: %+v", waiting.Request)
	}
	accept := "/v1/invites/" + inv.ID + "/accept"
	laptop.refused(400, "bad_request", "POST", accept, `{"device":"phone"}`)
	laptop.refused(400, "bad_request", "POST", accept, `{"device":""}`)
	laptop.refused(400, "bad_request", "POST", accept, `{"device":"`+strings.Repeat("0", 64)+`"}`)
	laptop.refused(412, "version_mismatch", "POST", accept, `{"device":"`+strings.Repeat("ab", 32)+`"}`) // not who asks
	laptop.refused(412, "version_mismatch", "POST", "/v1/invites/"+inv.ID+"/reject", `{"device":"`+strings.Repeat("ab", 32)+`"}`)
	joined := decode[wire.Invite](laptop.want(200, "POST", accept, `{"device":"`+waiting.Request.Device.ID+`"}`), wire.SchemaInvite)
	if joined.State != wire.InviteJoined || joined.Joined.Name != "phone" || joined.Ticket != "" {
		t.Errorf("accepted: %+v", joined)
	}
	res := decode[wire.Joined](<-answers, wire.SchemaJoin)
	if res.Inviter.Name != "laptop" || res.Space.ID != inv.Space.ID || !res.Space.Default {
		t.Errorf("joined: %+v, invited to %+v", res, inv.Space)
	}
	laptop.state(inv.ID, wire.InviteWaiting, wire.InviteJoined) // a spent invite can still be asked for

	if done := decode[wire.Sync](laptop.want(200, "POST", "/v1/sync/wait", `{"device":"phone","timeout":"1m"}`), wire.SchemaSync); !done.CaughtUp || len(done.Devices) != 1 || done.Devices[0].State != "in sync" {
		t.Errorf("sync: %+v", done)
	}
	if got := phone.want(200, "GET", "/v1/kv/hello", ""); got.body != "world" {
		t.Errorf("phone has %q", got.body)
	}
	if a, b := laptop.want(200, "GET", "/v1/export", "").body, phone.want(200, "GET", "/v1/export", "").body; a != b || a == "" {
		t.Errorf("exports differ: %q and %q", a, b)
	}
	phone.want(200, "POST", "/v1/sync/wait", `{"timeout":"1m"}`)
	laptop.refused(404, "device_unknown", "POST", "/v1/sync/wait", `{"device":"nobody"}`)
	laptop.refused(400, "bad_request", "POST", "/v1/sync/wait", `{"timeout":"soon"}`)

	st := decode[wire.Status](phone.want(200, "GET", "/v1/status", ""), wire.SchemaStatus)
	if !st.Network || len(st.Devices) != 1 || st.Devices[0].Name != "laptop" || st.Devices[0].Path == "" {
		t.Errorf("status: %+v", st)
	}
	if addr := decode[wire.Address](phone.want(201, "POST", "/v1/devices/laptop/addresses", `{"address":"/ip4/192.0.2.1/tcp/4001"}`), wire.SchemaAddress); addr.Device != st.Devices[0].ID {
		t.Errorf("address: %+v", addr)
	}
	s := phone.stream("/v1/changes?since=now")
	defer s.close()
	s.next(wire.LineHello)
	s.next(wire.LineUpToDate)
	laptop.want(201, "PUT", "/v1/kv/from/laptop", "x")
	if c := s.next("put"); c.Origin != "remote" || c.Device.Name != "laptop" {
		t.Errorf("the change of another device: %+v", c)
	}
}

func TestRejectedDeviceIsDenied(t *testing.T) {
	laptop, phone := newPair(t)
	inv := laptop.invite("")
	answers := phone.joining(inv.Ticket)
	laptop.state(inv.ID, wire.InviteOpen, wire.InviteWaiting)
	laptop.want(200, "POST", "/v1/invites/"+inv.ID+"/reject", "")
	if a := <-answers; a.StatusCode != 403 || !strings.Contains(a.body, `"code":"join_denied"`) {
		t.Errorf("got %d %s", a.StatusCode, a.body)
	}
	if ds := decode[wire.Devices](laptop.want(200, "GET", "/v1/devices", ""), wire.SchemaDevices); len(ds.Devices) != 1 {
		t.Errorf("devices: %+v", ds)
	}
}

func TestAClosedInviteIsKnownNoMore(t *testing.T) {
	laptop, phone := newPair(t)
	inv := laptop.invite("")
	answers := phone.joining(inv.Ticket)
	laptop.state(inv.ID, wire.InviteOpen, wire.InviteWaiting)
	closed := decode[wire.Invite](laptop.want(200, "DELETE", "/v1/invites/"+inv.ID, ""), wire.SchemaInvite)
	if closed.ID != inv.ID || closed.State != wire.InviteClosed || closed.Ticket != "" || closed.Request != nil {
		t.Errorf("closed: %+v", closed)
	}
	if a := <-answers; a.StatusCode != 403 || !strings.Contains(a.body, `"code":"join_denied"`) {
		t.Errorf("who waited: %d %s", a.StatusCode, a.body)
	}
	laptop.refused(404, "invite_unknown", "DELETE", "/v1/invites/"+inv.ID, "")
	laptop.refused(404, "invite_unknown", "GET", "/v1/invites/"+inv.ID, "")
}

func TestAutoAcceptAsksNobodyAndServesOnce(t *testing.T) {
	laptop, phone := newPair(t)
	inv := laptop.invite(`{"auto_accept":true}`)
	if !inv.AutoAccept {
		t.Errorf("got %+v", inv)
	}
	if a := <-phone.joining(inv.Ticket); a.StatusCode != 200 {
		t.Fatalf("join: %d %s", a.StatusCode, a.body)
	}
	laptop.state(inv.ID, wire.InviteOpen, wire.InviteJoined)
}

func TestInvitesThatCannotBe(t *testing.T) {
	p, _ := newPair(t)
	p.refused(400, "bad_request", "POST", "/v1/invites", `{"expires":"200h"}`)
	p.refused(400, "bad_request", "POST", "/v1/invites", `{"expires":"tomorrow"}`)
	p.refused(400, "bad_request", "POST", "/v1/invites", `{"expiers":"1h"}`)
	p.refused(404, "invite_unknown", "GET", "/v1/invites/inv_none", "")
	p.refused(404, "invite_unknown", "POST", "/v1/invites/inv_none/accept", "")
	p.refused(404, "invite_unknown", "POST", "/v1/invites/inv_none/reject", "")
	p.refused(400, "bad_request", "POST", "/v1/join", `{}`)
	p.refused(400, "ticket_invalid", "POST", "/v1/join", `{"ticket":"nonsense"}`)
	id := p.invite("").ID
	p.refused(404, "not_found", "POST", "/v1/invites/"+id+"/accept", "")
}

// Whoever waits for a device that does not come learns who is behind.
func TestSyncWaitEndsInTime(t *testing.T) {
	p, _ := newPair(t)
	problem := p.refused(504, "not_caught_up", "POST", "/v1/sync/wait", `{"timeout":"10ms"}`)
	if !problem.Retryable || problem.Detail == "" {
		t.Errorf("got %+v", problem)
	}
}

// A conflict that two devices made is the same on both, and its resolution closes it on both.
func TestConflictOfTwoDevices(t *testing.T) {
	var hub nodetest.Hub
	laptop, phone := newPeerOn(t, "laptop", hub.New()), newPeerOn(t, "phone", hub.New())
	if a := <-phone.joining(laptop.invite(`{"auto_accept":true}`).Ticket); a.StatusCode != 200 {
		t.Fatalf("join: %d %s", a.StatusCode, a.body)
	}
	id := decode[wire.Status](phone.want(200, "GET", "/v1/status", ""), wire.SchemaStatus).Device
	laptop.want(201, "PUT", "/v1/kv/b", "milk")
	laptop.want(200, "POST", "/v1/sync/wait", `{"device":"phone","timeout":"1m"}`)
	hub.Cut(id.Ref().ID)
	for i, p := range []*peer{laptop, phone} {
		p.want(201, "PUT", "/v1/kv/a", fmt.Sprint(i))
		p.want(200, "PUT", "/v1/kv/b", fmt.Sprint(i))
	}
	hub.Heal()
	laptop.want(200, "POST", "/v1/sync/wait", `{"device":"phone","timeout":"1m"}`)
	phone.want(200, "POST", "/v1/sync/wait", `{"device":"laptop","timeout":"1m"}`)
	one := laptop.want(200, "GET", "/v1/conflicts", "").body
	if two := phone.want(200, "GET", "/v1/conflicts", "").body; one != two || !strings.Contains(one, `"conflict":2`) {
		t.Errorf("laptop %s, phone %s", one, two)
	}
	for _, p := range []*peer{laptop, phone} {
		if c := decode[wire.Conflict](p.want(200, "GET", "/v1/conflicts/a", ""), wire.SchemaConflict); c.Base == nil || !c.Base.Nothing || c.Base.Value != nil {
			t.Errorf("begun apart: the base is %+v", c.Base)
		}
		c := decode[wire.Conflict](p.want(200, "GET", "/v1/conflicts/b", ""), wire.SchemaConflict)
		if c.Base == nil || c.Base.Nothing || string(c.Base.Content.Value) != `"milk"` || len(c.Diffs) != 2 || !strings.Contains(c.Diffs[0], "-milk\n+") {
			t.Errorf("the base is %+v, the differences are %q", c.Base, c.Diffs)
		}
	}
	laptop.refused(422, "merge_failed", "POST", "/v1/resolve", `{"path":"b","merge":true,"policy":"merge:text"}`)
	laptop.want(200, "POST", "/v1/resolve", `{"path":"a","value":"both"}`)
	laptop.want(200, "POST", "/v1/sync/wait", `{"device":"phone","timeout":"1m"}`)
	phone.refused(404, "no_conflict", "GET", "/v1/conflicts/a", "")
}
