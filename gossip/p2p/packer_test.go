package p2p

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

// A lone operation leaves at once; those that follow closely travel together, at most flushGapMax later.
func TestPackerGathersOnlyUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type sent struct {
			ops int
			at  time.Duration
		}
		start := time.Now()
		var frames []sent
		p := startPacker(func(ops [][]byte) { frames = append(frames, sent{len(ops), time.Since(start)}) }, func() { t.Error("lost") })
		for range 3 {
			p.add([]byte("lone"))
			synctest.Wait()
			time.Sleep(flushGapMax)
		}
		for i, f := range frames {
			if f.ops != 1 || f.at != time.Duration(i)*flushGapMax {
				t.Errorf("lone write %d left in a frame of %d after %v", i, f.ops, f.at)
			}
		}
		frames = nil
		for range 1000 { // ten writes a millisecond
			p.add([]byte("busy"))
			time.Sleep(100 * time.Microsecond)
		}
		p.close()
		if most := 1000*100*time.Microsecond/flushGapMax + 8; len(frames) > int(most) {
			t.Errorf("%d frames for 100 ms of load, want at most %d", len(frames), most)
		}
	})
}

// frameFlush bytes end the wait, framePack bounds a frame, and an operation larger than that travels alone.
func TestPackerBoundsFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		p := startPacker(func(ops [][]byte) { sizes = append(sizes, len(bytes.Join(ops, nil))) }, func() { t.Error("lost") })
		p.add(make([]byte, 1))
		synctest.Wait()
		start := time.Now()
		for range 10 {
			p.add(make([]byte, framePack/4))
		}
		p.add(make([]byte, 2*framePack))
		synctest.Wait()
		if waited := time.Since(start); waited != 0 {
			t.Errorf("a full frame waited %v", waited)
		}
		p.close()
		total := 0
		for _, size := range sizes {
			total += size
			if size > framePack && size != 2*framePack {
				t.Errorf("frame of %d bytes", size)
			}
		}
		if want := 1 + 10*framePack/4 + 2*framePack; total != want {
			t.Errorf("sent %d bytes, want %d", total, want)
		}
	})
}

// add never blocks: what exceeds the bound is reported and dropped, and the rest leaves.
func TestPackerOverflowIsReported(t *testing.T) {
	stuck, lost, sent := make(chan struct{}), 0, 0
	p := startPacker(func(ops [][]byte) { <-stuck; sent += len(ops) }, func() { lost++ })
	const count = 100
	for range count {
		p.add(make([]byte, pendingMax/10))
	}
	close(stuck)
	p.close()
	if lost == 0 || sent+lost != count {
		t.Errorf("sent %d and lost %d of %d", sent, lost, count)
	}
}
