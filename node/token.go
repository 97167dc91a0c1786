package node

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"syncline/store"
)

// bootToken returns where the same-boot token of a space's store is kept: on a file system that a reboot empties and outside the
// data directory, so that it is neither copied nor restored with the data. It is nil where there is none. Each store has a folder
// of its own there, named by a hash of where the store lies.
func (n *Node) bootToken(db string) (store.BootToken, error) {
	runtime := cmp.Or(n.cfg.RuntimeDir, runtimeDir())
	if runtime == "" {
		n.log.Debug("no file system is emptied by a reboot here; each start that writes takes a fresh replica id")
		return nil, nil
	}
	place, err := filepath.Abs(db)
	if err != nil {
		return nil, ErrStore.Because(err)
	}
	sum := sha256.Sum256([]byte(place))
	dir := filepath.Join(runtime, hex.EncodeToString(sum[:8]))
	for _, d := range []string{dir, db} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, ErrStore.Because(err)
		}
	}
	// In a folder that others may write to, a token could be kept and put back, or be a link to another file.
	if info, err := os.Lstat(runtime); err != nil || !info.IsDir() || !onlyOurs(info) {
		n.log.Warn("the folder for the boot token is not this user's alone; each start that writes takes a fresh replica id", "dir", runtime)
		return nil, nil
	}
	t, err := store.NewFileToken(dir, db)
	if err != nil {
		return nil, ErrStore.Because(err)
	}
	return t, nil
}

// runtimeDir returns a folder of this user that a reboot empties, or "".
func runtimeDir() string {
	candidates := []string{os.Getenv("XDG_RUNTIME_DIR"), fmt.Sprintf("/run/user/%d", os.Getuid()), "/dev/shm"}
	for _, dir := range candidates {
		if !filepath.IsAbs(dir) {
			continue
		}
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return filepath.Join(dir, fmt.Sprintf("peer-%d", os.Getuid()))
		}
	}
	return ""
}
