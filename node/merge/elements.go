package merge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Elements returns the elements of a JSON array, each in one spelling: without white space, the fields of objects sorted by name, strings
// without needless escapes, numbers as they were written. Elements that differ never have the same spelling. It refuses what is no array,
// bytes that are not UTF-8, and objects with two fields of one name. It takes time in proportion to the length.
func Elements(array []byte) ([]string, error) {
	if !utf8.Valid(array) {
		return nil, errors.New("it is not UTF-8")
	}
	var text bytes.Buffer
	if err := json.Compact(&text, array); err != nil {
		return nil, err
	}
	p := parser{text.String()}
	if p.rest[0] != '[' {
		return nil, errors.New("it is not an array")
	}
	var all []string
	for p.next(); p.rest[0] != ']'; {
		if p.rest[0] == ',' {
			p.next()
		}
		e, err := p.element()
		if err != nil {
			return nil, err
		}
		all = append(all, e.String())
	}
	return all, nil
}

// An element is a JSON value, apart so far that it can be spelled.
type element struct {
	name string // the spelling of its name and a colon, if it is a field of an object
	// text is the spelling of a value without parts, and the brackets of one that may have some.
	text  string
	parts []element
}

// element passes over a value and returns it.
func (p *parser) element() (e element, err error) {
	if p.rest[0] == '"' {
		return element{text: spell(p.skip())}, nil
	}
	if p.rest[0] != '{' && p.rest[0] != '[' {
		return element{text: p.skip()}, nil
	}
	if e.text = "[]"; p.rest[0] == '{' {
		e.text = "{}"
	}
	for p.next(); p.rest[0] != e.text[1]; {
		if p.rest[0] == ',' {
			p.next()
		}
		name := ""
		if e.text == "{}" {
			name = spell(p.skip()) + ":"
			p.next() // the colon
		}
		part, err := p.element()
		if err != nil {
			return e, err
		}
		part.name = name
		e.parts = append(e.parts, part)
	}
	p.next()
	return e, e.sortFields()
}

// sortFields puts the fields of an object into their order.
func (e *element) sortFields() error {
	if e.text != "{}" {
		return nil
	}
	slices.SortFunc(e.parts, func(f, g element) int { return strings.Compare(f.name, g.name) })
	for i := 1; i < len(e.parts); i++ {
		if e.parts[i].name == e.parts[i-1].name {
			return fmt.Errorf("it has two fields %s", short(strings.TrimSuffix(e.parts[i].name, ":")))
		}
	}
	return nil
}

// String returns the spelling of the value, without its name.
func (e *element) String() string {
	if len(e.parts) == 0 {
		return e.text
	}
	return string(e.append(nil))
}

func (e *element) append(b []byte) []byte {
	if len(e.parts) == 0 {
		return append(b, e.text...)
	}
	b = append(b, e.text[0])
	for i := range e.parts {
		if i > 0 {
			b = append(b, ',')
		}
		b = e.parts[i].append(append(b, e.parts[i].name...))
	}
	return append(b, e.text[1])
}

// spell returns the spelling of a JSON string. Half a character is no text and stays as it was written: others could read the same.
func spell(quoted string) string {
	if plain(quoted[1 : len(quoted)-1]) {
		return quoted
	}
	s, err := readName(quoted)
	if err != nil || strings.ContainsRune(s, utf8.RuneError) {
		return quoted
	}
	return string(appendName(nil, s))
}
