package merge

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
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
// in one place, are an error that names the lines of the base. Changes of neighbouring lines are none. It ends with the error of ctx
// soon after ctx does: between two values.
func Text(ctx context.Context, base string, values []string) (string, error) {
	chunks, err := Chunks(ctx, base, values)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, c := range chunks {
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

// repeats reports whether e, which follows f at once, or f inserts lines with which the other begins or ends: both may have meant
// the same ones.
func (e edit) repeats(f edit) bool {
	return f.value != e.value && (e.start == e.end && bounds(f.new, e.new) || f.start == f.end && bounds(e.new, f.new))
}

// bounds reports whether a text begins or ends with lines.
func bounds(text, lines string) bool {
	before := len(text) - len(lines)
	return strings.HasPrefix(text, lines) || strings.HasSuffix(text, lines) && (before == 0 || text[before-1] == '\n')
}

// Chunks takes a merge of values that were made from base apart: into parts on which they agree and parts on which they do not, in their
// order. Their texts together are one line feed longer than the merged value: the last line of a value counts as a line like the
// others, and one that is empty stands for a line feed at the end.
//
// The only error is that of ctx.
func Chunks(ctx context.Context, base string, values []string) ([]Chunk, error) {
	lines := slices.Collect(strings.Lines(base + "\n"))
	edits, err := editsOf(ctx, lines, values)
	if err != nil {
		return nil, err
	}
	var out []Chunk
	done := 0
	for len(edits) > 0 {
		n, hi := overlapping(edits)
		lo := edits[0].start
		if lo > done {
			out = append(out, Chunk{Text: strings.Join(lines[done:lo], ""), Line: done + 1, Lines: lo - done})
		}
		out = append(out, chunk(lines, lo, hi, edits[:n], len(values)))
		done, edits = hi, edits[n:]
	}
	if done < len(lines) {
		out = append(out, Chunk{Text: strings.Join(lines[done:], ""), Line: done + 1, Lines: len(lines) - done})
	}
	return out, nil
}

// editsOf returns what each value changed of the base, in the order of places there.
func editsOf(ctx context.Context, base []string, values []string) ([]edit, error) {
	numbers := numbering{}
	from := numbers.of(base)
	var edits []edit
	for i, v := range values {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		lines := slices.Collect(strings.Lines(v + "\n"))
		for _, d := range diff(from, numbers.of(lines)) {
			edits = append(edits, edit{i, d.Start, d.End, strings.Join(lines[d.ReplStart:d.ReplEnd], "")})
		}
	}
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end)) })
	return edits, ctx.Err()
}

// overlapping returns how many of the first edits belong together, and where they end.
func overlapping(edits []edit) (n, end int) {
	lo, hi := edits[0].start, edits[0].end
	last := []edit{edits[0]} // those that end at hi, one for each value at most
	for n = 1; n < len(edits); n++ {
		e := edits[n]
		if overlaps := e.start < hi || hi == lo && e.end == lo; !overlaps && (e.start > hi || !slices.ContainsFunc(last, e.repeats)) {
			break
		}
		if e.end > hi {
			hi, last = e.end, nil
		}
		if e.end == hi {
			last = append(last, e)
		}
	}
	return n, hi
}

// chunk returns what becomes of the lines from lo on and before hi, which edits are about.
func chunk(lines []string, lo, hi int, edits []edit, values int) Chunk {
	c := Chunk{Base: strings.Join(lines[lo:hi], ""), Line: lo + 1, Lines: hi - lo}
	sides, at := make([]strings.Builder, values), slices.Repeat([]int{lo}, values) // how far each side is written
	for _, e := range edits {
		sides[e.value].WriteString(strings.Join(lines[at[e.value]:e.start], "") + e.new)
		at[e.value] = e.end
	}
	var changed []string
	for v := range sides {
		sides[v].WriteString(strings.Join(lines[at[v]:hi], ""))
		side := sides[v].String()
		if c.Sides = append(c.Sides, side); side != c.Base && !slices.Contains(changed, side) {
			changed = append(changed, side)
		}
	}
	if len(changed) == 1 {
		c.Text, c.Sides = changed[0], nil
	}
	return c
}
