package api_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"syncline/node"
	"syncline/node/api/wire"
)

func TestATransactionIsCarriedOutAsAWhole(t *testing.T) {
	p := newPeer(t)
	p.want(201, "PUT", "/v1/kv/old", "gone")
	a := decode[wire.Put](p.want(201, "PUT", "/v1/kv/a", "100"), wire.SchemaPut)
	doc := decode[wire.TxDone](p.want(200, "POST", "/v1/tx", `{"ops":[
		{"op":"put","path":"a","value":"70","if_match":"`+a.Version+`"},
		{"op":"put","path":"cafe\u0301","value":{"n":1},"type":"lww","if_absent":true},
		{"op":"put","path":"c","value_base64":"AAEC","content_type":"image/x"},
		{"op":"del","path":"old"}]}`), wire.SchemaTx)
	if len(doc.Results) != 4 || doc.Results[0].Created || !doc.Results[1].Created || doc.Results[1].Path != "café" || doc.Results[3].Version != "" {
		t.Errorf("results %+v", doc.Results)
	}
	for path, want := range map[string]string{"a": "70", "caf%C3%A9": `{"n":1}`, "c": "\x00\x01\x02"} {
		if got := p.want(200, "GET", "/v1/kv/"+path, "").body; got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	p.want(404, "GET", "/v1/kv/old", "")
}

// The failing operation is named by its place, and nothing of the transaction has happened.
func TestARefusedTransactionNamesTheOperationAndWritesNothing(t *testing.T) {
	p := newPeer(t)
	p.want(201, "PUT", "/v1/kv/a", "100")
	put := `{"op":"put","path":"new","value":"x"},`
	for _, c := range []struct {
		status, index int
		code, ops     string
	}{
		{412, 2, "version_mismatch", put + `{"op":"put","path":"a","value":"x","if_match":"v1.0000000000000000"}`},
		{412, 1, "version_mismatch", `{"op":"put","path":"a","value":"x","if_match":"v1.0000000000000000"}`},
		{412, 2, "already_exists", put + `{"op":"put","path":"a","value":"x","if_absent":true}`},
		{404, 2, "not_found", put + `{"op":"del","path":"none"}`},
		{400, 2, "bad_path", put + `{"op":"del","path":"a//b"}`},
		{400, 2, "bad_request", put + `{"op":"put","path":"new","value":"y"}`},
		{400, 2, "bad_request", put + `{"op":"add","path":"b"}`},
		{400, 2, "bad_request", put + `{"op":"put","path":"b"}`},
		{400, 2, "bad_request", put + `{"op":"put","path":"b","value":"1","if_match":""}`},
		{400, 2, "bad_request", put + `{"op":"put","path":"b","value":"1","if_match":"v","if_absent":true}`},
		{400, 2, "bad_request", put + `{"op":"put","path":"b","value":"1","all":true}`},
		{400, 2, "bad_request", put + `{"op":"put","path":"b","value":"1","type":"counter"}`},
		{400, 2, "bad_request", put + `{"op":"del","path":"a","value":"1"}`},
		{413, 2, "too_large", put + `{"op":"put","path":"b","value":"` + strings.Repeat("x", node.ValueBytesMax+1) + `"}`},
		{400, 0, "bad_request", ``},
		{400, 0, "bad_request", put + `{"op":"put","path":"b","vaule":"1"}`},
	} {
		doc := p.refused(c.status, c.code, "POST", "/v1/tx", `{"ops":[`+c.ops+`]}`)
		if doc.Index != c.index {
			t.Errorf("%.80s: index %d, want %d: %s", c.ops, doc.Index, c.index, doc.Detail)
		}
	}
	p.want(404, "GET", "/v1/kv/new", "")
	if got := p.want(200, "GET", "/v1/kv/a", "").body; got != "100" {
		t.Errorf("a is %q", got)
	}
}

func TestTheLimitsOfATransactionAreNamed(t *testing.T) {
	p := newPeer(t)
	var many strings.Builder
	for i := range node.TxEntriesMax + 1 {
		fmt.Fprintf(&many, `,{"op":"put","path":"k/%d","value":"x"}`, i)
	}
	if doc := p.refused(413, "too_large", "POST", "/v1/tx", `{"ops":[`+many.String()[1:]+`]}`); doc.Limit != node.TxEntriesMax {
		t.Errorf("limit %d of %s", doc.Limit, doc.Detail)
	}
	var large strings.Builder
	for i := range 17 {
		fmt.Fprintf(&large, `,{"op":"put","path":"k/%d","value":"%s"}`, i, strings.Repeat("x", node.ValueBytesMax))
	}
	if doc := p.refused(413, "too_large", "POST", "/v1/tx", `{"ops":[`+large.String()[1:]+`]}`); doc.Limit != node.TxBytesMax {
		t.Errorf("limit %d of %s", doc.Limit, doc.Detail)
	}
	if doc := p.refused(413, "too_large", "POST", "/v1/tx", strings.Repeat(" ", 32<<20+1)); doc.Limit != 32<<20 {
		t.Errorf("limit %d of %s", doc.Limit, doc.Detail)
	}
}

// TestATransactionWhoseClientLeftIsNoFaultOfOurs.
func TestATransactionWhoseClientLeftIsNoFaultOfOurs(t *testing.T) {
	p := newPeer(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for url, body := range map[string]string{"/v1/tx": `{"ops":[{"op":"put","path":"a","value":"1"}]}`, "/v1/import": `{"path":"a","values":[{"value":"1"},{"value":"2"}]}`} {
		w := httptest.NewRecorder()
		p.server.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "POST", url, strings.NewReader(body)))
		if !strings.Contains(w.Body.String(), `"code":"interrupted"`) {
			t.Errorf("%s: %d %s", url, w.Code, w.Body)
		}
	}
}
