package api_test

import (
	"testing"

	"syncline/node/api/wire"
)

func TestResolutionsAreMadeInEveryWayAndTakenBack(t *testing.T) {
	p := newPeer(t)
	p.want(200, "POST", "/v1/import", `{"path":"a","values":[{"value":"9"},{"value":"10"}]}`)
	for _, bad := range []string{`{"path":"a"}`, `{"path":"a","keep_all":true,"merge":true}`, `{"path":"a","value":"x","merge":true}`, `{"path":"a","merge":true,"policy":"latest"}`, `{"path":"a","policy":"min"}`,
		`{"path":"a","merge":false,"policy":"min"}`} {
		p.want(400, "POST", "/v1/resolve", bad)
	}
	p.want(422, "POST", "/v1/resolve", `{"path":"a","merge":true}`)
	p.want(404, "POST", "/v1/undo", "")
	for _, tt := range []struct{ ask, value string }{
		{`{"path":"a","merge":true,"policy":"max"}`, "10"}, {`{"path":"a","merge":true,"policy":"min"}`, "9"}, {`{"path":"a","keep_all":true}`, "9"},
	} {
		doc := decode[wire.Resolved](p.want(200, "POST", "/v1/resolve", tt.ask), wire.SchemaResolve)
		if text, _ := doc.Text(); text != tt.value || doc.Undo == "" || doc.Conflict != 0 {
			t.Errorf("%s: %+v", tt.ask, doc)
		}
		back := p.want(200, "POST", "/v1/undo/"+doc.Undo, "")
		if e := decode[wire.Entry](back, wire.SchemaUndo); e.Conflict != 2 || back.Header.Get("ETag") == "" {
			t.Errorf("%s: undo gives %s", tt.ask, back.body)
		}
		p.want(404, "POST", "/v1/undo/"+doc.Undo, "")
	}
	for _, tt := range []struct{ ask, value string }{{`"merge":true,"policy":"max"`, "10"}, {`"keep_all":true`, "9"}, {`"value":"x"`, "x"}} {
		preview := decode[wire.Preview](p.want(200, "POST", "/v1/resolve", `{"path":"a","dry_run":true,`+tt.ask+`}`), wire.SchemaPreview)
		if text, _ := preview.Text(); text != tt.value || preview.Path != "a" || len(preview.Copies) > 0 != (tt.value == "9") {
			t.Errorf("%s: %+v", tt.ask, preview)
		}
		p.want(200, "POST", "/v1/resolve", `{"path":"a","dry_run":true,`+tt.ask+`,"if_match":"`+preview.Version+`"}`)
	}
	for status, bad := range map[int]string{422: `"merge":true`, 412: `"value":"x","if_match":"v1.0"`, 400: `"keep_all":true,"merge":true`} {
		p.want(status, "POST", "/v1/resolve", `{"path":"a","dry_run":true,`+bad+`}`)
	}
	p.want(412, "POST", "/v1/resolve", `{"path":"a","dry_run":true,"keep":["h.0"]}`)
	p.want(200, "GET", "/v1/conflicts/a", "")
	doc := decode[wire.Resolved](p.want(200, "POST", "/v1/resolve", `{"path":"a","merge":true,"policy":"max"}`), wire.SchemaResolve)
	p.want(200, "PUT", "/v1/kv/a", "later")
	p.want(409, "POST", "/v1/undo/"+doc.Undo, "")
}
