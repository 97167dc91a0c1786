package api_test

import (
	"strings"
	"testing"

	"syncline/node"
	"syncline/node/api/wire"
)

// What is put is what is got: bytes, type, version, and who wrote it when.
func TestValueGoesThroughUnchanged(t *testing.T) {
	p := newPeer(t)
	value := "line\r\n\x00\xff{not json}"
	put := p.want(201, "PUT", "/v1/kv/notes/todo.md", value, "Content-Type", "text/markdown")
	doc := decode[wire.Put](put, wire.SchemaPut)
	if !doc.Created || doc.Path != "notes/todo.md" || `"`+doc.Version+`"` != put.Header.Get("ETag") || put.Header.Get("Location") != "/v1/kv/notes/todo.md" {
		t.Errorf("put: %s, headers %v", put.body, put.Header)
	}
	get := p.want(200, "GET", "/v1/kv/notes/todo.md", "")
	if get.body != value {
		t.Errorf("got %q, want %q", get.body, value)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/markdown", "ETag": put.Header.Get("ETag"), "Peer-Type": "multi", "Peer-Conflict": "",
		"X-Content-Type-Options": "nosniff",
	} {
		if got := get.Header.Get(name); got != want {
			t.Errorf("header %s: got %q, want %q", name, got, want)
		}
	}
	if len(get.Header.Get("Peer-Device")) != 64 || get.Header.Get("Peer-Time") == "" {
		t.Errorf("headers %v lack the writer", get.Header)
	}
}

// What curl says of every body is no media type that somebody named.
func TestTypeOfFormsIsNone(t *testing.T) {
	p := newPeer(t)
	for _, form := range []string{"application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; charset=utf-8"} {
		p.do("PUT", "/v1/kv/a", "hello", "Content-Type", form)
		e := decode[wire.Entry](p.want(200, "GET", "/v1/entries/a", ""), wire.SchemaEntry)
		if text, _ := e.Text(); text != "hello" || e.ContentType != "" {
			t.Errorf("%s: %q of type %q", form, text, e.ContentType)
		}
	}
}

func TestSecondPutIs200AndMinimalIs204(t *testing.T) {
	p := newPeer(t)
	first := p.want(201, "PUT", "/v1/kv/a", "1")
	second := p.want(200, "PUT", "/v1/kv/a", "2")
	if first.Header.Get("ETag") == second.Header.Get("ETag") {
		t.Error("the version did not change")
	}
	if decode[wire.Put](second, wire.SchemaPut).Created {
		t.Error("created twice")
	}
	minimal := p.want(204, "PUT", "/v1/kv/a", "3", "Prefer", "return=minimal")
	if minimal.body != "" || minimal.Header.Get("ETag") == "" {
		t.Errorf("body %q, headers %v", minimal.body, minimal.Header)
	}
}

func TestHeadRangeAndNotModified(t *testing.T) {
	p := newPeer(t)
	tag := p.want(201, "PUT", "/v1/kv/a", "0123456789").Header.Get("ETag")
	if head := p.want(200, "HEAD", "/v1/kv/a", ""); head.ContentLength != 10 || head.body != "" || head.Header.Get("ETag") != tag {
		t.Errorf("head: length %d, headers %v", head.ContentLength, head.Header)
	}
	if part := p.want(206, "GET", "/v1/kv/a", "", "Range", "bytes=2-4"); part.body != "234" {
		t.Errorf("range: %q", part.body)
	}
	p.refused(416, "range_invalid", "GET", "/v1/kv/a", "", "Range", "bytes=20-30")
	p.want(304, "GET", "/v1/kv/a", "", "If-None-Match", tag)
	p.want(304, "GET", "/v1/entries/a", "", "If-None-Match", `"other", `+tag)
	p.want(200, "GET", "/v1/kv/a", "", "If-None-Match", `"other"`)
	p.refused(412, "version_mismatch", "GET", "/v1/kv/a", "", "If-Match", `"other"`)
}

// If-Match and If-None-Match guard what this device shows: "immediate conflict", 412 now.
func TestConditions(t *testing.T) {
	p := newPeer(t)
	p.refused(412, "version_mismatch", "PUT", "/v1/kv/a", "x", "If-Match", "*")
	p.want(201, "PUT", "/v1/kv/a", "1", "If-None-Match", "*")
	p.refused(412, "already_exists", "PUT", "/v1/kv/a", "2", "If-None-Match", "*")
	p.refused(400, "bad_request", "PUT", "/v1/kv/a", "2", "If-None-Match", `"v1.0"`)
	tag := p.want(200, "GET", "/v1/kv/a", "").Header.Get("ETag")
	p.want(200, "PUT", "/v1/kv/a", "3", "If-Match", tag)
	problem := p.refused(412, "version_mismatch", "PUT", "/v1/kv/a", "4", "If-Match", tag)
	if now := p.want(200, "GET", "/v1/kv/a", ""); `"`+problem.Version+`"` != now.Header.Get("ETag") || problem.Path != "a" || now.body != "3" {
		t.Errorf("problem %+v, now %s", problem, now.Header.Get("ETag"))
	}
	p.refused(412, "version_mismatch", "PUT", "/v1/kv/a", "4", "If-Match", `"v1.0", `+tag)
	now := p.want(200, "GET", "/v1/kv/a", "").Header.Get("ETag")
	p.refused(412, "version_mismatch", "PUT", "/v1/kv/a", "4", "If-Match", "W/"+now)
	p.want(200, "PUT", "/v1/kv/a", "4", "If-Match", `"v1.0", `+now)
	p.want(200, "PUT", "/v1/kv/a", "5", "If-Match", "*")
	for _, empty := range []string{`""`, "", `"v1.0", ""`} { // no version is no condition to the node, but a mistake of the client
		p.refused(400, "bad_request", "PUT", "/v1/kv/a", "6", "If-Match", empty)
		p.refused(400, "bad_request", "DELETE", "/v1/kv/a", "", "If-Match", empty)
	}
	p.refused(400, "bad_request", "PUT", "/v1/kv/a", "6", "If-None-Match", "")
	if now := p.want(200, "GET", "/v1/kv/a", "").body; now != "5" {
		t.Errorf("a refused write left %q", now)
	}
	now = p.want(200, "GET", "/v1/kv/a", "").Header.Get("ETag")
	p.want(200, "PUT", "/v1/kv/a", "6", "If-Match", now)
	p.refused(412, "version_mismatch", "DELETE", "/v1/kv/a", "", "If-Match", now)
	p.want(204, "DELETE", "/v1/kv/a", "")
	p.refused(404, "not_found", "DELETE", "/v1/kv/a", "")
	p.refused(404, "not_found", "GET", "/v1/kv/a", "")
	p.refused(404, "not_found", "HEAD", "/v1/kv/a", "")
	p.refused(404, "not_found", "GET", "/v1/entries/a", "")
}

func TestTypes(t *testing.T) {
	p := newPeer(t)
	p.want(201, "PUT", "/v1/kv/a?type=lww", "1")
	if got := p.want(200, "GET", "/v1/kv/a", "").Header.Get("Peer-Type"); got != "lww" {
		t.Errorf("type %q, want lww", got)
	}
	p.refused(400, "bad_request", "PUT", "/v1/kv/a?type=counter", "1")
}

// The largest value is taken, one byte more is refused with the limit, whether or not its length was announced.
func TestValueOverTheLimitIs413(t *testing.T) {
	p := newPeer(t)
	full := strings.Repeat("x", node.ValueBytesMax)
	p.want(201, "PUT", "/v1/kv/full", full)
	if got := p.want(200, "GET", "/v1/kv/full", ""); got.body != full {
		t.Errorf("got %d bytes", len(got.body))
	}
	problem := p.refused(413, "too_large", "PUT", "/v1/kv/a", full+"x")
	if problem.Limit != node.ValueBytesMax || !strings.Contains(problem.Detail, "1,048,576") {
		t.Errorf("the problem does not name the limit: %+v", problem)
	}
	p.refused(413, "too_large", "PUT", "/v1/kv/a", strings.Repeat(full, 8))
	p.refused(404, "not_found", "GET", "/v1/kv/a", "")
}

// A plain write or delete in a conflict touches the shown value only, and says how many remain.
func TestWritesInAConflictSayWhatRemains(t *testing.T) {
	p := newPeer(t)
	p.conflict("a", "one", "two")
	if got := p.want(200, "GET", "/v1/kv/a", "").Header.Get("Peer-Conflict"); got != "2" {
		t.Errorf("Peer-Conflict %q, want 2", got)
	}
	if doc := decode[wire.Put](p.want(200, "PUT", "/v1/kv/a", "three"), wire.SchemaPut); doc.Remaining != 1 {
		t.Errorf("put: %+v, want 1 remaining", doc)
	}
	doc := decode[wire.Del](p.want(200, "DELETE", "/v1/kv/a", "", "Prefer", "return=representation"), wire.SchemaDel)
	if doc.Remaining != 1 || doc.Version == "" {
		t.Errorf("delete: %+v, want 1 remaining", doc)
	}
	p.conflict("b", "one", "two")
	p.want(204, "DELETE", "/v1/kv/b?all=1", "")
	p.refused(404, "not_found", "GET", "/v1/kv/b", "")
}

// Paths mean what they seem to mean: nothing is cleaned, redirected or decoded twice.
func TestPathsAreCheckedBeforeTheRoutes(t *testing.T) {
	p := newPeer(t)
	for _, path := range []string{
		"", "/a", "a/", "a//b", ".", "..", "a/./b", "a/../b", "%2e%2e/a", "a/%2E", "a%2Fb", "a%2fb", "%00", "a%0Ab", "a%7F", "%C2%85", "%ff",
		strings.Repeat("x", node.PathBytesMax+1),
	} {
		for _, root := range []string{"/v1/kv/", "/v1/entries/", "/v1/conflicts/"} {
			p.refused(400, "bad_path", "GET", root+path, "")
		}
		p.refused(400, "bad_path", "PUT", "/v1/kv/"+path, "x")
	}
	for escaped, plain := range map[string]string{
		"a%20b/c%3Fd%23e": "a b/c?d#e", "%C3%A4": "ä", "a%CC%88": "ä", "100%25": "100%", "%252F": "%2F", "...": "...",
		strings.Repeat("x", node.PathBytesMax): strings.Repeat("x", node.PathBytesMax),
	} {
		p.do("PUT", "/v1/kv/"+escaped, "x")
		if doc := decode[wire.Entry](p.want(200, "GET", "/v1/entries/"+escaped, ""), wire.SchemaEntry); doc.Path != plain {
			t.Errorf("%s names %q, want %q", escaped, doc.Path, plain)
		}
	}
}

func TestRoutesThatDoNotExist(t *testing.T) {
	p := newPeer(t)
	for _, url := range []string{"/v1/nothing", "/", "/v1", "/v2/kv/a", "/v1/kv", "/v1/invites/x/nothing"} {
		p.refused(404, "route_unknown", "GET", url, "")
	}
	p.refused(400, "bad_path", "GET", "/v1//status", "")
	a := p.want(405, "POST", "/v1/kv/a", "x")
	if allow := a.Header.Get("Allow"); !strings.Contains(allow, "PUT") {
		t.Errorf("Allow: %q", allow)
	}
	p.refused(405, "method_not_allowed", "POST", "/v1/kv/a", "x")
	p.refused(405, "method_not_allowed", "DELETE", "/v1/status", "")
	p.refused(404, "space_unknown", "GET", "/v1/kv/a?space=nowhere", "")
	p.refused(404, "space_unknown", "GET", "/v1/status?space=nowhere", "")
}
