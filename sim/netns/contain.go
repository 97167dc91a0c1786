//go:build linux

package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// containedVariable tells a program that Contain started it.
const containedVariable = "SYNCLINE_CONTAINED"

// ErrUnable says that this system lets us make no namespaces, and why.
var ErrUnable = errors.New("no namespaces can be made")

// Contain starts this program once more, in process, mount and network namespaces of its own, with more environment
// variables, and returns its exit code when it ends. All that it starts and makes ends with it. In the second run Contain
// prepares these namespaces and returns inside.
func Contain(env ...string) (inside bool, code int, err error) {
	if os.Getenv(containedVariable) != "" {
		return true, 0, furnish()
	}
	if err := able(); err != nil {
		return false, 0, err
	}
	runtime.LockOSThread() // the death signal is bound to the thread that starts the process
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(append(os.Environ(), env...), containedVariable+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = separate()
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return false, max(exit.ExitCode(), 1), nil
	}
	return false, 0, err
}

// separate asks for namespaces; without root they come with a user namespace, in which we are root.
func separate() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	return attr
}

// able finds out whether Contain can work, without doing it.
func able() error {
	if _, err := exec.LookPath("ip"); err != nil {
		return fmt.Errorf("%w: the command ip is missing; install the package iproute2", ErrUnable)
	}
	try := exec.Command("true")
	try.SysProcAttr = separate()
	if err := try.Run(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnable, err)
	}
	return nil
}

// furnish mounts what belongs to the new namespaces: their processes, and a private place for the names of networks.
func furnish() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("%w: private mounts: %w", ErrUnable, err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("%w: /proc: %w", ErrUnable, err)
	}
	place := "/run/netns"
	if os.MkdirAll(place, 0o755) != nil {
		place = "/run" // not ours: cover all of it
	}
	if err := unix.Mount("tmpfs", place, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrUnable, place, err)
	}
	return nil
}
