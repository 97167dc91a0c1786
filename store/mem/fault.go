package mem

import "syscall"

// An Op is a kind of operation on a datastore.
type Op uint8

// The operations.
const (
	OpGet Op = iota
	OpScan
	OpPut
	OpDelete
	OpCommit
	OpSync
	// OpFree is the commit of a batch that frees space.
	OpFree
)

// Writes reports whether the operation takes up space.
func (o Op) Writes() bool { return o == OpPut || o == OpDelete || o == OpCommit }

// Inject makes every operation ask f first, with the number of operations before it; an error is returned in its place, and
// nothing happens. A nil f ends that. f must not use the datastore.
func (d *Datastore) Inject(f func(op Op, n int) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inject = f
}

// Ops returns the number of operations so far, failed ones included.
func (d *Datastore) Ops() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.ops
}

// EntriesRead returns the number of entries that reads and scans have visited.
func (d *Datastore) EntriesRead() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.read
}

// FailFrom returns a function for Inject by which operation n and all after it fail with err.
func FailFrom(n int, err error) func(Op, int) error {
	return func(_ Op, i int) error {
		if i >= n {
			return err
		}
		return nil
	}
}

// FailAt returns a function for Inject by which only operation n fails.
func FailAt(n int, err error) func(Op, int) error {
	return func(_ Op, i int) error {
		if i == n {
			return err
		}
		return nil
	}
}

// DiskFull is a function for Inject: no write finds space, but what frees space does, as on a disk on which a database keeps a reserve.
func DiskFull(op Op, _ int) error {
	if op.Writes() {
		return syscall.ENOSPC
	}
	return nil
}

// NoReserve is a function for Inject: not even what frees space finds any.
func NoReserve(op Op, _ int) error {
	if op.Writes() || op == OpFree {
		return syscall.ENOSPC
	}
	return nil
}

// SyncFails is a function for Inject: the disk does not confirm that anything reached it.
func SyncFails(op Op, _ int) error {
	if op == OpSync {
		return syscall.EIO
	}
	return nil
}

// count counts an operation and asks whether it fails. The caller holds mu.
func (d *Datastore) count(op Op) error {
	n := d.ops
	d.ops++
	if d.inject == nil {
		return nil
	}
	return d.inject(op, n)
}
