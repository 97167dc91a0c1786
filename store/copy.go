package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ipfs/go-datastore"
)

// Copy calls yield for the records of one moment, in the order of keys, as they lie in the datastore, damaged ones included. It leaves
// out what belongs to this copy of the data alone: the incarnation, so that nobody goes on under its replica id, and the local records.
// Key and value are valid during the call only. The first error of yield ends it.
func (s *Store) Copy(ctx context.Context, yield func(key, value []byte) error) error {
	if s.closed.Load() {
		return ErrClosed
	}
	var stopped error
	err := s.eng.scan(ctx, []byte("/"), nil, func(key, value []byte) bool {
		if stopped = ctx.Err(); stopped == nil && copied(string(key)) {
			stopped = yield(key, value)
		}
		return stopped == nil
	})
	return errors.Join(stopped, err)
}

func copied(key string) bool { return key != keyIncarnation && !strings.HasPrefix(key, spaceMeta) }

// pasteBytes is the size of a batch of Paste.
const pasteBytes = 1 << 20

// Paste fills an empty datastore with what Copy gave; next returns one record after the other, then io.EOF. All is durable when it
// returns. After an error a part of it is there: throw the datastore away.
func Paste(ctx context.Context, ds datastore.Batching, next func() (key, value []byte, err error)) error {
	e := newEngine(ds)
	for done := false; !done; {
		b, err := e.batch(ctx, false)
		if err != nil {
			return err
		}
		for size := 0; size < pasteBytes; {
			key, value, err := next()
			if done = err == io.EOF; done {
				break
			}
			if err != nil {
				return err
			}
			if len(key) < 2 || key[0] != '/' || key[len(key)-1] == '/' || !copied(string(key)) {
				return fmt.Errorf("a copy cannot hold the record %q", key)
			}
			b.put(key, value)
			size += len(key) + len(value)
		}
		if err := b.commit(); err != nil {
			return err
		}
	}
	return ds.Sync(ctx, datastore.RawKey("/"))
}
