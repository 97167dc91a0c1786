package node

import (
	"iter"

	"syncline/crdt"
	"syncline/gossip"
	"syncline/store"
)

// A StepObserver sees every Step of a node's replicas, with what is committed before and after: a simulation judges real devices by
// it. With an observer each Write and each Merged is a Step of its own, so that what it did can be told from what else happened.
//
// Stepping and Stepped are called in turn on the loop of the space, which waits for them; Replied is called from other goroutines.
// None of them may block, nor call the node.
type StepObserver interface {
	// Stepping is called just before in are applied. Until Stepped, nothing but this Step changes what committed shows.
	Stepping(space gossip.SpaceID, committed Committed, now Time, in []Input)
	// Stepped is called after the Step, before any of out is carried out. err is the store's, if it failed.
	Stepped(space gossip.SpaceID, out []Output, err error)
	// Replied is called when a Write is answered, after the sync that the answer waited for, and before the writer hears it.
	Replied(space gossip.SpaceID, r Reply)
}

// Committed is the committed state of a space, for reading. A *store.Store is one.
type Committed interface {
	Context() crdt.Vector
	Floor() crdt.Vector
	Parts() crdt.Parts
	Head() store.Head
	Get(path string) (crdt.Register, error)
	ListSystem(prefix, after string) iter.Seq2[store.Entry, error]
	// Check returns the first disagreement between the records. Nothing may be committed meanwhile.
	Check() error
}

var _ Committed = (*store.Store)(nil)

// apart cuts a batch into steps in which each Write, and each result of a merge function, is alone. The steps share the batch's memory.
func apart(batch []Input) [][]Input {
	var steps [][]Input
	begun := 0
	for i, in := range batch {
		switch in.(type) {
		case Write, Merged:
		default:
			continue
		}
		if begun < i {
			steps = append(steps, batch[begun:i])
		}
		steps = append(steps, batch[i:i+1])
		begun = i + 1
	}
	if begun < len(batch) {
		steps = append(steps, batch[begun:])
	}
	return steps
}
