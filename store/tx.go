package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"syncline/crdt"
)

// A Tx is the one open transaction of a store. It implements [crdt.Base], shows what it changed itself, and belongs to one
// goroutine. Nothing that it changes is seen outside before Commit.
type Tx struct {
	s    *Store
	open bool
	// changed says that Commit has something to write, parted that there is another number of parts.
	changed, parted bool
	head            Head
	writer          crdt.ReplicaID
	// now is the wall time in milliseconds, 0 if it was not told.
	now int64
	// swept is where the sweep of this commit got to, nil if there was none.
	swept *sweep
	group group
	// unkept says that the last commit left out what became past, dropped counts the values that became past beyond pastBytesMax, of which
	// pastBytes were taken.
	unkept             bool
	dropped, pastBytes int

	entries map[string]*entry
	slab    []entry
	// clean counts the entries that were only read, cleanBytes what was read since they were last forgotten; dirty holds the others in the order of their first change.
	clean, cleanBytes int
	dirty             []*entry

	// seats holds the replicas whose context, floor or ordinal changed; seated is the number of ordinals at Begin.
	seats  map[crdt.ReplicaID]bool
	seated int
	opens  map[crdt.ReplicaID][]byte
	metas  map[string][]byte

	// reads counts the registers that were read; many of them are worth a reader.
	reads  int
	reader Reader

	live, log names
	key, val  []byte
}

// An entry is a register as it is committed and as the transaction left it.
type entry struct {
	path          string
	before, after crdt.Register
	dirty         bool
	// whole makes Commit write all records of the path. torn says why the live values cannot be read: they are left alone, and the register
	// has placeholders for them.
	whole bool
	torn  error
	// past holds the values that were live in between or before, oldest first.
	past []Past
}

const (
	// cleanMax bounds the registers that a transaction keeps only because it read them. It is above the paths of one operation,
	// which is read twice.
	cleanMax = 16_384
	// cleanBytesMax bounds what they take: an operation of few bytes may name many large values.
	cleanBytesMax = 32 << 20
	slabMax       = 1024
	// readerMin is the number of reads from which on a reader costs less.
	readerMin = 8
)

var _ crdt.Base = (*Tx)(nil)

func (tx *Tx) init(s *Store) {
	*tx = Tx{s: s, entries: map[string]*entry{}, seats: map[crdt.ReplicaID]bool{}, opens: map[crdt.ReplicaID][]byte{}, metas: map[string][]byte{}}
	tx.live.kind, tx.log.kind = &liveNames, &logNames
}

// Begin opens a transaction. It panics if one is open: the loop that owns the store forgot Commit or Discard.
func (s *Store) Begin() *Tx {
	tx := &s.tx
	if tx.open {
		panic("store: Begin while a transaction is open")
	}
	tx.open, tx.head, tx.seated, tx.unkept = true, s.Head(), len(s.replicas), false
	tx.dropped, tx.pastBytes = 0, 0
	tx.writer, _ = s.Incarnation()
	return tx
}

// Discard forgets what the transaction changed. It does nothing after Commit succeeded.
func (tx *Tx) Discard() {
	if !tx.open {
		return
	}
	s := tx.s
	if len(tx.seats) > 0 || tx.parted {
		for _, r := range s.replicas[tx.seated:] {
			delete(s.ordinals, r)
		}
		s.replicas = s.replicas[:tx.seated]
		s.parts = s.restore()
	}
	tx.reset()
}

func (tx *Tx) reset() {
	tx.closeReader()
	clear(tx.entries)
	clear(tx.slab)
	tx.slab = tx.slab[:0]
	clear(tx.dirty)
	tx.dirty = tx.dirty[:0]
	if cap(tx.dirty) > cleanMax {
		tx.dirty, tx.entries = nil, map[string]*entry{}
	}
	clear(tx.seats)
	clear(tx.opens)
	clear(tx.metas)
	tx.live.reset()
	tx.log.reset()
	tx.clean, tx.cleanBytes, tx.open, tx.changed, tx.parted = 0, 0, false, false, false
	tx.now, tx.swept = 0, nil
}

// Head returns the head with the changes of the transaction.
func (tx *Tx) Head() Head { return tx.head }

// Digest returns the digest of the live values with the changes of the transaction.
func (tx *Tx) Digest() crdt.Digest { return tx.head.Digest }

// SetClock keeps the highest timestamp that was made or followed.
func (tx *Tx) SetClock(t crdt.Timestamp) {
	tx.changed = tx.changed || t != tx.head.Clock
	tx.head.Clock = t
}

// SetIncarnation makes r the replica id under which this store writes from now on.
func (tx *Tx) SetIncarnation(r crdt.ReplicaID) {
	tx.changed = tx.changed || r != tx.writer
	tx.writer = r
}

// Meta returns a local record, which is not replicated, nil if there is none.
func (tx *Tx) Meta(key string) ([]byte, error) {
	if err := checkMetaKey(key); err != nil {
		return nil, err
	}
	if value, ok := tx.metas[key]; ok {
		return value, nil
	}
	return tx.s.blob([]byte(spaceMeta + key))
}

// SetMeta keeps a local record; a nil value removes it. The value must not be changed afterwards. The key consists of segments
// joined by slashes, none of them empty, "." or "..".
func (tx *Tx) SetMeta(key string, value []byte) error {
	if err := checkMetaKey(key); err != nil {
		return err
	}
	tx.metas[key], tx.changed = value, true
	return nil
}

// Retreat takes every later dot of d's replica out of the context and the floor. Nothing live or remembered may name one. The
// counter of d is at least 1.
func (tx *Tx) Retreat(d crdt.Dot) {
	for i := range tx.s.parts {
		tx.s.parts[i].Context.Retreat(d)
		tx.s.parts[i].Floor.Retreat(d)
	}
	tx.seat(d.Replica)
}

// Context implements [crdt.Base].
func (tx *Tx) Context() crdt.Vector { return tx.s.parts.Common() }

// Floor implements [crdt.Base].
func (tx *Tx) Floor() crdt.Vector { return tx.s.parts.Floor() }

// Register implements [crdt.Base]. The register shares no memory with the datastore.
func (tx *Tx) Register(path string) (crdt.Register, error) {
	e, err := tx.entry(path)
	if err != nil {
		return crdt.Register{}, err
	}
	return e.after, nil
}

func (tx *Tx) entry(path string) (*entry, error) {
	if e := tx.entries[path]; e != nil {
		return e, e.torn
	}
	if tx.s.closed.Load() {
		return nil, ErrClosed
	}
	r, cached := tx.s.cache.get(path)
	if !cached {
		from, err := tx.source()
		if err != nil {
			return nil, err
		}
		if r, err = tx.s.read(from, &tx.key, path); err != nil {
			return nil, err
		}
	}
	if tx.clean >= cleanMax || tx.cleanBytes >= cleanBytesMax {
		tx.forgetClean()
	}
	tx.cleanBytes += dataBytes(r)
	if len(tx.slab) == cap(tx.slab) {
		tx.slab = make([]entry, 0, min(max(16, 2*cap(tx.slab)), slabMax))
	}
	tx.slab = append(tx.slab, entry{path: path, before: r, after: r})
	e := &tx.slab[len(tx.slab)-1]
	tx.entries[path] = e
	tx.clean++
	return e, nil
}

// source returns where to read the next register.
func (tx *Tx) source() (ByteReader, error) {
	tx.reads++
	switch {
	case tx.reader != nil:
		return tx.reader, nil
	case tx.reads < readerMin || tx.s.eng.opener == nil:
		return tx.s.eng.reader, nil
	}
	var err error
	tx.reader, err = tx.s.eng.opener.OpenReader(context.Background())
	return tx.reader, err
}

func (tx *Tx) closeReader() {
	if tx.reader != nil {
		tx.reader.Close()
		tx.reader = nil
	}
	tx.reads = 0
}

func (tx *Tx) forgetClean() {
	for path, e := range tx.entries {
		if !e.dirty {
			delete(tx.entries, path)
			*e = entry{} // its slab may stay
		}
	}
	tx.clean, tx.cleanBytes = 0, 0
}

// SetRegister implements [crdt.Base].
func (tx *Tx) SetRegister(path string, r crdt.Register) error {
	e, err := tx.entry(path)
	if err != nil {
		return err
	}
	tx.remember(e, r)
	floor := tx.s.parts[tx.s.parts.Of(path)].Floor
	within := func(d crdt.Delete) bool { return floor.Has(d.Dot) }
	if slices.ContainsFunc(r.Deletes, within) {
		r.Deletes = slices.DeleteFunc(slices.Clone(r.Deletes), within)
	}
	tx.head.replace(path, e.after, r)
	if !e.dirty {
		e.dirty = true
		tx.clean--
		tx.dirty = append(tx.dirty, e)
	}
	e.after, tx.changed = r, true
	e.lighten()
	tx.live.note(e)
	tx.log.note(e)
	return nil
}

// lighten lets go of the data of a single value that was replaced: nothing asks what they were.
func (e *entry) lighten() {
	if len(e.before.Live) == 1 && len(e.before.Live[0].Data) > crdt.BeforeBytesMax && !hasLive(e.after, e.before.Live[0].Dot) {
		e.before.Live = slices.Clone(e.before.Live)
		e.before.Live[0].Data = nil
	}
}

// Advance implements [crdt.Base].
func (tx *Tx) Advance(d crdt.Dot) {
	for i := range tx.s.parts {
		tx.AdvancePart(i, d)
	}
}

// Open implements [crdt.Base].
func (tx *Tx) Open(r crdt.ReplicaID) ([]byte, error) {
	if open, ok := tx.opens[r]; ok {
		return open, nil
	}
	o, ok := tx.s.ordinals[r]
	if !ok {
		return nil, nil
	}
	return tx.s.blob(appendOrdinalKey(nil, spaceOpen, o))
}

// SetOpen implements [crdt.Base].
func (tx *Tx) SetOpen(r crdt.ReplicaID, open []byte) error {
	if r.IsZero() { // a store that has it does not open again
		return fmt.Errorf("%w: a binding of no replica", crdt.ErrDecode)
	}
	tx.opens[r] = open
	tx.seat(r)
	return nil
}

// LiveAbove implements [crdt.Base].
func (tx *Tx) LiveAbove(v crdt.Vector) crdt.NameSeq { return tx.live.above(tx, v, nil) }

// LiveBetween and DeletesBetween are LiveAbove and DeletesAbove without what lies outside upto.
func (tx *Tx) LiveBetween(v, upto crdt.Vector) crdt.NameSeq { return tx.live.above(tx, v, &upto) }

// DeletesBetween yields the remembered deletes outside v and inside upto.
func (tx *Tx) DeletesBetween(v, upto crdt.Vector) crdt.NameSeq { return tx.log.above(tx, v, &upto) }

// DeletesAbove implements [crdt.Base].
func (tx *Tx) DeletesAbove(v crdt.Vector) crdt.NameSeq {
	if tx.head.Deletes == 0 {
		return func(func(crdt.Name, error) bool) {}
	}
	return tx.log.above(tx, v, nil)
}

// DeleteCount implements [crdt.Base].
func (tx *Tx) DeleteCount() int { return tx.head.Deletes }

// seat marks the record of a replica for writing, and gives it an ordinal if it has none.
func (tx *Tx) seat(r crdt.ReplicaID) ordinal {
	o, ok := tx.s.ordinals[r]
	if !ok {
		o = ordinal(len(tx.s.replicas))
		tx.s.ordinals[r] = o
		tx.s.replicas = append(tx.s.replicas, r)
	}
	tx.seats[r], tx.changed = true, true
	return o
}

// ordinal returns the ordinal of a replica.
func (tx *Tx) ordinal(r crdt.ReplicaID) ordinal {
	if o, ok := tx.s.ordinals[r]; ok {
		return o
	}
	return tx.seat(r)
}

// Commit writes the transaction as one batch. It is not durable before Sync returns. After an error nothing has changed, on disk or
// in memory, and the transaction is still open: commit it again, or discard it.
//
// If the disk is full, a transaction that only takes values away is written without what became past, and with some of the space that
// the datastore holds back: see [FreeingBatcher] and [Tx.Unkept].
func (tx *Tx) Commit() error {
	if !tx.open {
		panic("store: Commit of a transaction that is not open")
	}
	if tx.s.closed.Load() {
		return ErrClosed
	}
	if !tx.changed {
		tx.reset()
		return nil
	}
	if err := tx.s.syncError(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	ctx := context.Background()
	if err := tx.s.prepare(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	err := tx.write(ctx)
	if errors.Is(err, syscall.ENOSPC) && tx.frees() {
		tx.unkept = true
		err = tx.write(ctx)
	}
	if err != nil {
		tx.unkept = false
		return fmt.Errorf("commit: %w", err)
	}
	tx.reset()
	return nil
}

// write puts all that changed into one batch and publishes it.
func (tx *Tx) write(ctx context.Context) error {
	b, err := tx.s.eng.batch(ctx, tx.unkept)
	if err != nil {
		return err
	}
	tx.fill(b)
	return tx.publish(b)
}

// frees reports whether the transaction takes live values away and brings none.
func (tx *Tx) frees() bool {
	fewer, more := false, false
	for _, e := range tx.dirty {
		diffLive(e.before.Live, e.after.Live, func(old, new *crdt.Value) {
			fewer, more = fewer || new == nil, more || old == nil
		})
	}
	return fewer && !more
}

// Unkept reports, until the next Begin, whether the last Commit left what became past out of history, because the disk is full.
func (tx *Tx) Unkept() bool { return tx.unkept }

// Dropped returns, until the next Begin, how many values that became past are not in history, because they were too many for one transaction.
func (tx *Tx) Dropped() int { return tx.dropped }
