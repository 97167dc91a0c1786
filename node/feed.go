package node

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"iter"
	"strings"
	"time"

	"syncline/crdt"
	"syncline/store"
)

// The feed is made from the state itself: a cursor is a version vector, and what follows it are the entries whose live values or
// remembered deletes lie outside. So nothing has to be kept for readers, however slow, and the last state always arrives.

// Bounds of the feed.
const (
	changesDefault = 500
	changesMax     = 10_000
	waitMax        = 5 * time.Minute
	// pageBytesMax is the size of the values at which a page is closed.
	pageBytesMax = 8 << 20
	// readNamesMax is the number of names at which a read in the loop ends, so that writes and sessions are not held up by one that looks at
	// all that there is. It does not split a transaction.
	readNamesMax = 10_000
)

const cursorPrefix = "c2."

// position is what a cursor stands for: the reader has what lies within since. While it reads the state from the beginning, base
// is the context of its first page: what was deleted within base it never saw, so it need not hear of those deletes.
//
// A transaction is one dot of many paths. Of the dot of within, which since lacks, the reader has the names up to within itself. One
// name may tell of many paths, if it is a policy's: told is the last of those that the reader has. Both are zero between two dots.
type position struct {
	since, base crdt.Vector
	within      crdt.Name
	told        string
}

// has reports whether a reader at p has all that a name tells of.
func (p position) has(n crdt.Name) bool { return n.Dot == p.within.Dot && n.Path < p.within.Path }

// after returns the path after which a reader at p has not heard what n tells of.
func (p position) after(n crdt.Name) string {
	if n == p.within {
		return p.told
	}
	return ""
}

// encodeCursor names a position in one space: the first four bytes of the space id and the two vectors, each after its length; within
// a dot also the dot, and the two paths, the first after its length.
func (s *Space) encodeCursor(p position) Cursor {
	b := s.id[:4:4]
	for _, v := range []crdt.Vector{p.since, p.base} {
		text := crdt.AppendVector(nil, v)
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	if at := p.within; at.Dot.Counter > 0 {
		b = binary.AppendUvarint(append(b, at.Dot.Replica[:]...), at.Dot.Counter)
		b = append(binary.AppendUvarint(b, uint64(len(at.Path))), at.Path...)
		b = append(b, p.told...)
	}
	return Cursor(cursorPrefix + base64.RawURLEncoding.EncodeToString(b))
}

func (s *Space) decodeCursor(c Cursor) (p position, err error) {
	bad := ErrBadRequest.With("%.40q is not a cursor of this space", string(c)).Next("Start again without a cursor.")
	text, ok := strings.CutPrefix(string(c), cursorPrefix)
	b, err := base64.RawURLEncoding.DecodeString(text)
	if !ok || err != nil || len(b) < 4 || string(b[:4]) != string(s.id[:4]) {
		return p, bad
	}
	r := crdt.Reader{B: b[4:]}
	since, base := r.Bytes(len(b)), r.Bytes(len(b))
	if len(r.B) > 0 {
		p.within = crdt.Name{Dot: crdt.Dot{Replica: r.Replica(), Counter: r.Uvarint()}, Path: string(r.Bytes(PathBytesMax))}
		p.told = string(r.B)
		if p.within.Dot.Counter == 0 {
			return p, bad
		}
	}
	if r.Err != nil {
		return p, bad
	}
	if p.since, err = crdt.DecodeVector(since); err != nil {
		return p, bad
	}
	if p.base, err = crdt.DecodeVector(base); err != nil {
		return p, bad
	}
	return p, nil
}

// rawChange is a path whose state lies after a cursor.
type rawChange struct {
	path  string
	reg   crdt.Register
	after position // the cursor that continues after it
}

// rawPage is a page before names and versions are looked up.
type rawPage struct {
	changes []rawChange
	next    position
	whole   bool
}

// Changes returns the page of the feed after o.Since. With o.Wait it waits for the first change if there is none; an empty page
// with a new cursor is normal. It returns [ErrCursorExpired] if deletes after the cursor are no longer remembered, or if the cursor is of
// another device and tells of something that has not come here.
func (s *Space) Changes(ctx context.Context, o ChangesOptions) (Changes, error) {
	since, err := s.cursor(o.Since)
	if err != nil {
		return Changes{}, err
	}
	if o.Limit < 0 || o.Limit > changesMax || o.Wait < 0 || o.Wait > waitMax {
		return Changes{}, ErrBadRequest.With("a page has at most %d changes and waits at most %v, not %d and %v", changesMax, waitMax, o.Limit, o.Wait)
	}
	limit := cmp.Or(o.Limit, changesDefault)
	var timeout <-chan time.Time
	if o.Wait > 0 {
		t := time.NewTimer(o.Wait)
		defer t.Stop()
		timeout = t.C
	}
	for {
		pulse := s.pulse()
		page, err := s.page(ctx, since, o.Prefix, limit)
		if err != nil {
			return Changes{}, err
		}
		since = page.next
		if len(page.changes) == 0 && !page.whole {
			continue // nothing of what it looked at is asked for; there is more
		}
		if len(page.changes) > 0 || timeout == nil {
			return s.finishPage(page), nil
		}
		select {
		case <-pulse:
		case <-timeout:
			return s.finishPage(page), nil
		case <-ctx.Done():
			return Changes{}, ctx.Err()
		case <-s.loop.quit:
			return Changes{}, s.gone()
		}
	}
}

func (s *Space) cursor(c Cursor) (position, error) {
	switch c {
	case "":
		return position{}, nil
	case CursorNow:
		return position{since: s.store.Context()}, nil
	}
	return s.decodeCursor(c)
}

// page collects up to limit changed paths in the loop. A transaction is never split: a page may grow beyond limit to hold it.
func (s *Space) page(ctx context.Context, from position, prefix string, limit int) (rawPage, error) {
	var p rawPage
	err := s.loop.read(ctx, func(tx *store.Tx) error {
		if from.since.Len() == 0 && from.base.Len() == 0 {
			from.base = tx.Context().Clone()
		}
		told := from.since.Clone()
		told.Join(from.base)
		// While the replica fills, the feed tells what was seen of all paths; what is beyond follows when that has grown over it.
		switch {
		case !told.Within(tx.Context()):
			return ErrCursorExpired.With("it is of another device, or of one that was restored, and tells of what this one has not seen")
		case !tx.Floor().Meet(tx.Context()).Within(told):
			return ErrCursorExpired.With("what was deleted since is no longer remembered here")
		}
		var err error
		p, err = s.collectPage(tx, from, told, prefix, limit)
		return err
	})
	if err != nil {
		return p, s.listProblem(ctx, err)
	}
	return p, nil
}

// collectPage walks the live values outside what the reader has and the deletes outside told, in the order of their names: by dot, then
// by path. The cursor after a change is one within its dot, but for the last of the dot: that is known once the next begins. A change of
// a policy may change what is shown wherever values compete: all of them are told.
func (s *Space) collectPage(tx *store.Tx, from position, told crdt.Vector, prefix string, limit int) (rawPage, error) {
	p := rawPage{next: position{since: from.since.Clone(), base: from.base}}
	before := position{since: from.since, base: from.base} // the cursor before the dot that is being told
	begun := 0                                             // its first change
	finish := func() {
		if n := len(p.changes); n > begun {
			before = position{since: p.next.since.Clone(), base: p.next.base}
			p.changes[n-1].after, begun = before, n
		}
	}
	var last crdt.Dot
	size, looked := 0, 0
	seen := map[string]bool{}
	for n, err := range mergeNames(tx.LiveBetween(from.since, tx.Context()), tx.DeletesBetween(told, tx.Context())) {
		if err != nil {
			return p, err
		}
		if n.Dot != last && last.Counter > 0 {
			p.next.since.Add(last)
			finish()
			if len(p.changes) >= limit || size >= pageBytesMax || looked >= readNamesMax {
				return p, nil
			}
		}
		looked++
		if last = n.Dot; from.has(n) {
			continue
		}
		for path, err := range s.told(n.Path, prefix, from.after(n)) {
			if err != nil {
				return p, err
			}
			if seen[path] {
				continue
			}
			seen[path] = true
			reg, err := tx.Register(path)
			if err != nil {
				return p, err
			}
			for _, v := range reg.Live {
				size += len(v.Data)
			}
			at := before
			at.within, at.told = n, path
			p.changes = append(p.changes, rawChange{path: path, reg: reg, after: at})
		}
	}
	p.next, p.whole = position{since: tx.Context().Clone()}, true
	finish()
	return p, nil
}

// told yields the paths below prefix that a reader of the feed must look at when the entry at path has changed, those behind after.
func (s *Space) told(path, prefix, after string) iter.Seq2[string, error] {
	if strings.HasPrefix(path, policiesPrefix) {
		return s.store.Conflicts(prefix, after)
	}
	return func(yield func(string, error) bool) {
		if !crdt.IsSystemPath(path) && strings.HasPrefix(path, prefix) && path > after {
			yield(path, nil)
		}
	}
}

// mergeNames yields the names of two ordered sequences in one order.
func mergeNames(a, b crdt.NameSeq) crdt.NameSeq {
	return func(yield func(crdt.Name, error) bool) {
		next, stop := iter.Pull2(b)
		defer stop()
		other, err, more := next()
		for n, errA := range a {
			for more && (err != nil || other.Compare(n) < 0) {
				if !yield(other, err) {
					return
				}
				other, err, more = next()
			}
			if !yield(n, errA) {
				return
			}
		}
		for ; more; other, err, more = next() {
			if !yield(other, err) {
				return
			}
		}
	}
}

func (s *Space) finishPage(p rawPage) Changes {
	out := Changes{Cursor: s.encodeCursor(p.next), UpToDate: p.whole}
	for _, c := range p.changes {
		out.Changes = append(out.Changes, s.change(c))
	}
	return out
}

// change tells what happened from the state that it led to.
func (s *Space) change(c rawChange) Change {
	out := Change{Type: ChangePut, Path: c.path, Cursor: s.encodeCursor(c.after)}
	var last crdt.Delete
	for _, d := range c.reg.Deletes {
		if d.Time >= last.Time {
			last = d
		}
	}
	if len(c.reg.Live) == 0 {
		out.Type = ChangeDelete
	} else {
		e := s.entry(c.path, c.reg)
		e.Pending = s.pending(c.reg)
		out.Entry = &e
		shown, _ := c.reg.Shown()
		last = crdt.Delete{Dot: shown.Dot, Time: shown.Time}
		switch {
		case e.Conflict > 0:
			out.Type = ChangeConflict
		case e.Settled > 0:
			out.Type, out.Policy = ChangeResolved, e.Policy
		case shown.Resolved:
			out.Type, out.Policy = ChangeResolved, Policy(shown.Policy)
		}
	}
	device := s.deviceOf(last.Dot.Replica)
	out.Device, out.Time, out.Remote = s.roster.Load().ref(device), last.Time.Time(), device != s.node.id
	return out
}

// Watch yields the changes of entries whose path begins with prefix, from since on and without end, and once an event that says
// that everything that was there when it began has been yielded; while [Space.Filling] says that something is missing, that is what
// was seen of all paths. An empty since begins with the current state, [CursorNow] with what comes.
//
// It ends when the caller breaks off, or after an error: that of ctx, [ErrCursorExpired], [ErrSpaceLeft], [ErrClosed] or one of the store.
// After [ErrCursorExpired] begin anew without a cursor; what the program holds and is not told then was deleted. A reader may take
// its time and may write: nothing is kept for it, and it is told the last state of what changed meanwhile.
func (s *Space) Watch(ctx context.Context, prefix string, since Cursor) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		told, cursor := false, since
		for {
			page, err := s.Changes(ctx, ChangesOptions{Since: cursor, Prefix: prefix, Wait: waitFor(told)})
			if err != nil {
				yield(Event{}, err)
				return
			}
			cursor = page.Cursor
			for _, c := range page.Changes {
				if !yield(Event{Change: c, Cursor: c.Cursor}, nil) {
					return
				}
			}
			if page.UpToDate && !told {
				told = true
				if !yield(Event{UpToDate: true, Cursor: page.Cursor}, nil) {
					return
				}
			}
		}
	}
}

func waitFor(told bool) time.Duration {
	if told {
		return waitMax
	}
	return 0
}
