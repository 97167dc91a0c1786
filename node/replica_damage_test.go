package node

import (
	"context"

	"github.com/ipfs/go-datastore"
)

// rot makes a record one that cannot even be opened.
func (r *rig) rot(key string) {
	r.t.Helper()
	r.spoilKey(key)
	if err := r.ds.Put(context.Background(), datastore.RawKey(key), []byte{0xff}); err != nil {
		r.t.Fatal(err)
	}
}
