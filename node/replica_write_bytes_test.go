package node

import (
	"testing"

	"syncline/crdt"
)

// leastBytes never promises more than the encoding has: what is small enough for gossip is gossiped.
func TestLeastBytesIsABound(t *testing.T) {
	own, other := crdt.ReplicaID{1}, crdt.ReplicaID{2}
	for _, r := range []crdt.ReplicaID{own, other} {
		op := &crdt.Op{Dot: crdt.Dot{Replica: own, Counter: 9000}, Entries: []crdt.OpEntry{{Path: "a", Data: []byte("x"), Clear: true}}}
		e := &op.Entries[0]
		for i := range uint64(6000) {
			d := crdt.Dot{Replica: r, Counter: i + 1}
			e.Preds, e.PredDeletes, e.Also = append(e.Preds, d), append(e.PredDeletes, d), append(e.Also, d)
		}
		if least, is := leastBytes(op), len(op.Encode()); least > is || least < is/3 {
			t.Errorf("at least %d bytes, and encoded %d", least, is)
		}
	}
}
