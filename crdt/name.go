package crdt

import (
	"cmp"
	"iter"
	"strings"
)

// A Name identifies one entry of one operation. A dot alone does not: a transaction writes several paths under one dot, and each
// of them lives and dies on its own.
type Name struct {
	Dot  Dot
	Path string
}

// Compare orders names by replica, counter, path.
func (n Name) Compare(m Name) int {
	return cmp.Or(n.Dot.Compare(m.Dot), strings.Compare(n.Path, m.Path))
}

// A NameSeq yields names; after an error it ends.
type NameSeq = iter.Seq2[Name, error]
