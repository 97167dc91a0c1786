package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"syncline/node"
)

// A Line is one entry of an export or import, on one line of JSON. It holds nothing that belongs to one device only, so the
// exports of two devices that hold the same are equal byte for byte.
//
// A line that a person or another program wrote needs a path and a value:
//
//	{"path":"a","value":"text"}                   a string is text
//	{"path":"b","value":{"n":1}}                  any other JSON is application/json
//	{"path":"c","value_base64":"AAEC"}            bytes
//
// Values is there only if the entry has more than one; it then holds all of them, newest first, and is what an import brings back. Body is
// what a plain read shows: the first, or what Policy, if it is there, shows of them.
type Line struct {
	Path string `json:"path"`
	Body
	Type   string `json:"type,omitempty"`
	Values []Body `json:"values,omitempty"`
	Policy string `json:"policy,omitempty"`
}

// A Body is one value of a Line: exactly one of Value, ValueText and ValueBase64 is set. ValueText carries JSON whose exact
// spelling Value would lose. ContentType is absent where it is what such a value gets by default.
type Body struct {
	Value       json.RawMessage `json:"value,omitempty"`
	ValueText   *string         `json:"value_text,omitempty"`
	ValueBase64 *[]byte         `json:"value_base64,omitempty"`
	ContentType *string         `json:"content_type,omitempty"`
}

// LineOf returns the line for e.
func LineOf(e node.Entry) Line {
	l := Line{Path: e.Path, Body: bodyOf(e.Shown().Content)}
	if k := e.Kind.String(); k != "multi" {
		l.Type = k
	}
	if bodies := distinct(e.Values); len(bodies) > 1 {
		l.Values = bodies
		if e.View != nil {
			l.Policy = string(e.Policy)
		}
	}
	return l
}

// distinct returns the values of an entry, each content once.
func distinct(vs []node.Value) []Body {
	var bodies []Body
	for i, v := range vs {
		if !holds(vs[:i], v.Content) {
			bodies = append(bodies, bodyOf(v.Content))
		}
	}
	return bodies
}

func holds(vs []node.Value, c node.Content) bool {
	for _, v := range vs {
		if v.Type == c.Type && bytes.Equal(v.Data, c.Data) {
			return true
		}
	}
	return false
}

// bodyOf chooses the most readable form that gives back exactly the same bytes.
func bodyOf(c node.Content) Body {
	var b Body
	switch {
	case !c.IsText():
		b.ValueBase64 = &c.Data
	case !isJSON(c.Type):
		b.Value = mustEncode(string(c.Data))
	case isCompact(c.Data):
		b.Value = c.Data
	default:
		text := string(c.Data)
		b.ValueText = &text
	}
	if c.Type != b.defaultType() {
		b.ContentType = &c.Type
	}
	return b
}

// isCompact reports whether b is JSON as Encode would write it.
func isCompact(b []byte) bool {
	var out bytes.Buffer
	return json.Compact(&out, b) == nil && bytes.Equal(out.Bytes(), b)
}

func (b Body) defaultType() string {
	switch {
	case b.ValueBase64 != nil:
		return node.MediaTypeBytes
	case b.ValueText != nil || b.isString():
		return node.MediaTypeText
	}
	return node.MediaTypeJSON
}

func (b Body) isString() bool { return len(b.Value) > 0 && b.Value[0] == '"' }

// ParseLine reads one line of an import. It refuses what it does not understand, as [Decode] does.
func ParseLine(line []byte) (node.ImportLine, error) {
	var l Line
	if err := Decode(line, &l); err != nil {
		return node.ImportLine{}, err
	}
	if l.Path == "" {
		return node.ImportLine{}, errors.New("path is missing")
	}
	if l.Type != "" {
		if _, err := ParseKind(l.Type); err != nil {
			return node.ImportLine{}, fmt.Errorf("type is multi or lww, not %q", l.Type)
		}
	}
	values, err := l.contents()
	return node.ImportLine{Path: l.Path, Kind: l.Type, Values: values}, err
}

func (l Line) contents() ([]node.Content, error) {
	if len(l.Values) == 0 {
		c, err := l.content()
		if err == nil && l.Policy != "" {
			err = errors.New("policy stands beside values only")
		}
		return []node.Content{c}, err
	}
	policy := node.Policy(l.Policy)
	if l.Policy != "" {
		if err := policy.Check(); err != nil {
			p := node.ProblemOf(err)
			return nil, fmt.Errorf("%s. %s", p.Detail, p.Hint)
		}
	}
	var all []node.Content
	for i, b := range l.Values {
		c, err := b.content()
		if err != nil {
			return nil, fmt.Errorf("values, number %d: %w", i+1, err)
		}
		all = append(all, c)
	}
	if l.Body.forms() == 0 && l.ContentType == nil {
		return all, nil
	}
	shown, err := l.content()
	if err != nil {
		return nil, err
	}
	// What an import does not store must at least say nothing else than what it does: somebody may have edited one and not the other.
	want, name := all[0], "the first of values"
	if l.Policy != "" {
		var ok bool
		if want, ok = policy.Show(all); !ok {
			return nil, fmt.Errorf("the policy “%s” shows nothing of its own for these values; leave policy and value out", policy)
		}
		name = fmt.Sprintf("what the policy “%s” shows of values", policy)
	}
	if shown.Type != want.Type || !bytes.Equal(shown.Data, want.Data) {
		return nil, fmt.Errorf("value differs from %s; values is what is stored, and value may be left out", name)
	}
	return all, nil
}

func (b Body) forms() int {
	n := 0
	for _, set := range []bool{len(b.Value) > 0, b.ValueText != nil, b.ValueBase64 != nil} {
		if set {
			n++
		}
	}
	return n
}

// content returns the bytes and the type that b stands for.
func (b Body) content() (node.Content, error) {
	switch n := b.forms(); {
	case n == 0:
		return node.Content{}, errors.New("value is missing")
	case n > 1:
		return node.Content{}, errors.New("more than one of value, value_text and value_base64 is there")
	}
	c := node.Content{Type: b.defaultType()}
	if b.ContentType != nil {
		c.Type = *b.ContentType
	}
	switch {
	case b.ValueText != nil:
		c.Data = []byte(*b.ValueText)
	case b.ValueBase64 != nil:
		c.Data = *b.ValueBase64
	case b.isString() && !isJSON(c.Type):
		var s string
		if err := json.Unmarshal(b.Value, &s); err != nil {
			return c, err
		}
		c.Data = []byte(s)
	default:
		var out bytes.Buffer
		if err := json.Compact(&out, b.Value); err != nil {
			return c, err
		}
		c.Data = out.Bytes()
	}
	return c, nil
}

// Imported says what an import did.
type Imported struct {
	Schema  string `json:"schema"`
	Lines   int    `json:"lines"`
	Changed int    `json:"changed"`
}

// Exported says what an export to a file wrote.
type Exported struct {
	Schema  string `json:"schema"`
	Entries int    `json:"entries"`
	File    string `json:"file"`
}

// Schemas of the documents about imports and exports.
const (
	SchemaImport = "peer.import/v1"
	SchemaExport = "peer.export/v1"
)
