package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"syncline/node/api/wire"
)

// value is a JSON value if the stored type says so, a string if the bytes are text, and Base64 otherwise.
func TestEnvelopeShowsValuesAsWhatTheyAre(t *testing.T) {
	p := newPeer(t)
	for i, tt := range []struct{ data, mediaType, field, want string }{
		{"buy milk\n", "text/markdown", "value", `"buy milk\n"`},
		{`{"n": 1.50}`, "application/json", "value", `{"n":1.50}`},
		{`{"n":`, "application/json", "value", `"{\"n\":"`},
		{"a<b>&c", "text/plain", "value", `"a<b>&c"`},
		{"\x00\x01", "application/octet-stream", "value_base64", `"AAE="`},
		{"", "text/plain", "value", `""`},
	} {
		url := fmt.Sprintf("%d", i)
		p.want(201, "PUT", "/v1/kv/"+url, tt.data, "Content-Type", tt.mediaType)
		var raw map[string]json.RawMessage
		if err := json.Unmarshal([]byte(p.want(200, "GET", "/v1/entries/"+url, "").body), &raw); err != nil {
			t.Fatal(err)
		}
		if got := string(raw[tt.field]); got != tt.want {
			t.Errorf("%q of %s: %s is %s, want %s", tt.data, tt.mediaType, tt.field, got, tt.want)
		}
		if got, want := string(raw["size"]), fmt.Sprint(len(tt.data)); got != want {
			t.Errorf("size %s, want %s", got, want)
		}
	}
}

// The envelope of a conflict has every value, the shown one first and again at the top.
func TestEnvelopeHasEveryValue(t *testing.T) {
	p := newPeer(t)
	p.conflict("a", "one", "two")
	e := decode[wire.Entry](p.want(200, "GET", "/v1/entries/a", ""), wire.SchemaEntry)
	if e.Conflict != 2 || len(e.Values) != 2 || !e.Values[0].Shown || e.Values[1].Shown || string(e.Value) != string(e.Values[0].Value) {
		t.Errorf("got %+v", e)
	}
	if e.Version == "" || e.Type != "multi" || e.Device.Name != "laptop" || len(e.Device.ID) != 64 || e.Pending == nil {
		t.Errorf("got %+v", e)
	}
}

func TestListIsCompleteInPathOrderAndPages(t *testing.T) {
	p := newPeer(t)
	empty := decode[wire.Entries](p.want(200, "GET", "/v1/entries", ""), wire.SchemaEntries)
	if empty.Entries == nil || len(empty.Entries) != 0 {
		t.Errorf("an empty list is %+v", empty)
	}
	for _, path := range []string{"b/2", "a", "b/1", "b", "c"} {
		p.want(201, "PUT", "/v1/kv/"+path, "value of "+path)
	}
	list := func(query string) (paths []string, next string) {
		doc := decode[wire.Entries](p.want(200, "GET", "/v1/entries"+query, ""), wire.SchemaEntries)
		for _, e := range doc.Entries {
			paths = append(paths, e.Path)
		}
		return paths, doc.Next
	}
	for query, want := range map[string]string{
		"": "a b b/1 b/2 c ", "?prefix=b/": "b/1 b/2 ", "?limit=2": "a b b", "?limit=2&after=b": "b/1 b/2 b/2",
		"?limit=2&after=b/2": "c ", "?prefix=nothing": " ", "?limit=5": "a b b/1 b/2 c ",
	} {
		paths, next := list(query)
		if got := strings.Join(paths, " ") + " " + next; got != want {
			t.Errorf("%q: got %q, want %q", query, got, want)
		}
	}
	plain := decode[wire.Entries](p.want(200, "GET", "/v1/entries?prefix=a", ""), wire.SchemaEntries).Entries[0]
	full := decode[wire.Entries](p.want(200, "GET", "/v1/entries?prefix=a&values=1", ""), wire.SchemaEntries).Entries[0]
	if plain.Value != nil || plain.Values != nil || plain.Size != 10 || string(full.Value) != `"value of a"` || len(full.Values) != 1 {
		t.Errorf("plain %+v, with values %+v", plain, full)
	}
	p.refused(400, "bad_request", "GET", "/v1/entries?limit=none", "")
	p.refused(400, "bad_request", "GET", "/v1/entries?values=perhaps", "")
	p.refused(400, "bad_path", "GET", "/v1/entries?prefix=/a", "")
}

func TestListAsLines(t *testing.T) {
	p := newPeer(t)
	p.want(201, "PUT", "/v1/kv/a", "1")
	p.want(201, "PUT", "/v1/kv/b", "2")
	a := p.want(200, "GET", "/v1/entries?values=1", "", "Accept", "application/x-ndjson")
	lines := strings.Split(strings.TrimSuffix(a.body, "\n"), "\n")
	if a.Header.Get("Content-Type") != "application/x-ndjson" || len(lines) != 2 {
		t.Fatalf("got %q of type %s", a.body, a.Header.Get("Content-Type"))
	}
	if e := decode[wire.Entry](answer{body: lines[1]}, wire.SchemaEntry); e.Path != "b" || string(e.Value) != `"2"` {
		t.Errorf("got %+v", e)
	}
}

func TestDeletePrefix(t *testing.T) {
	p := newPeer(t)
	for _, path := range []string{"a/1", "a/2", "ab"} {
		p.want(201, "PUT", "/v1/kv/"+path, "x")
	}
	p.refused(400, "bad_request", "DELETE", "/v1/entries", "")
	p.refused(400, "bad_request", "DELETE", "/v1/entries?prefix=", "")
	p.refused(400, "bad_request", "DELETE", "/v1/entries?prefix=a/&dryrun=1", "") // mistyped, and no reason to delete
	dry := decode[wire.Del](p.want(200, "DELETE", "/v1/entries?prefix=a/&dry_run=1", ""), wire.SchemaDel)
	if dry.Deleted != 2 || !dry.DryRun || strings.Join(dry.Paths, " ") != "a/1 a/2" {
		t.Errorf("dry run: %+v", dry)
	}
	if doc := decode[wire.Del](p.want(200, "DELETE", "/v1/entries?prefix=a/", ""), wire.SchemaDel); doc.Deleted != 2 {
		t.Errorf("got %+v", doc)
	}
	if left := decode[wire.Entries](p.want(200, "GET", "/v1/entries", ""), wire.SchemaEntries); len(left.Entries) != 1 {
		t.Errorf("left %+v", left)
	}
}

// "Importing an export twice changes nothing", and an export begins and ends with what is here.
func TestExportAndImport(t *testing.T) {
	p := newPeer(t)
	p.want(201, "PUT", "/v1/kv/text", "buy <milk>\n", "Content-Type", "text/plain; charset=utf-8")
	p.want(201, "PUT", "/v1/kv/json?type=lww", `{ "a": 1 }`, "Content-Type", "application/json")
	p.want(201, "PUT", "/v1/kv/bytes", "\x00\xff", "Content-Type", "image/png")
	p.conflict("rivals", "one", "two")
	first := p.want(200, "GET", "/v1/export", "")
	if lines := strings.Count(first.body, "\n"); lines != 4 || first.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("got %d lines of %s", lines, first.Header.Get("Content-Type"))
	}
	if want := `{"path":"text","value":"buy <milk>\n"}` + "\n"; !strings.HasSuffix(first.body, want) {
		t.Errorf("got %s, want it to end with %s", first.body, want)
	}
	again := decode[wire.Imported](p.want(200, "POST", "/v1/import", first.body), wire.SchemaImport)
	if again.Lines != 4 || again.Changed != 0 {
		t.Errorf("importing one's own export: %+v, want 4 lines and no change", again)
	}
	q := newPeer(t)
	fresh := decode[wire.Imported](q.want(200, "POST", "/v1/import", first.body), wire.SchemaImport)
	if fresh.Changed != 4 {
		t.Errorf("importing elsewhere: %+v, want 4 changes", fresh)
	}
	if twice := decode[wire.Imported](q.want(200, "POST", "/v1/import", first.body), wire.SchemaImport); twice.Changed != 0 {
		t.Errorf("importing elsewhere twice: %+v, want no change", twice)
	}
	if got := q.want(200, "GET", "/v1/export?prefix=t", "").body; got != `{"path":"text","value":"buy <milk>\n"}`+"\n" {
		t.Errorf("export of a prefix: %q", got)
	}
}

// An error of an import names its line; nothing of the file is skipped in silence.
func TestImportErrorsNameTheLine(t *testing.T) {
	p := newPeer(t)
	good := `{"path":"good","value":"x"}` + "\n"
	for body, want := range map[string]struct {
		status int
		code   string
		line   int
	}{
		good + `{"path":"a"}`:                       {400, "bad_request", 2},
		good + "\n\n" + `{"path":"a","vaule":1}`:    {400, "bad_request", 4},
		`nonsense`:                                  {400, "bad_request", 1},
		good + good + `{"path":"a//b","value":"x"}`: {400, "bad_path", 3},
		good + `{"path":"a","value":"` + strings.Repeat("x", 1<<20+1) + `"}`:  {413, "too_large", 2},
		good + `{"path":"a","value":5` + "\n" + strings.Repeat(good, 100_000): {400, "bad_request", 2},
	} {
		problem := p.refused(want.status, want.code, "POST", "/v1/import", body)
		if problem.Index != want.line || !strings.Contains(problem.Detail, fmt.Sprintf("Line %d", want.line)) {
			t.Errorf("%.60s…: got %+v, want line %d", body, problem, want.line)
		}
	}
	p.want(200, "GET", "/v1/kv/good", "")
}

func TestImportNormalisesPathsAndLastLineWins(t *testing.T) {
	p := newPeer(t)
	body := `{"path":"a\u0308","value":"1"}` + "\n" + `{"path":"\u00e4","value":"2"}` + "\n"
	p.want(200, "POST", "/v1/import", body)
	if got := p.want(200, "GET", "/v1/kv/%C3%A4", "").body; got != "2" {
		t.Errorf("got %q, want 2", got)
	}
}
