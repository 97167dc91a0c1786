package reserve

import (
	"errors"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// openBytes is what the opening of a database takes beside what its log holds: a new log, and a list of tables.
const openBytes = 2 << 20

// TakeToOpen is Take for the opening of a database whose log holds n bytes, which it writes into tables.
func (r *Reserve) TakeToOpen(n int) error {
	_, err := r.room(n, min(openBytes, r.bytes/4))
	return err
}

// LogBytes returns the size of the logs in the folder of a database.
func LogBytes(dir string) (n int) {
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		if info, err := f.Info(); err == nil && strings.HasSuffix(f.Name(), ".log") {
			n += int(info.Size())
		}
	}
	return n
}

// The file that TryToOpen writes, and its size.
const (
	tryFile  = "try.tmp"
	tryBytes = 64 << 10
)

// TryToOpen returns nil if there is room for the opening of the database in dir, and the disk confirms what is written there; else why not.
func (r *Reserve) TryToOpen(fs vfs.FS, dir string) error {
	if err := r.TakeToOpen(LogBytes(dir)); err != nil {
		return err
	}
	name := fs.PathJoin(dir, tryFile)
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err = f.Write(make([]byte, tryBytes)); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), fs.Remove(name))
}
