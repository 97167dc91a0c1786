package gossip

import (
	"bytes"
	"slices"

	"syncline/crdt"
)

// Bounds of what is held back while something before it is missing. What does not fit is dropped, oldest first; a session brings
// it later.
const (
	HeldOpsMax   = 4096
	HeldBytesMax = 4 << 20
)

// A Held is an operation that waits for what comes before it.
type Held struct {
	Op *crdt.Op
	// Encoded is the operation's own copy: held back in the memory of its frame it would keep all of that.
	Encoded []byte
	// Author is the device that signed the operation's frame.
	Author DeviceID
	// missing is what the operation named at the last look and was not seen; zero if nothing is known to be missing. Until it is seen,
	// nothing else of the operation needs to be looked at.
	missing crdt.Name
}

// entryMemory is about what an entry of an operation takes in memory beside what it takes encoded.
const entryMemory = 192

// bytes returns about what the operation takes in memory.
func (h *Held) bytes() int {
	n := len(h.Encoded) + entryMemory*len(h.Op.Entries) + dotMemory*h.Op.Deps.Len()
	for i := range h.Op.Entries {
		e := &h.Op.Entries[i]
		n += dotMemory * (len(e.Preds) + len(e.PredDeletes) + len(e.Also))
	}
	return n
}

// ready reports whether the operation can be applied to b, whose parts are given.
func (h *Held) ready(b crdt.Base, parts crdt.Parts) bool {
	if m := h.missing; m.Dot.Counter > 0 && !parts[parts.Of(m.Path)].Context.Has(m.Dot) {
		return false
	}
	r := h.Op.CheckAt(b)
	h.missing = crdt.Name{}
	if r == crdt.Early {
		h.missing, _ = h.Op.Missing(b)
	}
	return r == crdt.Ready
}

// Delivery holds operations back until they can be applied: next in the order of their replica, and with everything seen that
// they name. Operations that were applied at once never enter it. The zero Delivery is empty and ready to use.
type Delivery struct {
	held  map[crdt.ReplicaID]map[uint64]*Held
	ids   []crdt.ReplicaID // the keys of held, in order
	order []crdt.Dot       // as they came; may name operations that are gone
	count int
	bytes int
	// Dropped counts the operations that did not fit.
	Dropped uint64
}

// Len returns the number of operations that are held back.
func (d *Delivery) Len() int { return d.count }

// Hold keeps an operation that is early. It reports false if the same dot is held with other contents: the replica was used
// twice. It reports dropped if something had to make room: a session is due.
func (d *Delivery) Hold(h Held) (same, dropped bool) {
	dot := h.Op.Dot
	if d.held == nil {
		d.held = map[crdt.ReplicaID]map[uint64]*Held{}
	}
	if old := d.held[dot.Replica][dot.Counter]; old != nil {
		return bytes.Equal(old.Encoded, h.Encoded), false
	}
	if d.held[dot.Replica] == nil {
		d.held[dot.Replica] = map[uint64]*Held{}
		i, _ := slices.BinarySearchFunc(d.ids, dot.Replica, crdt.ReplicaID.Compare)
		d.ids = slices.Insert(d.ids, i, dot.Replica)
	}
	d.held[dot.Replica][dot.Counter] = &h
	if len(d.order) > 2*HeldOpsMax {
		d.sift(func(*Held) bool { return false })
	}
	d.order = append(d.order, dot)
	d.count++
	d.bytes += h.bytes()
	for d.count > HeldOpsMax || d.bytes > HeldBytesMax {
		oldest := d.order[0]
		d.order = d.order[1:]
		if d.remove(oldest) != nil {
			d.Dropped++
			dropped = true
		}
	}
	return true, dropped
}

// Next returns an operation that has become ready for b, and no longer holds it; nil if there is none.
func (d *Delivery) Next(b crdt.Base) *Held {
	if d.count == 0 {
		return nil
	}
	parts := b.Parts()
	for i := range parts {
		for _, r := range d.ids {
			if h := d.held[r][parts[i].Context.Get(r)+1]; h != nil && h.ready(b, parts) {
				return d.remove(h.Op.Dot)
			}
		}
	}
	return nil
}

// Prune lets go of the operations that have been seen in every part that they touch, as sessions may have brought them: what is left of them
// to take note of elsewhere comes by sessions, too.
func (d *Delivery) Prune(parts crdt.Parts) {
	d.sift(func(h *Held) bool {
		seen := func(e crdt.OpEntry) bool { return parts[parts.Of(e.Path)].Context.Has(h.Op.Dot) }
		return !slices.ContainsFunc(h.Op.Entries, func(e crdt.OpEntry) bool { return !seen(e) })
	})
}

// sift lets go of the operations for which gone holds, and forgets the order of those that are gone already.
func (d *Delivery) sift(gone func(*Held) bool) {
	kept := d.order[:0]
	for _, dot := range d.order {
		switch h := d.held[dot.Replica][dot.Counter]; {
		case h == nil:
		case gone(h):
			d.remove(dot)
		default:
			kept = append(kept, dot)
		}
	}
	d.order = kept
}

func (d *Delivery) remove(dot crdt.Dot) *Held {
	h := d.held[dot.Replica][dot.Counter]
	if h == nil {
		return nil
	}
	delete(d.held[dot.Replica], dot.Counter)
	if len(d.held[dot.Replica]) == 0 {
		delete(d.held, dot.Replica)
		i, _ := slices.BinarySearchFunc(d.ids, dot.Replica, crdt.ReplicaID.Compare)
		d.ids = slices.Delete(d.ids, i, i+1)
	}
	d.count--
	d.bytes -= h.bytes()
	return h
}
