package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLastWordsNameThePanic: what a daemon that could not start left in its log is told by its first line, not by its last.
func TestLastWordsNameThePanic(t *testing.T) {
	name := filepath.Join(t.TempDir(), "peer.log")
	for log, want := range map[string]string{
		"{\"msg\":\"up\"}\npanic: buffers in use\n\ngoroutine 1 [running]:\nmain.main()\n\t/main.go:1 +0x12e\n": "panic: buffers in use",
		"panic: first\n\ngoroutine 1 [running]:\nfatal error: second\n\ngoroutine 2:\n\t/main.go:1\n":           "fatal error: second",
		"panic: long ago\n\t/main.go:1\n{\"msg\":\"up\"}\n{\"msg\":\"ended\"}\n":                                "{\"msg\":\"ended\"}",
		"": "",
	} {
		if err := os.WriteFile(name, []byte(log), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := lastWords(name); got != want {
			t.Errorf("%q: %q, want %q", log, got, want)
		}
	}
	if got := lastWords(name + ".none"); got != "no log was written" {
		t.Errorf("without a log: %q", got)
	}
}

// TestALockKeepsItsPlace: the file is as large when nobody holds it as when somebody does, so that a disk that became full has room for it.
func TestALockKeepsItsPlace(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		l, err := takeLock(dir, "/run/peer.sock")
		if err != nil {
			t.Fatal(err)
		}
		if info, err := readLock(dir); err != nil || info.PID != os.Getpid() || info.Socket != "/run/peer.sock" {
			t.Errorf("the lock says %+v, %v", info, err)
		}
		l.release()
		if info, err := os.Stat(lockName(dir)); err != nil || info.Size() != lockBytes {
			t.Errorf("the file is %v, %v", info.Size(), err)
		}
		if _, err := readLock(dir); err == nil {
			t.Error("nobody holds it, and it says who")
		}
	}
}
