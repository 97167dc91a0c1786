package pebbledb

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"syncline/store/gate"
)

// sublevelsMax is how many tables may lie above each other in the first level while a table below is damaged: pebble cannot compact them
// into it, and would let writes wait for ever when there are more (L0StopWritesThreshold).
const sublevelsMax = 30

// corrupted takes note of what pebble found damaged. It may be called with pebble's locks held. Without it pebble would call
// Logger.Fatalf on whatever goroutine reads, though a table that cannot be read is in nobody's way who does not need it.
func (d *Datastore) corrupted(info pebble.DataCorruptionInfo) { d.damages.Add(damageOf(info)) }

func damageOf(info pebble.DataCorruptionInfo) *gate.Damage {
	return &gate.Damage{File: filepath.Base(info.Path), From: slices.Clone(info.Bounds.Start), To: slices.Clone(info.Bounds.End.Key), Err: info.Details}
}

// told turns an error of pebble that names a damaged file into a [gate.Damage]; any other stays as it is.
func told(err error) error {
	if info := pebble.ExtractDataCorruptionInfo(err); info != nil {
		return damageOf(*info)
	}
	return err
}

// DamagedFiles returns the damaged files that were met since the database was opened, in the order of their names.
func (d *Datastore) DamagedFiles() []*gate.Damage { return d.damages.DamagedFiles() }

// stuck returns why nothing more can be written, nil if it can: what is written is compacted into the tables below sooner or later.
func (d *Datastore) stuck() error {
	why := d.tables.err()
	if files := d.damages.DamagedFiles(); len(files) > 0 {
		why = files[0]
	}
	if why == nil || d.db.Metrics().Levels[0].Sublevels < sublevelsMax {
		return nil
	}
	return why
}

// RangeAround is Range, except that it goes on behind what cannot be read: hole is called with bounds lo <= key < hi of that, a nil hi
// meaning no upper bound, and its damage, between the entries before and after it. All that lies between is left out, also what is written in
// other files. A hole that returns false ends it.
func (d *Datastore) RangeAround(ctx context.Context, lo, hi []byte, yield func(key, value []byte) bool, hole func(lo, hi []byte, damage error) bool) (err error) {
	if err := d.gate.Enter(); err != nil {
		return err
	}
	defer d.gate.Leave()
	it, err := d.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return told(err)
	}
	defer it.Close() // what it met is told below
	next := slices.Clone(lo)
	for ok := it.First(); ; {
		for ; ok; ok = it.Next() {
			value, err := it.ValueAndErr()
			if err != nil {
				return told(err)
			}
			if !yield(it.Key(), value) {
				return nil
			}
			next = append(append(next[:0], it.Key()...), 0)
		}
		var damage *gate.Damage
		if err := told(it.Error()); !errors.As(err, &damage) {
			return err
		}
		end := behind(it, next, hi, damage)
		if !hole(next, end, damage) || end == nil || hi != nil && bytes.Compare(end, hi) >= 0 {
			return nil
		}
		if bytes.Compare(end, next) <= 0 {
			return damage
		}
		next = append(next[:0], end...)
		ok = it.SeekGE(end)
	}
}

// behind returns the first key behind a damage that was met at the key at, or hi: it reads the damaged table from its end.
func behind(it *pebble.Iterator, at, hi []byte, damage *gate.Damage) []byte {
	end := hi
	if to := append(slices.Clone(damage.To), 0); damage.To != nil && (hi == nil || bytes.Compare(to, hi) < 0) {
		end = to
	}
	ok := false
	if end == nil {
		ok = it.Last()
	} else {
		ok = it.SeekLT(end)
	}
	for ; ok && bytes.Compare(it.Key(), at) > 0; ok = it.Prev() {
		end = slices.Clone(it.Key())
	}
	return end
}
