package api_test

import (
	"strings"
	"testing"

	"syncline/node/api/wire"
)

// The versions of a path are listed newest first, each can be had, and one of them brought back.
func TestHistoryAndRestore(t *testing.T) {
	p := newPeer(t)
	first := decode[wire.Put](p.want(201, "PUT", "/v1/kv/a/b", "one", "Content-Type", "text/x-one"), wire.SchemaPut)
	p.want(200, "PUT", "/v1/kv/a/b", "two")
	p.want(204, "DELETE", "/v1/kv/a/b", "")
	doc := decode[wire.History](p.want(200, "GET", "/v1/history/a/b", ""), wire.SchemaHistory)
	if len(doc.Versions) != 3 || doc.Path != "a/b" {
		t.Fatalf("%+v", doc)
	}
	del, two, one := doc.Versions[0], doc.Versions[1], doc.Versions[2]
	if !del.Deleted || del.Replaced != nil || del.Device.Name != "laptop" {
		t.Errorf("the delete: %+v", del)
	}
	if two.Replaced == nil || two.Replaced.How != "delete" || two.Replaced.Version != del.Version || two.Replaced.Device.Name != "laptop" || two.Current {
		t.Errorf("the second value: %+v", two)
	}
	if one.Replaced == nil || one.Replaced.How != "put" || one.Replaced.Version != two.Version || one.ContentType != "text/x-one" || one.Type != "multi" {
		t.Errorf("the first value: %+v", one)
	}
	if doc := decode[wire.History](p.want(200, "GET", "/v1/history/a/b?limit=1", ""), wire.SchemaHistory); len(doc.Versions) != 1 {
		t.Errorf("limit=1: %+v", doc)
	}
	for _, name := range []string{one.Version, one.Version[2:9], first.Version} {
		raw := p.want(200, "GET", "/v1/history/a/b?version="+name, "")
		if raw.body != "one" || raw.Header.Get("Content-Type") != "text/x-one" || raw.Header.Get("ETag") != `"`+one.Version+`"` {
			t.Errorf("%s: %q %v", name, raw.body, raw.Header)
		}
	}
	res := decode[wire.Restored](p.want(200, "POST", "/v1/restore", `{"path":"a/b","version":"`+one.Version[:8]+`"}`), wire.SchemaRestore)
	if res.Restored != one.Version || !res.Created || res.Version == "" {
		t.Errorf("%+v", res)
	}
	if get := p.want(200, "GET", "/v1/kv/a/b", ""); get.body != "one" || get.Header.Get("Content-Type") != "text/x-one" {
		t.Errorf("%q %v", get.body, get.Header)
	}
}

func TestHistoryThatIsNotThere(t *testing.T) {
	p := newPeer(t)
	p.refused(404, "not_found", "GET", "/v1/history/a", "")
	p.refused(404, "not_found", "GET", "/v1/history/a?version=h.00", "")
	p.refused(404, "not_found", "POST", "/v1/restore", `{"path":"a","version":"h.00"}`)
	p.want(201, "PUT", "/v1/kv/a", "1")
	p.want(204, "DELETE", "/v1/kv/a", "")
	p.refused(410, "history_expired", "GET", "/v1/history/a?version=h.0123456789abcdef", "")
	p.refused(410, "history_expired", "POST", "/v1/restore", `{"path":"a","version":"x"}`)
	p.refused(400, "bad_request", "POST", "/v1/restore", `{"path":"a"}`)
	p.refused(400, "bad_request", "GET", "/v1/history/a?version=h.", "")
	p.refused(400, "bad_path", "GET", "/v1/history/a//b", "")
	del := decode[wire.History](p.want(200, "GET", "/v1/history/a", ""), wire.SchemaHistory).Versions[0]
	if problem := p.refused(400, "bad_request", "POST", "/v1/restore", `{"path":"a","version":"`+del.Version+`"}`); !strings.Contains(problem.Detail, "delete") {
		t.Errorf("%+v", problem)
	}
	p.refused(404, "not_found", "GET", "/v1/history/a?version="+del.Version, "")
}
