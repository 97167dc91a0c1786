//go:build unix

package main

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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

// readerPoll is how often readerLeaves looks whether it is still wanted.
const readerPoll = 200 * time.Millisecond

// readerLeaves waits until nobody can read what is written to f, a pipe whose other end is closed or a terminal that is gone, and
// returns true; or until ctx ends, and returns false. Poll tells of both without being asked for any event.
func readerLeaves(ctx context.Context, f *os.File) bool {
	for ctx.Err() == nil {
		fds := []unix.PollFd{{Fd: int32(f.Fd())}}
		n, err := unix.Poll(fds, int(readerPoll.Milliseconds()))
		if err != nil && err != unix.EINTR {
			return false
		}
		if n > 0 {
			return fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
		}
	}
	return false
}

// surviveClosedPipes keeps a daemon alive when what reads its output goes away.
func surviveClosedPipes() { signal.Ignore(syscall.SIGPIPE) }
