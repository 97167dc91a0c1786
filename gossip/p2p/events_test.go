package p2p

import (
	"runtime"
	"testing"

	"syncline/gossip"
)

// TestFramesThatWaitAreBoundedInMemory, whatever their operations: one of a byte takes more than it brings.
func TestFramesThatWaitAreBoundedInMemory(t *testing.T) {
	e := &events{lost: map[lostKey]struct{}{}, wake: make(chan struct{}, 1)} // nobody takes what waits
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	frames := 0
	for ; frames < 1000; frames++ {
		packed := make([]byte, 2*frameOpsMax)
		for i := range packed {
			packed[i] = byte(1 - i%2)
		}
		ops, err := unpackOps(packed)
		must(t, err)
		if !e.frame(gossip.Frame{Ops: ops}, len(packed)) {
			break
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	took := int(after.HeapAlloc) - int(before.HeapAlloc)
	t.Logf("%d frames of %d operations wait, and take %d MiB", frames, frameOpsMax, took>>20)
	if frames == 0 || took > 2*deliverMax {
		t.Errorf("%d frames take %d bytes, want at most about %d", frames, took, deliverMax)
	}
	runtime.KeepAlive(e)
}
