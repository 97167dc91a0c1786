//go:build unix

package node

import (
	"io/fs"
	"os"
	"syscall"
)

// onlyOurs reports whether a file belongs to this user and nobody else may read or change it.
func onlyOurs(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid() && info.Mode().Perm()&0o077 == 0
}
