package store

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// currentPlace returns where and when this is. A file system without birth times counts as born in 1970.
func currentPlace(dir string) (place, error) {
	var p place
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return place{}, fmt.Errorf("boot id: %w", err)
	}
	p.boot = strings.TrimSpace(string(boot))
	// A container may have no machine id; the boot id then stands for it.
	machine, _ := os.ReadFile("/etc/machine-id")
	p.machine = strings.TrimSpace(string(machine))
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return place{}, fmt.Errorf("statx %s: %w", dir, err)
	}
	p.device, p.inode = uint64(st.Dev_major)<<32|uint64(st.Dev_minor), st.Ino
	if st.Mask&unix.STATX_BTIME != 0 {
		p.born = st.Btime.Sec*1_000_000_000 + int64(st.Btime.Nsec)
	}
	return p, nil
}
