// Package reserve keeps a part of the disk free, for databases that do not survive a full one.
package reserve

import (
	"fmt"
	"sync/atomic"
	"syscall"
)

// A Reserve refuses writes while the disk has less than so much free. What is held back is enough to flush tables and to compact.
// It is safe for concurrent use.
type Reserve struct {
	bytes uint64
	free  func() (uint64, error)
	// credit is the number of bytes that may be written before the disk is asked again.
	credit atomic.Int64
}

// creditMax bounds the bytes between two questions. Others fill the disk too.
const creditMax = 1 << 20

// New returns a reserve of so many bytes. free returns the bytes that are free on the disk; a file system that does not know has room.
func New(bytes uint64, free func() (uint64, error)) *Reserve {
	return &Reserve{bytes: bytes, free: free}
}

// Take asks for room for n bytes. Its error has syscall.ENOSPC in its chain.
func (r *Reserve) Take(n int) error {
	if r.credit.Add(-int64(n)) > 0 {
		return nil
	}
	free, err := r.free()
	if err != nil {
		r.credit.Store(creditMax)
		return nil
	}
	if free < r.bytes+uint64(n) {
		r.credit.Store(0)
		return short(free, r.bytes)
	}
	r.credit.Store(min(creditMax, int64(free-r.bytes)/2))
	return nil
}

// TakeToFree is Take for a write that deletes: it may go down to half of the reserve, and the disk is asked each time. Without that nobody
// could make room on a full disk; the other half is for the flushes and compactions that give the room back.
func (r *Reserve) TakeToFree(n int) error { return r.take(n, r.bytes/2) }

// TakeToCompact is Take for what gives room back after a delete: it may go down to a quarter of the reserve.
func (r *Reserve) TakeToCompact(n int) error { return r.take(n, r.bytes/4) }

func (r *Reserve) take(n int, left uint64) error {
	if free, err := r.free(); err == nil && free < left+uint64(n) {
		return short(free, left)
	}
	return nil
}

func short(free, left uint64) error {
	return fmt.Errorf("%d bytes free, less than the reserve of %d: %w", free, left, syscall.ENOSPC)
}
