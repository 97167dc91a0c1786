package node

import (
	"context"
	"iter"
	"sync"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"syncline/crdt"
	"syncline/store"
)

// Query implements [datastore.Datastore]. It reads one moment: the whole of each batch or nothing of it. The results come in the
// order of their keys as they are read, so that they cost what lies below the prefix up to where the caller stops; only another
// order collects them first. Close the results, or read them to their end. While [Space.Filling] says so, more is on its way.
func (d *Datastore) Query(ctx context.Context, q query.Query) (query.Results, error) {
	s := &scan{d: d, ctx: ctx}
	// Filters and orders may look at values that the caller does not want.
	s.values = !q.KeysOnly || len(q.Filters)+len(q.Orders) > 0
	s.next, s.stop = iter.Pull2(d.space.store.List(d.below(q.Prefix), ""))
	if !d.begin(s) {
		s.stop()
		return nil, d.over()
	}
	rest := q
	rest.Prefix = ""
	if len(q.Orders) > 0 && isByKey(q.Orders[0]) {
		rest.Orders = nil
	}
	results := query.NaiveQueryApply(rest, query.ResultsFromIterator(q, query.Iterator{Next: s.result, Close: s.close}))
	if !q.KeysOnly || !s.values {
		return results, nil
	}
	return query.ResultsFromIterator(q, query.Iterator{Next: func() (query.Result, bool) {
		r, ok := results.NextSync()
		r.Value = nil
		return r, ok
	}, Close: results.Close}), nil
}

// begin notes a query for Close to end, unless the datastore is closed.
func (d *Datastore) begin(s *scan) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.queries[s] = struct{}{}
	}
	return !d.closed
}

// below returns the beginning of the paths that a query's prefix means: the keys below it, not the prefix itself.
func (d *Datastore) below(prefix string) string {
	key := datastore.NewKey(prefix).String()
	if key == "/" {
		return d.prefix
	}
	return d.prefix + key[1:] + "/"
}

func isByKey(o query.Order) bool {
	switch o.(type) {
	case query.OrderByKey, *query.OrderByKey:
		return true
	}
	return false
}

// A scan is a query that reads a moment of the store, which keeps that moment until the scan ends.
type scan struct {
	d      *Datastore
	ctx    context.Context
	values bool

	mu     sync.Mutex // guards the fields below; one call of next or stop at a time
	next   func() (store.Entry, error, bool)
	stop   func()
	failed error // told once, as the last result
	ended  bool
}

// result returns the next result.
func (s *scan) result() (query.Result, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ctx.Err(); err != nil && !s.ended {
		s.ended, s.failed = true, err
	}
	if err := s.failed; err != nil {
		s.failed = nil
		return query.Result{Error: err}, true
	}
	if s.ended {
		return query.Result{}, false
	}
	e, err, ok := s.next()
	if err != nil {
		return query.Result{Error: storeProblem(err).On(e.Path)}, true
	}
	if !ok {
		return query.Result{}, false
	}
	shown, _ := s.d.space.shown(e.Path, crdt.Register{Live: e.Live})
	out := query.Entry{Key: s.d.key(e.Path).String(), Size: len(shown.Data)}
	if s.values {
		out.Value = shown.Data
	}
	return query.Result{Entry: out}, true
}

// end ends the scan early. If the caller was not through, err is its last result.
func (s *scan) end(err error) {
	s.mu.Lock()
	if !s.ended {
		s.ended, s.failed = true, err
	}
	s.stop()
	s.mu.Unlock()
	s.d.mu.Lock()
	delete(s.d.queries, s)
	s.d.mu.Unlock()
}

// close ends the scan by its caller's will.
func (s *scan) close() error {
	s.end(nil)
	return nil
}
