// Package mem is an ordered datastore in memory that loses, on demand, what a crash would lose.
//
// Its batches are atomic, its scans see one moment, and it remembers what was written since the last Sync: [Datastore.Crash] takes
// a tail of that back, as an operating system that stops does. [Datastore.Inject] makes operations fail.
package mem

import (
	"context"
	"slices"
	"sync"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
)

// A Datastore is an ordered datastore in memory. It is safe for concurrent use. Close does nothing: the data live as long as the
// value, so that opening a store on it again is a restart.
type Datastore struct {
	// mu guards all fields.
	mu       sync.RWMutex
	tree     tree
	unsynced [][]undo
	inject   func(Op, int) error
	// ops and read count operations, and entries that were read.
	ops, read int
}

// An undo takes one write back.
type undo struct {
	key     string
	value   []byte
	existed bool
}

var (
	_ datastore.Batching = (*Datastore)(nil)
	_ datastore.Batch    = (*batch)(nil)
)

// New returns an empty datastore.
func New() *Datastore { return &Datastore{} }

// Clone returns a copy with everything that was written, synced or not, as a copy of a data directory has it. All of it counts as
// synced there. Injected failures are not copied.
func (d *Datastore) Clone() *Datastore {
	d.mu.Lock()
	defer d.mu.Unlock()
	// All leaves so far are of an older generation than both trees now have, so each copies those that it changes.
	return &Datastore{tree: d.tree.snapshot()}
}

// Unsynced returns the number of batches, single writes included, that no Sync has covered.
func (d *Datastore) Unsynced() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.unsynced)
}

// Crash drops all but the first keep unsynced batches, and counts the rest as synced. It keeps injected failures.
func (d *Datastore) Crash(keep int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	keep = min(max(keep, 0), len(d.unsynced))
	for _, undos := range slices.Backward(d.unsynced[keep:]) {
		for _, u := range slices.Backward(undos) {
			if u.existed {
				d.tree.set(u.key, u.value)
			} else {
				d.tree.delete(u.key)
			}
		}
	}
	d.unsynced = nil
}

// Settle counts the first n unsynced batches as synced: the disk has got so far.
func (d *Datastore) Settle(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	rest := d.unsynced[min(max(n, 0), len(d.unsynced)):]
	copy(d.unsynced, rest)
	clear(d.unsynced[len(rest):])
	d.unsynced = d.unsynced[:len(rest)]
}

// Len returns the number of entries.
func (d *Datastore) Len() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.tree.size
}

// Get implements [datastore.Datastore].
func (d *Datastore) Get(_ context.Context, key datastore.Key) ([]byte, error) {
	value, found, err := d.get(key.String())
	if err == nil && !found {
		err = datastore.ErrNotFound
	}
	return slices.Clone(value), err
}

// AppendValue appends the value of key to dst, if there is one.
func (d *Datastore) AppendValue(_ context.Context, dst, key []byte) ([]byte, bool, error) {
	value, found, err := d.get(string(key))
	return append(dst, value...), found, err
}

func (d *Datastore) get(key string) ([]byte, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.count(OpGet); err != nil {
		return nil, false, err
	}
	value, found := d.tree.get(key)
	if found {
		d.read++
	}
	return value, found, nil
}

// Has implements [datastore.Datastore].
func (d *Datastore) Has(_ context.Context, key datastore.Key) (bool, error) {
	_, found, err := d.get(key.String())
	return found, err
}

// GetSize implements [datastore.Datastore].
func (d *Datastore) GetSize(_ context.Context, key datastore.Key) (int, error) {
	value, found, err := d.get(key.String())
	if err == nil && !found {
		return -1, datastore.ErrNotFound
	}
	return len(value), err
}

// Range calls yield for the entries with lo <= key < hi in order, as they were when Range was called, until yield returns false.
func (d *Datastore) Range(ctx context.Context, lo, hi []byte, yield func(key, value []byte) bool) error {
	d.mu.Lock()
	err := d.count(OpScan)
	t := d.tree.snapshot()
	d.mu.Unlock()
	if err != nil {
		return err
	}
	read := 0
	var key []byte
	t.scan(string(lo), func(i item) bool {
		if hi != nil && i.key >= string(hi) {
			return false
		}
		read++
		if read%64 == 0 && ctx.Err() != nil {
			err = ctx.Err()
			return false
		}
		key = append(key[:0], i.key...)
		return yield(key, i.value)
	})
	d.mu.Lock()
	d.read += read
	d.mu.Unlock()
	return err
}

// Query implements [datastore.Datastore].
func (d *Datastore) Query(_ context.Context, q query.Query) (query.Results, error) {
	d.mu.Lock()
	err := d.count(OpScan)
	t := d.tree.snapshot()
	d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	prefix := datastore.NewKey(q.Prefix).String()
	if prefix != "/" {
		prefix += "/"
	}
	var entries []query.Entry
	t.scan(prefix, func(i item) bool {
		if len(i.key) < len(prefix) || i.key[:len(prefix)] != prefix {
			return false
		}
		e := query.Entry{Key: i.key, Size: len(i.value)}
		if !q.KeysOnly {
			e.Value = slices.Clone(i.value)
		}
		entries = append(entries, e)
		return true
	})
	rest := q
	rest.Prefix = ""
	return query.NaiveQueryApply(rest, query.ResultsWithEntries(q, entries)), nil
}

// Put implements [datastore.Datastore]. It keeps a copy of the value.
func (d *Datastore) Put(_ context.Context, key datastore.Key, value []byte) error {
	return d.apply([]write{{key: key.String(), value: clone(value)}}, OpPut)
}

// Delete implements [datastore.Datastore].
func (d *Datastore) Delete(_ context.Context, key datastore.Key) error {
	return d.apply([]write{{key: key.String(), remove: true}}, OpDelete)
}

// Sync implements [datastore.Datastore]. It covers all keys, whatever the prefix.
func (d *Datastore) Sync(context.Context, datastore.Key) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.count(OpSync); err != nil {
		return err
	}
	clear(d.unsynced)
	d.unsynced = d.unsynced[:0]
	return nil
}

// Close implements [datastore.Datastore]; it does nothing.
func (d *Datastore) Close() error { return nil }

// Batch implements [datastore.Batching].
func (d *Datastore) Batch(context.Context) (datastore.Batch, error) {
	return &batch{d: d, writes: make([]write, 0, 8)}, nil
}

// A write is one operation of a batch.
type write struct {
	key    string
	value  []byte
	remove bool
}

// apply applies writes as one step, or none of them.
func (d *Datastore) apply(writes []write, op Op) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.count(op); err != nil {
		return err
	}
	undos := make([]undo, len(writes))
	for i, w := range writes {
		u := undo{key: w.key}
		if w.remove {
			u.value, u.existed = d.tree.delete(w.key)
		} else {
			u.value, u.existed = d.tree.set(w.key, w.value)
		}
		undos[i] = u
	}
	d.unsynced = append(d.unsynced, undos)
	return nil
}

// A batch collects writes.
type batch struct {
	d      *Datastore
	writes []write
}

// Put implements [datastore.Batch]. It keeps a copy of the value.
func (b *batch) Put(_ context.Context, key datastore.Key, value []byte) error {
	b.writes = append(b.writes, write{key: key.String(), value: clone(value)})
	return nil
}

// Delete implements [datastore.Batch].
func (b *batch) Delete(_ context.Context, key datastore.Key) error {
	b.writes = append(b.writes, write{key: key.String(), remove: true})
	return nil
}

// PutBytes is Put with the key as bytes, of which it keeps a copy too.
func (b *batch) PutBytes(key, value []byte) error {
	b.writes = append(b.writes, write{key: string(key), value: clone(value)})
	return nil
}

// DeleteBytes is Delete with the key as bytes.
func (b *batch) DeleteBytes(key []byte) error {
	b.writes = append(b.writes, write{key: string(key), remove: true})
	return nil
}

// Commit implements [datastore.Batch].
func (b *batch) Commit(context.Context) error {
	writes := b.writes
	b.writes = nil
	return b.d.apply(writes, OpCommit)
}

// clone returns a copy that is not nil, so that an empty value stays a value.
func clone(value []byte) []byte {
	if len(value) == 0 {
		return []byte{}
	}
	return slices.Clone(value)
}
