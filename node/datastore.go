package node

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/ipfs/go-datastore"

	"syncline/crdt"
)

// DatastoreOptions are the choices of [Space.Datastore]. The zero options are a datastore over the whole space in which the last
// writer wins.
//
// The hooks are called one at a time, never concurrently, on a goroutine of the datastore, after the change can be read: for local
// changes and for those of other devices, in the order in which they arrived here. The last state of a key is always told; states that were
// replaced before their turn came may be skipped, and a state may be told twice. A hook may use the datastore and the space, but
// must not close them. While a hook runs the others wait, and nothing else does.
type DatastoreOptions struct {
	// Namespace is put before every key: the key /a of a datastore with the namespace /app is the path app/a. The hooks and queries
	// show keys without it. Default: the whole space.
	Namespace datastore.Key
	// PutHook is told a key that changed and the value that Get returns for it now. The value is the hook's to keep.
	PutHook func(k datastore.Key, v []byte)
	// DeleteHook is told a key that changed and is not there any more.
	DeleteHook func(k datastore.Key)
	// ConflictHook is told a key with an open Conflict: all of them at the start, then each after every change that leaves one
	// open, after the PutHook. c.Path is what [Space.Resolve] takes.
	ConflictHook func(k datastore.Key, c Conflict)
	// Multi keeps values that were written without knowledge of each other, as an open Conflict, until somebody resolves it; Get
	// returns the newest until then. Default: entries of kind LWW, where the newest wins at once and nothing is asked. All devices
	// of a space should choose alike.
	Multi bool
}

// A Datastore is a space, or a part of one, as a go-datastore. What is put here is there on every device of the space; a batch is
// one transaction, seen as a whole everywhere. All methods are safe for concurrent use.
//
// A key is a path without its first slash. Keys that cannot be paths are refused with [ErrBadPath]: the root, keys with empty
// segments, with “.” or “..”, with control characters, with bytes that are not UTF-8 in normalisation form C, or longer than
// PathBytesMax. Values have at most ValueBytesMax bytes and no content type; those that were written otherwise are read as bytes.
type Datastore struct {
	space *Space
	opts  DatastoreOptions
	// prefix of all paths: empty, or the namespace with a slash behind it.
	prefix string
	kind   crdt.Kind
	hooks  *hooks // nil without any

	mu      sync.Mutex // guards the fields below
	closed  bool
	queries map[*scan]struct{}
}

var _ datastore.Batching = (*Datastore)(nil)

// Datastore returns the space as a go-datastore. Close it when it is not needed any more; it ends with the space at the latest, and says
// then why: [ErrSpaceLeft] after a [Node.Join], or [ErrClosed].
func (s *Space) Datastore(o DatastoreOptions) (*Datastore, error) {
	d := &Datastore{space: s, opts: o, kind: crdt.LWW, queries: map[*scan]struct{}{}}
	if o.Multi {
		d.kind = crdt.Multi
	}
	if namespace := strings.TrimPrefix(o.Namespace.String(), "/"); namespace != "" {
		if err := checkUserPath(namespace); err != nil {
			return nil, err
		}
		d.prefix = namespace + "/"
	}
	if o.PutHook != nil || o.DeleteHook != nil || o.ConflictHook != nil {
		d.hooks = newHooks(d)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, s.gone()
	}
	s.datastores[d] = struct{}{}
	if d.hooks != nil {
		go d.hooks.run()
	}
	return d, nil
}

// openDatastores returns the datastores that are not closed. With last, none can be opened any more.
func (s *Space) openDatastores(last bool) []*Datastore {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = s.closed || last
	return slices.Collect(maps.Keys(s.datastores))
}

// path returns the path of a key, while the datastore is open.
func (d *Datastore) path(key datastore.Key) (string, error) {
	if err := d.open(); err != nil {
		return "", err
	}
	path := d.prefix + strings.TrimPrefix(key.String(), "/")
	if err := crdt.CheckPath(path); err != nil {
		return "", ErrBadPath.With("the key %.80q cannot be a path: %v", key.String(), err).On(path).
			Next(ErrBadPath.Hint + "\nEncode binary keys as text, for example in base32.")
	}
	return path, nil
}

// key is the inverse of path.
func (d *Datastore) key(path string) datastore.Key {
	return datastore.RawKey("/" + path[len(d.prefix):])
}

// open refuses what comes after Close.
func (d *Datastore) open() error {
	d.mu.Lock()
	closed := d.closed
	d.mu.Unlock()
	if closed {
		return d.over()
	}
	return nil
}

// over says why a closed datastore takes no more calls: Close was called, or its space has ended.
func (d *Datastore) over() error {
	d.space.mu.Lock()
	defer d.space.mu.Unlock()
	if d.space.closed {
		return d.space.gone()
	}
	return errDatastoreClosed
}

var errDatastoreClosed = func() *Problem {
	p := ErrClosed.With("Close was called on it; the space goes on.").Next("Take a new one:  space.Datastore()")
	p.Title, p.Retryable = "The datastore is closed", false
	return p
}()

// shown returns the value that a plain read of a key returns.
func (d *Datastore) shown(key datastore.Key) (crdt.Value, error) {
	path, err := d.path(key)
	if err != nil {
		return crdt.Value{}, err
	}
	reg, err := d.space.store.Get(path)
	if err != nil {
		return crdt.Value{}, d.space.problem(err)
	}
	v, ok := d.space.shown(path, reg)
	if !ok {
		return crdt.Value{}, datastore.ErrNotFound
	}
	return v, nil
}

// Get implements [datastore.Datastore]. Of a key with an open Conflict it returns the newest value, of one
// that a policy settles what the policy shows. The bytes are the caller's.
func (d *Datastore) Get(_ context.Context, key datastore.Key) ([]byte, error) {
	v, err := d.shown(key)
	return v.Data, err
}

// Has implements [datastore.Datastore].
func (d *Datastore) Has(_ context.Context, key datastore.Key) (bool, error) {
	_, err := d.shown(key)
	if err == datastore.ErrNotFound {
		return false, nil
	}
	return err == nil, err
}

// GetSize implements [datastore.Datastore].
func (d *Datastore) GetSize(_ context.Context, key datastore.Key) (int, error) {
	v, err := d.shown(key)
	if err != nil {
		return -1, err
	}
	return len(v.Data), nil
}

// putOp writes a value. Where the last writer wins it replaces all that is here; else it replaces what Get returned.
func (d *Datastore) putOp(path string, value []byte) WriteOp {
	return WriteOp{Path: path, Content: Content{Data: append([]byte{}, value...)}, Kind: &d.kind, All: d.kind == crdt.LWW}
}

// deleteOp deletes all that is here: after a Delete, a key must not be found.
func deleteOp(path string) WriteOp {
	return WriteOp{Path: path, Delete: true, All: true, Idempotent: true}
}

// Put implements [datastore.Datastore]. It keeps a copy of the value, and returns once it is on disk, unless the node is relaxed.
func (d *Datastore) Put(ctx context.Context, key datastore.Key, value []byte) error {
	path, err := d.path(key)
	if err == nil {
		_, err = d.space.write(ctx, Write{Ops: []WriteOp{d.putOp(path, value)}})
	}
	return err
}

// Delete implements [datastore.Datastore]: it deletes every value of the key.
func (d *Datastore) Delete(ctx context.Context, key datastore.Key) error {
	path, err := d.path(key)
	if err == nil {
		_, err = d.space.write(ctx, Write{Ops: []WriteOp{deleteOp(path)}})
	}
	return err
}

// Sync implements [datastore.Datastore]: everything that can be read now, whatever its key, is on disk afterwards. Only a relaxed
// node needs it.
func (d *Datastore) Sync(ctx context.Context, _ datastore.Key) error {
	if err := d.open(); err != nil {
		return err
	}
	return d.space.loop.sync(ctx)
}

// Close implements [datastore.Datastore]: it ends open queries, waits for the hook that runs, and drops the calls of hooks that
// wait. The space stays open.
func (d *Datastore) Close() error {
	d.mu.Lock()
	d.closed = true
	queries := slices.Collect(maps.Keys(d.queries))
	d.mu.Unlock()
	for _, q := range queries {
		q.end(d.over())
	}
	d.space.mu.Lock()
	delete(d.space.datastores, d)
	d.space.mu.Unlock()
	if d.hooks != nil {
		d.hooks.close()
	}
	return nil
}
