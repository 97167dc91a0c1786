//go:build linux

package netns

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// tunDevice is where the kernel gives out interfaces that end in a process.
const tunDevice = "/dev/net/tun"

// tap makes an Ethernet interface in a namespace. Each Read of the file takes a frame that the interface sent, each Write hands it
// one. The interface goes away with the file.
func tap(namespace, name string) (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	made := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here, for it belongs to another namespace now
		file, err := tapHere(namespace, name)
		made <- result{file, err}
	}()
	r := <-made
	return r.file, r.err
}

// tapHere moves this thread into a namespace and makes the interface there.
func tapHere(namespace, name string) (*os.File, error) {
	ns, err := os.Open(filepath.Join("/run/netns", namespace))
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter %s: %w", namespace, err)
	}
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tunDevice, err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("%s: interface %s: %w", tunDevice, name, err)
	}
	return os.NewFile(uintptr(fd), tunDevice), nil
}

// setCarrier says whether a cable is in the interface.
func setCarrier(file *os.File, on bool) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	value := 0
	if on {
		value = 1
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = unix.IoctlSetPointerInt(int(fd), unix.TUNSETCARRIER, value) }); err != nil {
		return err
	}
	return failed
}
