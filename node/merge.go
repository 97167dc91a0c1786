package node

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"
)

// MergeDeadlineDefault is how long a merge function may take for one call.
const MergeDeadlineDefault = time.Second

// A MergeFunc combines the values of a Conflict into one. It must return the same for the same values on every device, and look at
// nothing else: it is called twice, with copies, and a second result that differs from the first counts as a failure, as do an error, a
// panic, and a call that takes longer than [Config].MergeDeadline. After a failure the Conflict stays open, with the reason.
//
// ctx ends with the deadline. A function that does not return then is left behind.
type MergeFunc func(ctx context.Context, c Conflict) (Content, error)

// RegisterMerge makes f known on this device under a name, for the policy that [PolicyMerge] names, in all spaces, and for
// [Resolution].Policy. It replaces a function of the same name. A device that does not know a function leaves its Conflicts to one that
// does; register it right after [Open].
func (n *Node) RegisterMerge(name string, f MergeFunc) error {
	if p := checkMergeName(name); p != nil {
		return p
	}
	n.mu.Lock()
	if n.merges == nil {
		n.merges = map[string]MergeFunc{}
	}
	n.merges[name] = f
	n.mu.Unlock()
	return nil
}

// merge calls the function that is registered under name, twice.
func (n *Node) merge(ctx context.Context, name string, c Conflict) (Content, error) {
	n.mu.Lock()
	f := n.merges[name]
	n.mu.Unlock()
	if f == nil {
		return Content{}, ErrMergeFailed.With("no program on this device registered the merge function “%s”", name).On(c.Path)
	}
	var results [2]Content
	for i := range results {
		var err error
		if results[i], err = callMerge(ctx, n.cfg.MergeDeadline, f, copyConflict(c)); err != nil {
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
func callMerge(ctx context.Context, deadline time.Duration, f MergeFunc, c Conflict) (Content, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
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
				a.err = fmt.Errorf("panicked: %v\n%s", r, debug.Stack())
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
		return Content{}, fmt.Errorf("did not return within %v", deadline)
	}
}

// copyConflict returns a Conflict that shares nothing with c that a function could change.
func copyConflict(c Conflict) Conflict {
	c.Values, c.Pending = slices.Clone(c.Values), slices.Clone(c.Pending)
	for i := range c.Values {
		c.Values[i].Data = slices.Clone(c.Values[i].Data)
	}
	return c
}
