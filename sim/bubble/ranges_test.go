package bubble_test

import (
	"testing"
	"time"

	"syncline/sim/scenario"
)

// TestNewcomersFillRangeByRange: where answers are cut after a row, a device that has a part of the list of members only still knows who
// let it in, so that it can ask for the rest.
func TestNewcomersFillRangeByRange(t *testing.T) {
	s := calm(6, "a", "b", "c")
	s.AnswerRows, s.End = 1, 40*time.Second
	s.Network.Links = [][2]int{{0, 1}, {0, 2}, {1, 3}, {1, 4}, {0, 5}, {0, 3}}
	s.Ops = []scenario.Op{
		write(time.Second, 0, scenario.Put, "a"), write(2*time.Second, 1, scenario.Put, "b"), write(3*time.Second, 2, scenario.Put, "c"),
		{At: 5 * time.Second, Do: scenario.DoJoin, Device: 5},
		write(6*time.Second, 0, scenario.Delete, "a"),
	}
	r, _ := mustAgree(t, s)
	if r.Coverage["filled range by range"] == 0 {
		t.Errorf("no device filled range by range: %v", r.Coverage)
	}
}
