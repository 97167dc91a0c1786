package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"time"
)

// MergeDeadlineDefault is how long a merge function may take for one call.
const MergeDeadlineDefault = time.Second

// A MergeFunc combines the values of a Conflict into one; [Conflict].Base is what they were made from, if that is certain. It must return the same for
// the same values and the same Base on every device, and look at nothing else: it is called twice, with copies, and a second result that differs from the first counts as a failure, as do an error, a
// panic, and a call that takes longer than [Config].MergeDeadline. After a failure the Conflict stays open, with the reason.
//
// ctx ends with the deadline. A function that does not return then is left behind.
type MergeFunc func(ctx context.Context, c Conflict) (Content, error)

// RegisterMerge makes f known on this device under a name, for the policy that [PolicyMerge] names, in all spaces, and for
// [Resolution].Policy. It replaces a function of the same name. A device that does not know a function leaves its Conflicts to one that
// does; register it right after [Open].
func (n *Node) RegisterMerge(name string, f MergeFunc) error {
	if err := n.ended(); err != nil {
		return err
	}
	if p := checkMergeName(name); p != nil {
		return p
	}
	if f == nil {
		return ErrBadRequest.With("the merge “%s” has no function", name)
	}
	if builtinMerges[name] != nil {
		return ErrBadRequest.With("the merge “%s” is built in", name).Next("Register the function under another name.")
	}
	n.mergesMu.Lock()
	if n.merges == nil {
		n.merges = map[string]MergeFunc{}
	}
	n.merges[name] = f
	n.mergesMu.Unlock()
	for _, s := range n.spaceList() {
		if err := s.tellMerges(); err != nil {
			return err
		}
	}
	return nil
}

// tellMerges tells the replica which functions there are.
func (s *Space) tellMerges() error {
	s.node.mergesMu.Lock()
	names := slices.AppendSeq(slices.Collect(maps.Keys(builtinMerges)), maps.Keys(s.node.merges))
	s.node.mergesMu.Unlock()
	slices.Sort(names)
	return s.loop.put(context.Background(), MergeNames{Names: names})
}

// runMerge calls the function that a replica asked for.
func (s *Space) runMerge(ctx context.Context, o Merge) Merged {
	answer := Merged{Path: o.Path, Version: o.Version}
	c, err := s.Conflict(ctx, o.Path)
	name, _ := o.Policy.Merge()
	if err == nil && c.Version == o.Version {
		answer.Content, err = s.node.merge(ctx, name, c)
	}
	if err != nil {
		answer.Reason = cmp.Or(ProblemOf(err).Detail, err.Error())
	} else if c.Version != o.Version {
		answer.Reason = "the entry changed"
	}
	return answer
}

// mergeFailure is why a merge at a version of an entry failed.
type mergeFailure struct {
	version Version
	reason  string
}

// mergeReason returns why what competes at a version stays open under a merge policy, "" if it may still be settled.
func (s *Space) mergeReason(path string, version Version, p Policy) string {
	name, ok := p.Merge()
	if !ok {
		return ""
	}
	if s.node.mergeFunc(name) == nil {
		return "no program on this device registered the function; a device that has it may settle this"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.failures[path]; f.version == version {
		return f.reason
	}
	return ""
}

// mergeFunc returns the function that is known under name, nil if there is none.
func (n *Node) mergeFunc(name string) MergeFunc {
	if f := builtinMerges[name]; f != nil {
		return f
	}
	n.mergesMu.Lock()
	defer n.mergesMu.Unlock()
	return n.merges[name]
}

// merge calls the function that is known under name, twice.
func (n *Node) merge(ctx context.Context, name string, c Conflict) (Content, error) {
	f := n.mergeFunc(name)
	if f == nil {
		return Content{}, ErrMergeFailed.With("no program on this device registered the merge function “%s”", name).On(c.Path)
	}
	var results [2]Content
	for i := range results {
		var err error
		results[i], err = n.callMerge(ctx, name, f, copyConflict(c))
		if reason := (cannotMerge{}); errors.As(err, &reason) {
			return Content{}, ErrMergeFailed.With("%v", reason.error).On(c.Path)
		}
		if err != nil {
			return Content{}, ErrMergeFailed.With("the merge function “%s” %v", name, err).On(c.Path)
		}
	}
	if compareContent(results[0], results[1]) != 0 {
		return Content{}, ErrMergeFailed.With("the merge function “%s” gave two results for the same values", name).On(c.Path)
	}
	op := WriteOp{Path: c.Path, Content: results[0]}
	if p := checkContent(&op); p != nil {
		return Content{}, ErrMergeFailed.With("the result of the merge function “%s” cannot be stored: %s", name, p.Detail).On(c.Path)
	}
	return results[0], nil
}

// callMerge calls f and waits for it until the deadline. The error continues a sentence.
func (n *Node) callMerge(ctx context.Context, name string, f MergeFunc, c Conflict) (Content, error) {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.MergeDeadline)
	defer cancel()
	type answer struct {
		Content
		err error
	}
	done := make(chan answer, 1)
	go func() {
		a := answer{err: errors.New("ended its goroutine")} // as runtime.Goexit does
		defer func() {
			if r := recover(); r != nil {
				a.err = fmt.Errorf("panicked: %v", r)
				n.log.Error("a merge function panicked", "name", name, "panic", r, "stack", string(debug.Stack()))
			}
			done <- a
		}()
		a.Content, a.err = f(ctx, c)
		if a.err != nil {
			a.err = fmt.Errorf("failed: %w", a.err)
		}
	}()
	select {
	case a := <-done:
		return a.Content, a.err
	case <-ctx.Done():
		return Content{}, fmt.Errorf("did not return within %v", n.cfg.MergeDeadline)
	}
}

// copyConflict returns a Conflict that shares nothing with c that a function could change.
func copyConflict(c Conflict) Conflict {
	c.Values, c.Pending = slices.Clone(c.Values), slices.Clone(c.Pending)
	for i := range c.Values {
		c.Values[i].Data = slices.Clone(c.Values[i].Data)
	}
	if c.Base != nil {
		base := *c.Base
		base.Data = slices.Clone(base.Data)
		c.Base = &base
	}
	return c
}
