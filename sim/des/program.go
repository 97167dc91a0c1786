package des

import (
	"errors"
	"time"

	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// A program settles a conflict so long after its device learnt of it: at times before others do, at times at the same time.
const (
	mergeAfterMin = 5 * time.Millisecond
	mergeAfterMax = 2 * time.Second
)

// notice arranges that the program on d settles what is open at paths.
func (d *device) notice(paths []string) {
	w := d.w
	if w.oracle.Program == nil {
		return
	}
	for _, path := range paths {
		if d.merging[path] || !w.oracle.Program.Merges(path) || !d.isOpen(path) {
			continue
		}
		d.merging[path] = true
		life := d.life
		f := w.fate(fateMerge, d.index, 0, sum([]byte(path)))
		w.after(f.between(mergeAfterMin, mergeAfterMax), func() {
			if d.life == life {
				delete(d.merging, path)
				d.merge(path)
			}
		})
	}
}

func (d *device) isOpen(path string) bool {
	reg, err := d.store.Get(path)
	return err == nil && reg.Contending() > 0
}

// merge lets the program settle the conflict at path, if it is still open.
func (d *device) merge(path string) {
	w := d.w
	reg, err := d.store.Get(path)
	if err != nil || reg.Contending() == 0 {
		return
	}
	if w.merges >= w.s.MergesMax {
		w.oracle.Fail(oracle.Merged, d.index, "after %d merges there still are conflicts, as that at %s: results of merges conflict again and again", w.merges, path)
		w.done = true
		return
	}
	data, err := w.oracle.Program.Merge(path, reg.Newest())
	if f := (*oracle.Fault)(nil); errors.As(err, &f) {
		w.oracle.Fail(oracle.Merged, d.index, "at %s: %v", path, f)
		w.done = true
		return
	}
	if err != nil {
		w.oracle.Sometimes("merge refused")
		w.tell("device %d: the program leaves the conflict at %s open: %v", d.index, path, err)
		return
	}
	w.merges++
	d.write([]scenario.Part{{Path: path, Verb: scenario.Merge, Value: string(data)}})
	d.notice([]string{path}) // it is still open if the disk is full
}

// merging reports whether a program still has something to do.
func (w *world) merging() bool {
	for _, d := range w.devices {
		if d.up && len(d.merging) > 0 {
			return true
		}
	}
	return false
}
