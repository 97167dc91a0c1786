// Package reserve keeps a part of the disk free, for databases that do not survive a full one.
package reserve

import (
	"fmt"
	"math"
	"sync/atomic"
	"syscall"
	"time"
)

// A Reserve refuses writes while the disk has less than so much free. What is held back is enough to flush tables and to compact.
// It is safe for concurrent use.
type Reserve struct {
	bytes uint64
	free  func() (uint64, error)
	// credit is the number of bytes that may be written before the disk is asked again, until the time ends, counted from began.
	credit atomic.Int64
	ends   atomic.Int64
	began  time.Time
	since  func(time.Time) time.Duration
}

// creditMax and creditTime bound the bytes and the time between two questions, which take some microseconds. Others fill the disk, too: in
// that time one that writes 3 GiB/s takes no more than is held back.
const (
	creditMax  = 1 << 20
	creditTime = 10 * time.Millisecond
)

// New returns a reserve of so many bytes. free returns the bytes that are free on the disk; a file system that does not know has room.
func New(bytes uint64, free func() (uint64, error)) *Reserve {
	return &Reserve{bytes: bytes, free: free, began: time.Now(), since: time.Since}
}

// Take asks for room for n bytes. Its error has syscall.ENOSPC in its chain.
func (r *Reserve) Take(n int) error {
	now := int64(r.since(r.began))
	if r.credit.Add(-int64(n)) > 0 && now < r.ends.Load() {
		return nil
	}
	r.credit.Store(0)
	free, err := r.room(n, r.bytes)
	if err != nil {
		return err
	}
	r.ends.Store(now + int64(creditTime))
	r.credit.Store(int64(min(creditMax, (free-r.bytes)/2)))
	return nil
}

// TakeToFree is Take for a write that deletes: it may go down to half of the reserve, and the disk is asked each time. Without that nobody could make room on a full disk; the
// other half is for the flushes and compactions that give the room back.
func (r *Reserve) TakeToFree(n int) error {
	_, err := r.room(n, r.bytes/2)
	return err
}

// TakeToCompact is Take for what gives room back after a delete: it may go down to a quarter of the reserve.
func (r *Reserve) TakeToCompact(n int) error {
	_, err := r.room(n, r.bytes/4)
	return err
}

// room returns the bytes that are free if n of them can be taken and so many are left.
func (r *Reserve) room(n int, left uint64) (free uint64, err error) {
	free, err = r.free()
	if err != nil {
		return math.MaxInt64, nil
	}
	if free >= left+uint64(n) {
		return free, nil
	}
	return 0, fmt.Errorf("%s free, and this needs %s beside the %s that are held back: %w", amount(free), amount(uint64(n)), amount(left), syscall.ENOSPC)
}

// amount writes a number of bytes for people.
func amount(bytes uint64) string {
	switch {
	case bytes >= 1<<20:
		return fmt.Sprintf("%.4g MiB", float64(bytes)/(1<<20))
	case bytes >= 1<<10:
		return fmt.Sprintf("%.4g KiB", float64(bytes)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", bytes)
}
