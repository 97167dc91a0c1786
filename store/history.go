package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"syncline/crdt"
)

// What of the past is kept where [HistoryBounds] does not say.
const (
	HistoryVersions   = 10
	HistoryAge        = 30 * 24 * time.Hour
	HistoryPathBytes  = 8 << 20
	HistorySpaceBytes = 256 << 20
)

// HistoryBounds says how much of the past a store keeps: of the values of user paths that are live no more. Nothing beyond a bound is
// shown. What lies beyond it on disk goes with the next pass of the sweep, so that the disk holds at most a third more, and a few MiB; but
// what a live value was written over stays within Age and SpaceBytes, see [Store.Kept].
type HistoryBounds struct {
	// Versions bounds the values of one path and Age the time since they were replaced. 0 is the default; a negative one switches
	// history off, and what there is of it goes.
	Versions int
	Age      time.Duration
	// PathBytes bounds the values of one path, and SpaceBytes those of all paths together, where the oldest go first. Each counts keys
	// and values as they lie on disk; 0 is the default.
	PathBytes, SpaceBytes int
}

func (h HistoryBounds) withDefaults() HistoryBounds {
	if h.Versions < 0 || h.Age < 0 {
		return HistoryBounds{}
	}
	return HistoryBounds{
		cmp.Or(h.Versions, HistoryVersions), cmp.Or(h.Age, HistoryAge),
		cmp.Or(h.PathBytes, HistoryPathBytes), cmp.Or(h.SpaceBytes, HistorySpaceBytes),
	}
}

func (h HistoryBounds) off() bool { return h.Versions == 0 }

// A pastRef is what must be known of a record to decide whether it stays.
type pastRef struct {
	key   []byte
	head  []byte // the value, or its first pastHeadBytes
	at    int64  // 0 if the record is damaged where that stands
	pos   uint64
	bytes int
}

// beyond returns how many records of one path, oldest first, lie beyond the bounds at a wall time, 0 if it is not known.
func (h HistoryBounds) beyond(group []pastRef, now int64) int {
	sum := 0
	for i := len(group) - 1; i >= 0; i-- {
		r := group[i]
		sum += r.bytes
		if len(group)-i > h.Versions || sum > h.PathBytes || h.aged(r, now) {
			return i + 1
		}
	}
	return 0
}

// aged reports whether a record is older than the bound at a wall time, if that is known.
func (h HistoryBounds) aged(r pastRef, now int64) bool {
	return now > 0 && r.at > 0 && now-r.at > h.Age.Milliseconds()
}

// A How says what ended a value's time as a live one.
type How uint8

const (
	// HowUnseen: something that this device has not seen itself. A session brings what is live, not what was in between.
	HowUnseen How = iota
	// HowPut, HowDelete and HowResolve: a write, a delete, or the decision of a conflict in which the value was.
	HowPut
	HowDelete
	HowResolve
	// HowPolicy: a policy decided a conflict in which the value was.
	HowPolicy
)

// A Past is a value that is live no more, and what came in its place.
type Past struct {
	Value crdt.Value
	// At is the wall time of this device when the value left the live ones, in milliseconds since 1970.
	At  int64
	How How
	// By and ByTime name the operation that did it, as far as it is known: after a session the newest of what came instead. By is zero
	// for HowUnseen.
	By     crdt.Dot
	ByTime crdt.Timestamp
	// Policy is the name of the policy for HowPolicy, empty otherwise.
	Policy string
}

// pastBytesMax bounds the data of the values that one transaction puts into history. They are in memory until the commit, twice, and an
// operation of few bytes may replace very many.
const pastBytesMax = 64 << 20

// SetNow tells the transaction the wall time, in milliseconds since 1970: when values become past. Without it they do not age.
func (tx *Tx) SetNow(wallMillis int64) { tx.now = max(wallMillis, 0) }

// remember keeps the values that a change of an entry takes out of the live ones.
func (tx *Tx) remember(e *entry, after crdt.Register) {
	if tx.s.history.off() || len(e.after.Live) == 0 || crdt.IsSystemPath(e.path) {
		return
	}
	var one [1]crdt.Value
	gone := one[:0] // more only in a conflict
	p := Past{At: tx.now}
	var by *crdt.Value
	diffLive(e.after.Live, after.Live, func(old, new *crdt.Value) {
		switch {
		case new == nil && old.Time != 0: // else it stands for what was lost
			gone = append(gone, *old)
		case new == nil:
		case old == nil && (p.How == HowUnseen || new.Time >= p.ByTime):
			by, p.How, p.By, p.ByTime = new, HowPut, new.Dot, new.Time
		}
	})
	if len(gone) == 0 {
		return
	}
	if p.How == HowUnseen {
		for _, d := range after.Deletes {
			if !hasDelete(e.after, d.Dot) && d.Time >= p.ByTime {
				p.How, p.By, p.ByTime = HowDelete, d.Dot, d.Time
			}
		}
	}
	slices.SortFunc(gone, func(v, w crdt.Value) int { return cmp.Or(cmp.Compare(v.Time, w.Time), v.Dot.Compare(w.Dot)) })
	for _, p.Value = range gone {
		if tx.pastBytes += len(p.Value.Data); tx.pastBytes > pastBytesMax {
			tx.dropped++
			continue
		}
		if by != nil {
			p.How, p.Policy = howBy(by, p.Value.Dot)
		}
		e.past = append(e.past, p)
	}
	if n := len(e.past) - tx.s.history.Versions; n > 0 {
		bases := basesOf(after.Live)
		e.past = slices.DeleteFunc(e.past, func(p Past) bool {
			n--
			return n >= 0 && !bases[p.Value.Dot]
		})
	}
}

// howBy says how a value came in the place of old. A decision ended the values that it was made of; of the others, which a device still
// had that was away while they were overwritten, no more is known than that.
func howBy(v *crdt.Value, old crdt.Dot) (How, string) {
	d := v.Descent
	wroteOver := !d.IsKnown() || slices.Contains(d.From, old) || old.Replica == v.Dot.Replica && d.Since <= old.Counter
	switch {
	case wroteOver && v.Policy != "":
		return HowPolicy, v.Policy
	case wroteOver && v.Resolved:
		return HowResolve, ""
	}
	return HowPut, ""
}

// basesOf returns what the live values, or the runs of writes that they end, were written over. Such a value stays on disk, within the
// bound of age: a three-way merge with what another device made of it needs it, however often it was written over here.
func basesOf(live []crdt.Value) map[crdt.Dot]bool {
	bases := map[crdt.Dot]bool{}
	for i := range live {
		for _, d := range live[i].Descent.From {
			bases[d] = true
		}
	}
	return bases
}

// fillHistory puts what became past into a batch, and every so often sweeps a part of what lies there already. It starts from the
// committed position, so that a commit that failed can be tried again.
func (tx *Tx) fillHistory(b *batch) {
	before := tx.s.Head().written
	tx.head.written, tx.swept = before, nil
	if tx.unkept {
		return
	}
	for _, e := range tx.dirty {
		for i := range e.past {
			tx.key = appendPastKey(tx.key[:0], e.path, tx.head.written)
			tx.val = appendPast(tx.val[:0], &e.past[i])
			b.put(tx.key, tx.val)
			tx.head.written += pages(len(tx.key) + len(tx.val))
		}
	}
	if tx.s.rest || tx.head.written/sweepEvery > before/sweepEvery {
		tx.sweep(b, sweepShare*max(sweepEvery, tx.head.written-before))
	}
}

// History yields the values of a user path that are past, newest first, as far as the bounds reach at a wall time in milliseconds
// since 1970. A record that does not decode is yielded as a [CorruptError], and the iteration goes on; any other error ends it.
func (s *Store) History(path string, now int64) iter.Seq2[Past, error] {
	return s.pastOf(path, func(refs []pastRef) int { return s.history.beyond(refs, now) })
}

// Kept is History without the bounds: all that the disk still holds. The values that the live ones were written over are among it until
// they age, unless the space as a whole became too large, or history is off.
func (s *Store) Kept(path string) iter.Seq2[Past, error] {
	return s.pastOf(path, func([]pastRef) int { return 0 })
}

func (s *Store) pastOf(path string, beyond func([]pastRef) int) iter.Seq2[Past, error] {
	return func(yield func(Past, error) bool) {
		if s.closed.Load() {
			yield(Past{}, ErrClosed)
			return
		}
		var refs []pastRef
		var values [][]byte
		lo := appendPastPrefix(nil, path)
		err := s.eng.scan(context.Background(), lo, after(lo), func(key, value []byte) bool {
			value = slices.Clone(value)
			refs = append(refs, refOf(slices.Clone(key), len(lo), value, len(value)))
			values = append(values, value)
			return true
		})
		if err != nil {
			yield(Past{}, err)
			return
		}
		for i, end := len(refs)-1, beyond(refs); i >= end; i-- {
			p, err := decodePast(values[i])
			if err != nil {
				err = &CorruptError{Key: string(refs[i].key), Path: path, Err: err}
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

// appendPastPrefix appends what the keys of one path share. The length before the path keeps the keys of "a" and of "a:b" apart.
func appendPastPrefix(b []byte, path string) []byte {
	b = append(appendHex(append(b, spacePast...), uint64(len(path))), '/')
	return append(append(b, path...), pathMark)
}

func appendPastKey(b []byte, path string, pos uint64) []byte {
	return appendHex(appendPastPrefix(b, path), pos)
}

// cutPastKey takes the key of a past value apart.
func cutPastKey(key string) (path string, pos uint64, err error) {
	rest, ok := strings.CutPrefix(key, spacePast)
	n, rest, ok2 := cutHex(rest)
	if ok && ok2 && 0 < n && n < uint64(len(rest)) && uint64(len(rest)) > n+2 && rest[0] == '/' && rest[n+1] == pathMark {
		pos, over, ok := cutHex(rest[n+2:])
		if path = rest[1 : n+1]; ok && over == "" && !crdt.IsSystemPath(path) {
			return path, pos, nil
		}
	}
	return "", 0, fmt.Errorf("%w: no past value", crdt.ErrDecode)
}

// pastHeadBytes is enough of a past value to read the dot in it.
const pastHeadBytes = 64 + crdt.PolicyBytesMax

// refOf reads no more than what decides most often, since the sweep asks for several records with each write. The position in the key follows
// its first prefix bytes, head is the beginning of a value of so many bytes; both are kept.
func refOf(key []byte, prefix int, head []byte, valueBytes int) pastRef {
	r := pastRef{key: key, head: head, bytes: len(key) + valueBytes}
	r.pos, _, _ = cutHex(key[prefix:])
	if len(head) > 0 && head[0] == recordVersion {
		at, n := binary.Uvarint(head[1:])
		if n > 0 && at < 1<<63 && 1+n < len(head) && How(head[1+n]) <= HowPolicy {
			r.at = int64(at)
		}
	}
	return r
}

// dot returns the dot of the value, zero if the record is damaged.
func (r pastRef) dot() crdt.Dot {
	in, err := openRecord(r.head)
	if err == nil {
		_, err = readPast(&in)
	}
	in.Byte() // the version of the value
	d := crdt.Dot{Replica: in.Replica(), Counter: in.Uvarint()}
	if err != nil || in.Err != nil {
		return crdt.Dot{}
	}
	return d
}

func appendPast(b []byte, p *Past) []byte {
	b = binary.AppendUvarint(append(b, recordVersion), uint64(p.At))
	b = append(append(b, byte(p.How)), p.By.Replica[:]...)
	b = binary.AppendUvarint(b, p.By.Counter)
	b = binary.BigEndian.AppendUint64(b, uint64(p.ByTime))
	b = append(binary.AppendUvarint(b, uint64(len(p.Policy))), p.Policy...)
	return crdt.AppendValues(b, []crdt.Value{p.Value})
}

// readPast reads what comes before the value.
func readPast(r *crdt.Reader) (p Past, err error) {
	p.At, p.How = int64(r.Uvarint()), How(r.Byte())
	p.By = crdt.Dot{Replica: r.Replica(), Counter: r.Uvarint()}
	p.ByTime, p.Policy = crdt.Timestamp(r.Uint64()), string(r.Bytes(crdt.PolicyBytesMax))
	if r.Err != nil {
		return Past{}, r.Err
	}
	if p.At < 0 || p.How > HowPolicy {
		return Past{}, fmt.Errorf("%w: replaced at %d by %d", crdt.ErrDecode, p.At, p.How)
	}
	return p, nil
}

func decodePast(b []byte) (p Past, err error) {
	r, err := openRecord(b)
	if err != nil {
		return Past{}, err
	}
	if p, err = readPast(&r); err != nil {
		return Past{}, err
	}
	values, err := crdt.DecodeValues(r.B)
	if err == nil && len(values) != 1 {
		err = fmt.Errorf("%w: %d values in one", crdt.ErrDecode, len(values))
	}
	if err != nil {
		return Past{}, err
	}
	p.Value = values[0]
	return p, nil
}
