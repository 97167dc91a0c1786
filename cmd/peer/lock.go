package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"syncline/node"
)

// A lock keeps a second daemon away from a data folder. The operating system drops it with the process, however that ends, so
// a stale file is no obstacle; what is written in it is for people and for the command line.
type lock struct{ file *os.File }

// lockInfo says who holds a lock.
type lockInfo struct {
	PID    int       `json:"pid"`
	Since  time.Time `json:"since"`
	Socket string    `json:"socket"`
}

// errLocked is what lockFile returns if another process holds the lock.
var errLocked = errors.New("locked")

// lockPatience is how long a daemon that starts waits for one that is just ending. After kill -9 the lock goes with the last
// thread of the process, which is a moment after the signal.
const lockPatience = time.Second

func lockName(data string) string { return filepath.Join(data, "peer.lock") }

// takeLock locks the data folder, or says who holds it.
func takeLock(data, socket string) (*lock, error) {
	f, err := os.OpenFile(lockName(data), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, node.ErrStore.Because(err).Next("See who may write to " + home(data))
	}
	if err := lockPatiently(f); err != nil {
		f.Close()
		if errors.Is(err, errLocked) {
			return nil, dirInUse(data)
		}
		return nil, node.ErrStore.Because(err).Next("The data folder must lie on a file system that has locks.")
	}
	l := &lock{f}
	b, err := json.Marshal(lockInfo{PID: os.Getpid(), Since: time.Now().UTC().Truncate(time.Second), Socket: socket})
	if err == nil {
		l.write(b) // on a full disk nobody can read who holds it, and that is all
	}
	return l, nil
}

// lockPatiently locks a file, waiting for a holder that is just ending.
func lockPatiently(f *os.File) error {
	for deadline := time.Now().Add(lockPatience); ; time.Sleep(lockPoll) {
		if err := lockFile(f); !errors.Is(err, errLocked) || time.Now().After(deadline) {
			return err
		}
	}
}

// lockBytes is the size of the file, filled up with spaces: it keeps its place on a disk that becomes full.
const lockBytes = 512

func (l *lock) write(b []byte) {
	if pad := lockBytes - len(b); pad > 0 {
		b = append(b, bytes.Repeat([]byte(" "), pad)...)
	}
	if n, err := l.file.WriteAt(b, 0); err != nil || n < len(b) {
		l.file.Truncate(0) // half of it would be read wrongly
		return
	}
	l.file.Truncate(int64(len(b)))
}

// release blanks the file and drops the lock. The file stays: removing it would let two processes lock two files.
func (l *lock) release() {
	l.write(nil)
	l.file.Close()
}

// readLock returns what the last holder wrote, be it alive or not.
func readLock(data string) (lockInfo, error) {
	var info lockInfo
	b, err := os.ReadFile(lockName(data))
	if err == nil {
		err = json.Unmarshal(b, &info)
	}
	return info, err
}

// lockHeld reports whether a live process holds the lock of a data folder.
func lockHeld(data string) bool { return lockStays(data, lockFile) }

// lockStays reports whether a lock is held that try could not get.
func lockStays(data string, try func(*os.File) error) bool {
	f, err := os.OpenFile(lockName(data), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(try(f), errLocked)
}

// dirInUse says who uses a data folder.
func dirInUse(data string) *node.Problem {
	who := "It is just starting"
	if info, err := readLock(data); err == nil {
		since := info.Since.Local().Format("15:04")
		if !sameDay(info.Since.Local(), time.Now()) {
			since = info.Since.Local().Format("2006-01-02 15:04")
		}
		who = fmt.Sprintf("pid %d (peer up), since %s", info.PID, since)
	}
	return node.ErrDirInUse.With("%s, %s", who, home(data)).
		Next("Use it:  peer status\nStop it:  peer down\nSecond instance:  peer up --dir DIR")
}
