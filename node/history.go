package node

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"syncline/crdt"
	"syncline/store"
)

// A ReplacedHow says what ended a value's time as a current one.
type ReplacedHow string

const (
	// ReplacedByPut, ReplacedByDelete and ReplacedByResolve: somebody wrote, deleted, or decided a Conflict.
	ReplacedByPut     ReplacedHow = "put"
	ReplacedByDelete  ReplacedHow = "delete"
	ReplacedByResolve ReplacedHow = "resolve"
	// ReplacedByPolicy: a policy decided a Conflict, and a device wrote what it came to.
	ReplacedByPolicy ReplacedHow = "automatic"
	// ReplacedUnseen: a device that synced had seen what replaced it, and that itself is gone, too.
	ReplacedUnseen ReplacedHow = "unseen"
)

var replacedHow = map[store.How]ReplacedHow{store.HowUnseen: ReplacedUnseen, store.HowPut: ReplacedByPut,
	store.HowDelete: ReplacedByDelete, store.HowResolve: ReplacedByResolve, store.HowPolicy: ReplacedByPolicy}

// A Replacement says what came in the place of a value.
type Replacement struct {
	How ReplacedHow
	// Policy is the name of the policy for ReplacedByPolicy.
	Policy string
	// By is the ID of the revision that replaced it, written by Device at Time by its own clock. Of several that came at once, by a
	// session, it is the newest. All are zero for ReplacedUnseen.
	By     string
	Device DeviceRef
	Time   time.Time
	// Seen is when this device learned of it, by its own clock.
	Seen time.Time
}

// A Revision is one thing that was written at a path: a value, current or past, or a delete.
type Revision struct {
	// Value holds the content as it was; of a delete only ID, Device and Time.
	Value
	Kind    crdt.Kind
	Deleted bool
	// Current marks the values that the entry has now.
	Current bool
	// MergedBy is the policy that wrote the value in the place of what competed; empty if a person or a program wrote it.
	MergedBy Policy
	// SettledBy is the policy that settles, without a write, what competes now: of the Shown revision the one that shows it, of the other
	// Current ones the one that passes over them or takes them up in what it shows. What a policy makes of the values, as a union is, comes
	// first of all, and is none of them: Shown, but neither Current nor with an ID; Device and Time are those of the newest value.
	SettledBy Policy
	// Replaced says what came in its place; nil for a current value and for a delete.
	Replaced *Replacement

	// version is that of the entry while this was its only value, or the shown one of its current values.
	version Version
}

// HistoryOptions bounds a history.
type HistoryOptions struct {
	Limit int // at most so many revisions; 0: all that are kept
}

// History yields the revisions of a path, newest first: what a policy makes of the current values, these values, then what this device
// replaced, in the reverse of the order in which it did, with the deletes in their places. It is local and bounded ([Config].HistoryVersions, HistoryAge): another device may
// know more, or less. A record that cannot be read is yielded as an error, and the iteration goes on. The first error is [ErrNotFound]
// if nothing at all is known of the path.
func (s *Space) History(ctx context.Context, path string, o HistoryOptions) iter.Seq2[Revision, error] {
	return func(yield func(Revision, error) bool) {
		n := 0
		for r, err := range s.revisions(ctx, path) {
			if n++; !yield(r, err) || n == o.Limit {
				return
			}
		}
	}
}

func (s *Space) revisions(ctx context.Context, path string) iter.Seq2[Revision, error] {
	return func(yield func(Revision, error) bool) {
		if err := s.mayRead(path); err != nil {
			yield(Revision{}, err)
			return
		}
		// In this order a value that is replaced in between is found twice, not missed.
		reg, err := s.store.Get(path)
		if err != nil {
			yield(Revision{}, s.problem(err))
			return
		}
		t := teller{space: s, told: map[crdt.Dot]bool{}, yield: yield}
		if !t.current(path, reg) {
			return
		}
		for p, err := range s.store.History(path, unixMilli(s.node.cfg.Clock())) {
			if ctx.Err() != nil {
				err = ctx.Err()
			} else if err != nil {
				err = s.problem(err)
			}
			if !t.past(p, err) || ctx.Err() != nil {
				return
			}
		}
		if len(t.told) == 0 && !t.failed {
			yield(Revision{}, s.notFound(path, reg))
		}
	}
}

// A teller yields each operation once.
type teller struct {
	space  *Space
	told   map[crdt.Dot]bool
	failed bool
	yield  func(Revision, error) bool
}

func (t *teller) tell(d crdt.Dot, r Revision) bool {
	if t.told[d] {
		return true
	}
	t.told[d] = true
	return t.yield(r, nil)
}

// current tells of the live values and of the deletes that are remembered.
func (t *teller) current(path string, reg crdt.Register) bool {
	rules := t.space.rules.Load()
	shown, _ := reg.Shown()
	view, settled, _ := rules.viewOf(path, reg)
	if settled {
		shown = view.value
	}
	if view.made {
		r := t.space.revision(shown)
		r.ID, r.Shown, r.MergedBy, r.SettledBy, r.version = "", true, "", view.policy, rules.version(path, reg)
		if !t.yield(r, nil) {
			return false
		}
	}
	for _, v := range reg.Newest() {
		r := t.space.revision(v)
		r.SettledBy = view.policy
		if r.Current, r.Shown = true, v.Dot == shown.Dot && !view.made; r.Shown {
			r.version = rules.version(path, reg)
		}
		if !t.tell(v.Dot, r) {
			return false
		}
	}
	deletes := slices.SortedFunc(slices.Values(reg.Deletes), func(d, e crdt.Delete) int { return cmp.Compare(e.Time, d.Time) })
	for _, d := range deletes {
		if !t.delete(d.Dot, d.Time) {
			return false
		}
	}
	return true
}

func (t *teller) delete(d crdt.Dot, at crdt.Timestamp) bool {
	return t.tell(d, Revision{Deleted: true, Value: Value{ID: ValueID(d), Device: t.space.refOf(d.Replica), Time: at.Time()}})
}

// past tells of a past value, and before it of the delete that ended it.
func (t *teller) past(p store.Past, err error) bool {
	if err != nil {
		t.failed = true
		return t.yield(Revision{}, err)
	}
	if p.How == store.HowDelete && !t.delete(p.By, p.ByTime) {
		return false
	}
	r := t.space.revision(p.Value)
	r.Replaced = &Replacement{How: replacedHow[p.How], Policy: p.Policy, Seen: time.UnixMilli(p.At).UTC()}
	if !p.By.Replica.IsZero() {
		r.Replaced.By, r.Replaced.Device, r.Replaced.Time = ValueID(p.By), t.space.refOf(p.By.Replica), p.ByTime.Time()
	}
	return t.tell(p.Value.Dot, r)
}

func (s *Space) revision(v crdt.Value) Revision {
	return Revision{Value: s.value(v, false), Kind: v.Kind, MergedBy: Policy(v.Policy), version: versionOf(crdt.Register{Live: []crdt.Value{v}})}
}

// Revision returns one revision of a path by its ID, by the beginning of it, with or without "h.", if that fits no other, or by a
// [Version] that the entry has now, or had while that revision was its only value; what a policy makes of several values has that name
// alone. A record that cannot be read is passed over.
//
// It returns [ErrNotFound] if nothing at all is known of the path, and [ErrHistoryExpired] if the path is known and the revision is not:
// it went beyond the bounds of history, or this device never had it.
func (s *Space) Revision(ctx context.Context, path, id string) (Revision, error) {
	if id == "" {
		return Revision{}, ErrBadRequest.With("no version is named").On(path).Next("peer history PATH lists them.")
	}
	var found []Revision
	for r, err := range s.History(ctx, path, HistoryOptions{}) {
		if damage := new(store.CorruptError); errors.As(err, &damage) {
			continue
		} else if err != nil {
			return Revision{}, err
		}
		if r.named(id) {
			found = append(found, r)
		}
	}
	switch {
	case len(found) > 1:
		return Revision{}, ErrBadRequest.With("“%s” begins %d versions of %s", id, len(found), path).On(path).Next("Give more of it.")
	case len(found) == 0:
		return Revision{}, ErrHistoryExpired.With("%s has no version %s here any more, or never had", path, id).On(path)
	}
	return found[0], nil
}

// named reports whether id, as a person may type it, is a name of the revision.
func (r Revision) named(id string) bool {
	if strings.HasPrefix(id, versionPrefix) {
		return strings.HasPrefix(string(r.version), id)
	}
	return strings.HasPrefix(r.ID, id) || strings.HasPrefix(strings.TrimPrefix(r.ID, valueIDPrefix), id)
}

// Restore writes the content of a past revision, named as for [Space.Revision], as a new value: like [Space.Put], on top of what is
// shown now, or of nothing if the entry was deleted. If it is what is shown, nothing is written.
func (s *Space) Restore(ctx context.Context, path, id string) (WriteResult, error) {
	r, err := s.Revision(ctx, path, id)
	if err != nil {
		return WriteResult{}, err
	}
	if r.Deleted {
		return WriteResult{}, ErrBadRequest.With("%s is a delete, it has no value", r.ID).On(path).
			Next("To delete again:  peer del PATH      To bring back what was deleted, name the version before it.")
	}
	reg, err := s.store.Get(path)
	if err != nil {
		return WriteResult{}, s.problem(err)
	}
	if r.Shown { // also what a policy makes of several values
		return WriteResult{Version: s.rules.Load().version(path, reg), Remaining: len(reg.Live) - 1}, nil
	}
	op := WriteOp{Path: path, Content: r.Content}
	if len(reg.Live) == 0 {
		op.Kind = &r.Kind
	}
	return first(s.write(ctx, Write{Ops: []WriteOp{op}}))
}
