package pebbledb

import (
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// tables keeps the error of the last table that could not be written, until a flush succeeds. Pebble tries again at once, without an end, and
// lets writers wait meanwhile, so both are done here: who writes waits for the flush or the error, and a try costs some time.
type tables struct {
	failed atomic.Pointer[error]
}

const (
	// tablePause is how long an error of a table is kept from pebble.
	tablePause = 100 * time.Millisecond
	// queueMax is how many tables in memory may exist, by their size; pebble itself would let writers wait at one more. The queue is looked at
	// whenever queueStep bytes were written.
	queueMax  = 3
	queueStep = 1 << 20
)

func isTable(name string) bool { return filepath.Ext(name) == ".sst" }

func (t *tables) err() error {
	if p := t.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// note keeps an error, if it is one, and returns it.
func (t *tables) note(err error) error {
	if err != nil {
		t.failed.Store(&err)
		time.Sleep(tablePause)
	}
	return err
}

// flushed is told of the end of each flush.
func (t *tables) flushed(info pebble.FlushInfo) {

	if info.Err == nil {
		t.failed.Store(nil)
	}
}

// A tableFile is a table that is being written.
type tableFile struct {
	vfs.File
	tables *tables
}

// Write implements [vfs.File].
func (f *tableFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.tables.note(err)
}

// Sync implements [vfs.File].
func (f *tableFile) Sync() error { return f.tables.note(f.File.Sync()) }

// SyncData implements [vfs.File].
func (f *tableFile) SyncData() error { return f.tables.note(f.File.SyncData()) }

// SyncTo implements [vfs.File].
func (f *tableFile) SyncTo(length int64) (full bool, err error) {
	full, err = f.File.SyncTo(length)
	return full, f.tables.note(err)
}

// await waits until the queue of tables in memory has room for another batch of n bytes, or returns why it will not.
func (d *Datastore) await(n int) error {
	if d.unseen.Add(int64(n)) < queueStep && d.tables.err() == nil {
		return nil
	}
	d.unseen.Store(0)
	for d.db.Metrics().MemTable.Size >= queueMax*d.memTableBytes {
		if err := d.tables.err(); err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// flush writes the tables in memory to disk, if that can be done: what they hold is in the log, too.
func (d *Datastore) flush() (done bool) {
	flushed, err := d.db.AsyncFlush()
	for err == nil && d.tables.err() == nil {
		select {
		case <-flushed:
			return true
		case <-time.After(time.Millisecond):
		}
	}
	return false
}
