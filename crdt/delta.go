package crdt

import (
	"cmp"
	"errors"
	"iter"
	"math"
	"slices"
	"strings"
)

// A Delta is what one side lacks: the answer of a sender to the context Asked of a receiver.
type Delta struct {
	// Asked is the receiver's context for which the delta was made; Context is the sender's whole context, under which the rows
	// are read. Floor holds the entries of the sender's floor that lie outside Asked.
	Asked, Context, Floor Vector
	// From and To say which paths the delta is about: those from From on and before To; both empty for all, To empty for no end.
	// Context, Floor and Rows are those of one part of the sender, and are taken over for these paths only.
	From, To string
	// Opens holds the bindings of the replicas of which Asked holds nothing, in the order of replicas; see [Delta.Bind].
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
	if i, ok := slices.BinarySearchFunc(r.Known, d, func(k KnownValue, d Dot) int { return k.Dot.Compare(d) }); ok {
		return r.Known[i].Won, true
	}
	v, ok := Register{Live: r.Values}.value(d)
	return v.Won, ok
}

// IsEmpty reports whether the delta changes nothing for a receiver that is still at Asked.
func (d *Delta) IsEmpty() bool {
	return len(d.Rows) == 0 && len(d.Kills) == 0 && d.Floor.Len() == 0 && d.Context.Within(d.Asked)
}

// Limits bound an answer. It ends where one of them is passed, at a path, and tells where ([Delta.To]); it holds one row at least.
type Limits struct {
	// Rows and Bytes bound the rows, and the bytes that they take in memory: mostly those of their paths and values.
	Rows, Bytes int
	// Whole is the number of bytes up to which an answer that is made from names is not cut for them.
	Whole int
	// Names is the number of names outside the asker's context from which on an answer is made by walking the paths in order,
	// instead of from the names; so it is if these take more bytes than the answer may. The walk ends, too, after it has passed eight times
	// as many paths as Rows allows rows, or eight times Bytes.
	Names int
}

var unlimited = Limits{math.MaxInt, math.MaxInt, math.MaxInt, math.MaxInt}

// Answer returns what a replica with context asked lacks of b. It costs what it returns. If b has several parts it is about the
// first; see [AnswerPart].
//
// The answer carries the whole live set of every path it touches. With only the values that the receiver lacks, a chain of
// overwrites whose middle was lost leaves the first value standing beside the last for ever, with equal contexts. If
// [BelowFloor] reports true, [Kills] must be added.
func Answer(b Base, asked Vector) (*Delta, error) {
	d, err := AnswerPart(b, asked, "", "", unlimited)
	if err != nil {
		return nil, err
	}
	return d, d.Bind(b, func(ReplicaID) bool { return false })
}

// AnswerPart is Answer for the paths from from on and before to, "" for no end. It does not go beyond the part of b that from lies in,
// nor far beyond the limits; Delta.To tells where it ends. The receiver may have seen more than asked of some of the paths. The bindings are
// not among it: those of one answer serve all that follow, so [Delta.Bind] adds them where they are new.
func AnswerPart(b Base, asked Vector, from, to string, most Limits) (*Delta, error) {
	parts := b.Parts()
	i := parts.Of(from)
	if end := parts.To(i); end != "" && (to == "" || end < to) {
		to = end
	}
	d := &Delta{Asked: asked.Clone(), Context: parts[i].Context.Clone(), Floor: parts[i].Floor.Above(asked), From: from, To: to}
	if to == from+"\x00" {
		most.Names = 0 // one path is read, however many names there are
	}
	names, few, err := namesAbove(from, to, most.Names, max(most.Bytes, most.Whole), b.LiveAbove(asked), b.DeletesAbove(asked))
	if err != nil {
		return nil, err
	}
	if few {
		err = d.fill(b, pathsOf(names), most)
	} else {
		err = d.walk(b, most)
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Bind adds to an answer of b the bindings of the replicas of which Asked holds nothing, without those that the receiver is known to have.
func (d *Delta) Bind(b Base, known func(ReplicaID) bool) error {
	for r := range d.Context.All() {
		if d.Asked.Get(r.Replica) > 0 || known(r.Replica) {
			continue
		}
		open, err := b.Open(r.Replica)
		if err != nil {
			return err
		}
		if open != nil {
			d.Opens = append(d.Opens, Binding{r.Replica, open})
		}
	}
	return nil
}

// fill adds the rows of the paths.
func (d *Delta) fill(b Base, paths []string, most Limits) error {
	size, fit := 0, 0 // fit counts the rows of an answer that is cut
	for _, path := range paths {
		if size < most.Bytes || fit == 0 {
			fit = len(d.Rows)
		}
		if len(d.Rows) >= most.Rows || size >= max(most.Bytes, most.Whole) {
			d.Rows, d.To = d.Rows[:fit], paths[fit]
			return nil
		}
		reg, err := b.Register(path)
		if err != nil {
			return err
		}
		d.Rows = append(d.Rows, newRow(path, reg, d.Asked))
		size += len(path) + reg.size()
	}
	return nil
}

// walk adds the rows of the paths in order, as many of them as have something outside Asked.
func (d *Delta) walk(b Base, most Limits) error {
	size, passed, passedSize := 0, 0, 0
	for e, err := range b.Between(d.From, d.To) {
		if err != nil {
			return err
		}
		if len(d.Rows) >= most.Rows || size >= most.Bytes || passed/8 >= most.Rows || passedSize/8 >= most.Bytes {
			d.To = e.Path
			return nil
		}
		n := len(e.Path) + e.Register.size()
		passed, passedSize = passed+1, passedSize+n
		if row := newRow(e.Path, e.Register, d.Asked); len(row.Values)+len(row.Deletes) > 0 {
			d.Rows = append(d.Rows, row)
			size += n
		}
	}
	return nil
}

// About what a value takes in memory beside its data, and what a dot takes with a time or a mark.
const (
	valueBytes = 128
	dotBytes   = 24
)

// size returns about how many bytes the register takes beyond what every row takes, which [Limits].Rows bounds.
func (r Register) size() int {
	n := len(r.Deletes)*dotBytes + max(0, len(r.Live)-1)*valueBytes
	for i := range r.Live {
		n += len(r.Live[i].Data) + len(r.Live[i].Descent.From)*dotBytes
	}
	return n
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

// namesAbove collects the names of paths from from on and before to. It gives up, and reports false, after more than most names, or if they
// take more than size bytes.
func namesAbove(from, to string, most, size int, seqs ...NameSeq) (names []Name, few bool, err error) {
	visited := 0
	for _, seq := range seqs {
		for name, err := range seq {
			if err != nil {
				return nil, false, err
			}
			if visited++; visited > most {
				return nil, false, nil
			}
			if !inRange(name.Path, from, to) {
				continue
			}
			if size -= dotBytes + len(name.Path); size < 0 {
				return nil, false, nil
			}
			names = append(names, name)
		}
	}
	return names, true, nil
}

// pathsOf returns the paths of names, sorted, each once.
func pathsOf(names []Name) []string {
	paths := make([]string, len(names))
	for i := range names {
		paths[i] = names[i].Path
	}
	slices.SortFunc(paths, strings.Compare)
	return slices.Compact(paths)
}

// BelowFloor reports whether a replica with context asked may hold values whose delete b has forgotten.
func BelowFloor(b Base, asked Vector) bool { return !b.Floor().Within(asked) }

// ListLive returns the live values of b inside v on the paths from from on and before to, "" for no end: as many as the limits allow
// rows and bytes, and all of one path. It returns, too, where the list ends: to, or the first path that it is not about. Unless there are
// more names than the limits allow, it reads no registers.
func ListLive(b Base, v Vector, from, to string, most Limits) (names []Name, end string, err error) {
	all, few, err := namesAbove(from, to, most.Names, max(most.Bytes, most.Whole), b.LiveAbove(Vector{}))
	if err != nil {
		return nil, to, err
	}
	passed, size, passedSize := 0, 0, 0
	if few {
		slices.SortFunc(all, func(x, y Name) int { return cmp.Or(strings.Compare(x.Path, y.Path), x.Dot.Compare(y.Dot)) })
		for i, n := range all {
			if (passed >= most.Rows || size >= most.Bytes) && n.Path != all[i-1].Path {
				return names, n.Path, nil
			}
			passed, size = passed+1, size+dotBytes+len(n.Path)
			if v.Has(n.Dot) {
				names = append(names, n)
			}
		}
		return names, to, nil
	}
	for e, err := range b.Between(from, to) {
		if err != nil {
			return nil, to, err
		}
		if passed >= most.Rows || size >= most.Bytes || passedSize/8 >= most.Bytes {
			return names, e.Path, nil
		}
		passedSize += len(e.Path) + e.Register.size()
		for _, x := range e.Register.Live {
			passed, size = passed+1, size+dotBytes+len(e.Path)
			if v.Has(x.Dot) {
				names = append(names, Name{x.Dot, e.Path})
			}
		}
	}
	return names, to, nil
}

// ErrTooMuch says that a walk has read as many bytes as it may.
var ErrTooMuch = errors.New("more is to be read than is allowed at once")

// LiveNames yields the live values of b on the paths from from on and before to, "" for no end, in an order that says nothing. For all paths it reads
// no registers; else it ends with [ErrTooMuch] when those that it read take most bytes.
func LiveNames(b Base, from, to string, most int) NameSeq {
	if from == "" && to == "" {
		return b.LiveAbove(Vector{})
	}
	return func(yield func(Name, error) bool) {
		for e, err := range b.Between(from, to) {
			if err == nil && most <= 0 {
				err = ErrTooMuch
			}
			if err != nil {
				yield(Name{}, err)
				return
			}
			most -= len(e.Path) + e.Register.size()
			for i := range e.Register.Live {
				if !yield(Name{e.Register.Live[i].Dot, e.Path}, nil) {
					return
				}
			}
		}
	}
}

// Kills returns those of the names that are inside b's context of their path and not live in b: they are dead.
func Kills(b Base, names iter.Seq[Name]) ([]Name, error) {
	parts := b.Parts()
	var dead []Name
	for name := range names {
		if !parts[parts.Of(name.Path)].Context.Has(name.Dot) {
			continue
		}
		reg, err := b.Register(name.Path)
		if err != nil {
			return nil, err
		}
		if !reg.has(name.Dot) {
			dead = append(dead, name)
		}
	}
	return dead, nil
}
