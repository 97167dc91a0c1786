package sim_test

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"github.com/ipfs/go-datastore"

	"syncline/crdt"
	"syncline/node"
	"syncline/sim/des"
	"syncline/sim/scenario"
	"syncline/store"
	"syncline/store/mem"
)

// Mistakes of disks and of what is kept on them.

func lyingDisk(*scenario.Scenario) des.Taps {
	return diskTap(diskOf{sync: func(func() error) error { return nil }})
}

// A diskOf is a disk with something wrong.
type diskOf struct {
	des.Disk
	// value changes what is read under a key; write says whether an entry is written, and delete whether it is deleted.
	value         func(key string, value []byte) []byte
	write, delete func(key string) bool
	// sync stands for a sync, which it is given.
	sync func(sync func() error) error
	// torn says that a batch is written as two.
	torn bool
}

// diskTap gives every device a disk with something wrong.
func diskTap(wrong diskOf) des.Taps {
	return des.Taps{Datastore: func(_ int, d des.Disk) datastore.Batching {
		disk := wrong
		disk.Disk = d
		return &disk
	}}
}

func (d *diskOf) Sync(ctx context.Context, key datastore.Key) error {
	sync := func() error { return d.Disk.Sync(ctx, key) }
	if d.sync != nil {
		return d.sync(sync)
	}
	return sync()
}

func (d *diskOf) Get(ctx context.Context, key datastore.Key) ([]byte, error) {
	v, err := d.Disk.Get(ctx, key)
	if err == nil && d.value != nil {
		v = d.value(key.String(), v)
	}
	return v, err
}

func (d *diskOf) AppendValue(ctx context.Context, dst, key []byte) ([]byte, bool, error) {
	v, found, err := d.Disk.AppendValue(ctx, nil, key)
	if err == nil && found && d.value != nil {
		v = d.value(string(key), v)
	}
	return append(dst, v...), found, err
}

func (d *diskOf) Range(ctx context.Context, lo, hi []byte, yield func(key, value []byte) bool) error {
	return d.Disk.Range(ctx, lo, hi, func(key, value []byte) bool {
		if d.value != nil {
			value = d.value(string(key), slices.Clone(value))
		}
		return yield(key, value)
	})
}

func (d *diskOf) Batch(ctx context.Context) (datastore.Batch, error) {
	b, err := d.Disk.Batch(ctx)
	return &batchOf{Batch: b, d: d}, err
}

type batchOf struct {
	datastore.Batch
	d *diskOf
	// rest is the second half of a torn batch.
	writes int
	rest   datastore.Batch
}

// part returns the batch that the next write goes into.
func (b *batchOf) part(ctx context.Context) datastore.Batch {
	b.writes++
	if !b.d.torn || b.writes%2 == 1 {
		return b.Batch
	}
	if b.rest == nil {
		b.rest, _ = b.d.Disk.Batch(ctx)
	}
	return b.rest
}

func (b *batchOf) Put(ctx context.Context, key datastore.Key, value []byte) error {
	if b.d.write != nil && !b.d.write(key.String()) {
		return nil
	}
	return b.part(ctx).Put(ctx, key, value)
}

func (b *batchOf) Delete(ctx context.Context, key datastore.Key) error {
	if b.d.delete != nil && !b.d.delete(key.String()) {
		return nil
	}
	return b.part(ctx).Delete(ctx, key)
}

func (b *batchOf) Commit(ctx context.Context) error {
	err := b.Batch.Commit(ctx)
	if err == nil && b.rest != nil {
		err = b.rest.Commit(ctx)
	}
	return err
}

// The keys of a store that mistakes are made with.
const (
	keyIncarnation = "/n"
	keyHead        = "/h"
	seats          = "/v/"
	rangeRecords   = "/b/"
	liveIndex      = "/i/"
	userValues     = "/d/"
	deleteRecords  = "/r"
	deleteIndex    = "/x/"
)

// A tokenOf finds a token that says whatever the data say.
type tokenOf struct {
	store.BootToken
	disk *mem.Datastore
}

func (t tokenOf) Load() (store.Token, bool, error) {
	own, err := t.disk.Get(context.Background(), datastore.RawKey(keyIncarnation))
	if err != nil {
		return store.Token{}, false, nil
	}
	out := store.Token{Replica: crdt.ReplicaID(own[2:10]), Nonce: [16]byte(own[10:26])}
	err = t.disk.Range(context.Background(), []byte(seats), []byte("/v0"), func(_, value []byte) bool {
		if crdt.ReplicaID(value[1:9]) == out.Replica {
			out.Counter, _ = binary.Uvarint(value[9:])
		}
		return true
	})
	return out, true, err
}

func idContinued(*scenario.Scenario) des.Taps {
	clean := func(key string, value []byte) []byte {
		if key == keyIncarnation && len(value) > 1 {
			value[1] = 1
		}
		return value
	}
	taps := diskTap(diskOf{value: clean})
	taps.Token = func(_ int, ds *mem.Datastore, t store.BootToken) store.BootToken { return tokenOf{t, ds} }
	return taps
}

// entriesUnder copies the entries whose keys begin with a prefix.
func entriesUnder(ds *mem.Datastore, prefix string) map[string][]byte {
	out := map[string][]byte{}
	ds.Range(context.Background(), []byte(prefix), nil, func(key, value []byte) bool {
		if !strings.HasPrefix(string(key), prefix) {
			return false
		}
		out[string(key)] = slices.Clone(value)
		return true
	})
	return out
}

func contextAhead(*scenario.Scenario) des.Taps {
	return des.Taps{Crash: func(_ int, ds *mem.Datastore, keep int) {
		ahead := entriesUnder(ds, seats)
		ds.Crash(keep)
		if len(entriesUnder(ds, "/m")) == 0 {
			return
		}
		for key, value := range ahead {
			ds.Put(context.Background(), datastore.RawKey(key), value)
		}
		ds.Sync(context.Background(), datastore.RawKey("/"))
	}}
}

func deletesLost(*scenario.Scenario) des.Taps {
	return des.Taps{Crash: func(_ int, ds *mem.Datastore, keep int) {
		ds.Crash(keep)
		for _, prefix := range []string{deleteRecords, deleteIndex} {
			for key := range entriesUnder(ds, prefix) {
				ds.Delete(context.Background(), datastore.RawKey(key))
			}
		}
		ds.Sync(context.Background(), datastore.RawKey("/"))
	}}
}

// rangesMadeEqual loses at a restart which ranges of paths have seen less than others: the highest context is taken for that of all
// (rule 17).
func rangesMadeEqual(*scenario.Scenario) des.Taps {
	return des.Taps{Token: func(_ int, ds *mem.Datastore, t store.BootToken) store.BootToken {
		for key := range entriesUnder(ds, rangeRecords) {
			ds.Delete(context.Background(), datastore.RawKey(key))
		}
		ds.Sync(context.Background(), datastore.RawKey("/"))
		return t
	}}
}

func indexLeaks(*scenario.Scenario) des.Taps {
	keep := func(key string) bool { return !strings.HasPrefix(key, liveIndex) }
	return diskTap(diskOf{delete: keep})
}

// sessionsFail lets every fiftieth access to the store fail in steps about messages of sessions.
func sessionsFail(*scenario.Scenario) des.Taps {
	inSession, n := false, 0
	return des.Taps{
		Token: func(_ int, ds *mem.Datastore, t store.BootToken) store.BootToken {
			ds.Inject(func(mem.Op, int) error {
				if n++; inSession && n%50 == 0 {
					return errors.New("the store failed")
				}
				return nil
			})
			return t
		},
		Input: func(_ int, in node.Input) node.Input {
			_, inSession = in.(node.SessionMsg)
			return in
		},
		Output: func(_ int, _ des.Phase, out []node.Output) []node.Output {
			inSession = false
			return out
		},
	}
}

func clockForgotten(*scenario.Scenario) des.Taps {
	zero := func(key string, value []byte) []byte {
		if key == keyHead {
			clear(value[33:41])
		}
		return value
	}
	return diskTap(diskOf{value: zero})
}

func syncErrorIgnored(*scenario.Scenario) des.Taps {
	return diskTap(diskOf{sync: func(sync func() error) error {
		sync()
		return nil
	}})
}

func batchTorn(*scenario.Scenario) des.Taps { return diskTap(diskOf{torn: true}) }

func recordCut(*scenario.Scenario) des.Taps {
	return diskTap(diskOf{value: func(key string, value []byte) []byte {
		if live, err := crdt.DecodeValues(value); strings.HasPrefix(key, userValues) && err == nil && len(live) > 1 {
			return crdt.AppendValues(nil, live[1:])
		}
		return value
	}})
}

// seatTap changes the counters of replicas as they are read when a store is opened.
func seatTap(counter func(r crdt.ReplicaID, n uint64) uint64) des.Taps {
	return diskTap(diskOf{value: func(key string, value []byte) []byte {
		if !strings.HasPrefix(key, seats) {
			return value
		}
		r := crdt.Reader{B: value[9:]}
		n, floor := r.Uvarint(), r.Uvarint()
		n = max(floor, counter(crdt.ReplicaID(value[1:9]), n))
		return binary.AppendUvarint(binary.AppendUvarint(value[:9:9], n), floor)
	}})
}

func contextBehind(*scenario.Scenario) des.Taps {
	return seatTap(func(_ crdt.ReplicaID, n uint64) uint64 { return max(1, n-1) })
}

// A resetToken continues the last replica id from its first operation.
type resetToken struct{ tokenOf }

func (t resetToken) Load() (store.Token, bool, error) {
	token, found, err := t.tokenOf.Load()
	token.Counter = min(token.Counter, 1)
	return token, found, err
}

func counterReset(s *scenario.Scenario) des.Taps {
	own := map[crdt.ReplicaID]bool{}
	taps := seatTap(func(r crdt.ReplicaID, n uint64) uint64 {
		if own[r] {
			return min(n, 1)
		}
		return n
	})
	seated, clean := taps.Datastore, idContinued(s)
	taps.Datastore = func(device int, d des.Disk) datastore.Batching {
		return clean.Datastore(device, seated(device, d).(des.Disk))
	}
	taps.Token = func(_ int, ds *mem.Datastore, t store.BootToken) store.BootToken {
		token := resetToken{tokenOf{t, ds}}
		if last, found, _ := token.Load(); found {
			own[last.Replica] = true
		}
		return token
	}
	return taps
}
