package store

import (
	"errors"
	"fmt"

	"syncline/store/gate"
)

// ErrNewer is in the chain of the error of Open for a store that a newer version of the program wrote.
var ErrNewer = errors.New("the store was written by a newer version")

// ErrNoBackend is in the chain of the error of OpenBackend for a spec that names none, ErrOtherBackend of that for a directory with the
// database of another one; nothing was changed there.
var (
	ErrNoBackend    = errors.New("no such backend")
	ErrOtherBackend = errors.New("the database of another backend")
)

// ErrClosed is returned by a store after Close.
var ErrClosed = errors.New("the store is closed")

// ErrUnsynced is in the chain of the errors of Commit and Sync after a Sync has failed. The operating system takes what it could not
// write for written: a later sync would succeed and not bring it back. So nothing is written or confirmed any more; reads go on.
// A store that is opened anew, as after a crash, writes again.
var ErrUnsynced = errors.New("the disk did not confirm what was written; the store is read-only until it is opened again")

// ErrBroken is in the chain of the errors of Commit and Sync of a database that is read-only until it is opened again.
var ErrBroken = gate.ErrBroken

// ErrNotAtomic is in the chain of errors about backends that may apply half a batch.
var ErrNotAtomic = errors.New("the backend does not apply a batch as a whole")

// A CorruptError names a record that does not decode, or that contradicts another. All other records stay readable.
type CorruptError struct {
	// Key is the record's key in the datastore, Path the path that it belongs to, empty if it belongs to none.
	Key, Path string
	Err       error
}

// Error names the key, the path and the reason.
func (e *CorruptError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("damaged record %q: %v", e.Key, e.Err)
	}
	return fmt.Sprintf("damaged record %q of path %q: %v", e.Key, e.Path, e.Err)
}

// Unwrap returns the reason.
func (e *CorruptError) Unwrap() error { return e.Err }

// A FileDamage is a file of the database that cannot be read as a whole. It is in the chain of the error of every read that met it; what lies
// elsewhere stays readable.
type FileDamage = gate.Damage

// ErrUnnamed is in the chain of the error at the end of a list that left out a part which a damaged file keeps from being read, and the index
// from being named. Everything else is in the list.
var ErrUnnamed = errors.New("what lies in a damaged file cannot be named")

// damaged makes the error of reading one record of a path a [CorruptError], if a damaged file is the reason.
func damaged(key []byte, path string, err error) error {
	if file := new(FileDamage); errors.As(err, &file) {
		return &CorruptError{Key: string(key), Path: path, Err: file}
	}
	return err
}

// DamagedFiles returns the damaged files of the database that were met since it was opened, in the order of their names. It reads nothing.
func (s *Store) DamagedFiles() []*FileDamage {
	if ds, ok := s.eng.ds.(interface{ DamagedFiles() []*FileDamage }); ok {
		return ds.DamagedFiles()
	}
	return nil
}
