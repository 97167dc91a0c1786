package node

import (
	"cmp"
	"context"
	"encoding/base64"
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
)

const cursorPrefix = "c1."

// encodeCursor names a vector in one space.
func (s *Space) encodeCursor(v crdt.Vector) Cursor {
	return Cursor(cursorPrefix + base64.RawURLEncoding.EncodeToString(crdt.AppendVector(s.id[:4:4], v)))
}

func (s *Space) decodeCursor(c Cursor) (crdt.Vector, error) {
	bad := ErrBadRequest.With("%.40q is not a cursor of this space", string(c)).Next("Start again without a cursor.")
	text, ok := strings.CutPrefix(string(c), cursorPrefix)
	b, err := base64.RawURLEncoding.DecodeString(text)
	if !ok || err != nil || len(b) < 4 || string(b[:4]) != string(s.id[:4]) {
		return crdt.Vector{}, bad
	}
	v, err := crdt.DecodeVector(b[4:])
	if err != nil {
		return crdt.Vector{}, bad
	}
	return v, nil
}

// rawChange is a path whose state lies after a cursor.
type rawChange struct {
	path  string
	reg   crdt.Register
	after crdt.Vector // the cursor that continues after it
}

// rawPage is a page before names and versions are looked up.
type rawPage struct {
	changes []rawChange
	next    crdt.Vector
	whole   bool
}

// Changes returns the page of the feed after o.Since. With o.Wait it waits for the first change if there is none; an empty page
// with a new cursor is normal. It returns [ErrCursorExpired] if deletes after the cursor are no longer remembered.
func (s *Space) Changes(ctx context.Context, o ChangesOptions) (Changes, error) {
	since, err := s.cursor(o.Since)
	if err != nil {
		return Changes{}, err
	}
	limit := min(cmp.Or(max(o.Limit, 0), changesDefault), changesMax)
	var timeout <-chan time.Time
	if wait := min(o.Wait, waitMax); wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		timeout = t.C
	}
	for {
		pulse := s.pulse()
		page, err := s.page(ctx, since, o.Prefix, limit)
		if err != nil {
			return Changes{}, err
		}
		if len(page.changes) > 0 || timeout == nil {
			return s.finishPage(page), nil
		}
		since = page.next
		select {
		case <-pulse:
		case <-timeout:
			return s.finishPage(page), nil
		case <-ctx.Done():
			return Changes{}, ctx.Err()
		case <-s.loop.quit:
			return Changes{}, ErrClosed
		}
	}
}

func (s *Space) cursor(c Cursor) (crdt.Vector, error) {
	switch c {
	case "":
		return crdt.Vector{}, nil
	case CursorNow:
		return s.store.Context(), nil
	}
	return s.decodeCursor(c)
}

// page collects up to limit changed paths in the loop. A transaction is never split: a page may grow beyond limit to hold it.
func (s *Space) page(ctx context.Context, since crdt.Vector, prefix string, limit int) (rawPage, error) {
	var p rawPage
	err := s.loop.read(ctx, func(tx *store.Tx) error {
		fresh := since.Len() == 0
		if !fresh && (!tx.Floor().Within(since) || !since.Within(tx.Context())) {
			return ErrCursorExpired.With("what was deleted since is no longer remembered here")
		}
		var err error
		p, err = collectPage(tx, since, prefix, limit, fresh)
		return err
	})
	if err != nil {
		return p, listProblem(ctx, err)
	}
	return p, nil
}

// collectPage walks the names after since in the order of their dots. The cursor after a change is known once the next dot
// begins.
func collectPage(tx *store.Tx, since crdt.Vector, prefix string, limit int, fresh bool) (rawPage, error) {
	p := rawPage{next: since.Clone()}
	var last crdt.Dot
	open := 0 // changes from here on await their cursor
	settle := func(v crdt.Vector) {
		for ; open < len(p.changes); open++ {
			p.changes[open].after = v
		}
	}
	seen := map[string]bool{}
	deletes := tx.DeletesAbove(since)
	if fresh {
		deletes = func(func(crdt.Name, error) bool) {}
	}
	for n, err := range mergeNames(tx.LiveAbove(since), deletes) {
		if err != nil {
			return p, err
		}
		if n.Dot != last && last.Counter > 0 {
			p.next.Add(last)
			if open < len(p.changes) {
				settle(p.next.Clone())
			}
			if len(p.changes) >= limit {
				return p, nil
			}
		}
		last = n.Dot
		if seen[n.Path] || crdt.IsSystemPath(n.Path) || !strings.HasPrefix(n.Path, prefix) {
			continue
		}
		seen[n.Path] = true
		reg, err := tx.Register(n.Path)
		if err != nil {
			return p, err
		}
		p.changes = append(p.changes, rawChange{path: n.Path, reg: reg})
	}
	p.next, p.whole = tx.Context().Clone(), true
	settle(p.next)
	return p, nil
}

// mergeNames yields the names of two ordered sequences in one order.
func mergeNames(a, b crdt.NameSeq) crdt.NameSeq {
	return func(yield func(crdt.Name, error) bool) {
		next, stop := iter.Pull2(b)
		defer stop()
		other, err, more := next()
		for n, errA := range a {
			for more && err == nil && other.Compare(n) < 0 {
				if !yield(other, nil) {
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
		case shown.Resolved:
			out.Type = ChangeResolved
		}
	}
	device := s.deviceOf(last.Dot.Replica)
	out.Device, out.Time, out.Remote = s.roster.Load().ref(device), last.Time.Time(), device != s.node.id
	return out
}

// Watch yields the changes of entries whose path begins with prefix, from since on and without end, and once an event that says
// that everything that was there when it began has been yielded. It ends when ctx does, when the caller breaks off, or after an
// error.
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
