package crdt

import "slices"

// A Descent says what a value was written over. A replica that writes a path again and again, each time over its own last value and
// nothing else, makes a run; all values of a run share what its first one replaced. So a value carries few bytes however often it was
// written, and two values that were written apart lead back to the value that both were made from: see [CommonAncestor].
//
// A run never forks: a value that its replica wrote over is live there no more, so the replica writes over it once.
//
// The zero Descent is unknown: that of values from programs that did not tell it yet, of one that replaced more than [DescentMax], of one
// whose writer was shown a value that was gone by then, and of one that was put beside others without replacing any, as an import does
// with the values of a conflict: where it comes from nobody has said.
type Descent struct {
	// Since is the counter of the first value of the run, that of the value itself if it is the first; 0 if it is unknown. The run's
	// replica is that of the value.
	Since uint64
	// From holds the dots of the values that the first value of the run replaced, sorted; nil if there were none. It must not be
	// changed.
	From []Dot
}

// DescentMax bounds the values of which a Descent remembers that they were replaced.
const DescentMax = 16

// IsKnown reports whether the descent is known.
func (d Descent) IsKnown() bool { return d.Since > 0 }

// isPlain reports whether d is that of a first value of a run which replaced from.
func (d Descent) isPlain(dot Dot, from []Dot) bool {
	return d.Since == dot.Counter && slices.Equal(d.From, from)
}

// check says whether d can be the known descent of the value dot.
func (d Descent) check(dot Dot) bool {
	return 0 < d.Since && d.Since <= dot.Counter && len(d.From) <= DescentMax
}

// descend returns the descent of a value that supersedes preds in a register and leaves also alone.
func descend(dot Dot, preds, also []Dot, reg Register) Descent {
	if len(preds) == 1 && preds[0].Replica == dot.Replica {
		if v, _ := reg.value(preds[0]); v.Descent.IsKnown() {
			return v.Descent
		}
	}
	if len(preds) > DescentMax || len(preds) == 0 && len(also) > 0 {
		return Descent{}
	}
	return Descent{Since: dot.Counter, From: preds}
}
