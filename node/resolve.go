package node

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"syncline/crdt"
)

// Resolved is what a resolution led to.
type Resolved struct {
	// Entry is the entry afterwards.
	Entry
	// Undo names the resolution for [Space.Undo], as long as this device keeps what it replaced.
	Undo string
	// Copies are the paths of the values that [Resolution].KeepAll kept beside the entry.
	Copies []string
}

// Preview is what a resolution would do.
type Preview struct {
	// Version names the values that it would replace, for [Resolution].IfVersion.
	Version Version
	// Content would stand at the path.
	Content
	// Copies are the paths at which [Resolution].KeepAll would keep the other values.
	Copies []string
}

// PreviewResolve returns what [Space.Resolve] would do now, and does nothing; it calls merge functions. Errors are those of Resolve.
func (s *Space) PreviewResolve(ctx context.Context, path string, r Resolution) (Preview, error) {
	c, err := s.Conflict(ctx, path)
	if err != nil {
		return Preview{}, err
	}
	op, copies, err := s.resolution(ctx, c, r)
	if err != nil {
		return Preview{}, err
	}
	if op.IfVersion != "" && op.IfVersion != c.Version {
		p := ErrVersionMismatch.With("%s has the version %s, you sent %s", path, c.Version, op.IfVersion).On(path)
		p.Version = string(c.Version)
		return Preview{}, p
	}
	if p := checkContent(&op); p != nil {
		return Preview{}, p
	}
	return Preview{Version: c.Version, Content: op.Content, Copies: pathsOf(copies)}, nil
}

// Resolve closes the Conflict at path. It replaces the values that r.IfVersion names, or those that are live when it is carried
// out; a value that arrives meanwhile survives it. [Space.Undo] takes it back. It returns [ErrMergeFailed] if the values could not be
// combined, and then has changed nothing.
func (s *Space) Resolve(ctx context.Context, path string, r Resolution) (Resolved, error) {
	c, err := s.Conflict(ctx, path)
	if err != nil {
		return Resolved{}, err
	}
	op, copies, err := s.resolution(ctx, c, r)
	if err != nil {
		return Resolved{}, err
	}
	results, err := s.write(ctx, Write{Ops: append([]WriteOp{op}, copies...)})
	if err != nil {
		return Resolved{}, err
	}
	out := Resolved{Undo: results[0].Undo, Copies: pathsOf(copies)}
	out.Entry, err = s.Get(ctx, path)
	return out, err
}

func pathsOf(ops []WriteOp) (paths []string) {
	for _, op := range ops {
		paths = append(paths, op.Path)
	}
	return paths
}

// resolution returns the write that closes a Conflict as r says, with its content, and those of copies beside it.
func (s *Space) resolution(ctx context.Context, c Conflict, r Resolution) (op WriteOp, copies []WriteOp, err error) {
	op = WriteOp{Path: c.Path, Resolve: true, IfVersion: r.IfVersion, Keep: r.Keep, Kind: &c.Kind}
	ways := 0
	for _, given := range []bool{r.Keep != "", r.KeepAll, r.Value != nil, r.Policy != "", r.Merge != nil} {
		if given {
			ways++
		}
	}
	switch {
	case ways != 1:
		return op, nil, ErrBadRequest.With("a resolution names one value to keep, or all, or a new value, or a way to combine them").On(c.Path)
	case r.Keep != "":
		var kept Value
		kept, err = c.named(r.Keep)
		op.Keep, op.Content = kept.ID, kept.Content
	case r.Value != nil:
		op.Content = *r.Value
	case r.KeepAll:
		op.Content = c.Shown().Content
		copies, err = s.copies(c)
	case r.Policy != "":
		op.Content, err = s.combine(ctx, c, r.Policy)
	default:
		op.Content, err = tryMerge(c, r.Merge)
	}
	if op.IfVersion == "" && (r.KeepAll || r.Policy != "" || r.Merge != nil) {
		op.IfVersion = c.Version // what was combined is what is replaced
	}
	return op, copies, err
}

// named returns the one value that id names, as a person may give it.
func (c Conflict) named(id string) (Value, error) {
	var found []Value
	for _, v := range c.Values {
		if (Revision{Value: v}).named(id) || v.Origin != nil && (Revision{Value: Value{ID: v.Origin.ID}}).named(id) {
			found = append(found, v)
		}
	}
	switch {
	case len(found) > 1:
		return Value{}, ErrBadRequest.With("“%s” begins %d values of %s", id, len(found), c.Path).On(c.Path).Next("Give more of it.")
	case len(found) == 0:
		p := ErrVersionMismatch.With("%s has no value %s any more", c.Path, id).On(c.Path)
		p.Version = string(c.Version)
		return Value{}, p
	}
	return found[0], nil
}

// tryMerge calls a function that a program gave for this one Conflict. Whatever it does ends with ErrMergeFailed.
func tryMerge(c Conflict, f func(Conflict) (Content, error)) (out Content, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = ErrMergeFailed.With("the function panicked: %v", r).On(c.Path)
		}
	}()
	if out, err = f(copyConflict(c)); err != nil {
		return out, ErrMergeFailed.With("the function failed: %v", err).Because(err).On(c.Path)
	}
	return out, nil
}

// combine returns what a policy makes of the values of a Conflict.
func (s *Space) combine(ctx context.Context, c Conflict, p Policy) (Content, error) {
	if p == PolicyHere {
		p = s.rules.Load().policy(c.Path)
	}
	if problem := p.check(); problem != nil {
		return Content{}, problem
	}
	if p == PolicyManual {
		return Content{}, ErrMergeFailed.With("the policy at %s is manual, which combines nothing", c.Path).On(c.Path).
			Next("Name a policy: newest, max, min, union, merge:text, merge:json or merge:NAME. peer policy set gives the path one.")
	}
	if name, ok := p.Merge(); ok {
		return s.node.merge(ctx, name, c)
	}
	reg, err := s.store.Get(c.Path)
	if err != nil {
		return Content{}, s.problem(err)
	}
	// A set of one rule, which holds everywhere.
	v, ok, reason := newRuleBook([]PolicyRule{{"**", p}}).viewOf(c.Path, reg)
	if !ok {
		return Content{}, ErrMergeFailed.With("%s", cmp.Or(reason, "the values compete no more")).On(c.Path)
	}
	return Content{Data: v.value.Data, Type: v.value.Type}, nil
}

// copyTries bounds the names that are tried for one copy.
const copyTries = 100

// copies returns the writes that keep the values of a Conflict that are not shown, each content once.
func (s *Space) copies(c Conflict) ([]WriteOp, error) {
	var ops []WriteOp
	kept := []Content{c.Shown().Content}
	taken := map[string]bool{}
	for _, v := range c.Values {
		if slices.ContainsFunc(kept, func(k Content) bool { return compareContent(k, v.Content) == 0 }) {
			continue
		}
		kept = append(kept, v.Content)
		at, err := s.freePath(c.Path, v.Device.Name, taken)
		if err != nil {
			return nil, err
		}
		taken[at] = true
		ops = append(ops, WriteOp{Path: at, Content: v.Content, IfAbsent: true})
	}
	return ops, nil
}

// freePath returns a path beside another one that carries a device's name and holds nothing.
func (s *Space) freePath(beside, device string, taken map[string]bool) (string, error) {
	label := strings.Map(func(r rune) rune {
		if r == '/' || r < ' ' || 0x7f <= r && r < 0xa0 {
			return '-'
		}
		return r
	}, device)
	dir, name := path.Split(beside)
	ext := path.Ext(name)
	if ext == name {
		ext = "" // .profile has no extension
	}
	for try := 1; try <= copyTries; try++ {
		tag := label
		if try > 1 {
			tag = fmt.Sprintf("%s %d", label, try)
		}
		at := norm.NFC.String(fmt.Sprintf("%s%s (%s)%s", dir, strings.TrimSuffix(name, ext), tag, ext))
		if err := crdt.CheckPath(at); err != nil {
			return "", ErrBadPath.With("a copy cannot be kept beside %s: %v", beside, err).On(beside)
		}
		reg, err := s.store.Get(at)
		if err != nil {
			return "", s.problem(err)
		}
		if len(reg.Live) == 0 && !taken[at] {
			return at, nil
		}
	}
	return "", ErrExists.With("every name for a copy beside %s is taken", beside).On(beside)
}
