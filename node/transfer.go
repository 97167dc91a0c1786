package node

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"slices"

	"syncline/crdt"
)

// importBatch is the number of lines that an import writes as one transaction.
const importBatch = 1000

// ImportLine is one entry of an export: a path and all its current values. Values[0] is written last, so that it is the one
// that is shown.
type ImportLine struct {
	// Line is the number of the line in its file, for errors; 0: they are counted.
	Line   int
	Path   string
	Kind   string // "", "multi" or "lww"
	Values []Content
}

// ImportResult counts what an import read and what it changed.
type ImportResult struct{ Lines, Changed int }

// Import applies lines in order; for a repeated path the last one wins. An entry that holds exactly the values of its line is
// left alone, so that importing an export twice changes nothing. Lines are written in transactions of up to a thousand: after an
// error, whose Problem names the line in Index, the lines before it may have been written.
func (s *Space) Import(ctx context.Context, lines iter.Seq2[ImportLine, error]) (ImportResult, error) {
	im := importer{space: s, ctx: ctx, at: map[string]int{}}
	for line, err := range lines {
		im.res.Lines++
		if err == nil {
			err = im.add(line)
		}
		if err != nil {
			if e := im.flush(); e != nil {
				return im.res, e
			}
			return im.res, lineProblem(err, cmp.Or(line.Line, im.res.Lines))
		}
	}
	return im.res, im.flush()
}

func lineProblem(err error, line int) error {
	p := *ProblemOf(err)
	p.Index = cmp.Or(p.Index, line)
	return &p
}

// importer collects the writes of an import.
type importer struct {
	space *Space
	ctx   context.Context
	res   ImportResult
	ops   []WriteOp
	at    map[string]int // path → index in ops
	bytes int
}

func (im *importer) add(line ImportLine) error {
	kind, ok := map[string]crdt.Kind{"": crdt.Multi, "multi": crdt.Multi, "lww": crdt.LWW}[line.Kind]
	if !ok {
		return ErrBadRequest.With("type %q is neither multi nor lww", line.Kind).On(line.Path)
	}
	if err := checkUserPath(line.Path); err != nil {
		return err
	}
	if len(line.Values) == 0 {
		return ErrBadRequest.With("%s has no value", line.Path).On(line.Path)
	}
	if i, again := im.at[line.Path]; again && len(line.Values) == 1 {
		op := WriteOp{Path: line.Path, Content: line.Values[0], Kind: &kind}
		if p := checkOp(&op, crdt.Register{}); p != nil {
			return p
		}
		im.ops[i] = op
		return nil
	} else if again {
		if err := im.flush(); err != nil {
			return err
		}
	}
	reg, err := im.space.store.Get(line.Path)
	if err != nil {
		return storeProblem(err)
	}
	if holds(reg, kind, line.Values) {
		return nil
	}
	if len(line.Values) > 1 {
		return im.addConflict(line, kind)
	}
	op := WriteOp{Path: line.Path, Content: line.Values[0], Kind: &kind}
	if p := checkOp(&op, reg); p != nil {
		return p
	}
	im.at[line.Path] = len(im.ops)
	im.ops = append(im.ops, op)
	im.bytes += len(op.Data) + len(op.Path)
	if len(im.ops) >= importBatch || im.bytes >= TxBytesMax-2*ValueBytesMax {
		return im.flush()
	}
	return nil
}

// addConflict brings back the values of a conflict, one write after the other, the shown one last.
func (im *importer) addConflict(line ImportLine, kind crdt.Kind) error {
	if err := im.flush(); err != nil {
		return err
	}
	for i := len(line.Values) - 1; i >= 0; i-- {
		op := WriteOp{Path: line.Path, Content: line.Values[i], Kind: &kind, Sibling: true}
		if i == len(line.Values)-1 {
			op.Sibling, op.All = false, true
		}
		if _, err := im.space.write(im.ctx, Write{Ops: []WriteOp{op}}); err != nil {
			return err
		}
	}
	im.res.Changed++
	return nil
}

func (im *importer) flush() error {
	if len(im.ops) == 0 {
		return nil
	}
	ops := im.ops
	im.ops, im.bytes = nil, 0
	clear(im.at)
	if _, err := im.space.write(im.ctx, Write{Ops: ops}); err != nil {
		return err
	}
	im.res.Changed += len(ops)
	return nil
}

// holds reports whether the different contents of a register are exactly the given ones.
func holds(reg crdt.Register, kind crdt.Kind, values []Content) bool {
	if len(reg.Live) == 0 || reg.Kind() != kind {
		return false
	}
	var have []Content
	for _, v := range reg.Newest() {
		have = append(have, Content{Data: v.Data, Type: v.Type})
	}
	return slices.EqualFunc(canonical(have), canonical(values), func(a, b Content) bool { return compareContent(a, b) == 0 })
}

// canonical returns the different contents in the order of type and bytes.
func canonical(values []Content) []Content {
	sorted := slices.SortedFunc(slices.Values(values), compareContent)
	return slices.CompactFunc(sorted, func(a, b Content) bool { return compareContent(a, b) == 0 })
}

func compareContent(a, b Content) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), bytes.Compare(a.Data, b.Data))
}
