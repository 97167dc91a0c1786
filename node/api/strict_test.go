package api_test

import (
	"strings"
	"testing"
)

// What a request says beyond what its route reads is refused, not passed over: it might have been meant.
func TestWhatARouteDoesNotReadIsRefused(t *testing.T) {
	p := newPeer(t)
	p.want(201, "PUT", "/v1/kv/a", "1")
	for _, tt := range []struct{ method, url, body, header, value, want string }{
		{"DELETE", "/v1/kv/a?dry_run=1", "", "", "", "DELETE /v1/kv/{path...} has no parameter “dry_run”."},
		{"DELETE", "/v1/kv/a?if_match=v1.0", "", "", "", "has no parameter “if_match”."},
		{"PUT", "/v1/kv/a?dry_run=1", "2", "", "", "has no parameter “dry_run”."},
		{"GET", "/v1/status?space=&space=", "", "", "", "“space” is given 2 times"},
		{"POST", "/v1/tx", `{"ops":[{"op":"del","path":"a"}]} {"ops":[]}`, "", "", "more follows"},
		{"GET", "/v1/kv/a?values=1", "", "", "", "has no parameter “values”."},
		{"GET", "/v1/entries?limit=1&limit=2", "", "", "", "“limit” is given 2 times"},
		{"GET", "/v1/entries?%zz=1", "", "", "", "not well escaped"},
		{"PUT", "/v1/kv/a", "x", "Content-Encoding", "gzip", "encoded as gzip"},
		{"PUT", "/v1/kv/a", "x", "Content-Range", "bytes 1-1/2", "a value is written whole"},
		{"POST", "/v1/undo", `{"id":"7"}`, "", "", `there is no field "id"`},
		{"POST", "/v1/devices/laptop/ping", `{"count":3}`, "", "", `there is no field "count"`},
		{"POST", "/v1/down", `{"device":"nas"}`, "", "", `there is no field "device"`},
		{"POST", "/v1/repair", `{} {}`, "", "", "more follows after the object, at column 3"},
		{"POST", "/v1/repair", `[]`, "", "", "it is not a JSON object but an array"},
		{"POST", "/v1/resolve", `{"path":7}`, "", "", "path is a number, and must be a string"},
		{"POST", "/v1/repair", "null", "", "", "it is not a JSON object but null"},
		{"POST", "/v1/undo", " null\n", "", "", "it is not a JSON object but null"},
		{"POST", "/v1/tx", `{"ops":[null]}`, "", "", "null cannot stand at column 9"},
		{"POST", "/v1/resolve", `{"path":"a","path":"b","keep":["h.1"]}`, "", "", `the field "path" is there twice, the second time at column 13`},
		{"POST", "/v1/tx", `{"ops":[{"op":"put","path":"a","value":"1","Value":"2"}]}`, "", "", `the field "Value" is there twice`},
		{"PUT", "/v1/policies", `{"policies":[{"pattern":"a","policy":"max","policy":"min"}]}`, "", "", `the field "policy" is there twice`},
		{"POST", "/v1/import", `{"path":"a","value":"1","value":"2"}`, "", "", `the field "value" is there twice`},
		{"POST", "/v1/import", "null", "", "", "it is not a JSON object but null"},
		{"POST", "/v1/tx", "{\"ops\":[\n{\"op\":}]}", "", "", "'}' cannot stand at line 2, column 7"},
	} {
		headers := []string{tt.header, tt.value}
		if tt.header == "" {
			headers = nil
		}
		doc := p.refused(400, "bad_request", tt.method, tt.url, tt.body, headers...)
		if !strings.Contains(doc.Detail, tt.want) || strings.Contains(doc.Detail, "wire.") {
			t.Errorf("%s %s %s: %q, want %q", tt.method, tt.url, tt.body, doc.Detail, tt.want)
		}
	}
	if got := p.want(200, "GET", "/v1/kv/a", "").body; got != "1" {
		t.Errorf("a is %q now", got)
	}
}

// The value is data: what a JSON object of somebody says twice is theirs to say.
func TestAValueMayHoldAFieldTwice(t *testing.T) {
	p := newPeer(t)
	p.want(200, "POST", "/v1/tx", `{"ops":[{"op":"put","path":"a","value":{"n":1,"n":null}}]}`)
	if got := p.want(200, "GET", "/v1/kv/a", "").body; got != `{"n":1,"n":null}` {
		t.Errorf("a is %s", got)
	}
}
