package node

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"

	"syncline/crdt"
)

// importBatch is the number of lines that an import writes as one transaction.
const importBatch = 1000

// importTries is how often an import begins a line of several values anew because its entry changed meanwhile.
const importTries = 8

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

// Import applies lines in order; for a repeated path the last one wins. A line of several values replaces all that its entry
// holds; one of a single value replaces the shown value. An entry that holds exactly the values of its line, or shows the only
// one, is left alone, so that importing an export twice changes nothing. Lines are written in transactions of up to a thousand: after an
// error, whose Problem names the line in Index, the lines before it may have been written.
func (s *Space) Import(ctx context.Context, lines iter.Seq2[ImportLine, error]) (ImportResult, error) {
	if err := s.ended(); err != nil {
		return ImportResult{}, err
	}
	im := importer{space: s, ctx: ctx, at: map[string]int{}}
	for line, err := range lines {
		im.res.Lines++
		if err == nil {
			err = im.add(line)
		} else if p := (*Problem)(nil); !errors.As(err, &p) {
			err = ErrBadRequest.Because(err) // of who gives the lines, and no fault of ours
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

// lineProblem names the line of a Problem. Any other error, as the end of a context, is no fault of a line.
func lineProblem(err error, line int) error {
	var p *Problem
	if !errors.As(err, &p) {
		return err
	}
	q := *p
	q.Index = cmp.Or(q.Index, line)
	return &q
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
	values := different(line.Values)
	for _, v := range values { // all of them, before the first is written
		op := WriteOp{Path: line.Path, Content: v}
		if p := checkOp(&op, crdt.Register{}, new(ruleBook)); p != nil {
			return p
		}
	}
	im.drop(line.Path)
	if len(values) > 1 {
		return im.addConflict(line.Path, kind, values)
	}
	reg, err := im.space.store.Get(line.Path)
	if err != nil {
		return im.space.problem(err)
	}
	if shown, ok := im.space.shown(line.Path, reg); ok && reg.Kind() == kind && compareContent(Content{Data: shown.Data, Type: shown.Type}, values[0]) == 0 {
		return nil
	}
	op := WriteOp{Path: line.Path, Content: values[0], Kind: &kind}
	im.at[line.Path] = len(im.ops)
	im.ops = append(im.ops, op)
	im.bytes += len(op.Data) + len(op.Path)
	if len(im.ops) >= importBatch || im.bytes >= TxBytesMax-2*ValueBytesMax {
		return im.flush()
	}
	return nil
}

// drop takes the write of path, which a later line replaces, out of the batch.
func (im *importer) drop(path string) {
	i, ok := im.at[path]
	if !ok {
		return
	}
	delete(im.at, path)
	im.bytes -= len(im.ops[i].Data) + len(path)
	last := len(im.ops) - 1
	if i != last {
		im.ops[i] = im.ops[last]
		im.at[im.ops[i].Path] = i
	}
	im.ops = im.ops[:last]
}

// addConflict brings back the values of a conflict, one write after the other, the shown one last. The first replaces exactly
// what was compared with the line; the others stand beside whatever is there then.
func (im *importer) addConflict(path string, kind crdt.Kind, values []Content) error {
	if err := im.flush(); err != nil {
		return err
	}
	last := len(values) - 1
	replaced, err := im.replace(path, kind, values)
	if err != nil || !replaced {
		return err
	}
	im.res.Changed++
	for _, v := range slices.Backward(values[:last]) {
		op := WriteOp{Path: path, Content: v, Kind: &kind, Sibling: true}
		if _, err := im.space.write(im.ctx, Write{Ops: []WriteOp{op}}); err != nil {
			return err
		}
	}
	return nil
}

// replace writes the last of values in the place of all that path holds, unless that is what it holds already: it then reports
// false. If the entry changes in between, it is compared anew.
func (im *importer) replace(path string, kind crdt.Kind, values []Content) (bool, error) {
	for try := 1; ; try++ {
		reg, err := im.space.store.Get(path)
		if err != nil {
			return false, im.space.problem(err)
		}
		if holds(reg, kind, values) {
			return false, nil
		}
		op := WriteOp{Path: path, Content: values[len(values)-1], Kind: &kind, IfVersion: im.space.rules.Load().version(path, reg), IfAbsent: len(reg.Live) == 0}
		_, err = im.space.write(im.ctx, Write{Ops: []WriteOp{op}})
		if changed := errors.Is(err, ErrVersionMismatch) || errors.Is(err, ErrExists); changed && try < importTries {
			continue
		}
		return err == nil, err
	}
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

// different returns values without those that equal an earlier one, in their order.
func different(values []Content) []Content {
	var out []Content
	for _, v := range values {
		if !slices.ContainsFunc(out, func(w Content) bool { return compareContent(v, w) == 0 }) {
			out = append(out, v)
		}
	}
	return out
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
