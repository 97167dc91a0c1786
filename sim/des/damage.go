package des

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/ipfs/go-datastore"

	"syncline/gossip"
	"syncline/node"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
	"syncline/store"
)

// spoiled is what is read of a damaged record: all but its end.
func (d *disk) spoiled(key, value []byte) []byte {
	if _, bad := d.bad[string(key)]; bad && len(value) > 0 {
		return value[:len(value)-1]
	}
	return value
}

// Get implements [datastore.Read].
func (d *disk) Get(ctx context.Context, key datastore.Key) ([]byte, error) {
	value, err := d.Datastore.Get(ctx, key)
	return d.spoiled([]byte(key.String()), value), err
}

// AppendValue implements [store.ByteReader].
func (d *disk) AppendValue(ctx context.Context, dst, key []byte) ([]byte, bool, error) {
	n := len(dst)
	out, found, err := d.Datastore.AppendValue(ctx, dst, key)
	if len(d.bad) > 0 && found && err == nil {
		out = append(out[:n], d.spoiled(key, out[n:])...)
	}
	return out, found, err
}

// Range implements [store.Ranger].
func (d *disk) Range(ctx context.Context, lo, hi []byte, yield func(key, value []byte) bool) error {
	if len(d.bad) == 0 {
		return d.Datastore.Range(ctx, lo, hi, yield)
	}
	return d.Datastore.Range(ctx, lo, hi, func(key, value []byte) bool { return yield(key, d.spoiled(key, value)) })
}

// Batch implements [datastore.Batching].
func (d *disk) Batch(ctx context.Context) (datastore.Batch, error) {
	b, err := d.Datastore.Batch(ctx)
	if err != nil || len(d.bad) == 0 {
		return b, err
	}
	return &mending{Batch: b, disk: d}, nil
}

// A mending is a batch on a disk with damaged records: what it writes is whole.
type mending struct {
	datastore.Batch
	disk *disk
	keys []string
}

// Put implements [datastore.Write].
func (m *mending) Put(ctx context.Context, key datastore.Key, value []byte) error {
	m.keys = append(m.keys, key.String())
	return m.Batch.Put(ctx, key, value)
}

// Delete implements [datastore.Write].
func (m *mending) Delete(ctx context.Context, key datastore.Key) error {
	m.keys = append(m.keys, key.String())
	return m.Batch.Delete(ctx, key)
}

// Commit implements [datastore.Batch].
func (m *mending) Commit(ctx context.Context) error {
	if err := m.Batch.Commit(ctx); err != nil {
		return err
	}
	for _, key := range m.keys {
		if path, bad := m.disk.bad[key]; bad {
			m.disk.mended = append(m.disk.mended, mended{key, path, m.disk.epoch, m.disk.written()})
			delete(m.disk.bad, key)
		}
	}
	return nil
}

// A mended record was damaged until the batch of a number, counted in an epoch.
type mended struct {
	key, path    string
	epoch, batch int
}

// relapse takes back what was mended after a batch that a loss of power has left as the last one.
func (d *disk) relapse(last int) {
	for _, m := range d.mended {
		if m.epoch == d.epoch && m.batch > last {
			d.bad[m.key] = m.path
		}
	}
	d.mended = nil
}

// copy returns the disk as it is now, with its damage.
func (d *disk) copy() *disk {
	c := newDisk(d.Clone())
	c.bad = maps.Clone(d.bad)
	return c
}

// damage spoils the record of the values at a path, if there is one and another device has them, and on every other device that of the
// remembered deletes.
func (d *device) damage(path string) {
	if !d.w.oracle.HeldElsewhere(d.index, path) {
		return
	}
	d.spoil(store.RecordKey(path), path, "damaged record")
	if (d.w.s.Seed+uint64(d.index))%2 == 0 {
		d.spoil(store.DeletesKey(path), path, "damaged record of deletes")
	}
	d.tellDamage()
}

func (d *device) spoil(key []byte, path, what string) {
	if value, err := d.disk.Datastore.Get(context.Background(), datastore.RawKey(string(key))); err == nil && len(value) > 0 {
		d.disk.bad[string(key)] = path
		d.w.oracle.Sometimes(what)
	}
}

// tellDamage tells the oracle which paths cannot be read.
func (d *device) tellDamage() {
	d.w.oracle.Damaged(d.index, slices.Sorted(maps.Values(d.disk.bad)))
}

// repairEvery is how often a device tries once the faults are over.
const repairEvery = time.Second

// keepRepairing repairs until nothing is damaged.
func (d *device) keepRepairing() {
	if len(d.disk.bad) > 0 {
		d.repair()
		d.w.after(repairEvery, d.keepRepairing)
	}
}

// repair asks one connected device after the other for what was lost, as node.Space.Repair does.
func (d *device) repair() {
	if !d.up || d.repairing {
		return
	}
	var peers []gossip.DeviceID
	for _, p := range d.pairs {
		if p.known(d) != nil {
			peers = append(peers, p.other(d).id)
		}
	}
	d.repairing = true
	d.repairFrom(peers)
}

func (d *device) repairFrom(peers []gossip.DeviceID) {
	var paths []string
	for path, err := range d.store.Damaged("") {
		if path == "" {
			d.w.oracle.Fail(oracle.Available, d.index, "look for damage: %v", err)
			return
		}
		paths = append(paths, path)
	}
	if len(paths) == 0 || len(peers) == 0 {
		d.repairing = false
		return
	}
	d.tag++
	d.repairs[d.tag] = peers
	d.step(PhaseSession, node.Repair{Tag: d.tag, Paths: paths, Peer: peers[0]})
}

// repaired goes on with the next device after one has answered.
func (d *device) repaired(r node.Reply) {
	peers := d.repairs[r.Tag][1:]
	asked := d.w.byID[d.repairs[r.Tag][0]]
	delete(d.repairs, r.Tag)
	if len(r.Mended) > 0 {
		d.w.oracle.Sometimes("repair")
		if len(asked.disk.bad) > 0 {
			d.w.oracle.Sometimes("repair by a damaged device")
		}
	}
	if len(r.Unread) > 0 {
		d.w.oracle.Sometimes("damage on both ends")
	}
	life := d.life
	d.w.after(time.Millisecond, func() {
		if d.life == life {
			d.repairFrom(peers)
		}
	})
}

var _ interface {
	store.Ranger
	store.ByteReader
} = (*disk)(nil)

// hasDamage reports whether a record of some device cannot be read, and whether what was in one of them is nowhere else any more: the
// device that had it was set back.
func (w *world) hasDamage() (some, lost bool) {
	for _, d := range w.devices {
		for _, path := range d.disk.bad {
			some, lost = true, lost || !w.oracle.HeldElsewhere(d.index, path)
		}
	}
	return some, lost
}

// cacheBytes returns how much a store may remember of what it wrote lately: little, so that it forgets, too. Where records are damaged it is
// nothing: whether a write meets the damage would depend on what is remembered.
func (w *world) cacheBytes() int {
	if slices.ContainsFunc(w.s.Ops, func(op scenario.Op) bool { return op.Do == scenario.DoDamage }) {
		return 0
	}
	return 1024
}
