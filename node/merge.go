package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"syncline/crdt"
)

// MergeDeadlineDefault is how long a registered merge function may take for one call, and mergeDeadlineBuiltin how long a built-in one
// may at least: those take time in proportion to the values.
const (
	MergeDeadlineDefault = time.Second
	mergeDeadlineBuiltin = 10 * time.Second
)

// mergeCallsMax bounds the calls of one function that run at the same time, those that were left behind among them.
const mergeCallsMax = 8

// A MergeFunc combines the values of a Conflict into one; [Conflict].Base is what they were made from, if that is certain. It must return
// the same for the same values and the same Base on every device, and look at nothing else: it is called twice, with copies, and a second
// result that differs from the first counts as a failure, as do an error, a panic, and a call that takes longer than
// [Config].MergeDeadline. After a failure the Conflict stays open, with the reason.
//
// ctx ends with the deadline, and when the node is closed. A function that does not return then is left behind, with all that it holds:
// Go can end no goroutine from outside. Eight calls of one function may run at the same time, those left behind among them. While none of
// the eight returns, the function is not called, and that is the reason why its Conflicts stay open. Like every failure, it is tried again
// when the entry, a policy, or the function registered under the name changes.
//
// A policy calls it where two or more different values compete. A value that won over a delete waits for a person ([DeleteUpdate]), and
// entries of kind LWW have no Conflicts. [MergeValues] makes a MergeFunc of one that looks at the values alone.
type MergeFunc func(ctx context.Context, c Conflict) (Content, error)

// MergeValues makes a [MergeFunc] of a function of the values alone, which sim.CheckMerge can check. As [crdt.MergeValues] does, it gives f
// each content once, newest first; each has the kind, type and data of a value, and nothing else. Of the result it takes type and data. A
// function that needs [Conflict].Base, or takes so long that it has to look at its context, is written as a MergeFunc.
func MergeValues(f func(values []crdt.Value) (crdt.Value, error)) MergeFunc {
	return func(_ context.Context, c Conflict) (Content, error) {
		contents := make([]Content, len(c.Values))
		for i, v := range c.Values {
			contents[i] = v.Content
		}
		var values []crdt.Value
		for _, content := range different(contents) {
			values = append(values, crdt.Value{Kind: c.Kind, Type: content.Type, Data: content.Data})
		}
		v, err := f(values)
		return Content{Data: v.Data, Type: v.Type}, err
	}
}

// A mergeFunction is one that is known under a name.
type mergeFunction struct {
	name string
	f    MergeFunc
	// builtin says that f is known to give one result for the same values and to end with its context.
	builtin bool
	slots   chan struct{} // holds one for each call under way
}

func newMergeFunction(name string, f MergeFunc, builtin bool) *mergeFunction {
	return &mergeFunction{name, f, builtin, make(chan struct{}, mergeCallsMax)}
}

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
		n.merges = map[string]*mergeFunction{}
	}
	n.merges[name] = newMergeFunction(name, f, false)
	n.mergesMu.Unlock()
	for _, s := range n.spaceList() {
		if err := s.tellMerges(); err != nil {
			return err
		}
	}
	return nil
}

// Merges returns the names of the merge functions that this device knows, sorted: those that are built in and those that were registered.
func (n *Node) Merges() []string {
	n.mergesMu.Lock()
	defer n.mergesMu.Unlock()
	names := slices.AppendSeq(slices.Collect(maps.Keys(builtinMerges)), maps.Keys(n.merges))
	slices.Sort(names)
	return names
}

// tellMerges tells the replica which functions there are.
func (s *Space) tellMerges() error {
	return s.loop.put(context.Background(), MergeNames{Names: s.node.Merges()})
}

// runMerge calls the function that a replica asked for.
func (s *Space) runMerge(ctx context.Context, o Merge) Merged {
	answer := Merged{Merge: o}
	c, reg, err := s.conflictAt(o.Path)
	name, _ := o.Policy.Merge()
	if err == nil && c.Version == o.Version {
		c.Base, c.BaseReason = s.base(o.Path, reg, false)
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

// mergeReason returns why what competes in an entry stays open under its policy, if that is a merge; "" if it may still be settled.
func (s *Space) mergeReason(e Entry) string {
	name, ok := e.Policy.Merge()
	switch {
	case !ok:
		return ""
	case e.Conflict == 1:
		return "one side deleted the entry, and no merge decides that"
	case s.node.mergeFunc(name) == nil:
		return "no program on this device registered the function; a device that has it may settle this"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.failures[e.Path]; f.version == e.Version {
		return f.reason
	}
	return ""
}

// mergeFunc returns the function that is known under name, nil if there is none.
func (n *Node) mergeFunc(name string) *mergeFunction {
	if f := builtinMerges[name]; f != nil {
		return f
	}
	n.mergesMu.Lock()
	defer n.mergesMu.Unlock()
	return n.merges[name]
}

// merge calls the function that is known under name: twice, unless it is built in.
func (n *Node) merge(ctx context.Context, name string, c Conflict) (Content, error) {
	f := n.mergeFunc(name)
	if f == nil {
		return Content{}, ErrMergeFailed.With("no program on this device registered the merge function “%s”", name).On(c.Path).
			Next("This device has: " + strings.Join(n.Merges(), ", ") + ". Without a function: newest, max, min, union.")
	}
	out, err := n.callMerge(ctx, f, copyConflict(c))
	if err == nil && !f.builtin {
		var again Content
		if again, err = n.callMerge(ctx, f, copyConflict(c)); err == nil && compareContent(out, again) != 0 {
			err = errors.New("gave two results for the same values")
		}
	}
	reason := cannotMerge{}
	switch {
	case ctx.Err() != nil: // nobody waits any more
		return Content{}, ctx.Err()
	case errors.As(err, &reason):
		return Content{}, ErrMergeFailed.With("%v", reason.error).On(c.Path)
	case err != nil:
		return Content{}, ErrMergeFailed.With("the merge function “%s” %v", name, err).On(c.Path)
	}
	if p := checkContent(&WriteOp{Path: c.Path, Content: out}); p != nil {
		return Content{}, ErrMergeFailed.With("the result of the merge function “%s” cannot be stored: %s", name, p.Detail).On(c.Path)
	}
	return out, nil
}

// callMerge calls f and waits for it until the deadline. The error continues a sentence.
func (n *Node) callMerge(ctx context.Context, f *mergeFunction, c Conflict) (Content, error) {
	deadline := n.cfg.MergeDeadline
	if f.builtin {
		deadline = max(deadline, mergeDeadlineBuiltin)
	}
	turn, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	select {
	case f.slots <- struct{}{}:
	case <-turn.Done():
		return Content{}, fmt.Errorf("is not called again: %d calls of it have not returned", mergeCallsMax)
	}
	ctx, cancel = context.WithTimeout(ctx, deadline)
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
				n.log.Error("a merge function panicked", "name", f.name, "panic", r, "stack", string(debug.Stack()))
			}
			<-f.slots
			done <- a
		}()
		a.Content, a.err = f.f(ctx, c)
		if a.err != nil {
			a.err = fmt.Errorf("failed: %w", a.err)
		}
	}()
	select {
	case a := <-done:
		if a.err == nil || ctx.Err() == nil {
			return a.Content, a.err
		}
	case <-ctx.Done():
	}
	return Content{}, fmt.Errorf("did not return within %v", deadline)
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
