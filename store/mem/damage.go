package mem

import (
	"maps"
	"slices"
)

// A mended value was damaged until the batch of a number wrote it anew.
type mended struct {
	key   string
	batch int
}

// Damage lets reads of a key return all but the last byte of its value, as a disk does whose blocks rot, until something is written there.
// A crash that takes that write back takes the damage up again. Clones are damaged alike. It reports false if there
// is nothing to damage.
func (d *Datastore) Damage(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if value, found := d.tree.get(key); !found || len(value) == 0 {
		return false
	}
	bad := map[string]bool{key: true}
	maps.Copy(bad, d.bad)
	d.bad = bad // scans under way read the old one
	return true
}

// Damaged returns the keys whose values are damaged, sorted.
func (d *Datastore) Damaged() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if len(d.bad) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(d.bad))
}

// spoiled is what is read of a value.
func spoiled(bad map[string]bool, key string, value []byte) []byte {
	if len(bad) > 0 && bad[key] && len(value) > 0 {
		return value[:len(value)-1]
	}
	return value
}

// mend takes note of what the last batch wrote. The caller holds mu.
func (d *Datastore) mend(changes []change) {
	if len(d.bad) == 0 {
		return
	}
	whole := maps.Clone(d.bad)
	for _, c := range changes {
		if whole[c.key] {
			d.mended = append(d.mended, mended{c.key, d.written})
			delete(whole, c.key)
		}
	}
	d.bad = whole
}

// relapse damages again what was mended by batches that are gone, and forgets the damage of values that are. The caller holds mu.
func (d *Datastore) relapse() {
	bad := map[string]bool{}
	maps.Copy(bad, d.bad)
	for _, m := range d.mended {
		if m.batch > d.written {
			bad[m.key] = true
		}
	}
	maps.DeleteFunc(bad, func(key string, _ bool) bool { value, _ := d.tree.get(key); return len(value) == 0 })
	d.bad, d.mended = bad, nil
}
