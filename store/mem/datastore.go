// Package mem is an ordered datastore in memory that loses, on demand, what a crash would lose.
//
// Its batches are atomic, its scans see one moment, and it remembers what was written since the last Sync: [Datastore.Crash] takes
// a tail of that back, as an operating system that stops does. [Datastore.Inject] makes operations fail, [Datastore.Damage] spoils what
// is read.
package mem

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
)

// A Datastore is an ordered datastore in memory. It is safe for concurrent use. Close does nothing: the data live as long as the
// value, so that opening a store on it again is a restart.
type Datastore struct {
	// mu guards all fields.
	mu   sync.RWMutex
	tree tree
	// unsynced holds for each batch that no sync covered what takes it back; spare has slices for the next ones.
	unsynced, spare [][]change
	inject          func(Op, int) error
	// scans counts the scans under way: while there is one, what it reads is not changed in place.
	scans int
	// ops and read count operations, and entries that were read; written counts the batches that no crash took back.
	ops, read, written int
	// bad holds the keys of damaged values; it is replaced and never changed. mended holds what was among them and can become so again.
	bad    map[string]bool
	mended []mended
}

// A change lets a key have a value, or none.
type change struct {
	key    string
	value  []byte
	exists bool
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
	return &Datastore{tree: d.tree.snapshot(), bad: d.bad}
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
	d.beforeChange()
	for _, undos := range slices.Backward(d.unsynced[keep:]) {
		for _, u := range slices.Backward(undos) {
			d.tree.apply(u)
		}
	}
	d.written -= len(d.unsynced) - keep
	d.relapse()
	d.forget(len(d.unsynced))
}

// Settle counts the first n unsynced batches as synced: the disk has got so far.
func (d *Datastore) Settle(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget(min(max(n, 0), len(d.unsynced)))
}

// spareMax and spareCapMax bound the slices that are kept for later batches, and what each of them can hold.
const (
	spareMax    = 4
	spareCapMax = 64
)

// forget gives up the means to take the first n unsynced batches back. The caller holds mu.
func (d *Datastore) forget(n int) {
	for _, undos := range d.unsynced[:n] {
		if clear(undos); len(d.spare) < spareMax && cap(undos) <= spareCapMax {
			d.spare = append(d.spare, undos[:0])
		}
	}
	d.unsynced = slices.Delete(d.unsynced, 0, n)
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
	return spoiled(d.bad, key, value), found, nil
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
	if err := d.count(OpScan); err != nil {
		d.mu.Unlock()
		return err
	}
	t, bad := d.tree, d.bad
	d.scans++
	d.mu.Unlock()
	read := 0
	defer func() {
		d.mu.Lock()
		d.scans--
		d.read += read
		d.mu.Unlock()
	}()
	var key []byte
	for i := range t.from(string(lo)) {
		if hi != nil && i.key >= string(hi) {
			break
		}
		if read++; read%64 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if key = append(key[:0], i.key...); !yield(key, spoiled(bad, i.key, i.value)) {
			break
		}
	}
	return nil
}

// beforeChange keeps what scans under way read as it is. The caller holds mu.
func (d *Datastore) beforeChange() {
	if d.scans > 0 {
		d.tree.snapshot()
	}
}

// Query implements [datastore.Datastore].
func (d *Datastore) Query(_ context.Context, q query.Query) (query.Results, error) {
	d.mu.Lock()
	err := d.count(OpScan)
	t, bad := d.tree.snapshot(), d.bad
	d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	prefix := datastore.NewKey(q.Prefix).String()
	if prefix != "/" {
		prefix += "/"
	}
	var entries []query.Entry
	for i := range t.from(prefix) {
		if !strings.HasPrefix(i.key, prefix) {
			break
		}
		e := query.Entry{Key: i.key, Size: len(i.value)}
		if !q.KeysOnly {
			e.Value = slices.Clone(spoiled(bad, i.key, i.value))
		}
		entries = append(entries, e)
	}
	rest := q
	rest.Prefix = ""
	return query.NaiveQueryApply(rest, query.ResultsWithEntries(q, entries)), nil
}

// Put implements [datastore.Datastore]. It keeps a copy of the value.
func (d *Datastore) Put(_ context.Context, key datastore.Key, value []byte) error {
	return d.apply([]change{{key.String(), clone(value), true}}, OpPut)
}

// Delete implements [datastore.Datastore].
func (d *Datastore) Delete(_ context.Context, key datastore.Key) error {
	return d.apply([]change{{key: key.String()}}, OpDelete)
}

// Sync implements [datastore.Datastore]. It covers all keys, whatever the prefix.
func (d *Datastore) Sync(context.Context, datastore.Key) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.count(OpSync); err != nil {
		return err
	}
	d.forget(len(d.unsynced))
	return nil
}

// Close implements [datastore.Datastore]; it does nothing.
func (d *Datastore) Close() error { return nil }

// Batch implements [datastore.Batching].
func (d *Datastore) Batch(context.Context) (datastore.Batch, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := &batch{d: d, op: OpCommit}
	if n := len(d.spare); n > 0 {
		b.changes, d.spare = d.spare[n-1], d.spare[:n-1]
	}
	return b, nil
}

// FreeingBatch returns a batch whose commit counts as [OpFree].
func (d *Datastore) FreeingBatch(ctx context.Context) (datastore.Batch, error) {
	b, err := d.Batch(ctx)
	b.(*batch).op = OpFree
	return b, err
}

// apply applies changes as one step, or none of them. It takes the slice over.
func (d *Datastore) apply(changes []change, op Op) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.count(op); err != nil {
		return err
	}
	d.beforeChange()
	for i, c := range changes {
		changes[i] = d.tree.apply(c)
	}
	d.unsynced = append(d.unsynced, changes)
	d.written++
	d.mend(changes)
	return nil
}

// A batch collects changes.
type batch struct {
	d       *Datastore
	op      Op
	changes []change
}

// Put implements [datastore.Batch]. It keeps a copy of the value.
func (b *batch) Put(_ context.Context, key datastore.Key, value []byte) error {
	b.changes = append(b.changes, change{key.String(), clone(value), true})
	return nil
}

// Delete implements [datastore.Batch].
func (b *batch) Delete(_ context.Context, key datastore.Key) error {
	b.changes = append(b.changes, change{key: key.String()})
	return nil
}

// PutBytes is Put with the key as bytes, of which it keeps a copy too.
func (b *batch) PutBytes(key, value []byte) error {
	b.changes = append(b.changes, change{string(key), clone(value), true})
	return nil
}

// DeleteBytes is Delete with the key as bytes.
func (b *batch) DeleteBytes(key []byte) error {
	b.changes = append(b.changes, change{key: string(key)})
	return nil
}

// Commit implements [datastore.Batch].
func (b *batch) Commit(context.Context) error {
	changes := b.changes
	b.changes = nil
	return b.d.apply(changes, b.op)
}

// clone returns a copy that is not nil, so that an empty value stays a value.
func clone(value []byte) []byte {
	if len(value) == 0 {
		return []byte{}
	}
	return slices.Clone(value)
}
