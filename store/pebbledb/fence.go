package pebbledb

import (
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A fence stands between pebble and the files that say what the database consists of: its log, its manifest, and the marker that names the
// manifest. Pebble cannot survive an error there: it panics, or ends the process, with locks held. So the first error is kept as the fault,
// after which every write of ours fails, and pebble is told that all went well. From then on those files are not touched any more, and no file
// is removed, as if the power had gone at that moment; what is on the disk is a prefix of what was committed. Tables are still made of what was
// written before, for those who read; nothing on the disk names them.
type fence struct {
	vfs.FS
	fault *fault
}

// isFenced reports whether a file says what the database consists of.
func isFenced(name string) bool {
	name = filepath.Base(name)
	return strings.HasSuffix(name, ".log") || strings.HasPrefix(name, "MANIFEST-") || strings.HasPrefix(name, "marker.")
}

// Create implements [vfs.FS].
func (f fence) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.guard(name, func() (vfs.File, error) { return f.FS.Create(name, category) })
}

// ReuseForWrite implements [vfs.FS].
func (f fence) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.guard(newname, func() (vfs.File, error) { return f.FS.ReuseForWrite(oldname, newname, category) })
}

// guard opens a file for writing. One that cannot be opened, or comes after the fault, takes everything and keeps nothing.
func (f fence) guard(name string, open func() (vfs.File, error)) (vfs.File, error) {
	if !isFenced(name) {
		return open()
	}
	file := vfs.NewMemFile(nil)
	if f.fault.err() == nil {
		if opened, err := open(); err != nil {
			f.fault.mark(err)
		} else {
			file = opened
		}
	}
	return &fencedFile{file, f.fault}, nil
}

// Remove implements [vfs.FS]. What pebble has no use for any more may be what the manifest on the disk names.
func (f fence) Remove(name string) error {
	if f.fault.err() != nil {
		return nil
	}
	return f.FS.Remove(name)
}

// OpenDir implements [vfs.FS]: the entries of new files must reach the disk, too.
func (f fence) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &fencedDir{file, f.fault}, nil
}

// A fencedDir hides errors of syncing from pebble.
type fencedDir struct {
	vfs.File
	fault *fault
}

// Sync implements [vfs.File].
func (f *fencedDir) Sync() error {
	if err := f.File.Sync(); err != nil {
		f.fault.mark(err)
	}
	return nil
}

// A fencedFile hides errors of writing from pebble.
type fencedFile struct {
	vfs.File
	fault *fault
}

// run runs an operation unless the fault is there, and keeps its error.
func (f *fencedFile) run(do func() error) error {
	if f.fault.err() != nil {
		return nil
	}
	if err := do(); err != nil {
		f.fault.mark(err)
	}
	return nil
}

// Write implements [vfs.File].
func (f *fencedFile) Write(p []byte) (int, error) {
	return len(p), f.run(func() error { _, err := f.File.Write(p); return err })
}

// Sync implements [vfs.File].
func (f *fencedFile) Sync() error { return f.run(f.File.Sync) }

// SyncData implements [vfs.File].
func (f *fencedFile) SyncData() error { return f.run(f.File.SyncData) }

// SyncTo implements [vfs.File].
func (f *fencedFile) SyncTo(length int64) (full bool, err error) {
	full = true
	f.run(func() (err error) { full, err = f.File.SyncTo(length); return err })
	return full, nil
}

// Preallocate implements [vfs.File]. It is a hint.
func (f *fencedFile) Preallocate(offset, length int64) error {
	if f.fault.err() == nil {
		f.File.Preallocate(offset, length)
	}
	return nil
}

// Close implements [vfs.File].
func (f *fencedFile) Close() error {
	err := f.File.Close()
	return f.run(func() error { return err })
}
