package sim_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"

	"syncline/crdt"
	"syncline/gossip/sketch"
)

// This file reads and writes the messages of a session a second time, from docs/PROTOCOL.md, so that mistakes can be planted in
// what is on the way. It trusts its input.

// The types of the messages that are taken apart.
const (
	typeHello  = 1
	typeOK     = 2
	typeVector = 3
	typeRows   = 4
	typeEnd    = 5
	typeAsk    = 6
	typeLive   = 7
	typeKill   = 8
	typeBye    = 11
	typeOpens  = 12
	typeDead   = 15
	typeLeft   = 16
)

// The forms of a vector in HELLO and VECTOR.
const (
	formNone    = 0
	formWhole   = 1
	formChanges = 2
	formSketch  = 3
)

// listedSketch says in ASK that live values are told by a sketch.
const listedSketch = 2

type helloMessage struct {
	_       struct{} `cbor:",toarray"`
	Type    uint8
	Version uint8
	Hash    [16]byte
	Digest  [8]byte
	Wall    int64
	Form    uint8
	Entries []byte
	Top     []byte
}

type vectorMessage struct {
	_       struct{} `cbor:",toarray"`
	Type    uint8
	Hash    [16]byte
	Form    uint8
	Entries []byte
	Top     []byte
}

type askMessage struct {
	_      struct{} `cbor:",toarray"`
	Type   uint8
	Vector []byte
	Rows   uint64
	From   string
	To     string
	Listed uint8
	Sketch []byte
}

type deadMessage struct {
	_     struct{} `cbor:",toarray"`
	Type  uint8
	Items []byte
}

type byeMessage struct {
	_    struct{} `cbor:",toarray"`
	Type uint8
	Code string
	Text string
}

type leftMessage struct {
	_    struct{} `cbor:",toarray"`
	Type uint8
	Path string
}

// readChanges returns the vector that differs from base by the entries.
func readChanges(base crdt.Vector, entries []byte) crdt.Vector {
	at := map[crdt.ReplicaID]uint64{}
	for d := range base.All() {
		at[d.Replica] = d.Counter
	}
	for r := (crdt.Reader{B: entries}); len(r.B) > 0; {
		id := r.Replica()
		at[id] = r.Uvarint()
	}
	var dots []crdt.Dot
	for id, counter := range at {
		dots = append(dots, crdt.Dot{Replica: id, Counter: counter})
	}
	return crdt.VectorOf(dots)
}

// appendVectorSymbols appends n symbols of the entries of a vector.
func appendVectorSymbols(b []byte, v crdt.Vector, n int) []byte {
	s := sketch.New(v.Hash(), n)
	for d := range v.All() {
		s.Add(sketch.Item(binary.BigEndian.AppendUint64(slices.Clone(d.Replica[:]), d.Counter)))
	}
	return s.Append(b, 0)
}

func symbolsIn(b []byte) int {
	s, err := sketch.Decode(sketch.Key{}, b)
	if err != nil {
		panic(err)
	}
	return s.Len()
}

// withoutItem takes an item out of a sketch of live values: out of the sum of all items, 16 bytes, and out of the symbols.
func withoutItem(b []byte, key [16]byte, x sketch.Item) []byte {
	s, err := sketch.Decode(key, b[16:])
	if err != nil {
		panic(err)
	}
	s.Remove(x)
	lo, borrow := bits.Sub64(binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(x[8:]), 0)
	hi, _ := bits.Sub64(binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(x[:]), borrow)
	return s.Append(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, hi), lo), 0)
}

// nameItem returns what stands for a name in sketches under a key.
func nameItem(key [16]byte, n crdt.Name) sketch.Item {
	b := append(slices.Clone(key[:]), n.Dot.Replica[:]...)
	sum := sha256.Sum256(append(binary.BigEndian.AppendUint64(b, n.Dot.Counter), n.Path...))
	return sketch.Item(sum[:16])
}

type plainMessage struct {
	_    struct{} `cbor:",toarray"`
	Type uint8
	Wall int64
}

func unmarshal(msg []byte, m any) {
	if err := crdt.Unmarshal(msg, m); err != nil {
		panic(err)
	}
}

func mustRows(msg []byte) []crdt.Row {
	rows, err := decodeRows(msg)
	if err != nil {
		panic(err)
	}
	return rows
}

type endMessage struct {
	_       struct{} `cbor:",toarray"`
	Type    uint8
	Asked   [16]byte
	Context []byte
	Floor   []byte
	Rows    uint64
	Kills   uint64
	Opens   uint64
	Hash    [16]byte
	Digest  [8]byte
	To      string
}

type rowsMessage struct {
	_        struct{} `cbor:",toarray"`
	Type     uint8
	Replicas []byte
	Shapes   []byte
	Paths    []byte
	Indexes  []byte
	Counters []byte
	Times    []byte
	Flags    []byte
	Backs    []byte
	Froms    []byte
	Origins  []byte
	OriginCs []byte
	Policies []byte
	Types    []byte
	Sizes    []byte
	Data     []byte
}

// expand reads a column of runs.
func expand[T any](b []byte, item func(*crdt.Reader) T) []T {
	r := crdt.Reader{B: b}
	var out []T
	for len(r.B) > 0 && r.Err == nil {
		n := r.Uvarint()
		x := item(&r)
		for range n {
			out = append(out, x)
		}
	}
	return out
}

// first takes the first element.
func first[T any](s *[]T) T {
	x := (*s)[0]
	*s = (*s)[1:]
	return x
}

// decodeRows takes a message of rows apart.
func decodeRows(msg []byte) ([]crdt.Row, error) {
	var m rowsMessage
	if err := crdt.Unmarshal(msg, &m); err != nil {
		return nil, err
	}
	number := func(r *crdt.Reader) int { return int(r.Uvarint()) }
	shapes := expand(m.Shapes, func(r *crdt.Reader) [3]int { return [3]int{number(r), number(r), number(r)} })
	indexes, flags := expand(m.Indexes, number), expand(m.Flags, (*crdt.Reader).Byte)
	text := func(r *crdt.Reader) string { return string(r.Bytes(1 << 10)) }
	types, policies := expand(m.Types, text), expand(m.Policies, text)
	froms, origins := expand(m.Froms, number), expand(m.Origins, number)
	backs, originCounters, back, lastOrigin := crdt.Reader{B: m.Backs}, crdt.Reader{B: m.OriginCs}, uint64(0), map[crdt.ReplicaID]uint64{}
	paths, counters, times, sizes := crdt.Reader{B: m.Paths}, crdt.Reader{B: m.Counters}, crdt.Reader{B: m.Times}, crdt.Reader{B: m.Sizes}
	last := map[crdt.ReplicaID]uint64{}
	dot := func() crdt.Dot {
		i := first(&indexes)
		id := crdt.ReplicaID(m.Replicas[8*i : 8*i+8])
		last[id] += uint64(counters.Varint())
		return crdt.Dot{Replica: id, Counter: last[id]}
	}
	descent := func(v *crdt.Value, form crdt.DescentForm) {
		var from []crdt.Dot
		if form >= crdt.DescentAgain {
			back += uint64(backs.Varint())
		}
		if form == crdt.DescentFrom {
			for range first(&froms) {
				i := first(&origins)
				id := crdt.ReplicaID(m.Replicas[8*i : 8*i+8])
				lastOrigin[id] += uint64(originCounters.Varint())
				from = append(from, crdt.Dot{Replica: id, Counter: lastOrigin[id]})
			}
		}
		if form == crdt.DescentNew {
			v.SetDescent(form, 0, nil)
		} else {
			v.SetDescent(form, back, from)
		}
	}
	millis := int64(0)
	time := func() crdt.Timestamp {
		millis += times.Varint()
		return crdt.At(millis) + crdt.Timestamp(times.Uvarint())
	}
	var rows []crdt.Row
	path := ""
	for _, shape := range shapes {
		path = path[:paths.Uvarint()] + string(paths.Bytes(1<<12))
		row := crdt.Row{Path: path}
		for range shape[0] {
			v := crdt.Value{Dot: dot(), Time: time()}
			f := first(&flags)
			v.Kind, v.Won, v.Resolved = crdt.Kind(f&1), f&2 != 0, f&4 != 0
			descent(&v, crdt.DescentForm(f>>4))
			if f&8 != 0 {
				v.Policy = first(&policies)
			}
			v.Type, _ = crdt.UnpackType(first(&types))
			n := sizes.Uvarint()
			v.Data, m.Data = m.Data[:n], m.Data[n:]
			row.Values = append(row.Values, v)
		}
		for range shape[1] {
			row.Known = append(row.Known, crdt.KnownValue{Dot: dot(), Won: first(&flags)&2 != 0})
		}
		for range shape[2] {
			row.Deletes = append(row.Deletes, crdt.Delete{Dot: dot(), Time: time()})
		}
		rows = append(rows, row)
	}
	return rows, errors.Join(paths.Err, counters.Err, times.Err, sizes.Err)
}

// A column collects runs of equal items, each already encoded.
type column struct {
	bytes []byte
	item  string
	count uint64
}

func (c *column) add(item []byte) {
	if c.count > 0 && c.item != string(item) {
		c.flush()
	}
	c.item = string(item)
	c.count++
}

func (c *column) flush() []byte {
	if c.count > 0 {
		c.bytes = append(binary.AppendUvarint(c.bytes, c.count), c.item...)
	}
	c.count = 0
	return append([]byte{}, c.bytes...)
}

func uvarints(xs ...int) (b []byte) {
	for _, x := range xs {
		b = binary.AppendUvarint(b, uint64(x))
	}
	return b
}

// encodeRows is the inverse of decodeRows.
func encodeRows(kind uint8, rows []crdt.Row) []byte {
	m := rowsMessage{Type: kind, Replicas: []byte{}, Paths: []byte{}, Counters: []byte{}, Times: []byte{}, Backs: []byte{}, OriginCs: []byte{},
		Sizes: []byte{}, Data: []byte{}}
	var shapes, indexes, flags, froms, origins, policies, types column
	index, last, lastOrigin := map[crdt.ReplicaID]int{}, map[crdt.ReplicaID]uint64{}, map[crdt.ReplicaID]uint64{}
	named := func(d crdt.Dot, indexes *column, counters *[]byte, last map[crdt.ReplicaID]uint64) {
		if _, ok := index[d.Replica]; !ok {
			index[d.Replica] = len(index)
			m.Replicas = append(m.Replicas, d.Replica[:]...)
		}
		indexes.add(uvarints(index[d.Replica]))
		*counters = crdt.AppendVarint(*counters, int64(d.Counter)-int64(last[d.Replica]))
		last[d.Replica] = d.Counter
	}
	dot := func(d crdt.Dot) { named(d, &indexes, &m.Counters, last) }
	lastBack := uint64(0)
	descent := func(v *crdt.Value) {
		form := v.DescentForm()
		if form >= crdt.DescentAgain {
			back := v.Dot.Counter - v.Descent.Since
			m.Backs = crdt.AppendVarint(m.Backs, int64(back)-int64(lastBack))
			lastBack = back
		}
		if form == crdt.DescentFrom {
			froms.add(uvarints(len(v.Descent.From)))
			for _, d := range v.Descent.From {
				named(d, &origins, &m.OriginCs, lastOrigin)
			}
		}
		if v.Policy != "" {
			policies.add(append(uvarints(len(v.Policy)), v.Policy...))
		}
	}
	millis := int64(0)
	time := func(t crdt.Timestamp) {
		m.Times = crdt.AppendVarint(m.Times, t.WallMillis()-millis)
		m.Times = append(m.Times, uvarints(int(t.Logical()))...)
		millis = t.WallMillis()
	}
	flag := func(v *crdt.Value) {
		f := byte(v.Kind) | byte(v.DescentForm())<<4
		if v.Won {
			f |= 2
		}
		if v.Resolved {
			f |= 4
		}
		if v.Policy != "" {
			f |= 8
		}
		flags.add([]byte{f})
	}
	path := ""
	for _, row := range rows {
		shared := 0
		for shared < min(len(path), len(row.Path)) && path[shared] == row.Path[shared] {
			shared++
		}
		m.Paths = append(append(m.Paths, uvarints(shared, len(row.Path)-shared)...), row.Path[shared:]...)
		path = row.Path
		shapes.add(uvarints(len(row.Values), len(row.Known), len(row.Deletes)))
		for _, v := range row.Values {
			dot(v.Dot)
			time(v.Time)
			flag(&v)
			descent(&v)
			packed := crdt.PackType(v.Type)
			types.add(append(uvarints(len(packed)), packed...))
			m.Sizes = append(m.Sizes, uvarints(len(v.Data))...)
			m.Data = append(m.Data, v.Data...)
		}
		for _, k := range row.Known {
			dot(k.Dot)
			flag(&crdt.Value{Won: k.Won})
		}
		for _, d := range row.Deletes {
			dot(d.Dot)
			time(d.Time)
		}
	}
	m.Froms, m.Origins, m.Policies = froms.flush(), origins.flush(), policies.flush()
	m.Shapes, m.Indexes, m.Flags, m.Types = shapes.flush(), indexes.flush(), flags.flush(), types.flush()
	return crdt.Marshal(&m)
}

// A rowsEditor changes the answers of sessions on their way, and keeps their counts right.
type rowsEditor struct {
	row func(r *crdt.Row) // a row that is left without values and deletes is dropped
	end func(e *endMessage)
	// noKills drops the list of dead values.
	noKills bool
	dropped map[uint64]uint64
}

// session is a tap.
func (x *rowsEditor) session(_, _ int, stream uint64, msg []byte) [][]byte {
	if x.dropped == nil {
		x.dropped = map[uint64]uint64{}
	}
	switch msg[1] {
	case typeRows:
		if x.row != nil {
			return x.edit(stream, msg)
		}
	case typeKill, typeDead:
		if x.noKills {
			return nil
		}
	case typeEnd:
		var e endMessage
		unmarshal(msg, &e)
		e.Rows -= x.dropped[stream]
		if x.noKills {
			e.Kills = 0
		}
		if x.end != nil {
			x.end(&e)
		}
		return [][]byte{crdt.Marshal(&e)}
	}
	return [][]byte{msg}
}

func (x *rowsEditor) edit(stream uint64, msg []byte) [][]byte {
	rows := mustRows(msg)
	var kept []crdt.Row
	for _, r := range rows {
		x.row(&r)
		if len(r.Values)+len(r.Deletes) > 0 {
			kept = append(kept, r)
		} else {
			x.dropped[stream]++
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return [][]byte{encodeRows(typeRows, kept)}
}
