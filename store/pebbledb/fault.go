package pebbledb

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"syncline/store/gate"
	"syncline/store/reserve"
)

// ErrBroken is in the chain of every error about a write after the database lost a part of its log or manifest. Reads go on; to
// write again, it must be closed and opened anew, as after a crash.
var ErrBroken = gate.ErrBroken

// A fault keeps the error after which pebble cannot write any more. Pebble itself would end the process: it reports such errors
// through Logger.Fatalf, or panics.
type fault struct {
	broken atomic.Pointer[error]
	// unwound says that pebble was left in the middle of something, perhaps with locks held: it cannot be closed any more.
	unwound atomic.Bool
}

// mark keeps the first error.
func (f *fault) mark(err error) error {
	err = fmt.Errorf("%w: %w", ErrBroken, err)
	f.broken.CompareAndSwap(nil, &err)
	return *f.broken.Load()
}

func (f *fault) err() error {
	if p := f.broken.Load(); p != nil {
		return *p
	}
	return nil
}

// fatal is what Fatalf throws on a goroutine that can catch it.
type fatal struct{ err error }

// Infof and Errorf implement [pebble.Logger]; what they say is of no use to anybody.
func (f *fault) Infof(string, ...any) {}

// Errorf implements [pebble.Logger].
func (f *fault) Errorf(string, ...any) {}

// Fatalf implements [pebble.Logger]. It must not return: pebble would go on as if nothing had happened. On a goroutine of ours it
// unwinds to guard; on one of pebble's own it ends the goroutine, whose locks are released by its deferred calls.
func (f *fault) Fatalf(format string, args ...any) {
	err := error(errors.New(strings.TrimPrefix(fmt.Sprintf(format, args...), "pebble: ")))
	for _, a := range args {
		if cause, ok := a.(error); ok {
			err = cause
		}
	}
	err = f.mark(err)
	f.unwound.Store(true)
	if guarded() {
		panic(fatal{err})
	}
	runtime.Goexit()
}

// guarded reports whether guard is among the callers.
func guarded() bool {
	pcs := make([]uintptr, 128)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		frame, more := frames.Next()
		if strings.HasSuffix(frame.Function, "pebbledb.guard") {
			return true
		}
		if !more {
			return false
		}
	}
}

// guard runs a call into pebble and turns what it throws into an error that stays.
func guard(f *fault, call func() error) (err error) {
	defer func() {
		thrown := recover()
		if thrown == nil {
			return
		}
		f.unwound.Store(true)
		switch thrown := thrown.(type) {
		case fatal:
			err = thrown.err
		case error:
			err = f.mark(thrown)
		default:
			err = f.mark(fmt.Errorf("%v", thrown))
		}
	}()
	return call()
}

// openDB opens the database. If there is no room for what its log holds, it opens for reading what is there, and every write fails with [ErrBroken]
// and the cause: an opening makes files, and pebble would try for ever to write into a table what its log holds.
func (d *Datastore) openDB(dir string, o Options) (*pebble.DB, error) {
	full := d.space.TakeToOpen(reserve.LogBytes(dir))
	if full == nil {
		return d.openGuarded(dir, d.options(o))
	}
	opts := d.options(o)
	opts.ReadOnly = true
	db, err := d.openGuarded(dir, opts)
	switch {
	case errors.Is(err, pebble.ErrDBDoesNotExist): // there is nothing in a log
		return d.openGuarded(dir, d.options(o))
	case err == nil:
		d.readOnly = true
		d.fault.mark(fmt.Errorf("the disk was full when it was opened: %w", full))
	}
	return db, err
}

// openGuarded opens the database under guard: a damaged manifest must not end the process.
func (d *Datastore) openGuarded(dir string, opts *pebble.Options) (db *pebble.DB, err error) {
	err = guard(d.fault, func() (err error) {
		db, err = pebble.Open(dir, opts)
		return err
	})
	return db, err
}

// room asks for room for n bytes. That the database is broken is told first: room alone would not help then.
func (d *Datastore) room(take func(int) error, n int) error {
	if err := d.fault.err(); err != nil {
		return err
	}
	return take(n)
}

// change runs a call that brings something new into the database, unless it is closed, broken or stuck. What pebble took can be read from
// then on, so the call has not failed, even if the log was lost meanwhile: the next Sync says so.
func (d *Datastore) change(call func() error) error {
	return d.write(func() error {
		if err := d.stuck(); err != nil {
			return err
		}
		return call()
	})
}

// write runs a call that changes the database or makes durable what was changed, unless it is closed or broken.
func (d *Datastore) write(call func() error) error {
	if err := d.gate.Enter(); err != nil {
		return err
	}
	defer d.gate.Leave()
	if err := d.fault.err(); err != nil {
		return err
	}
	return guard(d.fault, call)
}
