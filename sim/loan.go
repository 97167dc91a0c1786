package sim

import (
	"bytes"
	"fmt"
	"slices"

	"syncline/crdt"
)

// A loan is values that were lent to a merge function, with memory around them that shows whether somebody wrote there.
type loan struct {
	was    []crdt.Value
	values []crdt.Value
	// returned is what the call returned, result a copy made at once.
	returned []byte
	result   outcome
}

// canary fills the spare capacity of what is lent: append would write there.
const canary = 0xc5

const spareBytes = 16

// lend copies vs deeply, into slices with spare capacity.
func lend(vs []crdt.Value) *loan {
	l := &loan{was: vs, values: make([]crdt.Value, len(vs), len(vs)+1)}
	l.values[:len(vs)+1][len(vs)].Type = "spare"
	for i, v := range vs {
		room := append(slices.Grow([]byte{}, len(v.Data)+spareBytes), v.Data...)
		v.Data = room
		for k := range room[:cap(room)][len(room):] {
			room[:cap(room)][len(room)+k] = canary
		}
		l.values[i] = v
	}
	return l
}

// changed says what is not as it was lent or returned, "" if all is.
func (l *loan) changed() string {
	for i, v := range l.values {
		was := l.was[i]
		name := fmt.Sprintf("values[%d]", i)
		switch {
		case v.Dot != was.Dot || v.Time != was.Time:
			return name + ": another value stands there"
		case v.Kind != was.Kind || v.Type != was.Type || v.Won != was.Won || v.Resolved != was.Resolved:
			return name + ": its kind, type or marks"
		case !bytes.Equal(v.Data, was.Data):
			return fmt.Sprintf("%s.Data was %s and is %s", name, literal(was.Data), literal(v.Data))
		case slices.ContainsFunc(v.Data[:cap(v.Data)][len(v.Data):], func(b byte) bool { return b != canary }) && len(v.Data) == len(was.Data):
			return fmt.Sprintf("the memory after %s.Data, as append does where there is room", name)
		}
	}
	if l.values[:len(l.values)+1][len(l.values)].Type != "spare" {
		return "the memory after values, as append does where there is room"
	}
	if l.result.err == nil && !bytes.Equal(l.returned, l.result.Data) {
		return fmt.Sprintf("the result is %s now", literal(l.returned))
	}
	return ""
}
