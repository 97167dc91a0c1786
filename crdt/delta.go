package crdt

import (
	"iter"
	"slices"
	"strings"
)

// A Delta is what one side lacks: the answer of a sender to the context Asked of a receiver.
type Delta struct {
	// Asked is the receiver's context for which the delta was made; Context is the sender's whole context, under which the rows
	// are read. Floor holds the entries of the sender's floor that lie outside Asked.
	Asked, Context, Floor Vector
	// Opens holds the bindings of the replicas of which Asked holds nothing, in the order of replicas.
	Opens []Binding
	// Rows are sorted by path and hold every path with a live value or a remembered delete outside Asked.
	Rows []Row
	// Kills names values that are live at the receiver and dead at the sender, in the order of Name. They are found by comparing
	// what is live when Floor is not empty, because then rows alone do not tell.
	Kills []Name
}

// A Binding ties a replica to the record that says which device it belongs to.
type Binding struct {
	Replica ReplicaID
	Open    []byte
}

// A Row is the sender's whole live set at one path: Values are those outside the receiver's context, Known those inside, by dot
// and mark only. Deletes are the remembered deletes outside the receiver's context. All are sorted by dot.
type Row struct {
	Path    string
	Values  []Value
	Known   []KnownValue
	Deletes []Delete
}

// A KnownValue names a live value that the receiver has seen.
type KnownValue struct {
	Dot Dot
	Won bool
}

// has reports whether d is in the sender's live set, and its mark.
func (r *Row) has(d Dot) (won, ok bool) {
	for _, k := range r.Known {
		if k.Dot == d {
			return k.Won, true
		}
	}
	for _, v := range r.Values {
		if v.Dot == d {
			return v.Won, true
		}
	}
	return false, false
}

// IsEmpty reports whether the delta changes nothing for a receiver that is still at Asked.
func (d *Delta) IsEmpty() bool {
	return len(d.Rows) == 0 && len(d.Kills) == 0 && d.Floor.Len() == 0 && d.Context.Within(d.Asked)
}

// Answer returns what a replica with context asked lacks of b. It costs what it returns.
//
// The answer carries the whole live set of every path it touches. With only the values that the receiver lacks, a chain of
// overwrites whose middle was lost leaves the first value standing beside the last for ever, with equal contexts. If
// [BelowFloor] reports true, [Kills] must be added.
func Answer(b Base, asked Vector) (*Delta, error) {
	d := &Delta{Asked: asked.Clone(), Context: b.Context().Clone(), Floor: b.Floor().Above(asked)}
	touched, err := touchedPaths(b.LiveAbove(asked), b.DeletesAbove(asked))
	if err != nil {
		return nil, err
	}
	for _, path := range touched {
		reg, err := b.Register(path)
		if err != nil {
			return nil, err
		}
		d.Rows = append(d.Rows, newRow(path, reg, asked))
	}
	for r := range d.Context.All() {
		if asked.Get(r.Replica) > 0 {
			continue
		}
		open, err := b.Open(r.Replica)
		if err != nil {
			return nil, err
		}
		if open != nil {
			d.Opens = append(d.Opens, Binding{r.Replica, open})
		}
	}
	return d, nil
}

func newRow(path string, reg Register, asked Vector) Row {
	row := Row{Path: path}
	for _, v := range reg.Live {
		if asked.Has(v.Dot) {
			row.Known = append(row.Known, KnownValue{v.Dot, v.Won})
		} else {
			row.Values = append(row.Values, v)
		}
	}
	for _, del := range reg.Deletes {
		if !asked.Has(del.Dot) {
			row.Deletes = append(row.Deletes, del)
		}
	}
	return row
}

// touchedPaths returns the paths of all names, sorted, each once.
func touchedPaths(seqs ...NameSeq) ([]string, error) {
	var paths []string
	for _, seq := range seqs {
		for name, err := range seq {
			if err != nil {
				return nil, err
			}
			paths = append(paths, name.Path)
		}
	}
	slices.SortFunc(paths, strings.Compare)
	return slices.Compact(paths), nil
}

// BelowFloor reports whether a replica with context asked may hold values whose delete b has forgotten.
func BelowFloor(b Base, asked Vector) bool { return !b.Floor().Within(asked) }

// Kills returns those of the names, which must be in order, that are inside b's context and not live in b: they are dead.
func Kills(b Base, names iter.Seq[Name]) ([]Name, error) {
	next, stop := iter.Pull2(b.LiveAbove(Vector{}))
	defer stop()
	var dead []Name
	live, err, more := next()
	for name := range names {
		for more && err == nil && live.Compare(name) < 0 {
			live, err, more = next()
		}
		if err != nil {
			return nil, err
		}
		if b.Context().Has(name.Dot) && (!more || live != name) {
			dead = append(dead, name)
		}
	}
	return dead, nil
}
