package main

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// A cell is one field of a table: text for people, and what a pipe gets; empty machine means the same text.
type cell struct {
	text    string
	machine string
	color   string
}

// A table prints rows in aligned columns under a header on a terminal; in a pipe it is tab-separated, without header or colour.
type table struct {
	out    *printer
	header []string
	rows   [][]cell
	bare   bool
}

func (o *printer) table(header ...string) *table { return &table{out: o, header: header} }

func (t *table) add(row ...cell) { t.rows = append(t.rows, row) }

// text returns a cell that is the same for people and pipes.
func text(s string) cell { return cell{text: visible(s)} }

// both returns a cell that people and pipes see differently.
func both(human, machine string) cell { return cell{text: visible(human), machine: visible(machine)} }

func (t *table) print() {
	if t.out.json {
		return
	}
	if !t.out.tty {
		t.printTabs()
		return
	}
	if len(t.rows) == 0 {
		return
	}
	widths := t.widths()
	if !t.bare {
		var head []cell
		for _, h := range t.header {
			head = append(head, cell{text: h, color: dim})
		}
		t.printRow(head, widths)
	}
	for _, row := range t.rows {
		t.printRow(row, widths)
	}
}

func (t *table) printTabs() {
	for _, row := range t.rows {
		for i, c := range row {
			if i > 0 {
				t.out.print("\t")
			}
			if c.machine != "" {
				t.out.print("%s", c.machine)
			} else {
				t.out.print("%s", c.text)
			}
		}
		t.out.print("\n")
	}
}

func (t *table) widths() []int {
	w := make([]int, len(t.header))
	for i, h := range t.header {
		w[i] = columns(h)
	}
	for _, row := range t.rows {
		for i, c := range row[:min(len(row), len(w))] {
			w[i] = max(w[i], columns(c.text))
		}
	}
	return w
}

// printRow pads first and colours after, so that colour does not count as width.
func (t *table) printRow(row []cell, widths []int) {
	var line strings.Builder
	for i, c := range row[:min(len(row), len(widths))] {
		line.WriteString(paint(t.out.color, c.color, c.text))
		if i < len(widths)-1 {
			line.WriteString(strings.Repeat(" ", widths[i]-columns(c.text)+3))
		}
	}
	t.out.print("%s\n", strings.TrimRight(line.String(), " "))
}

// columns counts the columns that s takes on a terminal.
func columns(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r):
		case width.LookupRune(r).Kind() == width.EastAsianWide || width.LookupRune(r).Kind() == width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}

// headless leaves out the header.
func (t *table) headless() *table {
	t.bare = true
	return t
}
