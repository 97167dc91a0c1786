package api_test

import (
	"strings"
	"testing"

	"syncline/node/api/wire"
)

func (p *peer) page(query string) wire.Changes {
	p.t.Helper()
	return decode[wire.Changes](p.want(200, "GET", "/v1/changes"+query, ""), wire.SchemaChanges)
}

// Without a cursor the feed begins with the current state; a cursor continues exactly after what was seen.
func TestPagesContinueAtTheirCursor(t *testing.T) {
	p := newPeer(t)
	p.want(201, "PUT", "/v1/kv/a", "1")
	p.want(201, "PUT", "/v1/kv/b/c", "2")
	all := p.page("")
	if len(all.Changes) != 2 || !all.UpToDate || all.Cursor == "" {
		t.Fatalf("got %+v", all)
	}
	c := all.Changes[1]
	if c.Type != "put" || c.Path != "b/c" || c.Version == "" || c.Origin != "local" || c.Device.Name != "laptop" || c.Content != nil {
		t.Errorf("got %+v", c)
	}
	if under := p.page("?prefix=b/&values=1"); len(under.Changes) != 1 || string(under.Changes[0].Value) != `"2"` {
		t.Errorf("under b/: %+v", under)
	}
	if none := p.page("?since=" + all.Cursor); len(none.Changes) != 0 || none.Changes == nil || !none.UpToDate {
		t.Errorf("nothing has happened, got %+v", none)
	}
	p.want(204, "DELETE", "/v1/kv/a", "")
	if next := p.page("?since=" + all.Cursor); len(next.Changes) != 1 || next.Changes[0].Type != "delete" || next.Changes[0].Version != "" {
		t.Errorf("after the delete: %+v", next)
	}
	if one := p.page("?limit=1"); len(one.Changes) != 1 || one.Cursor == "" {
		t.Errorf("limit 1: %+v", one)
	}
	if now := p.page("?since=now"); len(now.Changes) != 0 || now.Cursor == "" {
		t.Errorf("since now: %+v", now)
	}
	p.refused(400, "bad_request", "GET", "/v1/changes?wait=soon", "")
	p.refused(400, "bad_request", "GET", "/v1/changes?limit=0", "")
}

// A long poll ends with the first change.
func TestLongPollWakesUp(t *testing.T) {
	p := newPeer(t)
	now := p.page("?since=now")
	woken := make(chan wire.Changes)
	go func() { woken <- p.page("?wait=4m&prefix=x/&since=" + now.Cursor) }()
	p.want(201, "PUT", "/v1/kv/y", "not under the prefix")
	p.want(201, "PUT", "/v1/kv/x/1", "this one")
	if got := <-woken; len(got.Changes) != 1 || got.Changes[0].Path != "x/1" {
		t.Errorf("got %+v", got)
	}
	if empty := p.page("?since=now&wait=1ms"); len(empty.Changes) != 0 || empty.Cursor == "" {
		t.Errorf("a poll without news: %+v", empty)
	}
}

// hello first, the state, up_to_date once, then changes as they come, heartbeats in between.
func TestStream(t *testing.T) {
	p := newPeer(t)
	p.want(201, "PUT", "/v1/kv/a/1", "1")
	s := p.stream("/v1/changes?prefix=a/&values=1")
	defer s.close()
	if hello := s.next(wire.LineHello); hello.Device.Name != "laptop" {
		t.Errorf("hello: %+v", hello)
	}
	if c := s.next("put"); c.Path != "a/1" || string(c.Value) != `"1"` || c.Cursor == "" {
		t.Errorf("got %+v", c)
	}
	s.next(wire.LineUpToDate)
	s.next(wire.LineHeartbeat)
	p.want(201, "PUT", "/v1/kv/b", "not under the prefix")
	p.want(201, "PUT", "/v1/kv/a/2", "2")
	c := s.next("put")
	if c.Path != "a/2" {
		t.Errorf("got %+v", c)
	}
	p.want(204, "DELETE", "/v1/kv/a/1", "")
	s.next("delete")

	again := p.stream("/v1/changes?prefix=a/&since=" + c.Cursor)
	defer again.close()
	again.next(wire.LineHello)
	if d := again.next("delete"); d.Path != "a/1" {
		t.Errorf("continued with %+v", d)
	}
	again.next(wire.LineUpToDate)
}

// An empty space says so at once: up_to_date is always sent.
func TestEmptyStreamIsUpToDate(t *testing.T) {
	p := newPeer(t)
	s := p.stream("/v1/changes")
	defer s.close()
	s.next(wire.LineHello)
	s.next(wire.LineUpToDate)
}

// What is no cursor, or one of another space, is refused before the stream begins.
func TestForeignCursorIsRefused(t *testing.T) {
	p, q := newPeer(t), newPeer(t)
	q.want(201, "PUT", "/v1/kv/a", "1")
	for _, cursor := range []string{q.page("").Cursor, "c2.nonsense", "nonsense"} {
		problem := p.refused(400, "bad_request", "GET", "/v1/changes?since="+cursor, "")
		if problem.Hint == "" {
			t.Error("the problem does not say what to do")
		}
		p.refused(400, "bad_request", "GET", "/v1/changes?since="+cursor, "", "Accept", "application/x-ndjson")
	}
}

func TestConflictsAndResolve(t *testing.T) {
	p := newPeer(t)
	if empty := decode[wire.Conflicts](p.want(200, "GET", "/v1/conflicts", ""), wire.SchemaConflicts); empty.Conflicts == nil {
		t.Error("an empty list is null")
	}
	p.conflict("a/1", "one", "two")
	p.conflict("b", "one", "two")
	list := decode[wire.Conflicts](p.want(200, "GET", "/v1/conflicts?prefix=a/", ""), wire.SchemaConflicts)
	if len(list.Conflicts) != 1 || list.Conflicts[0].Path != "a/1" {
		t.Fatalf("got %+v", list)
	}
	c := decode[wire.Conflict](p.want(200, "GET", "/v1/conflicts/a/1", ""), wire.SchemaConflict)
	if c.Conflict != 2 || c.Reason != "update/update" || len(c.Values) != 2 || c.Since.IsZero() {
		t.Errorf("got %+v", c)
	}
	lose := c.Values[1]
	for _, body := range []string{
		`{"path":"a/1"}`, `{"path":"a/1","keep":["x"],"value":"y"}`, `{"path":"a/1","keep":["a","b"]}`, `{"path":"a/1","keap":["x"]}`, `{`,
		`{"path":"a/1","value":"x","value_base64":"AA=="}`,
	} {
		p.refused(400, "bad_request", "POST", "/v1/resolve", body)
	}
	p.refused(400, "bad_path", "POST", "/v1/resolve", `{"path":"a//1","value":"x"}`)
	p.refused(412, "version_mismatch", "POST", "/v1/resolve", `{"path":"a/1","value":"x","if_match":"v1.0"}`)
	p.refused(400, "bad_request", "POST", "/v1/resolve", `{"path":"a/1","value":"x","if_match":""}`)
	p.refused(413, "too_large", "POST", "/v1/resolve", `{"path":"a/1","value":"`+strings.Repeat("x", 1<<20+1)+`"}`)
	kept := decode[wire.Entry](p.want(200, "POST", "/v1/resolve", `{"path":"a/1","keep":["`+lose.Version+`"],"if_match":"`+c.Version+`"}`), wire.SchemaResolve)
	if kept.Conflict != 0 || len(kept.Values) != 1 || string(kept.Value) != string(lose.Value) {
		t.Errorf("kept %+v, want %s", kept, lose.Value)
	}
	p.refused(404, "no_conflict", "GET", "/v1/conflicts/a/1", "")
	p.refused(404, "no_conflict", "POST", "/v1/resolve", `{"path":"a/1","value":"x"}`)
	written := decode[wire.Entry](p.want(200, "POST", "/v1/resolve", `{"path":"b","value":{"n":1}}`), wire.SchemaResolve)
	if written.ContentType != "application/json" || string(written.Value) != `{"n":1}` {
		t.Errorf("wrote %+v", written)
	}
}

func TestStatusDevicesSpacesVersionHealth(t *testing.T) {
	p := newPeer(t)
	p.want(201, "PUT", "/v1/kv/a", "12")
	p.conflict("b", "one", "two")
	st := decode[wire.Status](p.want(200, "GET", "/v1/status", ""), wire.SchemaStatus)
	if st.Entries != 2 || st.Conflicts != 1 || st.Device.Name != "laptop" || st.API != p.socket || st.PID == 0 || st.Network || st.Devices == nil || st.Warnings == nil || st.Addrs == nil {
		t.Errorf("got %+v", st)
	}
	ds := decode[wire.Devices](p.want(200, "GET", "/v1/devices", ""), wire.SchemaDevices)
	if len(ds.Devices) != 1 || ds.Devices[0].State != "this device" || ds.Devices[0].ID != st.Device.ID {
		t.Errorf("got %+v", ds)
	}
	for _, key := range []string{st.Device.ID, st.Device.Short, "laptop", "LAPTOP"} {
		if d := decode[wire.DeviceStatus](p.want(200, "GET", "/v1/devices/"+key, ""), wire.SchemaDevice); d.ID != st.Device.ID {
			t.Errorf("%s: got %+v", key, d)
		}
	}
	p.refused(404, "device_unknown", "GET", "/v1/devices/nobody", "")
	p.refused(404, "device_unknown", "POST", "/v1/devices/nobody/addresses", `{"address":"/ip4/10.0.0.1/tcp/1"}`)
	p.refused(400, "bad_request", "POST", "/v1/devices/laptop/addresses", `{}`)
	if sp := decode[wire.Spaces](p.want(200, "GET", "/v1/spaces", ""), wire.SchemaSpaces); len(sp.Spaces) != 1 || sp.Spaces[0] != st.Space {
		t.Errorf("spaces %+v", sp)
	}
	p.want(200, "GET", "/v1/status?space="+st.Space.Name, "")
	p.want(200, "GET", "/v1/status?space="+st.Space.ID, "")
	if v := decode[wire.Version](p.want(200, "GET", "/v1/version", ""), wire.SchemaVersion); v.Version != "test" {
		t.Errorf("version %+v", v)
	}
	if h := decode[wire.Health](p.want(200, "GET", "/healthz", ""), wire.SchemaHealth); h.Status != "ok" {
		t.Errorf("health %+v", h)
	}
}

// Without a network there is nobody to invite, to join or to wait for, and the answers say so.
func TestNodeWithoutNetwork(t *testing.T) {
	p := newPeer(t)
	if empty := decode[wire.Invites](p.want(200, "GET", "/v1/invites", ""), wire.SchemaInvites); empty.Invites == nil {
		t.Error("an empty list is null")
	}
	p.refused(409, "local_only", "POST", "/v1/invites", "")
	p.refused(409, "local_only", "POST", "/v1/join", `{"ticket":"nonsense"}`)
	p.refused(409, "local_only", "POST", "/v1/sync/wait", `{"timeout":"1s"}`)
}
