package scenario

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A SyntaxError is one mistake in a scenario file.
type SyntaxError struct {
	// File is the name that [Parse] was given.
	File string
	// Line and Column say where it is; both count from 1, columns in characters.
	Line, Column int
	// Text says what was found, Hint what was meant or what to do; Hint may be empty.
	Text, Hint string
}

// Error tells it in one line.
func (e *SyntaxError) Error() string {
	text := fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Text)
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

// SyntaxErrors are all mistakes of a file, in the order of their lines; there is at least one.
type SyntaxErrors []*SyntaxError

// Error tells each in a line.
func (es SyntaxErrors) Error() string {
	var lines []string
	for _, e := range es {
		lines = append(lines, e.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the mistakes one by one.
func (es SyntaxErrors) Unwrap() []error {
	var out []error
	for _, e := range es {
		out = append(out, e)
	}
	return out
}

func (es SyntaxErrors) sort() {
	slices.SortStableFunc(es, func(a, b *SyntaxError) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// listMax bounds a list of names in a hint, slipsMax the slips of a finger that a guess forgives.
const (
	listMax  = 24
	slipsMax = 2
)

// meant guesses which of the known names was meant, and lists them if none is near.
func meant(found string, known []string) string {
	if guess := nearest(found, known); guess != "" {
		return guess
	}
	list := strings.Join(known[:min(len(known), listMax)], ", ")
	if more := len(known) - listMax; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return "known: " + list
}

// nearest guesses which of the known names was meant, or says nothing if none is near: a wrong guess is worse than none.
func nearest(found string, known []string) string {
	best, at := min(len(found)/3+1, slipsMax), ""
	for _, k := range known {
		if d := distance(strings.ToLower(found), strings.ToLower(k)); len(found) <= deviceNameMax && d <= best && (at == "" || d < best) {
			best, at = d, k
		}
	}
	if at == "" || at == found {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", at)
}

// distance is the number of characters to insert, delete, replace or swap with the next that turns a into b.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	rows := [3][]int{}
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
	}
	before, above, row := rows[0], rows[1], rows[2]
	for j := range row {
		row[j] = j
	}
	for i := range x {
		before, above, row = above, row, before
		row[0] = i + 1
		for j := range y {
			same := 1
			if x[i] == y[j] {
				same = 0
			}
			row[j+1] = min(above[j+1]+1, row[j]+1, above[j]+same)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(y)]
}
