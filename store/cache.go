package store

import (
	"encoding/binary"
	"hash/maphash"

	"syncline/crdt"
)

// CacheBytes is a good size of the cache for a device: the registers of some 30,000 small entries.
const CacheBytes = 4 << 20

// cacheRegisterBytesMax bounds the registers that are worth a place in the cache, by their data.
const cacheRegisterBytesMax = 4096

// A cache holds registers as they were committed last: a write reads the register that it replaces, and what was written a moment
// ago is likely to be written again. It belongs to the goroutine of the transaction. What is forgotten is read again.
//
// It is a queue: what was committed longest ago goes first, block after block, so that of entries which are written in turn all are found, as
// long as they fit. Registers lie encoded in the memory of a block, and the map holds no pointers, so that the garbage collector has nothing
// to look at.
type cache struct {
	seed maphash.Seed
	// size is about what the cache takes, bytesMax its bound; 0 switches the cache off.
	size, bytesMax int
	// at says for hashes of paths where the register lies that was committed last. Of two paths with one hash it knows the later one.
	at map[uint64]spot
	// blocks is a ring: the one at old goes next, the one at young is being filled, those behind it are empty.
	blocks     [cacheBlocks]block
	old, young int
}

// cacheBlocks is in how many parts the oldest goes: a part of the cache is empty.
const cacheBlocks = 32

// A spot is the number of a block, and in the lower bits where a register begins there.
type spot uint32

const (
	spotBits = 26
	spotMask = 1<<spotBits - 1
)

// A block holds n registers, one behind the other.
type block struct {
	buf []byte
	n   int
}

// markBytes is about what the map takes for the place of a register.
const markBytes = 32

// size returns about how many bytes a block takes.
func (b *block) size() int { return len(b.buf) + markBytes*b.n }

func newCache(bytesMax int) cache {
	return cache{seed: maphash.MakeSeed(), bytesMax: max(0, min(bytesMax, 1<<30))}
}

// get returns the register of a path as it was committed last, false if it must be read. It shares no memory with the cache.
func (c *cache) get(path string) (r crdt.Register, ok bool) {
	if c.bytesMax == 0 {
		return r, false
	}
	at, ok := c.at[maphash.String(c.seed, path)]
	if !ok {
		return r, false
	}
	in := crdt.Reader{B: c.blocks[at>>spotBits].buf[at&spotMask:]}
	there, live, deletes := cutCached(&in)
	if string(there) != path {
		return r, false
	}
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

// cutCached takes one register off the front of a block.
func cutCached(in *crdt.Reader) (path, live, deletes []byte) {
	return in.Bytes(len(in.B)), in.Bytes(len(in.B)), in.Bytes(len(in.B))
}

// put notes what was committed at a path. val is a buffer; put returns it, perhaps grown.
func (c *cache) put(val []byte, path string, r crdt.Register) []byte {
	if c.bytesMax == 0 {
		return val
	}
	if dataBytes(r) > cacheRegisterBytesMax || len(path) > crdt.PathBytesMax {
		c.forget(path)
		return val
	}
	if c.blocks[c.young].size() > c.bytesMax/cacheBlocks {
		if c.young = (c.young + 1) % cacheBlocks; c.young == c.old {
			c.drop()
		}
	}
	if c.at == nil {
		c.at = map[uint64]spot{}
	}
	b := &c.blocks[c.young]
	c.size -= b.size()
	c.at[maphash.String(c.seed, path)] = spot(c.young<<spotBits | len(b.buf))
	b.n++
	b.buf = append(binary.AppendUvarint(b.buf, uint64(len(path))), path...)
	if val = val[:0]; len(r.Live) > 0 {
		val = crdt.AppendValues(val, r.Live)
	}
	b.buf = append(binary.AppendUvarint(b.buf, uint64(len(val))), val...)
	if val = val[:0]; len(r.Deletes) > 0 {
		val = crdt.AppendDeletes(val, r.Deletes)
	}
	b.buf = append(binary.AppendUvarint(b.buf, uint64(len(val))), val...)
	c.size += b.size()
	for c.size > c.bytesMax && c.old != c.young {
		c.drop()
	}
	return val
}

// drop forgets the oldest block. A register of it that was committed again lies elsewhere, and stays.
func (c *cache) drop() {
	b := &c.blocks[c.old]
	in := crdt.Reader{B: b.buf}
	for len(in.B) > 0 {
		at := spot(c.old<<spotBits | (len(b.buf) - len(in.B)))
		path, _, _ := cutCached(&in)
		if h := maphash.Bytes(c.seed, path); c.at[h] == at {
			delete(c.at, h)
		}
	}
	c.size -= b.size()
	b.buf, b.n = b.buf[:0], 0
	c.old = (c.old + 1) % cacheBlocks
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
func (c *cache) forget(path string) { delete(c.at, maphash.String(c.seed, path)) }

// clear forgets everything, and how large it was.
func (c *cache) clear() { *c = cache{seed: c.seed, bytesMax: c.bytesMax} }
