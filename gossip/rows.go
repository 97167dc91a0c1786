package gossip

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

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
	// conflict, bit 3 by a policy, bits 4 and 5 the form of the descent.
	Flags []byte
	// Backs: per value with a descent of form again or from the signed difference to the one before of how many counters ago its run
	// began. Froms: runs of how many values the run replaced, per value of form from. Origins and OriginCounters name these values like
	// Indexes and Counters, and are counted apart from them.
	Backs          []byte
	Froms          []byte
	Origins        []byte
	OriginCounters []byte
	// Policies: runs of the names of policies, one per value with that flag.
	Policies []byte
	// Types: runs of media types, one per value.
	Types []byte
	// Sizes: per value the number of its bytes. Data: all bytes, one value after the other.
	Sizes []byte
	Data  []byte
}

// columns returns the byte strings of the message in their order.
func (w *wireRows) columns() [15]*[]byte {
	return [...]*[]byte{&w.Replicas, &w.Shapes, &w.Paths, &w.Indexes, &w.Counters, &w.Times, &w.Flags,
		&w.Backs, &w.Froms, &w.Origins, &w.OriginCounters, &w.Policies, &w.Types, &w.Sizes, &w.Data}
}

func (w *wireRows) encode() []byte {
	size := 64
	for _, column := range w.columns() {
		size += len(*column)
	}
	b := crdt.AppendUint(crdt.AppendArray(make([]byte, 0, size), 16), uint64(w.Type))
	for _, column := range w.columns() {
		b = crdt.AppendBytes(b, *column)
	}
	return b
}

func (w *wireRows) decode(msg []byte) error {
	i := crdt.ItemsOf(msg)
	i.Array(16)
	w.Type = uint8(i.Uint(math.MaxUint8))
	for _, column := range w.columns() {
		*column = i.Bytes(MessageBytesMax)
	}
	return i.End()
}

// What rows take in memory when they are decoded, beside their paths and what lies in the message: a row, a value, a dot that is named with
// or without its time. The columns hold one and all of them in few bytes, so this is bounded apart.
const (
	rowMemory   = 96
	valueMemory = 144
	dotMemory   = 24
	// rowsMemoryMax bounds what the rows of one message take. A message is closed before that.
	rowsMemoryMax = 8 << 20
)

// shapeMemory returns what a row takes that has so many values, known values and deletes, without the descents of the values.
func shapeMemory(path string, shape [3]int) int {
	return rowMemory + len(path) + shape[0]*valueMemory + (shape[1]+shape[2])*dotMemory
}

// memory returns what a row takes.
func memory(r *crdt.Row) int {
	n := shapeMemory(r.Path, [3]int{len(r.Values), len(r.Known), len(r.Deletes)})
	for i := range r.Values {
		n += len(r.Values[i].Descent.From) * dotMemory
	}
	return n
}

// What dots, and values beside their data, cost at least in the size of a message; at most it is six times as much.
const (
	knownSize  = 4
	deleteSize = 8
)

// valueSize returns about what a value costs in a message.
func valueSize(v *crdt.Value) int {
	return 16 + len(v.Data) + len(v.Type) + len(v.Policy) + len(v.Descent.From)*knownSize
}

// rowsBuilder collects rows for one frame.
type rowsBuilder struct {
	w        wireRows
	index    map[crdt.ReplicaID]int
	counters map[crdt.ReplicaID]uint64
	origin   map[crdt.ReplicaID]uint64
	path     string
	millis   int64
	back     uint64
	shapes   runs[[3]int]
	indexes  runs[int]
	flags    runs[byte]
	froms    runs[int]
	origins  runs[int]
	policies runs[string]
	types    runs[string]
	size     int
	memory   int
	rows     int
}

func newRowsBuilder(kind uint8) *rowsBuilder {
	return &rowsBuilder{w: wireRows{Type: kind}, index: map[crdt.ReplicaID]int{},
		counters: map[crdt.ReplicaID]uint64{}, origin: map[crdt.ReplicaID]uint64{}}
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
	for i := range row.Values {
		v := &row.Values[i]
		b.dot(v.Dot)
		b.time(v.Time)
		b.flags.add(valueFlags(v))
		b.descent(v)
		b.text(&b.types, crdt.PackType(v.Type))
		b.w.Sizes = binary.AppendUvarint(b.w.Sizes, uint64(len(v.Data)))
		b.w.Data = append(b.w.Data, v.Data...)
		b.size += len(v.Data) + 8
	}
	for _, k := range row.Known {
		b.dot(k.Dot)
		b.flags.add(valueFlags(&crdt.Value{Won: k.Won}))
		b.size += knownSize
	}
	for _, d := range row.Deletes {
		b.dot(d.Dot)
		b.time(d.Time)
		b.size += deleteSize
	}
	b.size += len(row.Path) - shared + 2
	b.memory += memory(row)
	b.rows++
}

// The flags of a value in a row.
const (
	rowWon = 1 << (1 + iota)
	rowResolved
	rowPolicy
	rowKind         = 1
	rowDescentShift = 4
	rowFlagsMax     = 1<<6 - 1
)

func valueFlags(v *crdt.Value) byte {
	f := byte(v.Kind)&rowKind | byte(v.DescentForm())<<rowDescentShift
	if v.Won {
		f |= rowWon
	}
	if v.Resolved {
		f |= rowResolved
	}
	if v.Policy != "" {
		f |= rowPolicy
	}
	return f
}

func appendBytes[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// replica returns the index of a replica, and lists it.
func (b *rowsBuilder) replica(r crdt.ReplicaID) int {
	i, ok := b.index[r]
	if !ok {
		i = len(b.index)
		b.index[r] = i
		b.w.Replicas = append(b.w.Replicas, r[:]...)
	}
	return i
}

// descent appends what a value was written over, and its policy.
func (b *rowsBuilder) descent(v *crdt.Value) {
	form := v.DescentForm()
	if form >= crdt.DescentAgain {
		back := v.Dot.Counter - v.Descent.Since
		b.w.Backs = crdt.AppendVarint(b.w.Backs, int64(back)-int64(b.back))
		b.back = back
		b.size += 3
	}
	if form == crdt.DescentFrom {
		b.froms.add(len(v.Descent.From))
		for _, d := range v.Descent.From {
			b.origins.add(b.replica(d.Replica))
			b.w.OriginCounters = crdt.AppendVarint(b.w.OriginCounters, int64(d.Counter)-int64(b.origin[d.Replica]))
			b.origin[d.Replica] = d.Counter
			b.size += 4
		}
	}
	if v.Policy != "" {
		b.text(&b.policies, v.Policy)
	}
}

// text adds to runs of texts.
func (b *rowsBuilder) text(r *runs[string], s string) {
	if n := len(r.items); n == 0 || r.items[n-1] != s {
		b.size += len(s)
	}
	r.add(s)
}

func (b *rowsBuilder) dot(d crdt.Dot) {
	b.indexes.add(b.replica(d.Replica))
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
	b.w.Froms = b.froms.append(nil, number)
	b.w.Origins = b.origins.append(nil, number)
	b.w.Policies = b.policies.append(nil, appendBytes[string])
	b.w.Types = b.types.append(nil, appendBytes[string])
	return b.w.encode()
}

// rowsDecoder takes a frame apart, column by column in step.
type rowsDecoder struct {
	replicas []crdt.ReplicaID
	counters []uint64
	used     int // the replicas that a dot has referred to, in the order of their first
	paths, counts, times, sizes, backs, originCounts,
	data crdt.Reader
	origin         []uint64 // as counters
	back           uint64
	shapes         runReader[[3]int]
	indexes        runReader[int]
	flags          runReader[byte]
	froms, origins runReader[int]
	types          runReader[string]
	policies       runReader[string]
	path           string
	millis         int64
	left           int // of rowsMemoryMax
}

// take counts what is about to be made of the message.
func (d *rowsDecoder) take(memory int) error {
	if d.left -= memory; d.left < 0 {
		return fmt.Errorf("%w: a message of rows that take more than %d bytes", crdt.ErrDecode, rowsMemoryMax)
	}
	return nil
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
	number := func(r *crdt.Reader) int { return int(min(r.Uvarint(), rowsMemoryMax)) }
	text := func(max int) func(r *crdt.Reader) string {
		return func(r *crdt.Reader) string { return string(r.Bytes(max)) }
	}
	d := rowsDecoder{
		left:     rowsMemoryMax,
		counters: make([]uint64, len(w.Replicas)/8), origin: make([]uint64, len(w.Replicas)/8),
		paths: crdt.Reader{B: w.Paths}, counts: crdt.Reader{B: w.Counters}, times: crdt.Reader{B: w.Times}, sizes: crdt.Reader{B: w.Sizes}, data: crdt.Reader{B: w.Data},
		backs: crdt.Reader{B: w.Backs}, originCounts: crdt.Reader{B: w.OriginCounters},
		shapes:  runReader[[3]int]{r: crdt.Reader{B: w.Shapes}, item: func(r *crdt.Reader) [3]int { return [3]int{number(r), number(r), number(r)} }},
		indexes: runReader[int]{r: crdt.Reader{B: w.Indexes}, item: number},
		flags:   runReader[byte]{r: crdt.Reader{B: w.Flags}, item: (*crdt.Reader).Byte},
		froms:   runReader[int]{r: crdt.Reader{B: w.Froms}, item: number}, origins: runReader[int]{r: crdt.Reader{B: w.Origins}, item: number},
		types:    runReader[string]{r: crdt.Reader{B: w.Types}, item: text(crdt.TypeBytesMax)},
		policies: runReader[string]{r: crdt.Reader{B: w.Policies}, item: text(crdt.PolicyBytesMax)},
	}
	d.replicas = make([]crdt.ReplicaID, 0, len(w.Replicas)/8)
	for chunk := range slices.Chunk(w.Replicas, 8) {
		d.replicas = append(d.replicas, crdt.ReplicaID(chunk))
	}
	listed := slices.Clone(d.replicas)
	slices.SortFunc(listed, crdt.ReplicaID.Compare)
	if len(slices.Compact(listed)) < len(d.replicas) {
		return nil, fmt.Errorf("%w: a replica is listed twice", crdt.ErrDecode)
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
	for _, err := range []error{d.paths.Err, d.counts.Err, d.times.Err, d.sizes.Err, d.data.Err, d.backs.Err, d.originCounts.Err,
		d.shapes.end(), d.indexes.end(), d.flags.end(), d.froms.end(), d.origins.end(), d.types.end(), d.policies.end()} {
		if err != nil {
			return err
		}
	}
	if len(d.counts.B)+len(d.times.B)+len(d.sizes.B)+len(d.data.B)+len(d.backs.B)+len(d.originCounts.B) > 0 || d.used < len(d.replicas) {
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
	if err := d.take(shapeMemory(row.Path, shape)); err != nil {
		return row, err
	}
	if shape[0] > 0 {
		row.Values = make([]crdt.Value, 0, min(shape[0], 16))
	}
	for range shape[0] {
		v := crdt.Value{Dot: d.dot(), Time: d.time()}
		if err := d.marks(&v); err != nil {
			return row, err
		}
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
		flags := d.flags.next()
		if flags&^rowWon != 0 {
			d.flags.r.Err = fmt.Errorf("%w: flags of a known value", crdt.ErrDecode)
		}
		k.Won = flags&rowWon != 0
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

func (d *rowsDecoder) dot() crdt.Dot { return d.named(&d.indexes, &d.counts, d.counters) }

// named reads a dot from a column of indexes and one of counters.
func (d *rowsDecoder) named(indexes *runReader[int], counts *crdt.Reader, last []uint64) crdt.Dot {
	i := indexes.next()
	delta := counts.Varint()
	if indexes.r.Err != nil || counts.Err != nil || i >= len(d.replicas) || i > d.used {
		counts.Err = fmt.Errorf("%w: a dot", crdt.ErrDecode)
		return crdt.Dot{}
	}
	d.used = max(d.used, i+1)
	last[i] += uint64(delta)
	if last[i] == 0 || last[i] > crdt.CounterMax || d.replicas[i].IsZero() {
		counts.Err = fmt.Errorf("%w: a dot with counter %d", crdt.ErrDecode, last[i])
	}
	return crdt.Dot{Replica: d.replicas[i], Counter: last[i]}
}

func (d *rowsDecoder) time() crdt.Timestamp {
	d.millis += d.times.Varint()
	logical := d.times.Uvarint()
	if d.millis < 0 || d.millis >= 1<<48 || logical >= 1<<16 {
		d.times.Err = fmt.Errorf("%w: a time", crdt.ErrDecode)
	}
	return crdt.At(d.millis) + crdt.Timestamp(logical&0xffff)
}

// marks reads the flags of a value, its descent and its policy.
func (d *rowsDecoder) marks(v *crdt.Value) error {
	f := d.flags.next()
	if f > rowFlagsMax {
		return fmt.Errorf("%w: unknown flags %#x", crdt.ErrDecode, f)
	}
	if err := d.failed(); err != nil {
		return err
	}
	v.Kind, v.Won, v.Resolved = crdt.Kind(f&rowKind), f&rowWon != 0, f&rowResolved != 0
	form := crdt.DescentForm(f >> rowDescentShift)
	var from []crdt.Dot
	if form >= crdt.DescentAgain {
		d.back += uint64(d.backs.Varint())
	}
	if form == crdt.DescentFrom {
		n := d.froms.next()
		if n == 0 || n > crdt.DescentMax || d.froms.r.Err != nil {
			return fmt.Errorf("%w: a descent from %d values", crdt.ErrDecode, n)
		}
		if err := d.take(n * dotMemory); err != nil {
			return err
		}
		for from = make([]crdt.Dot, 0, n); n > 0; n-- {
			from = append(from, d.named(&d.origins, &d.originCounts, d.origin))
		}
	}
	back := uint64(0)
	if form >= crdt.DescentAgain {
		back = d.back
	}
	if d.backs.Err != nil || d.originCounts.Err != nil || !v.SetDescent(form, back, from) {
		return fmt.Errorf("%w: a descent of %v", crdt.ErrDecode, v.Dot)
	}
	if f&rowPolicy != 0 {
		if v.Policy = d.policies.next(); v.Policy == "" || !v.Resolved || !utf8.ValidString(v.Policy) {
			return fmt.Errorf("%w: the policy %q", crdt.ErrDecode, v.Policy)
		}
	}
	return nil
}
