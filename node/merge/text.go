package merge

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/aymanbagabas/go-udiff"
)

// A Chunk is a part of a merged text.
type Chunk struct {
	// Text is what the part comes to, if Sides is nil. Every line ends with a line feed.
	Text string
	// Sides holds what each value makes of the part, if they made different things of it, and Base what it was.
	Sides []string
	Base  string
	// Line is the number of its first line in the base, from 1, and Lines the number of its lines there, 0 for an insertion before Line.
	Line, Lines int
}

// Text merges values that were made from base, line by line. Lines that were changed in two ways, and different lines that were put
// in one place, are an error that names the lines of the base. Changes of neighbouring lines are none.
func Text(base string, values []string) (string, error) {
	var out strings.Builder
	for _, c := range Chunks(base, values) {
		if c.Sides != nil {
			return "", clash(c)
		}
		out.WriteString(c.Text)
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

func clash(c Chunk) error {
	switch {
	case c.Lines == 0:
		return fmt.Errorf("different lines were added before line %d of the value that they were made from", c.Line)
	case c.Lines == 1:
		return fmt.Errorf("line %d of the value that they were made from was changed in different ways", c.Line)
	}
	return fmt.Errorf("lines %d to %d of the value that they were made from were changed in different ways", c.Line, c.Line+c.Lines-1)
}

// An edit replaces the lines from start on and before end of the base; new holds whole lines.
type edit struct {
	value      int
	start, end int
	new        string
}

// repeats reports whether e follows f at once and one of them inserts lines with which the other begins or ends: both may have meant
// the same ones.
func (e edit) repeats(f edit) bool {
	has := func(text, lines string) bool {
		return strings.HasPrefix(text, lines) || strings.HasSuffix("\n"+text, "\n"+lines)
	}
	return f.end == e.start && f.value != e.value && (e.start == e.end && has(f.new, e.new) || f.start == f.end && has(e.new, f.new))
}

// Chunks takes a merge of values that were made from base apart: into parts on which they agree and parts on which they do not, in their
// order. Their texts together are one line feed longer than the merged value: the last line of a value counts as a line like the
// others, and one that is empty stands for a line feed at the end.
func Chunks(base string, values []string) []Chunk {
	base += "\n"
	lines := slices.Collect(strings.Lines(base))
	starts := map[int]int{} // of lines, by their offsets
	at := 0
	for i, line := range lines {
		starts[at] = i
		at += len(line)
	}
	starts[at] = len(lines)
	var edits []edit
	for i, v := range values {
		for _, e := range udiff.Lines(base, v+"\n") {
			edits = append(edits, edit{i, starts[e.Start], starts[e.End], e.New})
		}
	}
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end)) })
	var out []Chunk
	done := 0
	for len(edits) > 0 {
		lo, hi, n := edits[0].start, edits[0].end, 1
		for n < len(edits) && (edits[n].start < hi || hi == lo && edits[n].end == lo || slices.ContainsFunc(edits[:n], edits[n].repeats)) {
			hi = max(hi, edits[n].end)
			n++
		}
		if lo > done {
			out = append(out, Chunk{Text: strings.Join(lines[done:lo], ""), Line: done + 1, Lines: lo - done})
		}
		out = append(out, chunk(lines, lo, hi, edits[:n], len(values)))
		done, edits = hi, edits[n:]
	}
	if done < len(lines) {
		out = append(out, Chunk{Text: strings.Join(lines[done:], ""), Line: done + 1, Lines: len(lines) - done})
	}
	return out
}

// chunk returns what becomes of the lines from lo on and before hi, which edits are about.
func chunk(lines []string, lo, hi int, edits []edit, values int) Chunk {
	c := Chunk{Base: strings.Join(lines[lo:hi], ""), Line: lo + 1, Lines: hi - lo}
	var changed []string
	for v := range values {
		var side strings.Builder
		at := lo
		for _, e := range edits {
			if e.value == v {
				side.WriteString(strings.Join(lines[at:e.start], "") + e.new)
				at = e.end
			}
		}
		side.WriteString(strings.Join(lines[at:hi], ""))
		if c.Sides = append(c.Sides, side.String()); side.String() != c.Base && !slices.Contains(changed, side.String()) {
			changed = append(changed, side.String())
		}
	}
	if len(changed) == 1 {
		c.Text, c.Sides = changed[0], nil
	}
	return c
}
