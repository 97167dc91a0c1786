// Package gate keeps a database open for those who use it: it is closed when everything under way has ended.
package gate

import (
	"context"
	"errors"
	"sync"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
)

// ErrClosed is returned by every operation after Shut.
var ErrClosed = errors.New("the database is closed")

// ErrBroken is in the chain of every error about a write after the database lost a part of its log or manifest, or could not be opened for
// writing. Reads go on; to write again, it must be closed and opened anew, as after a crash.
var ErrBroken = errors.New("the database is read-only until it is opened again")

// A Gate counts what is under way. The zero Gate is open. It is safe for concurrent use.
type Gate struct {
	mu     sync.RWMutex // guards closed
	closed bool
	active sync.WaitGroup
}

// Enter admits an operation, which ends with Leave, or returns [ErrClosed].
func (g *Gate) Enter() error {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return ErrClosed
	}
	g.active.Add(1)
	return nil
}

// Leave ends an operation that was admitted.
func (g *Gate) Leave() { g.active.Done() }

// Shut admits nothing more, waits for what is under way, and reports true the first time.
func (g *Gate) Shut() bool {
	g.mu.Lock()
	first := !g.closed
	g.closed = true
	g.mu.Unlock()
	if first {
		g.active.Wait()
	}
	return first
}

// Reads are the reading methods of a datastore behind a gate; a database embeds them and adds those that write. The results of
// a query must be closed before the database is.
type Reads struct {
	gate *Gate
	from Source
}

// A Source is what is behind the gate.
type Source interface {
	datastore.Read
	datastore.PersistentFeature
}

// NewReads returns the reads of from behind g.
func NewReads(g *Gate, from Source) Reads { return Reads{g, from} }

// Get implements [datastore.Datastore].
func (r Reads) Get(ctx context.Context, key datastore.Key) ([]byte, error) {
	if err := r.gate.Enter(); err != nil {
		return nil, err
	}
	defer r.gate.Leave()
	return r.from.Get(ctx, key)
}

// Has implements [datastore.Datastore].
func (r Reads) Has(ctx context.Context, key datastore.Key) (bool, error) {
	if err := r.gate.Enter(); err != nil {
		return false, err
	}
	defer r.gate.Leave()
	return r.from.Has(ctx, key)
}

// GetSize implements [datastore.Datastore].
func (r Reads) GetSize(ctx context.Context, key datastore.Key) (int, error) {
	if err := r.gate.Enter(); err != nil {
		return -1, err
	}
	defer r.gate.Leave()
	return r.from.GetSize(ctx, key)
}

// Query implements [datastore.Datastore].
func (r Reads) Query(ctx context.Context, q query.Query) (query.Results, error) {
	if err := r.gate.Enter(); err != nil {
		return nil, err
	}
	defer r.gate.Leave()
	return r.from.Query(ctx, q)
}

// DiskUsage implements [datastore.PersistentDatastore].
func (r Reads) DiskUsage(ctx context.Context) (uint64, error) {
	if err := r.gate.Enter(); err != nil {
		return 0, err
	}
	defer r.gate.Leave()
	return r.from.DiskUsage(ctx)
}
