package node

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"syncline/store"
)

// TestStoreProblemsNameTheRemedy: what helps is told, and nothing that does not.
func TestStoreProblemsNameTheRemedy(t *testing.T) {
	file := &store.FileDamage{File: "000018.sst", Err: errors.New("checksum mismatch")}
	for _, tt := range []struct {
		err       error
		want      *Problem
		hint      string
		retryable bool
	}{
		{syscall.ENOSPC, ErrDiskFull, "Free some space", true},
		{syscall.EDQUOT, ErrDiskFull, "Free some space", true},
		{fmt.Errorf("%w: %w", store.ErrUnsynced, syscall.ENOSPC), ErrStore, "Free some space. Within a minute", true},
		{fmt.Errorf("%w: %w", store.ErrBroken, syscall.ENOSPC), ErrDiskFull, "Free some space. Within a minute", true},
		{fmt.Errorf("%w: %w", store.ErrUnsynced, syscall.EIO), ErrStore, "Look after the disk. Within a minute", true},
		{fmt.Errorf("%w: %w", store.ErrBroken, syscall.EIO), ErrStore, "Look after the disk. Within a minute", true},
		{&store.CorruptError{Key: "/d/a", Path: "a", Err: file}, ErrStore, "peer repair", false},
		{fmt.Errorf("scan: %w", file), ErrStore, "peer status", false},
		{fmt.Errorf("%w: %w", store.ErrUnnamed, file), ErrFileDamaged, "peer status", false},
	} {
		p := storeProblem(tt.err)
		if !errors.Is(p, tt.want) || !strings.Contains(p.Hint, tt.hint) || p.Retryable != tt.retryable {
			t.Errorf("%v: %s, %q, retryable %t", tt.err, p.Code, p.Hint, p.Retryable)
		}
	}
}
