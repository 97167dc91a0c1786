package merge

import (
	"cmp"
	"slices"

	"github.com/aymanbagabas/go-udiff/lcs"
)

// A numbering gives each line a number, equal ones the same, so that comparing lines costs the same however long they are.
type numbering map[string]rune

func (n numbering) of(lines []string) []rune {
	out := make([]rune, len(lines))
	for i, line := range lines {
		id, known := n[line]
		if !known {
			id = rune(len(n))
			n[line] = id
		}
		out[i] = id
	}
	return out
}

// diff returns which lines to replace by which to make b of a. It looks first at the lines that occur once in each of the two, as
// patience diff by Bram Cohen does, and between two of them for the shortest way, up to a bound: beyond that it replaces more than it must.
// So however much was changed, it takes n log n steps at most for that order and a few hundred times n for the rest.
func diff(a, b []rune) []lcs.Diff {
	var out []lcs.Diff
	i, j := 0, 0
	equal := func() {
		for i < len(a) && j < len(b) && a[i] == b[j] {
			i, j = i+1, j+1
		}
	}
	equal()
	for _, p := range append(anchors(a[i:], b[j:], i, j), pair{len(a), len(b)}) {
		if p.a < i || p.b < j {
			continue
		}
		for _, d := range lcs.DiffRunes(a[i:p.a], b[j:p.b]) {
			out = append(out, lcs.Diff{Start: i + d.Start, End: i + d.End, ReplStart: j + d.ReplStart, ReplEnd: j + d.ReplEnd})
		}
		i, j = p.a, p.b
		equal()
	}
	return out
}

// A pair is where one line stands in two texts.
type pair struct{ a, b int }

// anchors returns the longest sequence of lines that occur once in each of a and b and stand in the same order there, with their places,
// of which the first are at i and j.
func anchors(a, b []rune, i, j int) []pair {
	inA, inB := once(a), once(b)
	// Patience sorting: tops[n] ends the sequence of n+1 pairs that ends earliest in b, and each pair points back to the one before it.
	type card struct {
		pair
		before *card
	}
	var tops []*card
	for x, line := range a {
		y, ok := inB[line]
		if !ok || y < 0 || inA[line] != x {
			continue
		}
		c := &card{pair: pair{i + x, j + y}}
		n, _ := slices.BinarySearchFunc(tops, c.b, func(top *card, b int) int { return cmp.Compare(top.b, b) })
		if n > 0 {
			c.before = tops[n-1]
		}
		if n == len(tops) {
			tops = append(tops, c)
		} else {
			tops[n] = c
		}
	}
	if len(tops) == 0 {
		return nil
	}
	var out []pair
	for c := tops[len(tops)-1]; c != nil; c = c.before {
		out = append(out, c.pair)
	}
	slices.Reverse(out)
	return out
}

// once returns where each line stands that occurs once, and less than 0 for the others.
func once(lines []rune) map[rune]int {
	at := map[rune]int{}
	for i, line := range lines {
		if _, again := at[line]; again {
			i = -1
		}
		at[line] = i
	}
	return at
}
