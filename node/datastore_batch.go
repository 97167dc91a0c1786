package node

import (
	"context"
	"slices"

	"github.com/ipfs/go-datastore"
)

// A datastoreBatch collects the operations of one transaction, the last one for each key.
type datastoreBatch struct {
	d     *Datastore
	ops   []WriteOp
	at    map[string]int // path → index in ops
	bytes int
	err   error // the first; a batch that lacks something is not committed
}

// Batch implements [datastore.Batching]. A batch is committed as one transaction: all of it or nothing, here and on every other
// device. Beyond TxEntriesMax keys or TxBytesMax bytes it is refused with [ErrTooLarge], by the Put that is too much and by Commit.
func (d *Datastore) Batch(context.Context) (datastore.Batch, error) {
	return &datastoreBatch{d: d, at: map[string]int{}}, nil
}

// Put implements [datastore.Batch]. It keeps a copy of the value.
func (b *datastoreBatch) Put(_ context.Context, key datastore.Key, value []byte) error {
	path, err := b.d.path(key)
	return b.add(b.d.putOp(path, value), err)
}

// Delete implements [datastore.Batch].
func (b *datastoreBatch) Delete(_ context.Context, key datastore.Key) error {
	path, err := b.d.path(key)
	return b.add(deleteOp(path), err)
}

// add puts op in the place of an earlier one at its path, and holds the batch against the limits of a transaction.
func (b *datastoreBatch) add(op WriteOp, err error) error {
	if b.err != nil {
		return b.err
	}
	if err != nil {
		b.err = err
		return err
	}
	i, again := b.at[op.Path]
	if again {
		b.bytes -= opBytes(&b.ops[i])
		b.ops[i] = op
	} else {
		b.at[op.Path] = len(b.ops)
		b.ops = append(b.ops, op)
	}
	b.bytes += opBytes(&op)
	if problem := checkTotals(len(b.ops), b.bytes); problem != nil {
		b.err = problem.Next("Commit smaller batches; each is seen as a whole.")
		b.ops = nil
	}
	return b.err
}

// Commit implements [datastore.Batch]. After an error nothing was written, but see [Space.Put].
func (b *datastoreBatch) Commit(ctx context.Context) error {
	if b.err != nil || len(b.ops) == 0 {
		return b.err
	}
	_, err := b.d.space.write(ctx, Write{Ops: slices.Clone(b.ops)})
	return err
}
