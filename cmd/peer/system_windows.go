package main

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// lockFile locks f for this process, or returns errLocked. It locks one byte far behind the content, which others may read.
func lockFile(f *os.File) error {
	at := &windows.Overlapped{OffsetHigh: 1}
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, at)
	if err == windows.ERROR_LOCK_VIOLATION {
		return errLocked
	}
	return err
}

// ownedByUs trusts the access rights of the user's temporary folder.
func ownedByUs(fs.FileInfo) bool { return true }

// detached gives a command no console, so that it outlives this one.
func detached(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP}
}

// terminate ends a process.
func terminate(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}

// stopSignals are the signals that end a daemon.
var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM}

// readerLeaves knows nothing of readers here: a command notices at its next write.
func readerLeaves(ctx context.Context, _ *os.File) bool {
	<-ctx.Done()
	return false
}

// surviveClosedPipes does nothing: a closed pipe is only an error here.
func surviveClosedPipes() {}
