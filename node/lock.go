package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// lockName is the file of a data directory that is locked as long as a node uses it. The operating system drops the lock with the
// process, however that ends; the file stays, for removing it would let two nodes lock two files.
const lockName = "node.lock"

// lockPatience is how long a node that starts waits for one that is just ending: after kill -9 a lock goes with the last thread of the
// process, which is a moment after the signal.
const lockPatience = time.Second

// errLocked is what lockFile returns if another node holds the lock.
var errLocked = errors.New("locked")

// lockDir locks a data directory until the file that it returns is closed, or returns [ErrDirInUse].
func lockDir(ctx context.Context, dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, ErrStore.Because(err).Next("See who may write to " + dir)
	}
	for deadline := time.Now().Add(lockPatience); ; time.Sleep(lockPatience / 100) {
		err := lockFile(f)
		if errors.Is(err, errLocked) && ctx.Err() == nil && time.Now().Before(deadline) {
			continue
		}
		switch {
		case err == nil:
			return f, nil
		case errors.Is(err, errLocked):
			err = ErrDirInUse.With("another node, in this process or another, has %s open", dir).Next("Close it, or name another directory.")
		default:
			err = ErrStore.Because(err).Next("The data directory must lie on a file system that has locks.")
		}
		f.Close()
		return nil, err
	}
}
