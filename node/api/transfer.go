package api

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
	"net/http"
	"sort"

	"syncline/node"
	"syncline/node/api/wire"
)

// lineBytesMax bounds one line of an import: some values of the largest size, in the wordiest form.
const lineBytesMax = 32 << 20

// export streams entries as lines that import takes. It refuses to leave out what is not here yet, unless ?partial=1 asks for that.
func (s *Server) export(w http.ResponseWriter, r *http.Request) error {
	prefix, err := cleanPrefix(r.URL.Query().Get("prefix"))
	if err != nil {
		return err
	}
	sp, err := s.space(r)
	if err != nil {
		return err
	}
	partial, err := flag(r, "partial")
	if err != nil {
		return err
	}
	out := newList(w, true, "", "")
	filling := sp.Filling(prefix)
	if err := filling.Err(); err != nil && !partial {
		return err
	}
	out.filling(filling)
	for e, err := range sp.List(r.Context(), prefix, node.ListOptions{}) {
		if err != nil {
			if err := out.lose(err); err != nil {
				return err
			}
			s.log.Warn("an entry is damaged and was left out", "path", e.Path, "err", err)
			continue
		}
		if err := out.add(wire.LineOf(e)); err != nil {
			return err
		}
	}
	return out.end("")
}

// importLines stores the lines of the body. It answers as soon as a line is wrong and then reads on to the end, so that a client
// that is still sending gets to see the answer.
func (s *Server) importLines(w http.ResponseWriter, r *http.Request) error {
	sp, err := s.space(r)
	if err != nil {
		return err
	}
	duplex := http.NewResponseController(w)
	if err := duplex.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	var numbers lineNumbers
	res, err := sp.Import(r.Context(), readLines(r.Body, &numbers))
	if err != nil {
		s.fail(w, r, numbers.name(err))
		duplex.Flush()
		io.Copy(io.Discard, r.Body)
		return nil
	}
	return answer(w, http.StatusOK, wire.Imported{Schema: wire.SchemaImport, Lines: res.Lines, Changed: res.Changed})
}

// readLines yields the lines of an import; empty ones are passed over. The first error ends it.
func readLines(body io.Reader, numbers *lineNumbers) iter.Seq2[node.ImportLine, error] {
	return func(yield func(node.ImportLine, error) bool) {
		lines := bufio.NewScanner(body)
		lines.Buffer(make([]byte, 0, 64<<10), lineBytesMax)
		n := 0
		for lines.Scan() {
			n++
			if len(bytes.TrimSpace(lines.Bytes())) == 0 {
				continue
			}
			numbers.add(n)
			line, err := parseLine(lines.Bytes())
			if !yield(line, err) || err != nil {
				return
			}
		}
		if err := lines.Err(); err != nil {
			numbers.add(n + 1)
			p := node.ErrBadRequest.With("The body ended early: %v", err)
			if errors.Is(err, bufio.ErrTooLong) {
				p = tooLarge("The line", lineBytesMax)
			}
			yield(node.ImportLine{}, p)
		}
	}
}

// lineNumbers remembers where the lines that count stand in a file that also has empty ones. Only the gaps take memory.
type lineNumbers struct {
	n    int // lines that count
	gaps []gap
}

// A gap says that from the nth counting line on, so many empty ones came before.
type gap struct{ n, empty int }

// add notes that the next counting line stands at the given place.
func (l *lineNumbers) add(place int) {
	l.n++
	if empty := place - l.n; empty > 0 && (len(l.gaps) == 0 || l.gaps[len(l.gaps)-1].empty != empty) {
		l.gaps = append(l.gaps, gap{l.n, empty})
	}
}

// place returns where the nth counting line stands.
func (l *lineNumbers) place(n int) int {
	i := sort.Search(len(l.gaps), func(i int) bool { return l.gaps[i].n > n })
	if i == 0 {
		return n
	}
	return n + l.gaps[i-1].empty
}

// name makes the problem of an import name the line where it stands, if it is the fault of a line.
func (l *lineNumbers) name(err error) error {
	p := *node.ProblemOf(err)
	if p.Index == 0 {
		return err
	}
	p.Index = l.place(p.Index)
	p.Detail = "Line " + grouped(p.Index) + ": " + p.Detail
	if p.Status < 500 {
		p.Hint = "Correct that line and import the whole file again; lines that are stored already change nothing."
	}
	return &p
}

// parseLine reads a line and checks what can be checked without the store.
func parseLine(b []byte) (node.ImportLine, error) {
	line, err := wire.ParseLine(b)
	if err != nil {
		return line, node.ErrBadRequest.With("%v", err)
	}
	path, err := cleanPath(line.Path)
	if err != nil {
		return line, node.ProblemOf(err).On(line.Path)
	}
	line.Path = path
	for _, v := range line.Values {
		if len(v.Data) > node.ValueBytesMax {
			return line, tooLarge("The value of "+path, node.ValueBytesMax).On(path)
		}
	}
	return line, nil
}
