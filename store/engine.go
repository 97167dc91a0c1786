package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
)

// A Ranger is a datastore that can scan a part of its keys in order. Scans of other datastores go through Query, which is correct
// and slower.
type Ranger interface {
	// Range calls yield for the entries with lo <= key < hi in the order of the keys' bytes, as they were when Range was called,
	// until yield returns false. A nil hi means no upper bound. Key and value are valid during the call only.
	Range(ctx context.Context, lo, hi []byte, yield func(key, value []byte) bool) error
}

// A ByteReader is a datastore that can be read without a datastore.Key and without a copy of the store's making.
type ByteReader interface {
	// AppendValue appends the value of key to dst. It reports false, and returns dst, if there is none. With a [FileDamage] it fails only if
	// no file above that one holds the key: its newest value is in there, or there is none.
	AppendValue(ctx context.Context, dst, key []byte) (value []byte, found bool, err error)
}

// A ReadOpener is a datastore that offers a faster reader to whoever reads many keys of one moment.
type ReadOpener interface {
	// OpenReader returns a reader of the datastore as it is now, for one goroutine. The caller closes it.
	OpenReader(ctx context.Context) (Reader, error)
}

// A Reader reads one moment of a datastore.
type Reader = interface {
	AppendValue(ctx context.Context, dst, key []byte) (value []byte, found bool, err error)
	Close() error
}

// A FreeingBatcher is a datastore that holds a part of the disk back, of which a batch that frees space may use some.
type FreeingBatcher interface {
	// FreeingBatch returns a batch for deletes and little else.
	FreeingBatch(ctx context.Context) (datastore.Batch, error)
}

// A Reopener is a datastore that a failure leaves for reading alone until it is closed and opened anew.
type Reopener interface {
	// Failed returns why nothing can be written until then, nil if it can be.
	Failed() error
	// Reopenable returns nil if that may help by now, else why not yet.
	Reopenable() error
}

// A ByteBatch is a batch that takes keys as bytes. It keeps neither key nor value.
type ByteBatch interface {
	PutBytes(key, value []byte) error
	DeleteBytes(key []byte) error
}

// A GrowingBatch is a batch that can be told how much will come, so that it need not outgrow one buffer after the other.
type GrowingBatch interface {
	// Grow makes room for so many bytes of keys and values. It is called before the first write.
	Grow(bytes int)
}

// An engine reads and writes a datastore by the shortest way that it offers.
type engine struct {
	ds     datastore.Batching
	ranger Ranger
	reader ByteReader
	opener ReadOpener
}

func newEngine(ds datastore.Batching) *engine {
	e := &engine{ds: ds}
	e.ranger, _ = ds.(Ranger)
	e.reader, _ = ds.(ByteReader)
	if e.reader == nil {
		e.reader = keyReader{ds}
	}
	e.opener, _ = ds.(ReadOpener)
	return e
}

// get appends the value of key to dst.
func (e *engine) get(ctx context.Context, dst, key []byte) (value []byte, found bool, err error) {
	return get(ctx, e.reader, dst, key)
}

func get(ctx context.Context, from ByteReader, dst, key []byte) (value []byte, found bool, err error) {
	if value, found, err = from.AppendValue(ctx, dst, key); err != nil {
		return dst, false, fmt.Errorf("read %q: %w", key, err)
	}
	return value, found, nil
}

// A keyReader reads datastores that know keys only.
type keyReader struct{ ds datastore.Batching }

// AppendValue implements [ByteReader].
func (r keyReader) AppendValue(ctx context.Context, dst, key []byte) ([]byte, bool, error) {
	value, err := r.ds.Get(ctx, datastore.RawKey(string(key)))
	if errors.Is(err, datastore.ErrNotFound) {
		return dst, false, nil
	}
	return append(dst, value...), err == nil, err
}

// scan calls yield like Range.
func (e *engine) scan(ctx context.Context, lo, hi []byte, yield func(key, value []byte) bool) error {
	var err error
	if e.ranger != nil {
		err = e.ranger.Range(ctx, lo, hi, yield)
	} else {
		err = e.query(ctx, lo, hi, yield)
	}
	if err != nil {
		return fmt.Errorf("scan from %q: %w", lo, err)
	}
	return nil
}

func (e *engine) query(ctx context.Context, lo, hi []byte, yield func(key, value []byte) bool) error {
	q := query.Query{Prefix: namespace(lo, hi), Orders: []query.Order{query.OrderByKey{}}}
	for entry, err := range datastore.QueryIter(ctx, e.ds, q) {
		switch {
		case err != nil:
			return err
		case entry.Key < string(lo):
			continue
		case hi != nil && entry.Key >= string(hi):
			return nil
		case !yield([]byte(entry.Key), entry.Value):
			return nil
		}
	}
	return nil
}

// namespace returns the longest key whose descendants include all keys with lo <= key < hi.
func namespace(lo, hi []byte) string {
	common := 0
	for common < len(lo) && common < len(hi) && lo[common] == hi[common] {
		common++
	}
	// If hi is the first key after those that begin with a prefix, all keys between share that prefix.
	if n := len(hi); n > 0 && hi[n-1] > 0 && len(lo) >= n && bytes.Equal(lo[:n-1], hi[:n-1]) && lo[n-1] == hi[n-1]-1 {
		common = n
	}
	return string(lo[:max(1, strings.LastIndexByte(string(lo[:common]), '/'))])
}

// A batch collects the writes of one commit.
type batch struct {
	ctx   context.Context
	batch datastore.Batch
	bytes ByteBatch
	err   error
}

// batch returns a new batch, one that frees space if frees.
func (e *engine) batch(ctx context.Context, frees bool) (*batch, error) {
	open := e.ds.Batch
	if f, ok := e.ds.(FreeingBatcher); ok && frees {
		open = f.FreeingBatch
	}
	b, err := open(ctx)
	if err != nil {
		return nil, fmt.Errorf("new batch: %w", err)
	}
	out := &batch{ctx: ctx, batch: b}
	out.bytes, _ = b.(ByteBatch)
	return out, nil
}

// grow makes room for so many bytes.
func (b *batch) grow(bytes int) {
	if g, ok := b.batch.(GrowingBatch); ok {
		g.Grow(bytes)
	}
}

// put and delete keep neither key nor value. The first error stays until commit.
func (b *batch) put(key, value []byte) {
	switch {
	case b.err != nil:
	case b.bytes != nil:
		b.err = b.bytes.PutBytes(key, value)
	default:
		b.err = b.batch.Put(b.ctx, datastore.RawKey(string(key)), append([]byte{}, value...))
	}
}

func (b *batch) delete(key []byte) {
	switch {
	case b.err != nil:
	case b.bytes != nil:
		b.err = b.bytes.DeleteBytes(key)
	default:
		b.err = b.batch.Delete(b.ctx, datastore.RawKey(string(key)))
	}
}

func (b *batch) commit() error {
	if b.err != nil {
		return b.err
	}
	return b.batch.Commit(b.ctx)
}
