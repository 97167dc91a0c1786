package gossip

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"syncline/crdt"
)

// Rows travel as columns: what one column holds is alike from row to row and shrinks to one or two bytes each. Within a column
// integers are unsigned varints, signed ones in zigzag form, and a run is a count followed by what repeats.

// wireRows is the body of ROWS, LIVE and KILL messages.
type wireRows struct {
	_ struct{} `cbor:",toarray"`
	// Type is one of the three message types.
	Type uint8
	// Replicas holds the replicas that the frame names, eight bytes each; dots refer to them by index.
	Replicas []byte
	// Shapes: runs of (values, known values, deletes) per row.
	Shapes []byte
	// Paths: per row the number of bytes shared with the path before, then the rest with its length.
	Paths []byte
	// Indexes: runs of replica indexes, one per dot; dots come row by row: values, known values, deletes.
	Indexes []byte
	// Counters: per dot the signed difference to the dot of the same replica before.
	Counters []byte
	// Times: per value and delete the signed difference in milliseconds to the one before, then the logical part.
	Times []byte
	// Flags: runs of flags, one per value and known value: bit 0 the kind, bit 1 won over a delete, bit 2 written to settle a
	// conflict.
	Flags []byte
	// Types: runs of media types, one per value.
	Types []byte
	// Sizes: per value the number of its bytes. Data: all bytes, one value after the other.
	Sizes []byte
	Data  []byte
}

// columns returns the byte strings of the message in their order.
func (w *wireRows) columns() [10]*[]byte {
	return [...]*[]byte{&w.Replicas, &w.Shapes, &w.Paths, &w.Indexes, &w.Counters, &w.Times, &w.Flags, &w.Types, &w.Sizes, &w.Data}
}

func (w *wireRows) encode() []byte {
	size := 64
	for _, column := range w.columns() {
		size += len(*column)
	}
	b := crdt.AppendUint(crdt.AppendArray(make([]byte, 0, size), 11), uint64(w.Type))
	for _, column := range w.columns() {
		b = crdt.AppendBytes(b, *column)
	}
	return b
}

func (w *wireRows) decode(msg []byte) error {
	i := crdt.ItemsOf(msg)
	i.Array(11)
	w.Type = uint8(i.Uint(math.MaxUint8))
	for _, column := range w.columns() {
		*column = i.Bytes(MessageBytesMax)
	}
	return i.End()
}

// rowsBuilder collects rows for one frame.
type rowsBuilder struct {
	w        wireRows
	index    map[crdt.ReplicaID]int
	counters map[crdt.ReplicaID]uint64
	path     string
	millis   int64
	shapes   runs[[3]int]
	indexes  runs[int]
	flags    runs[byte]
	types    runs[string]
	size     int
	rows     int
}

func newRowsBuilder(kind uint8) *rowsBuilder {
	return &rowsBuilder{w: wireRows{Type: kind}, index: map[crdt.ReplicaID]int{}, counters: map[crdt.ReplicaID]uint64{}}
}

// runs collects equal neighbours.
type runs[T comparable] struct {
	items  []T
	counts []uint64
}

func (r *runs[T]) add(x T) {
	if n := len(r.items); n > 0 && r.items[n-1] == x {
		r.counts[n-1]++
		return
	}
	r.items, r.counts = append(r.items, x), append(r.counts, 1)
}

func (r *runs[T]) append(b []byte, item func([]byte, T) []byte) []byte {
	for i, x := range r.items {
		b = item(binary.AppendUvarint(b, r.counts[i]), x)
	}
	return b
}

// add appends a row. size grows by about what it costs on the wire.
func (b *rowsBuilder) add(row *crdt.Row) {
	shared := 0
	for shared < min(len(b.path), len(row.Path)) && b.path[shared] == row.Path[shared] {
		shared++
	}
	b.path = row.Path
	b.w.Paths = binary.AppendUvarint(b.w.Paths, uint64(shared))
	b.w.Paths = appendBytes(b.w.Paths, row.Path[shared:])
	b.shapes.add([3]int{len(row.Values), len(row.Known), len(row.Deletes)})
	for _, v := range row.Values {
		b.dot(v.Dot)
		b.time(v.Time)
		b.flags.add(rowFlags(v.Kind, v.Won, v.Resolved))
		b.types.add(crdt.PackType(v.Type))
		b.w.Sizes = binary.AppendUvarint(b.w.Sizes, uint64(len(v.Data)))
		b.w.Data = append(b.w.Data, v.Data...)
		b.size += len(v.Data) + 8
	}
	for _, k := range row.Known {
		b.dot(k.Dot)
		b.flags.add(rowFlags(crdt.Multi, k.Won, false))
		b.size += 4
	}
	for _, d := range row.Deletes {
		b.dot(d.Dot)
		b.time(d.Time)
		b.size += 8
	}
	b.size += len(row.Path) - shared + 2
	b.rows++
}

func rowFlags(k crdt.Kind, won, resolved bool) byte {
	f := byte(k) & 1
	if won {
		f |= 2
	}
	if resolved {
		f |= 4
	}
	return f
}

func appendBytes[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func (b *rowsBuilder) dot(d crdt.Dot) {
	i, ok := b.index[d.Replica]
	if !ok {
		i = len(b.index)
		b.index[d.Replica] = i
		b.w.Replicas = append(b.w.Replicas, d.Replica[:]...)
	}
	b.indexes.add(i)
	b.w.Counters = crdt.AppendVarint(b.w.Counters, int64(d.Counter)-int64(b.counters[d.Replica]))
	b.counters[d.Replica] = d.Counter
}

func (b *rowsBuilder) time(t crdt.Timestamp) {
	b.w.Times = crdt.AppendVarint(b.w.Times, t.WallMillis()-b.millis)
	b.w.Times = binary.AppendUvarint(b.w.Times, uint64(t.Logical()))
	b.millis = t.WallMillis()
}

// finish returns the encoded message.
func (b *rowsBuilder) finish() []byte {
	number := func(out []byte, i int) []byte { return binary.AppendUvarint(out, uint64(i)) }
	b.w.Shapes = b.shapes.append(nil, func(out []byte, s [3]int) []byte { return number(number(number(out, s[0]), s[1]), s[2]) })
	b.w.Indexes = b.indexes.append(nil, number)
	b.w.Flags = b.flags.append(nil, func(out []byte, f byte) []byte { return append(out, f) })
	b.w.Types = b.types.append(nil, appendBytes[string])
	return b.w.encode()
}

// rowsDecoder takes a frame apart, column by column in step.
type rowsDecoder struct {
	replicas []crdt.ReplicaID
	counters []uint64
	used     int // the replicas that a dot has referred to, in the order of their first
	paths, counts, times, sizes,
	data crdt.Reader
	shapes  runReader[[3]int]
	indexes runReader[int]
	flags   runReader[byte]
	types   runReader[string]
	path    string
	millis  int64
}

// runReader yields the items of a column of runs.
type runReader[T comparable] struct {
	r    crdt.Reader
	item func(*crdt.Reader) T
	left uint64
	cur  T
	any  bool
}

func (r *runReader[T]) next() T {
	if r.left == 0 && r.r.Err == nil {
		if r.left = r.r.Uvarint(); r.left == 0 && r.r.Err == nil {
			r.r.Err = fmt.Errorf("%w: an empty run", crdt.ErrDecode)
		}
		last := r.cur
		if r.cur = r.item(&r.r); r.any && r.cur == last && r.r.Err == nil {
			r.r.Err = fmt.Errorf("%w: two runs of the same", crdt.ErrDecode)
		}
		r.any = true
	}
	if r.r.Err != nil {
		var zero T
		return zero
	}
	r.left--
	return r.cur
}

func (r *runReader[T]) end() error {
	if r.r.Err == nil && (r.left > 0 || len(r.r.B) > 0) {
		return fmt.Errorf("%w: a column is longer than its rows", crdt.ErrDecode)
	}
	return r.r.Err
}

// decodeRows decodes a message of one of the three types. Values point into msg.
func decodeRows(msg []byte) ([]crdt.Row, error) {
	var w wireRows
	if err := w.decode(msg); err != nil {
		return nil, err
	}
	if len(w.Replicas)%8 != 0 || len(w.Replicas) > 8*crdt.VectorReplicasMax {
		return nil, fmt.Errorf("%w: a list of replicas of %d bytes", crdt.ErrDecode, len(w.Replicas))
	}
	number := func(r *crdt.Reader) int { return int(min(r.Uvarint(), 1<<31)) }
	d := rowsDecoder{
		counters: make([]uint64, len(w.Replicas)/8),
		paths:    crdt.Reader{B: w.Paths}, counts: crdt.Reader{B: w.Counters}, times: crdt.Reader{B: w.Times}, sizes: crdt.Reader{B: w.Sizes}, data: crdt.Reader{B: w.Data},
		shapes:  runReader[[3]int]{r: crdt.Reader{B: w.Shapes}, item: func(r *crdt.Reader) [3]int { return [3]int{number(r), number(r), number(r)} }},
		indexes: runReader[int]{r: crdt.Reader{B: w.Indexes}, item: number},
		flags:   runReader[byte]{r: crdt.Reader{B: w.Flags}, item: (*crdt.Reader).Byte},
		types:   runReader[string]{r: crdt.Reader{B: w.Types}, item: func(r *crdt.Reader) string { return string(r.Bytes(crdt.TypeBytesMax)) }},
	}
	listed := map[crdt.ReplicaID]bool{}
	for chunk := range slices.Chunk(w.Replicas, 8) {
		id := crdt.ReplicaID(chunk)
		if listed[id] {
			return nil, fmt.Errorf("%w: replica %v is listed twice", crdt.ErrDecode, id)
		}
		listed[id] = true
		d.replicas = append(d.replicas, id)
	}
	var rows []crdt.Row
	for len(d.paths.B) > 0 {
		row, err := d.row()
		if err != nil {
			return nil, err
		}
		if n := len(rows); n > 0 && row.Path <= rows[n-1].Path {
			return nil, fmt.Errorf("%w: path %q is out of order", crdt.ErrDecode, row.Path)
		}
		rows = append(rows, row)
	}
	return rows, d.end()
}

func (d *rowsDecoder) end() error {
	for _, err := range []error{d.paths.Err, d.counts.Err, d.times.Err, d.sizes.Err, d.data.Err, d.shapes.end(), d.indexes.end(), d.flags.end(), d.types.end()} {
		if err != nil {
			return err
		}
	}
	if len(d.counts.B)+len(d.times.B)+len(d.sizes.B)+len(d.data.B) > 0 || d.used < len(d.replicas) {
		return fmt.Errorf("%w: a column is longer than its rows", crdt.ErrDecode)
	}
	return nil
}

func (d *rowsDecoder) row() (crdt.Row, error) {
	var row crdt.Row
	shared := d.paths.Uvarint()
	rest := d.paths.Bytes(crdt.PathBytesMax)
	if d.paths.Err != nil || shared > uint64(len(d.path)) || shared < uint64(len(d.path)) && len(rest) > 0 && d.path[shared] == rest[0] {
		return row, fmt.Errorf("%w: a path", crdt.ErrDecode)
	}
	row.Path = d.path[:shared] + string(rest)
	d.path = row.Path
	if err := crdt.CheckStoredPath(row.Path); err != nil {
		return row, fmt.Errorf("%w: %w", crdt.ErrDecode, err)
	}
	shape := d.shapes.next()
	if shape[0] > 0 {
		row.Values = make([]crdt.Value, 0, min(shape[0], 16))
	}
	for range shape[0] {
		v := crdt.Value{Dot: d.dot(), Time: d.time()}
		v.Kind, v.Won, v.Resolved = d.flag()
		packed := d.types.next()
		size := d.sizes.Uvarint()
		if err := d.failed(); err != nil {
			return row, err
		}
		if size > crdt.ValueBytesMax || size > uint64(len(d.data.B)) {
			return row, fmt.Errorf("%w: a value of %d bytes", crdt.ErrDecode, size)
		}
		v.Data, d.data.B = d.data.B[:size:size], d.data.B[size:]
		var err error
		if v.Type, err = crdt.UnpackType(packed); err != nil {
			return row, err
		}
		row.Values = append(row.Values, v)
	}
	for range shape[1] {
		k := crdt.KnownValue{Dot: d.dot()}
		kind, won, resolved := d.flag()
		if kind != crdt.Multi || resolved {
			d.flags.r.Err = fmt.Errorf("%w: flags of a known value", crdt.ErrDecode)
		}
		k.Won = won
		if err := d.failed(); err != nil {
			return row, err
		}
		row.Known = append(row.Known, k)
	}
	for range shape[2] {
		row.Deletes = append(row.Deletes, crdt.Delete{Dot: d.dot(), Time: d.time()})
		if err := d.failed(); err != nil {
			return row, err
		}
	}
	return row, checkOrder(&row)
}

// failed returns the first error of the columns that a dot or a value is read from.
func (d *rowsDecoder) failed() error {
	for _, err := range []error{d.indexes.r.Err, d.counts.Err, d.times.Err, d.flags.r.Err, d.types.r.Err, d.sizes.Err, d.shapes.r.Err} {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkOrder says whether the lists of a row are sorted by dot without repetition.
func checkOrder(row *crdt.Row) error {
	ok := func(n int, dot func(int) crdt.Dot) bool {
		for i := 1; i < n; i++ {
			if dot(i).Compare(dot(i-1)) <= 0 {
				return false
			}
		}
		return true
	}
	if !ok(len(row.Values), func(i int) crdt.Dot { return row.Values[i].Dot }) ||
		!ok(len(row.Known), func(i int) crdt.Dot { return row.Known[i].Dot }) ||
		!ok(len(row.Deletes), func(i int) crdt.Dot { return row.Deletes[i].Dot }) {
		return fmt.Errorf("%w: dots of %q are out of order", crdt.ErrDecode, row.Path)
	}
	return nil
}

func (d *rowsDecoder) dot() crdt.Dot {
	i := d.indexes.next()
	delta := d.counts.Varint()
	if d.indexes.r.Err != nil || d.counts.Err != nil || i >= len(d.replicas) || i > d.used {
		d.counts.Err = fmt.Errorf("%w: a dot", crdt.ErrDecode)
		return crdt.Dot{}
	}
	d.used = max(d.used, i+1)
	d.counters[i] += uint64(delta)
	if d.counters[i] == 0 || d.counters[i] > crdt.CounterMax || d.replicas[i].IsZero() {
		d.counts.Err = fmt.Errorf("%w: a dot with counter %d", crdt.ErrDecode, d.counters[i])
	}
	return crdt.Dot{Replica: d.replicas[i], Counter: d.counters[i]}
}

func (d *rowsDecoder) time() crdt.Timestamp {
	d.millis += d.times.Varint()
	logical := d.times.Uvarint()
	if d.millis < 0 || d.millis >= 1<<48 || logical >= 1<<16 {
		d.times.Err = fmt.Errorf("%w: a time", crdt.ErrDecode)
	}
	return crdt.At(d.millis) + crdt.Timestamp(logical&0xffff)
}

func (d *rowsDecoder) flag() (k crdt.Kind, won, resolved bool) {
	f := d.flags.next()
	if f > 7 {
		d.flags.r.Err = fmt.Errorf("%w: unknown flags %#x", crdt.ErrDecode, f)
	}
	return crdt.Kind(f & 1), f&2 != 0, f&4 != 0
}
