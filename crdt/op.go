package crdt

// An Op is one transaction as it was written and as it is gossiped: one dot for all its paths.
type Op struct {
	Dot  Dot
	Time Timestamp
	// Deps holds the entries by which its writer's floor rose since the writer's operation before this one. Delivery waits until
	// they are seen: a receiver that lacks a delete which the writer has forgotten would show the deleted value beside its
	// successor for a moment. Normally empty.
	Deps Vector
	// Open binds the replica to a device. The first operation of every replica carries it, no other does. Its content is not
	// this package's business.
	Open []byte
	// Entries are sorted by path; no path occurs twice.
	Entries []OpEntry
}

// An OpEntry is what an operation does at one path.
type OpEntry struct {
	Path string
	// Preds are the values that the writer was shown and that this entry supersedes; PredDeletes the remembered deletes that it
	// supersedes; Also everything else that the writer's replica held at the path, known to it and left alone. Each is sorted.
	Preds, PredDeletes, Also []Dot
	// Delete tells a delete from a write; a delete has no content.
	Delete bool
	// Clear says that a person or a merge settled the path: marks of concurrent deletes are not inherited.
	Clear bool
	// Policy is that of the value; Clear is set if it is not empty.
	Policy string
	// Descent is that of the value; the zero Descent for a delete. If the value begins a run it holds Preds.
	Descent Descent
	Kind    Kind
	Type    string
	Data    []byte
}

// value returns the live value that an entry of op writes.
func (op *Op) value(e *OpEntry) Value {
	return Value{Dot: op.Dot, Time: op.Time, Kind: e.Kind, Type: e.Type, Data: e.Data, Resolved: e.Clear, Policy: e.Policy, Descent: e.Descent}
}

// A Base holds one replica's registers and contexts. [State] is one in memory, a transaction of package store is one on disk.
// The functions of this package read and change it; they never call it from two goroutines.
type Base interface {
	// Context returns what the replica has seen of every path, Floor the part of what it has seen within which deletes are no longer
	// remembered one by one: every delete in the context that no seen write supersedes is remembered or lies within the floor. Both
	// are views, valid until the next change.
	Context() Vector
	Floor() Vector
	// Parts returns the ranges of paths whose contexts or floors differ; a view like them. With more than one, Context is what they
	// have in common, and Floor the join of their floors.
	Parts() Parts
	// Cut begins a part at a path that is not empty, Knit joins neighbours that are equal.
	Cut(path string)
	Knit()
	// Register returns what is known of a path; the zero Register if nothing is. SetRegister replaces it.
	Register(path string) (Register, error)
	SetRegister(path string, r Register) error
	// Advance puts a dot and those before it into the context of every part, AdvancePart into that of the i-th.
	Advance(d Dot)
	AdvancePart(i int, d Dot)
	// Raise puts every dot of floor into the floor of the i-th part, and forgets the remembered deletes within it, and then every dot of
	// context into its context. It costs a pass over these vectors and those of the part.
	Raise(i int, context, floor Vector) error
	// Open returns the binding of a replica, nil if it is not known. SetOpen keeps it for good.
	Open(r ReplicaID) ([]byte, error)
	SetOpen(r ReplicaID, open []byte) error
	// LiveAbove yields the live values outside v by their names, DeletesAbove the remembered deletes outside v, both in the order
	// of replica, counter, path. They cost what they yield. The base must not be changed meanwhile.
	LiveAbove(v Vector) NameSeq
	DeletesAbove(v Vector) NameSeq
	// Between yields what is known of the paths from from on and before to, in order; "" for to means no end. The base must not be
	// changed meanwhile.
	Between(from, to string) EntrySeq
	// DeleteCount returns the number of remembered deletes.
	DeleteCount() int
}
