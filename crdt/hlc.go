package crdt

import (
	"fmt"
	"time"
)

// A Timestamp is the time of a hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", OPODIS 2014): 48 bits of
// milliseconds since 1970, then 16 bits of a counter for events within one millisecond. It orders concurrent writes for people;
// it never decides whether a write happened before another.
type Timestamp uint64

const (
	logicalBits = 16
	wallMax     = 1<<48 - 1
)

// At returns the first timestamp of a millisecond since 1970, clamped to what 48 bits hold: a clock before 1970 counts as 1970.
func At(wallMillis int64) Timestamp {
	return Timestamp(uint64(min(max(wallMillis, 0), wallMax)) << logicalBits)
}

// WallMillis returns the milliseconds since 1970.
func (t Timestamp) WallMillis() int64 { return int64(t >> logicalBits) }

// Logical returns the counter within the millisecond.
func (t Timestamp) Logical() uint16 { return uint16(t) }

// Time returns the wall time in UTC.
func (t Timestamp) Time() time.Time { return time.UnixMilli(t.WallMillis()).UTC() }

// String returns the wall time as RFC 3339 and the counter.
func (t Timestamp) String() string {
	return fmt.Sprintf("%s+%d", t.Time().Format("2006-01-02T15:04:05.000Z"), t.Logical())
}

// ClockAheadMax is how far, in milliseconds, another device's clock may be ahead of ours before we stop following it. A clock
// that is wrong by more wins conflicts among concurrent writes until somebody writes over it, but it does not spread.
const ClockAheadMax = 60_000

// A Clock makes timestamps that never go back. It is told the wall time and reads none. The zero Clock is ready to use; keep
// Last in the store and set it after a restart, so that a wall clock that was set back does not reuse timestamps.
type Clock struct {
	// Last is the highest timestamp that the clock made or followed.
	Last Timestamp
}

// Tick returns the timestamp of a local event at the given wall time: later than every one before.
func (c *Clock) Tick(wallMillis int64) Timestamp {
	c.Last = max(c.Last+1, At(wallMillis))
	return c.Last
}

// Observe follows the timestamp of a remote event, so that later local events are ordered after it. It reports false, and does
// not follow, if t is more than ClockAheadMax ahead of the wall time.
func (c *Clock) Observe(t Timestamp, wallMillis int64) bool {
	if t.WallMillis() > max(wallMillis, 0)+ClockAheadMax {
		return false
	}
	c.Last = max(c.Last, t)
	return true
}
