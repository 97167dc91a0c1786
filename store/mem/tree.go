package mem

import (
	"iter"
	"slices"
)

// leafMax bounds the entries of a leaf.
const leafMax = 96

type item struct {
	key   string
	value []byte
}

// A leaf holds neighbouring entries in order. It belongs to the generation of the tree that made it; a later one copies it before
// changing it.
type leaf struct {
	generation uint64
	items      []item
}

// A tree is an ordered map of two levels. A snapshot costs nothing but the copies of the leaves that change after it.
//
// Invariant: no leaf is empty; leaves and the items in them are in the order of keys.
type tree struct {
	leaves     []*leaf
	generation uint64
	// shared says that a snapshot uses the slice of leaves.
	shared bool
	size   int
}

// find returns the leaf that holds key, or would, and the place in it.
func (t *tree) find(key string) (l, place int, found bool) {
	if len(t.leaves) == 0 {
		return 0, 0, false
	}
	// The last leaf whose first key is not behind key. The searches are written out: every read of a store makes them.
	for lo, hi := 1, len(t.leaves); lo < hi; {
		if mid := int(uint(lo+hi) / 2); t.leaves[mid].items[0].key <= key {
			l, lo = mid, mid+1
		} else {
			hi = mid
		}
	}
	items := t.leaves[l].items
	for hi := len(items); place < hi; {
		if mid := int(uint(place+hi) / 2); items[mid].key < key {
			place = mid + 1
		} else {
			hi = mid
		}
	}
	return l, place, place < len(items) && items[place].key == key
}

func (t *tree) get(key string) ([]byte, bool) {
	l, place, found := t.find(key)
	if !found {
		return nil, false
	}
	return t.leaves[l].items[place].value, true
}

// own makes the slice of leaves and one leaf the tree's alone.
func (t *tree) own(l int) *leaf {
	t.ownLeaves()
	old := t.leaves[l]
	if old.generation != t.generation {
		t.leaves[l] = &leaf{t.generation, append(make([]item, 0, len(old.items)+8), old.items...)}
	}
	return t.leaves[l]
}

func (t *tree) ownLeaves() {
	if t.shared {
		t.leaves, t.shared = slices.Clone(t.leaves), false
	}
}

// apply makes a change, whose value is kept, and returns the change that takes it back.
func (t *tree) apply(c change) change {
	if c.exists {
		c.value, c.exists = t.set(c.key, c.value)
	} else {
		c.value, c.exists = t.delete(c.key)
	}
	return c
}

// set puts a value and returns what it replaces. The value is kept.
func (t *tree) set(key string, value []byte) (old []byte, existed bool) {
	l, place, found := t.find(key)
	if l == len(t.leaves) {
		t.ownLeaves()
		t.leaves = append(t.leaves, &leaf{t.generation, nil})
	}
	leaf := t.own(l)
	if found {
		old = leaf.items[place].value
		leaf.items[place].value = value
		return old, true
	}
	t.size++
	leaf.items = slices.Insert(leaf.items, place, item{key, value})
	if len(leaf.items) > leafMax {
		t.split(l, place)
	}
	return nil, false
}

// split divides a leaf: in the middle, or just before the newest item if that is the last, so that keys that come in order fill
// their leaves.
func (t *tree) split(l, newest int) {
	full := t.leaves[l]
	at := len(full.items) / 2
	if newest == len(full.items)-1 {
		at = newest
	}
	right := &leaf{t.generation, append(make([]item, 0, leafMax/2+2), full.items[at:]...)}
	clear(full.items[at:])
	full.items = full.items[:at]
	t.leaves = slices.Insert(t.leaves, l+1, right)
}

// delete removes a key and returns its value.
func (t *tree) delete(key string) (old []byte, existed bool) {
	l, place, found := t.find(key)
	if !found {
		return nil, false
	}
	t.size--
	leaf := t.own(l)
	old = leaf.items[place].value
	leaf.items = slices.Delete(leaf.items, place, place+1)
	if len(leaf.items) == 0 {
		t.leaves = slices.Delete(t.leaves, l, l+1)
	}
	return old, true
}

// snapshot returns the tree as it is now; it can be read beside later changes of t.
func (t *tree) snapshot() tree {
	// While shared is set nothing has changed since the last snapshot.
	if !t.shared {
		t.generation++
		t.shared = true
	}
	return tree{leaves: t.leaves, generation: t.generation, shared: true, size: t.size}
}

// from yields the items with lo <= key, in order.
func (t *tree) from(lo string) iter.Seq[item] {
	return func(yield func(item) bool) {
		l, place, _ := t.find(lo)
		for ; l < len(t.leaves); l, place = l+1, 0 {
			for _, i := range t.leaves[l].items[place:] {
				if !yield(i) {
					return
				}
			}
		}
	}
}
