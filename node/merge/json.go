package merge

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// indentedBytesMax bounds a result that is indented: depth makes it much longer than what it says.
const indentedBytesMax = 1 << 20

// JSON merges JSON texts that were made from base, field by field of their objects, also of objects within objects. Arrays and all else
// are taken as a whole. A field that was changed in two ways, or changed and removed, is an error that names it, as a JSON Pointer
// (RFC 6901). A nil base stands for nothing: an object without fields.
//
// What a value is compared by is its text without white space, so numbers and strings stay as they were written. If the result is one of
// the values, it is that text. Otherwise its fields are sorted, and it is indented if all values have more than one line and that
// makes it no longer than 1 MiB. It takes time in proportion to the length of all texts, and ends with the error of ctx soon after ctx does.
func JSON(ctx context.Context, base []byte, values [][]byte) ([]byte, error) {
	nodes := make([]*node, len(values))
	for i, v := range values {
		var err error
		if nodes[i], err = parse(ctx, v); err != nil {
			return nil, unread(ctx, "one of the values", err)
		}
	}
	from := newObject(nil)
	if base != nil {
		var err error
		if from, err = parse(ctx, base); err != nil {
			return nil, unread(ctx, "the value that they were made from", err)
		}
	}
	merged, err := combine(ctx, from, nodes)
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

func unread(ctx context.Context, which string, err error) error {
	return cmp.Or(ctx.Err(), fmt.Errorf("%s cannot be read as JSON: %w", which, err))
}

// A node is a JSON value: an object, or the text of anything else without white space. It does not change.
type node struct {
	text   string
	object bool
	fields []field // by name, each name once
	// sum tells different nodes apart. It does not depend on the order in which fields were written.
	sum [sha256.Size]byte
}

type field struct {
	name string
	*node
}

func newText(text string) *node { return &node{text: text, sum: sha256.Sum256([]byte("t" + text))} }

// newObject takes fields in the order of their names.
func newObject(fields []field) *node {
	b := []byte("o")
	for _, f := range fields {
		b = append(binary.AppendUvarint(b, uint64(len(f.name))), f.name...)
		b = append(b, f.sum[:]...)
	}
	return &node{object: true, fields: fields, sum: sha256.Sum256(b)}
}

func (n *node) equal(m *node) bool { return n == m || n != nil && m != nil && n.sum == m.sum }

// field returns the field of an object, nil if there is none.
func (n *node) field(name string) *node {
	if n == nil {
		return nil
	}
	if i, ok := slices.BinarySearchFunc(n.fields, name, field.compare); ok {
		return n.fields[i].node
	}
	return nil
}

func (f field) compare(name string) int { return strings.Compare(f.name, name) }

// parse reads a JSON value. It refuses what a merge would lose: fields of the same name, and bytes that are not UTF-8.
func parse(ctx context.Context, b []byte) (*node, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("it is not UTF-8")
	}
	var text bytes.Buffer
	if err := json.Compact(&text, b); err != nil {
		return nil, err
	}
	p := parser{text.String()}
	return p.value(ctx)
}

// A parser reads what is known to be JSON without white space. Package json bounds its depth, at 10,000.
type parser struct{ rest string }

func (p *parser) value(ctx context.Context) (*node, error) {
	if p.rest[0] != '{' {
		return newText(p.skip()), nil
	}
	var fields []field
	for p.next(); p.rest[0] != '}'; {
		if p.rest[0] == ',' {
			p.next()
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		name, err := readName(p.skip())
		if err != nil {
			return nil, err
		}
		if strings.ContainsRune(name, utf8.RuneError) {
			return nil, fmt.Errorf("the name of a field, “%s”, is no text: other names could read the same", short(name))
		}
		p.next() // the colon
		n, err := p.value(ctx)
		if err != nil {
			return nil, err
		}
		fields = append(fields, field{name, n})
	}
	p.next()
	slices.SortFunc(fields, func(f, g field) int { return f.compare(g.name) })
	for i := 1; i < len(fields); i++ {
		if fields[i].name == fields[i-1].name {
			return nil, fmt.Errorf("it has two fields “%s”", short(fields[i].name))
		}
	}
	return newObject(fields), nil
}

// next passes over one character.
func (p *parser) next() { p.rest = p.rest[1:] }

// skip passes over a value, or the name of a field, and returns its text.
func (p *parser) skip() string {
	i, depth, quoted := 0, 0, false
	for i < len(p.rest) && (i == 0 || depth > 0 || quoted || !strings.ContainsRune(",:]}", rune(p.rest[i]))) {
		switch c := p.rest[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		}
		i++
	}
	text := p.rest[:i]
	p.rest = p.rest[i:]
	return text
}

// A clashAt is an error: the place that was changed in different ways. It has the names of the fields that lead there, the last one first.
type clashAt struct{ names []string }

func (c *clashAt) Error() string {
	if len(c.names) == 0 {
		return "the value as a whole was changed in different ways"
	}
	var at strings.Builder
	for _, name := range slices.Backward(c.names) {
		at.WriteString("/" + pointer.Replace(name))
	}
	return fmt.Sprintf("the field “%s” was changed in different ways", short(at.String()))
}

// pointer escapes a name for a JSON Pointer.
var pointer = strings.NewReplacer("~", "~0", "/", "~1")

// shortBytesMax bounds the names of fields in what is told to people.
const shortBytesMax = 200

// short returns the beginning of a text.
func short(s string) string {
	if len(s) <= shortBytesMax {
		return s
	}
	return strings.ToValidUTF8(s[:shortBytesMax], "") + "…"
}

// combine merges the values that are at one place; a node that is absent there is nil.
func combine(ctx context.Context, base *node, values []*node) (*node, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	changed := others(base, values)
	objects := base == nil || base.object
	for _, v := range changed {
		objects = objects && v != nil && v.object
	}
	switch {
	case len(changed) == 0:
		return base, nil
	case len(changed) == 1:
		return changed[0], nil
	case !objects:
		return nil, new(clashAt)
	}
	var all []field
	for _, n := range append(changed, base) {
		if n != nil {
			all = append(all, n.fields...)
		}
	}
	slices.SortStableFunc(all, func(f, g field) int { return f.compare(g.name) })
	var fields []field
	for len(all) > 0 {
		name, old := all[0].name, base.field(all[0].name)
		var sides []*node // of those that have the field, and one for all that do not: the work is that of what is there
		for ; len(all) > 0 && all[0].name == name; all = all[1:] {
			sides = append(sides, all[0].node)
		}
		if old != nil {
			sides = sides[:len(sides)-1] // the last is that of base
		}
		if len(sides) < len(changed) {
			sides = append(sides, nil)
		}
		n, err := combine(ctx, old, sides)
		if place := new(clashAt); errors.As(err, &place) {
			place.names = append(place.names, name)
		}
		if err != nil {
			return nil, err
		}
		if n != nil {
			fields = append(fields, field{name, n})
		}
	}
	return newObject(fields), nil
}

// others returns the different ones among nodes that are not base.
func others(base *node, nodes []*node) []*node {
	var out []*node
	var seen map[[sha256.Size]byte]bool // for many
	for _, n := range nodes {
		if n.equal(base) {
			continue
		}
		if n != nil && len(nodes) > 8 {
			if seen[n.sum] {
				continue
			}
			if seen == nil {
				seen = map[[sha256.Size]byte]bool{}
			}
			seen[n.sum] = true
		} else if slices.ContainsFunc(out, n.equal) {
			continue
		}
		out = append(out, n)
	}
	return out
}

// layOut writes the node as the values are written.
func (n *node) layOut(values [][]byte) []byte {
	oneLine := slices.ContainsFunc(values, func(v []byte) bool { return !bytes.Contains(bytes.TrimSpace(v), []byte("\n")) })
	unended := slices.ContainsFunc(values, func(v []byte) bool { return !bytes.HasSuffix(v, []byte("\n")) })
	out := n.append(nil)
	if !oneLine && indentedBytes(out) <= indentedBytesMax {
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

// indentedBytes returns how long JSON without white space becomes at most when it is indented by two spaces for each level.
func indentedBytes(b []byte) int {
	n, depth := len(b), 0
	for p := (parser{string(b)}); len(p.rest) > 0; {
		switch c := p.rest[0]; c {
		case '"':
			p.skip()
			continue
		case '{', '[':
			depth++
			n += 1 + 2*depth
		case '}', ']':
			depth--
			n += 1 + 2*depth
		case ',':
			n += 1 + 2*depth
		case ':':
			n++
		}
		p.next()
	}
	return n
}

func (n *node) append(b []byte) []byte {
	if !n.object {
		return append(b, n.text...)
	}
	b = append(b, '{')
	for i, f := range n.fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = f.node.append(append(appendName(b, f.name), ':'))
	}
	return append(b, '}')
}

// plain reports whether a text stands between quotation marks in JSON as it is.
func plain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' })
}

// readName reads the name of a field from its JSON string.
func readName(quoted string) (name string, err error) {
	if name = quoted[1 : len(quoted)-1]; plain(name) {
		return name, nil
	}
	err = json.Unmarshal([]byte(quoted), &name)
	return name, err
}

// appendName appends the name of a field as a JSON string.
func appendName(b []byte, name string) []byte {
	if plain(name) {
		return append(append(append(b, '"'), name...), '"')
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(name); err != nil {
		panic("merge: a string cannot be encoded: " + err.Error())
	}
	return append(b, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
}
