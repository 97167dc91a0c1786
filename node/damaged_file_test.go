package node_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/ipfs/go-datastore"

	"syncline/node"
	"syncline/node/nodetest"
	"syncline/store"
	"syncline/store/mem"
)

// A rotten datastore has a damaged file. Reads of keys from lo up to hi that were not written since fail, also of those that never were.
type rotten struct {
	*mem.Datastore
	mu     sync.Mutex
	lo, hi string
	anew   map[string]bool
}

var errRot = &store.FileDamage{File: "000007.sst", Err: errors.New("checksum mismatch")}

// spoil makes a range of keys one that the file holds.
func (r *rotten) spoil(lo, hi string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lo, r.hi, r.anew = lo, hi, map[string]bool{}
}

func (r *rotten) lost(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return key >= r.lo && key < r.hi && !r.anew[key]
}

func (r *rotten) AppendValue(ctx context.Context, dst, key []byte) ([]byte, bool, error) {
	if r.lost(string(key)) {
		return dst, false, errRot
	}
	return r.Datastore.AppendValue(ctx, dst, key)
}

// Range implements [store.Ranger]: it ends where the file is damaged.
func (r *rotten) Range(ctx context.Context, lo, hi []byte, yield func(key, value []byte) bool) error {
	var damage error
	err := r.Datastore.Range(ctx, lo, hi, func(key, value []byte) bool {
		if r.lost(string(key)) {
			damage = errRot
			return false
		}
		return yield(key, value)
	})
	return errors.Join(err, damage)
}

// RangeAround implements [store.AroundRanger]: what lies in the hole is told by its keys.
func (r *rotten) RangeAround(ctx context.Context, lo, hi []byte, yield func(key, value []byte) bool, hole func(lo, hi []byte, damage error) bool) error {
	r.mu.Lock()
	from, to := r.lo, r.hi
	r.mu.Unlock()
	told := false
	return r.Datastore.Range(ctx, lo, hi, func(key, value []byte) bool {
		if string(key) < from || string(key) >= to {
			return yield(key, value)
		}
		more := told || hole([]byte(from), []byte(to), errRot)
		told = true
		return more
	})
}

// Batch implements [datastore.Batching].
func (r *rotten) Batch(ctx context.Context) (datastore.Batch, error) {
	b, err := r.Datastore.Batch(ctx)
	return &rottenBatch{b, r}, err
}

type rottenBatch struct {
	datastore.Batch
	r *rotten
}

func (b *rottenBatch) wrote(key datastore.Key) {
	b.r.mu.Lock()
	defer b.r.mu.Unlock()
	if b.r.anew != nil {
		b.r.anew[key.String()] = true
	}
}

func (b *rottenBatch) Put(ctx context.Context, key datastore.Key, value []byte) error {
	b.wrote(key)
	return b.Batch.Put(ctx, key, value)
}

func (b *rottenBatch) Delete(ctx context.Context, key datastore.Key) error {
	b.wrote(key)
	return b.Batch.Delete(ctx, key)
}

// TestNewPathsInADamagedFile: a path that never was and falls in a damaged file is written here and comes from elsewhere, and is in nobody's way;
// a path that was lost is repaired as ever.
func TestNewPathsInADamagedFile(t *testing.T) {
	var hub nodetest.Hub
	a := newPatient(t, &hub, "laptop")
	b := &patient{t: t, ds: mem.New()}
	rot := &rotten{}
	b.n = open(t, node.Config{Dir: t.TempDir(), Name: "desktop", Network: hub.New(), Backend: func(string) (datastore.Batching, store.BootToken, error) {
		rot = &rotten{Datastore: mem.New()} // the last is that of the space that is joined
		b.ds = rot.Datastore
		return rot, nil, nil
	}})
	join(t, a.n, b.n)
	b.s = space(t, b.n)
	a.put("e/51", "1")
	a.put("gone", "1")
	if _, err := a.s.Delete(within(t), "gone"); err != nil { // so that remembered deletes are looked for
		t.Fatal(err)
	}
	a.sync()
	b.want(map[string]string{"e/51": "1"})
	rot.spoil("/d/e/5", "/d/e/6")
	if _, err := b.s.Get(within(t), "e/51"); !errors.Is(err, node.ErrStore) {
		t.Errorf("what is lost: %v", err)
	}
	b.want(map[string]string{"e/55": ""})
	b.put("e/55", "here")
	a.put("e/56", "there")
	a.put("z", "after it")
	a.sync()
	b.sync()
	written := map[string]string{"e/55": "here", "e/56": "there", "z": "after it"}
	a.want(written)
	b.want(written)
	if got := b.repair(node.RepairOptions{}); len(got) != 1 || got["e/51"] != "laptop" {
		t.Errorf("repaired %v", got)
	}
	b.want(map[string]string{"e/51": "1"})
	if da, db := a.digest(), b.digest(); da != db {
		t.Errorf("digests differ: %s, %s", da, db)
	}
	a.check()
	b.check()
}
