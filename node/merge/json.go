package merge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// depthMax is the depth from which on objects are taken as a whole.
const depthMax = 64

// JSON merges JSON texts that were made from base, field by field of their objects, also of objects within objects. Arrays and all else
// are taken as a whole. A field that was changed in two ways, or changed and removed, is an error that names it, as a JSON Pointer
// (RFC 6901). A nil base stands for nothing: an object without fields.
//
// What a value is compared by is its text without white space, so numbers and strings stay as they were written. If the result is one of
// the values, it is that text. Otherwise its fields are sorted, and it is indented if all values have more than one line.
func JSON(base []byte, values [][]byte) ([]byte, error) {
	nodes := make([]*node, len(values))
	for i, v := range values {
		n, err := parse(v, 0)
		if err != nil {
			return nil, fmt.Errorf("one of the values cannot be read as JSON: %w", err)
		}
		nodes[i] = &n
	}
	from := node{fields: map[string]node{}}
	if base != nil {
		var err error
		if from, err = parse(base, 0); err != nil {
			return nil, fmt.Errorf("the value that they were made from cannot be read as JSON: %w", err)
		}
	}
	merged, err := combine("", &from, nodes)
	if err != nil {
		return nil, err
	}
	var same [][]byte
	for i := range nodes {
		if nodes[i].equal(merged) {
			same = append(same, values[i])
		}
	}
	if len(same) > 0 {
		return bytes.Clone(slices.MinFunc(same, bytes.Compare)), nil
	}
	return merged.layOut(values), nil
}

// A node is a JSON value: an object, or the text of anything else without white space.
type node struct {
	fields map[string]node // nil unless it is an object
	text   string
}

func (n *node) equal(m *node) bool {
	if n == nil || m == nil {
		return n == m
	}
	return n.text == m.text && (n.fields == nil) == (m.fields == nil) &&
		maps.EqualFunc(n.fields, m.fields, func(a, b node) bool { return a.equal(&b) })
}

// parse reads a JSON value. It refuses what a merge would lose: fields of the same name, and bytes that are not UTF-8.
func parse(b []byte, depth int) (node, error) {
	if depth == 0 && !utf8.Valid(b) {
		return node{}, errors.New("it is not UTF-8")
	}
	var text bytes.Buffer
	if err := json.Compact(&text, b); err != nil {
		return node{}, err
	}
	if b = text.Bytes(); b[0] != '{' || depth == depthMax {
		return node{text: string(b)}, nil
	}
	n := node{fields: map[string]node{}}
	d := json.NewDecoder(bytes.NewReader(b))
	d.Token() // the brace; the text is known to be JSON
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return node{}, err
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return node{}, err
		}
		key := name.(string)
		if strings.ContainsRune(key, utf8.RuneError) {
			return node{}, fmt.Errorf("the name of a field, “%s”, is no text: other names could read the same", key)
		}
		if _, twice := n.fields[key]; twice {
			return node{}, fmt.Errorf("it has two fields “%s”", key)
		}
		if n.fields[key], err = parse(raw, depth+1); err != nil {
			return node{}, err
		}
	}
	return n, nil
}

// combine merges the values that are at a place; a node that is absent there is nil.
func combine(at string, base *node, values []*node) (*node, error) {
	var changed []*node
	objects := base == nil || base.fields != nil
	for _, v := range values {
		if !v.equal(base) && !slices.ContainsFunc(changed, v.equal) {
			changed = append(changed, v)
			objects = objects && v != nil && v.fields != nil
		}
	}
	switch {
	case len(changed) == 0:
		return base, nil
	case len(changed) == 1:
		return changed[0], nil
	case !objects && at == "":
		return nil, errors.New("the value as a whole was changed in different ways")
	case !objects:
		return nil, fmt.Errorf("the field “%s” was changed in different ways", at)
	}
	names := map[string]bool{}
	for _, n := range append(changed, base) {
		if n != nil {
			for name := range n.fields {
				names[name] = true
			}
		}
	}
	out := &node{fields: map[string]node{}}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		sides := make([]*node, len(values))
		for i, v := range values {
			sides[i] = v.field(name)
		}
		field, err := combine(at+"/"+pointer.Replace(name), base.field(name), sides)
		if err != nil {
			return nil, err
		}
		if field != nil {
			out.fields[name] = *field
		}
	}
	return out, nil
}

// pointer escapes a name for a JSON Pointer.
var pointer = strings.NewReplacer("~", "~0", "/", "~1")

func (n *node) field(name string) *node {
	if n == nil {
		return nil
	}
	if f, ok := n.fields[name]; ok {
		return &f
	}
	return nil
}

// layOut writes the node as the values are written.
func (n *node) layOut(values [][]byte) []byte {
	oneLine := slices.ContainsFunc(values, func(v []byte) bool { return !bytes.Contains(bytes.TrimSpace(v), []byte("\n")) })
	unended := slices.ContainsFunc(values, func(v []byte) bool { return !bytes.HasSuffix(v, []byte("\n")) })
	out := n.append(nil)
	if !oneLine {
		var b bytes.Buffer
		if json.Indent(&b, out, "", "  ") == nil {
			out = b.Bytes()
		}
	}
	if !unended {
		out = append(out, '\n')
	}
	return out
}

func (n *node) append(b []byte) []byte {
	if n.fields == nil {
		return append(b, n.text...)
	}
	b = append(b, '{')
	for i, name := range slices.Sorted(maps.Keys(n.fields)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendName(b, name), ':')
		f := n.fields[name]
		b = f.append(b)
	}
	return append(b, '}')
}

// appendName appends the name of a field as a JSON string.
func appendName(b []byte, name string) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(name); err != nil {
		panic("merge: a string cannot be encoded: " + err.Error())
	}
	return append(b, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
}
