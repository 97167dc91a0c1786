package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"syncline/crdt"
)

// The sweep walks over the past values in the order of their keys, lap after lap, and deletes those beyond the bounds. It costs a
// fixed share of what is written: for each page of history it looks at sweepShare others. So in the time of one lap history grows by
// at most a quarter, and no write looks for what it pushes out.
const (
	// sweepEvery is the number of pages after which a part is swept.
	sweepEvery = 1024
	sweepShare = 4
	pageBytes  = 4096
)

// pages is the weight of a record: one, and one more for each page that it fills.
func pages(bytes int) uint64 { return 1 + uint64(bytes/pageBytes) }

// A sweep is where the walk stands. The positions are those of [Head].written.
type sweep struct {
	// next is the key to go on from, empty at the beginning of a lap; began is the position at which the lap began.
	next  string
	began uint64
	// cut is the position below which everything goes: what is too much for the whole space.
	cut uint64
	// kept holds the bytes that this lap left, by age.
	kept [ageBuckets]int
}

// Ages are counted in buckets, eight to each doubling, so that the cut is found in one lap without a list of all records.
const ageBuckets = 496

func ageBucket(age uint64) int {
	shift := max(0, bits.Len64(age)-4)
	return 8*shift + int(age>>shift)
}

// bucketAge returns the least age in a bucket.
func bucketAge(i int) uint64 {
	if i < 16 {
		return uint64(i)
	}
	return uint64(8+i%8) << (i/8 - 1)
}

// A group is the past values of one path as the sweep meets them. Its memory stays for the next sweep.
type group struct {
	prefix []byte // of the keys
	refs   []pastRef
	buf    []byte // keys and heads
}

// groupBytesMax bounds the memory that stays.
const groupBytesMax = 64 << 10

// begin makes it the group of key, which is the first of its path.
func (g *group) begin(key []byte) {
	if cap(g.buf) > groupBytesMax || cap(g.refs) > groupBytesMax/64 {
		*g = group{}
	}
	g.prefix = append(g.prefix[:0], key[:bytes.LastIndexByte(key, pathMark)+1]...)
	g.refs, g.buf = g.refs[:0], g.buf[:0]
}

// has reports whether key is of the same path: the length in the prefix tells "a" from "a:b".
func (g *group) has(key []byte) bool { return len(g.prefix) > 0 && bytes.HasPrefix(key, g.prefix) }

func (g *group) add(key, value []byte) {
	at := len(g.buf)
	g.buf = append(append(g.buf, key...), value[:min(len(value), pastHeadBytes)]...)
	g.refs = append(g.refs, refOf(g.buf[at:at+len(key)], len(g.prefix), g.buf[at+len(key):], len(value)))
}

// sweep goes on with the walk for so many pages, and puts into the batch what it deletes and where it stands. It looks at what is
// committed. If the datastore fails the walk stays where it is: a write does not fail because of the past.
func (tx *Tx) sweep(b *batch, budget uint64) {
	s := tx.s
	w, g := s.swept, &tx.group
	g.refs = g.refs[:0]
	from, spent := []byte(max(w.next, spacePast)), uint64(0)
	w.next = ""
	err := s.eng.scan(context.Background(), from, after([]byte(spacePast)), func(key, value []byte) bool {
		if len(g.refs) == 0 || !g.has(key) {
			tx.sift(b, &w)
			if spent >= budget {
				w.next = string(key)
				return false
			}
			g.begin(key)
		}
		g.add(key, value)
		spent += pages(len(key) + len(value))
		return true
	})
	if err != nil {
		return
	}
	if w.next == "" {
		tx.sift(b, &w)
		w.end(s.history.SpaceBytes, tx.head.written)
	}
	tx.val = appendSweep(tx.val[:0], &w)
	b.put([]byte(keySweep), tx.val)
	tx.swept = &w
}

// sift deletes what lies beyond the bounds of the group, and counts what stays.
func (tx *Tx) sift(b *batch, w *sweep) {
	g, h := &tx.group, tx.s.history
	n := h.beyond(g.refs, tx.now)
	var bases map[crdt.Dot]bool
	known := true
	if n > 0 {
		var live []crdt.Value
		live, known = tx.liveOf(g.prefix)
		bases = basesOf(live)
	}
	for i, r := range g.refs {
		if i < n && (h.aged(r, tx.now) || known && !bases[r.dot()]) || r.pos < w.cut {
			b.delete(r.key)
		} else {
			w.kept[ageBucket(w.began-min(w.began, r.pos))] += r.bytes
		}
	}
	g.refs = g.refs[:0]
}

// liveOf returns the live values of the path whose past values have keys with a prefix, none if history is off. It reports false if they
// cannot be read: what they were written over is needed when they are repaired.
func (tx *Tx) liveOf(prefix []byte) ([]crdt.Value, bool) {
	path, _, err := cutPastKey(string(appendHex(slices.Clone(prefix), 0)))
	if err != nil || tx.s.history.off() {
		return nil, true
	}
	if e := tx.entries[path]; e != nil {
		return e.after.Live, e.torn == nil
	}
	r, err := tx.s.read(tx.s.eng.reader, &tx.key, path)
	return r.Live, err == nil
}

// end ends a lap: the next one leaves so many bytes of the youngest.
func (w *sweep) end(bytesMax int, written uint64) {
	sum := 0
	for i, n := range w.kept {
		if sum += n; sum > bytesMax {
			w.cut = w.began - bucketAge(i) + 1
			break
		}
	}
	w.began = written
	clear(w.kept[:])
}

func appendSweep(b []byte, w *sweep) []byte {
	b = binary.AppendUvarint(append(b, recordVersion), w.began)
	b = binary.AppendUvarint(b, w.cut)
	b = append(binary.AppendUvarint(b, uint64(len(w.next))), w.next...)
	for i, n := range w.kept {
		if n > 0 {
			b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(i)), uint64(n))
		}
	}
	return b
}

// sweepKeyBytesMax bounds the key of a past value.
const sweepKeyBytesMax = crdt.PathBytesMax + 64

func decodeSweep(b []byte) (*sweep, error) {
	r, err := openRecord(b)
	if err != nil {
		return nil, err
	}
	w := &sweep{began: r.Uvarint(), cut: r.Uvarint(), next: string(r.Bytes(sweepKeyBytesMax))}
	last := -1
	for len(r.B) > 0 && r.Err == nil {
		i, n := r.Uvarint(), r.Uvarint()
		if r.Err != nil {
			break
		}
		if i >= ageBuckets || int(i) <= last || n == 0 || n > 1<<62 {
			return nil, fmt.Errorf("%w: %d bytes of age %d", crdt.ErrDecode, n, i)
		}
		w.kept[i], last = int(n), int(i)
	}
	if r.Err == nil && w.next != "" && !strings.HasPrefix(w.next, spacePast) {
		return nil, fmt.Errorf("%w: a sweep at %q", crdt.ErrDecode, w.next)
	}
	return w, r.Err
}

// loadSweep takes up the walk where it stood. One that is damaged begins anew: nothing depends on it but when the past goes.
func (s *Store) loadSweep(ctx context.Context) error {
	value, found, err := s.eng.get(ctx, nil, []byte(keySweep))
	if err != nil || !found {
		return err
	}
	if w, err := decodeSweep(value); err == nil {
		s.swept = *w
	}
	return nil
}

// loadRest looks whether history that is switched off has left something.
func (s *Store) loadRest(ctx context.Context) error {
	if !s.history.off() {
		return nil
	}
	return s.eng.scan(ctx, []byte(spacePast), after([]byte(spacePast)), func(_, _ []byte) bool {
		s.rest = true
		return false
	})
}

// pasts checks the past values, and where the sweep stands.
func (c *checker) pasts() error {
	err := c.each(spacePast, func(key string, value []byte) error {
		_, pos, err := cutPastKey(key)
		if err == nil && pos >= c.s.Head().written {
			err = fmt.Errorf("position %d of %d", pos, c.s.Head().written)
		}
		if err == nil {
			_, err = decodePast(value)
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.each(keySweep, func(_ string, value []byte) error { _, err := decodeSweep(value); return err })
}
