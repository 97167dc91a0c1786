package node

import (
	"context"
	"encoding/json"
	"iter"
)

// A View reads and writes the entries under a prefix as values of one Go type, stored as JSON. It is cheap; each goroutine makes
// its own, for a View is not safe for concurrent use.
type View[T any] struct {
	space  *Space
	prefix string
	err    error
}

// Of returns the view of the entries whose path begins with prefix. What follows the prefix is the id of an entry: with "todo/",
// "todo/1" has the id "1".
func Of[T any](s *Space, prefix string) *View[T] { return &View[T]{space: s, prefix: prefix} }

// All yields the ids and shown values, in the order of their paths' bytes, as they were when the iteration began. Entries that are
// no T, or cannot be read, are left out; Err tells of the first. Ask Err after the loop: it also tells what ended it too early.
func (v *View[T]) All(ctx context.Context) iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		v.err = nil
		for e, err := range v.space.List(ctx, v.prefix, ListOptions{}) {
			var value T
			if err == nil {
				err = e.Decode(&value)
			}
			if err != nil {
				if v.err == nil {
					v.err = err
				}
				continue // List ends by itself where it cannot go on
			}
			if !yield(e.Path[len(v.prefix):], value) {
				return
			}
		}
	}
}

// Err returns what went wrong in the last iteration of All, nil if it yielded all that is there.
func (v *View[T]) Err() error { return v.err }

// Get returns the shown value of an entry, or [ErrNotFound]; [ErrBadRequest] if it is no T.
func (v *View[T]) Get(ctx context.Context, id string) (value T, err error) {
	e, err := v.space.Get(ctx, v.prefix+id)
	if err != nil {
		return value, err
	}
	return value, e.Decode(&value)
}

// Put writes a value as [Space.Put] does. It returns [ErrBadRequest] if JSON cannot express it.
func (v *View[T]) Put(ctx context.Context, id string, value T, opts ...WriteOption) (WriteResult, error) {
	b, err := json.Marshal(value)
	if err != nil {
		return WriteResult{}, ErrBadRequest.Because(err).On(v.prefix + id)
	}
	return v.space.Put(ctx, v.prefix+id, Content{Data: b, Type: MediaTypeJSON}, opts...)
}

// Delete deletes an entry as [Space.Delete] does.
func (v *View[T]) Delete(ctx context.Context, id string, opts ...WriteOption) (WriteResult, error) {
	return v.space.Delete(ctx, v.prefix+id, opts...)
}

// Decode reads the shown value, which must be JSON, into what v points to, as [json.Unmarshal] does. It returns [ErrBadRequest] if
// that is not possible.
func (e Entry) Decode(v any) error {
	if err := json.Unmarshal(e.Shown().Data, v); err != nil {
		return ErrBadRequest.With("%s holds no JSON that fits %T: %v", e.Path, v, err).Because(err).On(e.Path)
	}
	return nil
}
