package api

import (
	"bufio"
	"net/http"
	"net/url"
	"strconv"

	"syncline/node"
	"syncline/node/api/wire"
)

// A list writes documents as they come, so that its length costs no memory: as the elements of one document, or as lines.
// Nothing is sent before the buffer fills or the list ends, so an early error can still be answered properly.
type list struct {
	w     *bufio.Writer
	lines bool
	n     int
	err   error
	head  http.Header
	lost  int // entries that are left out because they cannot be read
	// incomplete says that the device still receives what others have.
	incomplete bool
}

// listBufferBytes is how much of a list is collected before it is sent.
const listBufferBytes = 64 << 10

func newList(w http.ResponseWriter, lines bool, schema, name string) *list {
	l := &list{w: bufio.NewWriterSize(w, listBufferBytes), lines: lines, head: w.Header()}
	if lines {
		w.Header().Set("Content-Type", ndjson)
		return l
	}
	w.Header().Set("Content-Type", "application/json")
	l.print(`{"schema":"` + schema + `","` + name + `":[`)
	return l
}

// filling marks a list to which more belongs than is here.
func (l *list) filling(f node.Filling) {
	if f.Ranges > 0 {
		l.incomplete = true
		l.head.Set(wire.HeaderFilling, url.QueryEscape(f.From))
	}
}

// add writes one document.
func (l *list) add(doc any) error {
	b, err := wire.Encode(doc)
	if err != nil {
		return err
	}
	if l.n++; l.n > 1 && !l.lines {
		l.print(",")
	}
	l.print(string(b))
	if l.lines {
		l.print("\n")
	}
	return l.err
}

// lose takes an error of the iteration. If it is about one entry alone, or what cannot be named, that is left out, the trailer
// says so, and lose returns nil.
func (l *list) lose(err error) error {
	p := node.ProblemOf(err)
	if (p.Code != node.ErrStore.Code || p.Path == "") && p.Code != node.ErrFileDamaged.Code {
		return err
	}
	if l.lost++; l.lost == 1 && p.Path != "" { // a trailer has little room
		l.head.Set(http.TrailerPrefix+wire.TrailerDamagedPath, url.QueryEscape(p.Path))
	}
	l.head.Set(http.TrailerPrefix+wire.TrailerDamaged, strconv.Itoa(l.lost))
	return nil
}

// end closes the list. A next that is not empty says where it goes on.
func (l *list) end(next string) error {
	if !l.lines {
		l.print("]")
		if next != "" {
			b, _ := wire.Encode(next)
			l.print(`,"next":` + string(b))
		}
		if l.incomplete {
			l.print(`,"incomplete":true`)
		}
		l.print("}\n")
	}
	if err := l.w.Flush(); err != nil && l.err == nil {
		l.err = err
	}
	return l.err
}

func (l *list) print(s string) {
	if l.err == nil {
		_, l.err = l.w.WriteString(s)
	}
}
