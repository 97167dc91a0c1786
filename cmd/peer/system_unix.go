//go:build unix

package main

import (
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// lockFile locks f for this process, or returns errLocked.
func lockFile(f *os.File) error {
	for {
		switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err {
		case syscall.EINTR:
		case syscall.EWOULDBLOCK:
			return errLocked
		default:
			return err
		}
	}
}

// ownedByUs reports whether a file belongs to this user.
func ownedByUs(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// detached gives a command a session of its own, so that it outlives the terminal.
func detached(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// terminate asks a process to end.
func terminate(pid int) error { return syscall.Kill(pid, syscall.SIGTERM) }

// stopSignals are the signals that end a daemon.
var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM}

// surviveClosedPipes keeps a daemon alive when what reads its output goes away.
func surviveClosedPipes() { signal.Ignore(syscall.SIGPIPE) }
