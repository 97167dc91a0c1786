package pebbledb

import (
	"fmt"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A reserve keeps pebble from meeting a full disk, which breaks it: a commit is refused while the disk has less than so much free.
// What is held back is enough to flush the tables in memory and to compact.
type reserve struct {
	fs    vfs.FS
	dir   string
	bytes uint64
	// credit is the number of bytes that may be written before the disk is asked again.
	credit atomic.Int64
}

// creditMax bounds the bytes between two questions. Others fill the disk too.
const creditMax = 1 << 20

// take asks for room for n bytes. A file system that does not know its space has room.
func (r *reserve) take(n int) error {
	if r.credit.Add(-int64(n)) > 0 {
		return nil
	}
	usage, err := r.fs.GetDiskUsage(r.dir)
	if err != nil {
		r.credit.Store(creditMax)
		return nil
	}
	if usage.AvailBytes < r.bytes+uint64(n) {
		r.credit.Store(0)
		return fmt.Errorf("%d bytes free, less than the reserve of %d: %w", usage.AvailBytes, r.bytes, syscall.ENOSPC)
	}
	r.credit.Store(min(creditMax, int64(usage.AvailBytes-r.bytes)/2))
	return nil
}
