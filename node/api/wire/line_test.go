package wire_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"syncline/crdt"
	"syncline/node"
	"syncline/node/api/wire"
)

// contents draws values that JSON is bad at: bytes, JSON in unusual spelling, JSON that is none, types with parameters.
func contents() *rapid.Generator[node.Content] {
	types := []string{
		"", node.MediaTypeText, node.MediaTypeJSON, node.MediaTypeBytes,
		"text/markdown", "application/json; charset=utf-8", "application/problem+json", "nonsense",
	}
	data := []string{
		"", "x", `"x"`, `{"a":1}`, `{ "a": 1 }`, `[1,2.50,1e400]`, "null", " null", "nul", `{"a":"<&>"}`,
		"\u2028\u2029", "\x00", "\xff", "\"\xff\"", `"\u00e9"`, "é", "line\nfeed", `{"a":1}{"b":2}`, "\ufeff{}", `"\ud800"`,
	}
	return rapid.Custom(func(t *rapid.T) node.Content {
		c := node.Content{Type: rapid.SampledFrom(types).Draw(t, "type"), Data: []byte(rapid.SampledFrom(data).Draw(t, "data"))}
		if rapid.Bool().Draw(t, "random") {
			c.Data = rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		}
		return c
	})
}

// An export gives back every value exactly: "importing an export twice changes nothing".
func TestLineGivesBackEveryValueExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfNDistinct(contents(), 1, 4, func(c node.Content) string { return c.Type + "\x00" + string(c.Data) }).Draw(t, "values")
		e := node.Entry{Path: rapid.StringN(1, 20, -1).Draw(t, "path"), Kind: rapid.SampledFrom([]crdt.Kind{crdt.Multi, crdt.LWW}).Draw(t, "kind")}
		for _, c := range values {
			e.Values = append(e.Values, node.Value{Content: c})
		}
		shown := values[0]
		policy := rapid.SampledFrom([]node.Policy{node.PolicyManual, node.PolicyNewest, node.PolicyMax, node.PolicyMin, node.PolicyUnion}).Draw(t, "policy")
		if c, ok := policy.Show(values); ok && len(values) > 1 {
			shown, e.Policy, e.View = c, policy, &node.Value{Content: c}
		}
		if got, want := wire.LineOf(e).Body, wire.BodyOf(shown); !reflect.DeepEqual(got, want) {
			t.Fatalf("a line says %+v, want what is shown, %+v", got, want)
		}
		line, err := wire.Encode(wire.LineOf(e))
		if err != nil {
			t.Fatalf("encode: %v", err)
		}
		if bytes.ContainsRune(line, '\n') {
			t.Fatalf("more than one line: %s", line)
		}
		got, err := wire.ParseLine(line)
		if err != nil {
			t.Fatalf("parse %s: %v", line, err)
		}
		if got.Path != e.Path || (got.Kind == "lww") != (e.Kind == crdt.LWW) || len(got.Values) != len(values) {
			t.Fatalf("got %+v from %s", got, line)
		}
		for i, c := range got.Values {
			if c.Type != values[i].Type || !bytes.Equal(c.Data, values[i].Data) {
				t.Fatalf("value %d: got %q of %q, want %q of %q, from %s", i, c.Data, c.Type, values[i].Data, values[i].Type, line)
			}
		}
	})
}

// The forms that people and other programs write.
func TestParseLineReadsWhatPeopleWrite(t *testing.T) {
	for _, tt := range []struct{ line, data, mediaType string }{
		{`{"path":"a","value":"text"}`, "text", node.MediaTypeText},
		{`{"path":"a","value":{"n": 1}}`, `{"n":1}`, node.MediaTypeJSON},
		{`{"path":"a","value":5}`, "5", node.MediaTypeJSON},
		{`{"path":"a","value":null}`, "null", node.MediaTypeJSON},
		{`{"path":"a","value":"x","content_type":"application/json"}`, `"x"`, node.MediaTypeJSON},
		{`{"path":"a","value":"# T","content_type":"text/markdown"}`, "# T", "text/markdown"},
		{`{"path":"a","value_base64":"AAEC"}`, "\x00\x01\x02", node.MediaTypeBytes},
	} {
		got, err := wire.ParseLine([]byte(tt.line))
		if err != nil {
			t.Errorf("%s: %v", tt.line, err)
			continue
		}
		if v := got.Values[0]; string(v.Data) != tt.data || v.Type != tt.mediaType {
			t.Errorf("%s: got %q of %q, want %q of %q", tt.line, v.Data, v.Type, tt.data, tt.mediaType)
		}
	}
}

// Nothing that a line says is passed over in silence.
func TestParseLineRefusesWhatItDoesNotUnderstand(t *testing.T) {
	for line, want := range map[string]string{
		`{"path":"a"}`:             "value is missing",
		`{"value":"a"}`:            "path is missing",
		`{"path":"a","vaule":"x"}`: `there is no field "vaule"`,
		`{"path":"a","value":"x","value_base64":"AA=="}`: "more than one",
		`{"path":"a","value":"x"} {"path":"b"}`:          "more follows after the object, at column 25",
		`{"path":"a","value":"x"`:                        "too early",
		`["a"]`:                                          "it is not a JSON object but an array",
		`{"path":7,"value":"x"}`:                         "path is a number, and must be a string",
		`{"path":"a","value_base64":7}`:                  "value_base64 is a number, and must be a string",
		`{"path":"a","values":{}}`:                       "values is an object, and must be an array",
		"{\"path\":\"a\",\"value\":\"\xff\"}":            "it is not valid UTF-8",
		`{"path":"a","value":}`:                          "it is no JSON: '}' cannot stand at column 21",
		`{"path":"ä",,}`:                                 "',' cannot stand at column 13",
		"{\"path\":\n  é}":                               "'é' cannot stand at line 2, column 3",
		"\ufeff{}":                                       "byte order mark",
		``:                                               "too early",
		`{"path":"a","value":"x","type":"counter"}`:      "multi or lww",
		`{"path":"a","value":"x","values":[{"value":"y"}]}`:                                      "differs",
		`{"path":"a","values":[{"value":"y"},{}]}`:                                               "number 2",
		`{"path":"a","value_base64":"%%%"}`:                                                      "value_base64 is no Base64, from its byte 1 on",
		`{"path":"a","value":"x","values":[{"valeu":"y"}]}`:                                      "valeu",
		`{"path":"a","content_type":"text/plain","type":"lww"}`:                                  "value is missing",
		`{"path":"a","value":"x","policy":"max"}`:                                                "beside values only",
		`{"path":"a","value":"9","values":[{"value":"9"},{"value":"10"}],"policy":"max"}`:        "what the policy “max” shows",
		`{"path":"a","value":"9","values":[{"value":"9"},{"value":"10"}],"policy":"median"}`:     "there is no policy “median”. One of: manual, newest",
		`{"path":"a","value":"9","values":[{"value":"9"},{"value":"10"}],"policy":"merge:json"}`: "the policy “merge:json” shows nothing",
		`{"path":"a","values":[{"value":"9"},{"value":"10"}],"policy":"median"}`:                 "there is no policy “median”",
	} {
		_, err := wire.ParseLine([]byte(line))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", line, err, want)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add([]byte(`{"path":"a","value":"x","values":[{"value":"x"},{"value_base64":"AA=="}],"type":"lww"}`))
	f.Add([]byte(`{"path":"a","value":{"n": 1}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		line, err := wire.ParseLine(b)
		if err == nil && (line.Path == "" || len(line.Values) == 0) {
			t.Fatalf("%q gives %+v", b, line)
		}
	})
}
