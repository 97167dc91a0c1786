package api_test

import (
	"testing"
	"time"

	"syncline/node/api/wire"
	"syncline/node/nodetest"
)

func TestBoundsOfTheFeedAreToldAndNotCut(t *testing.T) {
	p := newPeer(t)
	for _, query := range []string{"limit=10001", "wait=10m", "limit=-1", "wait=-1s"} {
		p.refused(400, "bad_request", "GET", "/v1/changes?"+query, "")
	}
	p.refused(400, "bad_request", "GET", "/v1/changes?limit=1", "", "Accept", "application/x-ndjson")
	p.refused(400, "bad_request", "POST", "/v1/sync/wait", `{"timeout":"2h"}`)
	p.want(200, "GET", "/v1/changes?limit=10000", "")
}

// A client that can read only what there is not would wait for ever.
func TestFormsThatAreNotOfferedAreRefused(t *testing.T) {
	p := newPeer(t)
	for _, header := range [][2]string{{"Accept", "text/event-stream"}, {"Upgrade", "websocket"}} {
		if problem := p.refused(406, "not_acceptable", "GET", "/v1/changes", "", header[0], header[1]); problem.Hint == "" {
			t.Errorf("%v: it does not say what to do", header)
		}
	}
	p.want(200, "GET", "/v1/changes", "", "Accept", "text/event-stream, */*")
	p.want(200, "GET", "/v1/changes", "", "Upgrade", "h2c")
}

// The value to keep may be named as a person types it.
func TestTheBeginningOfAVersionNamesTheValueToKeep(t *testing.T) {
	p := newPeer(t)
	p.conflict("a", "one", "two")
	c := decode[wire.Conflict](p.want(200, "GET", "/v1/conflicts/a", ""), wire.SchemaConflict)
	p.refused(400, "bad_request", "POST", "/v1/resolve", `{"path":"a","keep":["h."]}`)
	p.refused(412, "version_mismatch", "POST", "/v1/resolve", `{"path":"a","keep":["h.zz"]}`)
	id := c.Values[1].Version
	short := id[len("h.") : len(id)-4]
	doc := decode[wire.Resolved](p.want(200, "POST", "/v1/resolve", `{"path":"a","keep":["`+short+`"]}`), wire.SchemaResolve)
	want, _ := c.Values[1].Text()
	if got, _ := doc.Text(); got != want || doc.Conflict != 0 {
		t.Errorf("kept %q, want %q", got, want)
	}
}

// A cursor goes on at another device of the space as soon as that has seen what it tells of; before, it has expired there.
func TestACursorGoesOnAtAnotherDevice(t *testing.T) {
	var hub nodetest.Hub
	laptop, phone := newPeerOn(t, "laptop", hub.New()), newPeerOn(t, "phone", hub.New())
	inv := laptop.invite(`{"auto_accept":true}`)
	phone.want(200, "POST", "/v1/join", `{"ticket":"`+inv.Ticket+`"}`)
	laptop.want(201, "PUT", "/v1/kv/a", "1")
	laptop.want(200, "POST", "/v1/sync/wait", `{}`)
	hub.Cut(phone.node.ID())
	seen := laptop.page("").Cursor
	laptop.want(201, "PUT", "/v1/kv/b", "2")
	ahead := laptop.page("").Cursor
	phone.want(201, "PUT", "/v1/kv/c", "3")
	if got := phone.page("?since=" + seen); len(got.Changes) != 1 || got.Changes[0].Path != "c" {
		t.Errorf("after a cursor of the other device: %+v", got)
	}
	phone.refused(410, "cursor_expired", "GET", "/v1/changes?since="+ahead, "")
	hub.Heal()
	laptop.want(200, "POST", "/v1/sync/wait", `{"timeout":"`+time.Minute.String()+`"}`)
	if got := phone.page("?since=" + ahead); len(got.Changes) != 1 || got.Changes[0].Path != "c" {
		t.Errorf("after a cursor of the other device, when it has come: %+v", got)
	}
}
