package gate

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// A Damage is a file of a database that cannot be read as a whole, because the disk has changed or lost a part of it. It is in the chain of
// the error of every read that met it; what lies elsewhere stays readable. It must not be changed.
type Damage struct {
	// File is the name of the file in the folder of the database.
	File string
	// From and To are the first and the last key that the file may hold; nil if that is not known.
	From, To []byte
	// Err says what is wrong with it.
	Err error
}

// Error names the file and what is wrong with it.
func (d *Damage) Error() string { return fmt.Sprintf("the file %s is damaged: %v", d.File, d.Err) }

// Unwrap returns the cause.
func (d *Damage) Unwrap() error { return d.Err }

// Damages are the damaged files that a database has met. The zero Damages is empty. It is safe for concurrent use.
type Damages struct {
	mu    sync.Mutex // guards files
	files map[string]*Damage
}

// Add takes note of a damage and returns it. The first one of a file stays.
func (d *Damages) Add(damage *Damage) *Damage {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files == nil {
		d.files = map[string]*Damage{}
	}
	if _, known := d.files[damage.File]; !known {
		d.files[damage.File] = damage
	}
	return damage
}

// DamagedFiles returns the damaged files that were met since the database was opened, in the order of their names.
func (d *Damages) DamagedFiles() []*Damage {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []*Damage
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		out = append(out, d.files[name])
	}
	return out
}
