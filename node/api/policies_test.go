package api_test

import (
	"testing"

	"syncline/node/api/wire"
)

func TestPoliciesAreGuardedByTheirETag(t *testing.T) {
	p := newPeer(t)
	empty := p.want(200, "GET", "/v1/policies", "")
	if doc := decode[wire.Policies](empty, wire.SchemaPolicies); doc.Policies == nil || len(doc.Policies) != 0 || `"`+doc.Version+`"` != empty.Header.Get("ETag") {
		t.Errorf("no policies: %s", empty.body)
	}
	p.want(304, "GET", "/v1/policies", "", "If-None-Match", empty.Header.Get("ETag"))
	body := `{"policies":[{"pattern":"**","policy":"newest"},{"pattern":"n/*","policy":"max"}]}`
	set := p.want(200, "PUT", "/v1/policies", body, "If-Match", empty.Header.Get("ETag"))
	doc := decode[wire.Policies](set, wire.SchemaPolicies)
	if len(doc.Policies) != 2 || doc.Policies[0] != (wire.Policy{Pattern: "n/*", Policy: "max"}) {
		t.Errorf("set: %s", set.body)
	}
	p.want(412, "PUT", "/v1/policies", `{"policies":[]}`, "If-Match", empty.Header.Get("ETag"))
	for _, bad := range []string{`{}`, `{"policies":[{"pattern":"a","policy":"latest"}]}`, `{"policies":[{"pattern":"a//b","policy":"max"}]}`,
		`{"policies":[{"pattern":"a","policy":"max"},{"pattern":"a","policy":"min"}]}`} {
		p.want(400, "PUT", "/v1/policies", bad)
	}
	if again := p.want(200, "GET", "/v1/policies", ""); again.body != set.body {
		t.Errorf("after refusals: %s, want %s", again.body, set.body)
	}
	// The ETag of an entry tells what is shown.
	p.want(200, "POST", "/v1/import", `{"path":"n/1","values":[{"value":"9"},{"value":"10"}]}`)
	max := p.want(200, "GET", "/v1/kv/n/1", "")
	p.want(200, "PUT", "/v1/policies", `{"policies":[{"pattern":"n/*","policy":"min"}]}`)
	min := p.want(200, "GET", "/v1/kv/n/1", "", "If-None-Match", max.Header.Get("ETag"))
	if max.body != "10" || min.body != "9" || min.Header.Get("Peer-Conflict") != "" ||
		min.Header.Get("Peer-Settled") != "2" || min.Header.Get("Peer-Policy") != "min" {
		t.Errorf("max %q, min %q, headers %v", max.body, min.body, min.Header)
	}
	p.want(412, "PUT", "/v1/kv/n/1", "0", "If-Match", max.Header.Get("ETag"))
	p.want(200, "PUT", "/v1/kv/n/1", "0", "If-Match", min.Header.Get("ETag"))
}
