package p2p

import (
	"encoding/binary"
	"testing"
	"time"
)

// A device publishes far more than 50,000 operations a second. Publish waits for nobody, what is kept on the way is bounded, and what is lost
// by that is told; the rest arrives in order.
func TestAFloodIsNotLostInSilence(t *testing.T) {
	a, b, access := connected(t, func(c *Config) { c.PeerQueue = 4 })
	awaitSubscribed(t, a, b, access)
	b.sluggish.Store(int64(100 * time.Millisecond)) // so that queues overflow, however slow the machine is
	const count, size = 300_000, 150
	start := time.Now()
	for i := range count {
		must(t, a.Publish(access.Space, binary.BigEndian.AppendUint64(make([]byte, size-8, size), uint64(i+1))))
	}
	took := time.Since(start)
	b.sluggish.Store(0)
	got, lost, last := 0, 0, uint64(0)
	for over := false; !over; {
		select {
		case f := <-b.frames:
			for _, op := range f.Ops {
				i := binary.BigEndian.Uint64(op[size-8:])
				if i <= last {
					t.Fatalf("operation %d arrived after %d", i, last)
				}
				last = i
			}
			got += len(f.Ops)
		case <-a.losses:
			lost++
		case <-b.losses:
			lost++
		case <-time.After(patience / 10):
			over = got > 0
		}
	}
	t.Logf("%d operations in %v, %.0f a second; %d arrived, %d losses were told", count, took.Round(time.Millisecond), count/took.Seconds(), got, lost)
	switch {
	case got == count:
		t.Error("nothing was lost: the test shows nothing")
	case lost == 0:
		t.Errorf("%d operations are missing, and no loss was told", count-got)
	}
}
