package scenario

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// places says where the keys of a TOML document stand, which the parser does not tell: the path of a key, as "network.loss" or
// "at[2].for", to byte offsets.
type places map[string]place

// A place is where a key stands, and where its value does.
type place struct{ key, value int }

// placesOf scans a document that has been parsed without errors. What it cannot follow, such as keys of inline tables, has the place
// of what is around it.
func placesOf(text string) places {
	x := &placer{text: text, places: places{}, count: map[string]int{}}
	for x.blank(); x.at < len(x.text); x.blank() {
		x.line()
	}
	return x.places
}

// find returns the place of a key, or of the nearest table around it that has one.
func (p places) find(path string) place {
	for path != "" {
		for _, name := range []string{path, path + "[0]"} { // of a list of tables, the first
			if at, ok := p[name]; ok {
				return at
			}
		}
		i := strings.LastIndexAny(path, ".[")
		path = path[:max(i, 0)]
	}
	return place{}
}

// keyOf returns where a key itself stands, or the value that it stands in.
func (p places) keyOf(path string) int {
	if at, ok := p[path]; ok {
		return at.key
	}
	return p.find(path).value
}

type placer struct {
	text   string
	at     int
	table  string // the path of the table that is open
	count  map[string]int
	places places
}

// blank goes past space and comments.
func (x *placer) blank() {
	for x.at < len(x.text) {
		switch x.text[x.at] {
		case ' ', '\t', '\r', '\n':
			x.at++
		case '#':
			x.toLineEnd()
		default:
			return
		}
	}
}

func (x *placer) toLineEnd() {
	if n := strings.IndexByte(x.text[x.at:], '\n'); n >= 0 {
		x.at += n
	} else {
		x.at = len(x.text)
	}
}

// line takes a header or a key with its value.
func (x *placer) line() {
	from := x.at
	if x.text[x.at] != '[' {
		key := x.key("=\n")
		x.at = min(x.at+1, len(x.text))
		x.at += len(x.text[x.at:]) - len(strings.TrimLeft(x.text[x.at:], " \t"))
		if x.table != "" {
			key = x.table + "." + key
		}
		x.put(key, place{from, x.at})
		x.value()
		return
	}
	double := strings.HasPrefix(x.text[x.at:], "[[")
	x.at++
	if double {
		x.at++
	}
	x.table = x.key("]\n")
	if double {
		n := x.count[x.table]
		x.count[x.table]++
		x.table = fmt.Sprintf("%s[%d]", x.table, n)
	}
	x.put(x.table, place{from, from})
	x.toLineEnd()
}

// put notes a place, also as that of the tables around it that have none yet: "a.b" begins a table a.
func (x *placer) put(path string, at place) {
	x.places[path] = at
	for i := strings.LastIndexByte(path, '.'); i > 0; i = strings.LastIndexByte(path[:i], '.') {
		if around := x.places.find(path[:i]); around != (place{}) {
			return
		}
		x.places[path[:i]] = place{at.key, at.key}
	}
}

// key reads a key up to one of the bytes in stop, without its quotes and the space in it.
func (x *placer) key(stop string) string {
	var key strings.Builder
	for x.at < len(x.text) && !strings.ContainsRune(stop, rune(x.text[x.at])) {
		switch c := x.text[x.at]; c {
		case '"', '\'':
			from := x.at + 1
			x.quoted()
			key.WriteString(x.text[from:max(from, x.at-1)])
			continue
		case ' ', '\t':
		default:
			key.WriteByte(c)
		}
		x.at++
	}
	return key.String()
}

// value goes past a value: to the end of its line, or further where brackets or quotes go on.
func (x *placer) value() {
	for depth := 0; x.at < len(x.text); {
		switch x.text[x.at] {
		case '"', '\'':
			x.quoted()
			continue
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case '#':
			x.toLineEnd()
			continue
		case '\n':
			if depth <= 0 {
				return
			}
		}
		x.at++
	}
}

// quoted goes past a string of any of the four forms.
func (x *placer) quoted() {
	mark := x.text[x.at : x.at+1]
	if long := strings.Repeat(mark, 3); strings.HasPrefix(x.text[x.at:], long) {
		mark = long
	}
	for x.at += len(mark); x.at < len(x.text); x.at++ {
		switch rest := x.text[x.at:]; {
		case rest[0] == '\\' && mark[0] == '"':
			x.at++
		case strings.HasPrefix(rest, mark):
			x.at += len(mark)
			for len(mark) == 3 && x.at < len(x.text) && x.text[x.at] == mark[0] { // a quotation mark may stand before the end
				x.at++
			}
			return
		}
	}
	x.at = min(x.at, len(x.text))
}

// position turns a byte offset into a line and a column.
func position(text string, offset int) (line, column int) {
	before := text[:max(0, min(offset, len(text)))]
	start := strings.LastIndexByte(before, '\n') + 1
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[start:]) + 1
}
