package reserve

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestCreditEnds: somebody else fills the disk between two writes, and empties it again. However little is written, the disk is soon asked.
func TestCreditEnds(t *testing.T) {
	free, asked := uint64(100<<20), 0
	r := New(32<<20, func() (uint64, error) { asked++; return free, nil })
	now := time.Duration(0)
	r.since = func(time.Time) time.Duration { return now }
	if err := r.Take(1000); err != nil {
		t.Fatal(err)
	}
	if err := r.Take(1000); err != nil || asked != 1 {
		t.Errorf("a moment later: asked %d times, %v", asked, err)
	}
	free, now = 0, creditTime
	if err := r.Take(1000); !errors.Is(err, syscall.ENOSPC) || !strings.HasPrefix(err.Error(), "0 bytes free, and this needs 1000 bytes beside the 32 MiB ") {
		t.Errorf("on a disk that somebody filled: %v", err)
	}
	if err := r.Take(1); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("once more: %v", err)
	}
	free = 100 << 20
	if err := r.Take(1000); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}

// TestAmounts: people read MiB.
func TestAmounts(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 bytes", 1023: "1023 bytes", 1536: "1.5 KiB", 33554432: "32 MiB", 31<<20 + 300<<10: "31.29 MiB"} {
		if got := amount(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
