package node

import (
	"errors"
	"fmt"
	"io/fs"
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

// TestADirectoryIsInUseOnlyIfALockSaysSo: a path or a reason with the word in it does not.
func TestADirectoryIsInUseOnlyIfALockSaysSo(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want *Problem
	}{
		{errors.New("000007.sst: block 3 has a wrong checksum"), ErrStore},
		{&fs.PathError{Op: "open", Path: "/home/me/blocks/db/LOCK", Err: syscall.EACCES}, ErrStore},
		{&fs.PathError{Op: "write", Path: "/home/me/locker/db/000001.log", Err: syscall.ENOSPC}, ErrDiskFull},
		{fmt.Errorf("open: %w", syscall.EAGAIN), ErrDirInUse},
	} {
		if p := openProblem(tt.err); !errors.Is(p, tt.want) {
			t.Errorf("%v: %v, want %s", tt.err, p, tt.want.Code)
		}
	}
	for _, spec := range []string{"pebble:", "leveldb:"} {
		db := t.TempDir()
		ds, err := store.OpenBackend(spec, db)
		if err != nil {
			t.Fatal(err)
		}
		defer ds.Close()
		if _, err := store.OpenBackend(spec, db); !errors.Is(openProblem(err), ErrDirInUse) {
			t.Errorf("%s opened twice: %v", spec, err)
		}
	}
}
