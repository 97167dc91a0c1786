package store

import (
	"encoding/binary"
	"hash/maphash"

	"syncline/crdt"
)

// CacheBytes is a good size of the cache for a device: the registers of some 20,000 small entries.
const CacheBytes = 4 << 20

// cacheRegisterBytesMax bounds the registers that are worth a place in the cache, by their data.
const cacheRegisterBytesMax = 4096

// A cache holds registers as they were committed last: a write reads the register that it replaces, and what was written a moment
// ago is likely to be written again. It belongs to the goroutine of the transaction. What is forgotten is read again.
//
// There are two generations: the young one takes what is committed, until it is full and becomes the old one. Registers lie encoded in
// one block of memory for each, and the maps hold no pointers, so that the garbage collector has nothing to look at.
type cache struct {
	seed       maphash.Seed
	bytesMax   int // of one generation; 0 switches the cache off
	young, old generation
}

// markBytes is about what a map takes for the place of a register.
const markBytes = 32

// size returns about how many bytes a generation takes.
func (g *generation) size() int { return len(g.buf) + markBytes*len(g.at) }

// A generation holds for hashes of paths where the registers begin, gone for those that must be read. Of two paths with one hash it
// holds the later one.
type generation struct {
	at  map[uint64]int32
	buf []byte
}

const gone = -1

func newCache(bytesMax int) cache {
	return cache{seed: maphash.MakeSeed(), bytesMax: max(0, min(bytesMax/2, 1<<30))}
}

// get returns the register of a path as it was committed last, false if it must be read. It shares no memory with the cache.
func (c *cache) get(path string) (r crdt.Register, ok bool) {
	if c.bytesMax == 0 {
		return r, false
	}
	h := maphash.String(c.seed, path)
	// The old generation counts only where the young one says nothing, not even of another path: what it holds may be out of date.
	g := &c.young
	at, ok := g.at[h]
	if !ok {
		g = &c.old
		at, ok = g.at[h]
	}
	if !ok || at == gone {
		return r, false
	}
	in := crdt.Reader{B: g.buf[at:]}
	if string(in.Bytes(crdt.PathBytesMax)) != path {
		return r, false
	}
	live, deletes := in.Bytes(len(g.buf)), in.Bytes(len(g.buf))
	var err error
	if len(live) > 0 {
		if r.Live, err = crdt.DecodeValues(append([]byte(nil), live...)); err != nil {
			panic("store: the cache holds what does not decode: " + err.Error())
		}
	}
	if len(deletes) > 0 {
		if r.Deletes, err = crdt.DecodeDeletes(deletes); err != nil {
			panic("store: the cache holds what does not decode: " + err.Error())
		}
	}
	return r, true
}

// put notes what was committed at a path. val is a buffer; put returns it, perhaps grown.
func (c *cache) put(val []byte, path string, r crdt.Register) []byte {
	if c.bytesMax == 0 {
		return val
	}
	if c.young.size() >= c.bytesMax {
		c.young, c.old = generation{c.old.at, c.old.buf[:0]}, c.young
		clear(c.young.at)
	}
	g := &c.young
	if g.at == nil {
		g.at = map[uint64]int32{}
	}
	h := maphash.String(c.seed, path)
	if size := dataBytes(r); size > cacheRegisterBytesMax || len(path) > crdt.PathBytesMax {
		g.at[h] = gone
		return val
	}
	g.at[h] = int32(len(g.buf))
	g.buf = append(binary.AppendUvarint(g.buf, uint64(len(path))), path...)
	if val = val[:0]; len(r.Live) > 0 {
		val = crdt.AppendValues(val, r.Live)
	}
	g.buf = append(binary.AppendUvarint(g.buf, uint64(len(val))), val...)
	if val = val[:0]; len(r.Deletes) > 0 {
		val = crdt.AppendDeletes(val, r.Deletes)
	}
	g.buf = append(binary.AppendUvarint(g.buf, uint64(len(val))), val...)
	return val
}

// dataBytes returns about how many bytes a register takes.
func dataBytes(r crdt.Register) int {
	n := 32 * len(r.Deletes)
	for i := range r.Live {
		n += 32 + len(r.Live[i].Type) + len(r.Live[i].Data)
	}
	return n
}

// forget makes the next reader of a path look at the datastore.
func (c *cache) forget(path string) {
	if c.young.at != nil {
		c.young.at[maphash.String(c.seed, path)] = gone
	}
}

// clear forgets everything, and how large it was.
func (c *cache) clear() { c.young, c.old = generation{}, generation{} }
