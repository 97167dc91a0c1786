package bubble

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/ipfs/go-datastore"

	"syncline/store"
	"syncline/store/mem"
)

var errPower = errors.New("the device lost power")

// A disk is the datastore of one run of a device. Its syncs take time and cover what was written before they began.
type disk struct {
	*mem.Datastore
	d    *device
	life int
	// durable is the number of unsynced batches, from the first, that finished syncs cover. The world's mutex guards it and what follows.
	durable int
	epoch   int // changes when the batches are numbered anew
	fails   failure
}

// A failure is what is wrong with the syncs of a disk. One that failed to write says so once and then confirms every sync, as operating
// systems do; package des tells more.
type failure int

const (
	works failure = iota
	fails         // at the next sync
	lies
)

var (
	_ datastore.Batching = (*disk)(nil)
	_ store.Ranger       = (*disk)(nil)
	_ store.ByteReader   = (*disk)(nil)
)

// Sync implements [datastore.Datastore].
func (k *disk) Sync(context.Context, datastore.Key) error {
	w, covered := k.d.w, func() {}
	w.mu.Lock()
	if k.d.life == k.life && k.d.started {
		covered = w.oracle.Durable(k.d.index)
	}
	mark, epoch, broken := k.Unsynced(), k.epoch, k.fails != works
	w.mu.Unlock()
	if mark > 0 || broken {
		f := fateOf(w.s.Seed, fateSync, uint64(k.d.index), uint64(k.life), uint64(mark), uint64(epoch))
		time.Sleep(f.between(w.s.Network.SyncMin, w.s.Network.SyncMax))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if k.d.life != k.life {
		return errPower
	}
	switch k.fails {
	case fails:
		k.fails = lies
		w.oracle.Sometimes("sync that failed")
		return syscall.EIO
	case lies:
		return nil
	}
	if k.epoch == epoch && !w.taps.lyingDisk {
		k.durable = max(k.durable, mark)
	}
	if k.durable == k.Unsynced() && mark > 0 {
		k.forget()
	}
	covered()
	return nil
}

// forget takes everything for durable, so that its number starts anew. The caller holds the world's mutex.
func (k *disk) forget() {
	_ = k.Datastore.Sync(context.Background(), datastore.Key{}) // only counts; a failure leaves the count as it is
	if k.Unsynced() == 0 {
		k.durable = 0
		k.epoch++
	}
}

// crash takes the power away: a share of what was not durable survives, the first of it. From now on nothing can be read or written.
// The caller holds the world's mutex.
func (k *disk) crash(share int64) {
	unsynced := k.Unsynced()
	keep := k.durable + int(int64(unsynced-k.durable)*share/1000)
	if unsynced > k.durable {
		k.d.w.oracle.Sometimes("crash before the sync")
	}
	if keep < unsynced {
		k.d.w.oracle.Sometimes("crash that loses something")
	}
	k.Datastore.Crash(keep)
	k.Inject(mem.FailFrom(0, errPower))
}
