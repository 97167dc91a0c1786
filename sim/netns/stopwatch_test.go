//go:build linux

package netns

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestStopwatchStandsStill: what passes while it stands still is not measured.
func TestStopwatchStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w stopwatch
		w.begin()
		time.Sleep(time.Second)
		w.stop()
		time.Sleep(time.Hour)
		if got := w.now(); got != time.Second {
			t.Errorf("while it stands still after a second it shows %v", got)
		}
		w.goOn()
		time.Sleep(time.Second)
		if got := w.now(); got != 2*time.Second {
			t.Errorf("after another second it shows %v", got)
		}
	})
}
