package sim_test

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"syncline/crdt"
	"syncline/gossip/sketch"
	"syncline/sim/des"
	"syncline/sim/scenario"
)

// Mistakes of sessions.

func rowsTap(x *rowsEditor) des.Taps { return des.Taps{Session: x.session} }

func onlyLacked(*scenario.Scenario) des.Taps {
	return rowsTap(&rowsEditor{row: func(r *crdt.Row) { r.Known = nil }})
}

func rowsLost(*scenario.Scenario) des.Taps {
	return rowsTap(&rowsEditor{row: func(r *crdt.Row) {
		if r.Path == "p0" {
			r.Values, r.Deletes = nil, nil
		}
	}})
}

func deletesNotHandedOn(*scenario.Scenario) des.Taps {
	return rowsTap(&rowsEditor{row: func(r *crdt.Row) {
		if len(r.Values) > 0 {
			r.Deletes = nil
		}
	}})
}

func floorNotHandedOn(*scenario.Scenario) des.Taps {
	return rowsTap(&rowsEditor{end: func(e *endMessage) { e.Floor = []byte{} }})
}

func killsNotSent(*scenario.Scenario) des.Taps { return rowsTap(&rowsEditor{noKills: true}) }

func valueDamaged(*scenario.Scenario) des.Taps {
	return rowsTap(&rowsEditor{row: func(r *crdt.Row) {
		for i := range r.Values {
			r.Values[i].Data = append(slices.Clone(r.Values[i].Data), '!')
		}
	}})
}

// descentLost drops from the values of answers what they were written over.
func descentLost(*scenario.Scenario) des.Taps {
	return rowsTap(&rowsEditor{row: func(r *crdt.Row) {
		for i := range r.Values {
			r.Values[i].Descent = crdt.Descent{}
		}
	}})
}

// resolutionLost drops from the values of answers that they settled a conflict.
func resolutionLost(*scenario.Scenario) des.Taps {
	return rowsTap(&rowsEditor{row: func(r *crdt.Row) {
		for i := range r.Values {
			r.Values[i].Resolved, r.Values[i].Policy = false, ""
		}
	}})
}

// siblingDropped leaves one of the values that come together for a path.
func siblingDropped(*scenario.Scenario) des.Taps {
	return rowsTap(&rowsEditor{row: func(r *crdt.Row) { r.Values = r.Values[:min(1, len(r.Values))] }})
}

func clockDecides(*scenario.Scenario) des.Taps {
	return rowsTap(&rowsEditor{row: func(r *crdt.Row) {
		if len(r.Values) > 1 {
			r.Values = []crdt.Value{slices.MaxFunc(r.Values, func(v, w crdt.Value) int { return int(int64(v.Time) - int64(w.Time)) })}
		}
	}})
}

func newestLeftOut(*scenario.Scenario) des.Taps {
	var sent crdt.Vector
	return rowsTap(&rowsEditor{row: func(r *crdt.Row) {
		r.Values = slices.DeleteFunc(r.Values, func(v crdt.Value) bool {
			newest := !sent.Has(v.Dot)
			sent.Add(v.Dot)
			return newest
		})
	}})
}

func tornInSession(*scenario.Scenario) des.Taps {
	first := map[crdt.Dot]string{}
	return rowsTap(&rowsEditor{row: func(r *crdt.Row) {
		r.Values = slices.DeleteFunc(r.Values, func(v crdt.Value) bool {
			if first[v.Dot] == "" {
				first[v.Dot] = r.Path
			}
			return first[v.Dot] != r.Path
		})
	}})
}

// valuesRepeated sends values that the receiver has instead of their names.
func valuesRepeated(*scenario.Scenario) des.Taps {
	all := map[crdt.Name]crdt.Value{}
	taps := rowsTap(&rowsEditor{row: func(r *crdt.Row) {
		for _, v := range r.Values {
			all[crdt.Name{Dot: v.Dot, Path: r.Path}] = v
		}
		r.Known = slices.DeleteFunc(r.Known, func(k crdt.KnownValue) bool {
			v, ok := all[crdt.Name{Dot: k.Dot, Path: r.Path}]
			if ok {
				r.Values = append(r.Values, v)
			}
			return ok
		})
		slices.SortFunc(r.Values, func(v, w crdt.Value) int { return v.Dot.Compare(w.Dot) })
	}})
	taps.Gossip = gossipTap(func(op *crdt.Op) {
		for _, e := range op.Entries {
			all[crdt.Name{Dot: op.Dot, Path: e.Path}] = crdt.Value{Dot: op.Dot, Time: op.Time, Kind: e.Kind, Type: e.Type, Data: e.Data,
				Resolved: e.Clear, Policy: e.Policy, Descent: e.Descent}
		}
	}).Gossip
	return taps
}

func bindingsNotSent(*scenario.Scenario) des.Taps {
	end := rowsEditor{end: func(e *endMessage) { e.Opens = 0 }}
	return des.Taps{Session: func(from, to int, stream uint64, msg []byte) [][]byte {
		if msg[1] == typeOpens {
			return nil
		}
		return end.session(from, to, stream, msg)
	}}
}

// disks are what the devices have stored.
type disks []des.Disk

func (x disks) keep(device int, d des.Disk) datastore.Batching {
	x[device] = d
	return d
}

func (x disks) records(device int, prefix string) []query.Entry {
	results, err := x[device].Query(context.Background(), query.Query{Prefix: prefix})
	if err != nil {
		return nil // it is full, or closed
	}
	list, _ := results.Rest()
	return list
}

func (x disks) context(device int) crdt.Vector {
	var dots []crdt.Dot
	for _, e := range x.records(device, "/v") {
		r := crdt.Reader{B: e.Value[1:]}
		dots = append(dots, crdt.Dot{Replica: r.Replica(), Counter: r.Uvarint()})
	}
	return crdt.VectorOf(dots)
}

// live returns the live values of user paths, in the order of paths.
func (x disks) live(device int) (names []crdt.Name) {
	for _, e := range x.records(device, "/d") {
		values, _ := crdt.DecodeValues(e.Value)
		for _, v := range values {
			names = append(names, crdt.Name{Dot: v.Dot, Path: strings.TrimPrefix(e.Key, userValues)})
		}
	}
	slices.SortFunc(names, func(a, b crdt.Name) int { return cmp.Or(strings.Compare(a.Path, b.Path), a.Dot.Compare(b.Dot)) })
	return names
}

// gossipCounted lets a device say of a gap that it has what came after it.
func gossipCounted(s *scenario.Scenario) des.Taps { return vectorRaised(s, formWhole) }

// vectorMisread lets a vector be made out wrong from its symbols, and taken without its hash: as one that has what came after a gap.
func vectorMisread(s *scenario.Scenario) des.Taps { return vectorRaised(s, formSketch) }

// vectorRaised changes the vectors that are told in one form. What is said of such a vector is translated back for who told it.
func vectorRaised(s *scenario.Scenario, form uint8) des.Taps {
	type claim struct{ has, says crdt.Vector }
	heard, stored := make([]crdt.Vector, len(s.Devices)), make(disks, len(s.Devices))
	said := map[[16]byte][16]byte{} // the hash of what a device said, and of what it has
	claims := map[uint64]*claim{}   // by stream in one direction
	changed := func(stream uint64, f *uint8, entries *[]byte) {
		if c := claims[stream^1]; c != nil && *f == formChanges {
			*f, *entries = formWhole, crdt.AppendVector([]byte{}, readChanges(c.says, *entries))
		}
	}
	return des.Taps{
		Datastore: stored.keep,
		Gossip: func(_, to int, encoded []byte) []byte {
			if op, err := crdt.DecodeOp(encoded); err == nil {
				heard[to].Add(op.Dot)
			}
			return encoded
		},
		Session: func(from, _ int, stream uint64, msg []byte) [][]byte {
			switch msg[1] {
			case typeHello:
				var m helloMessage
				unmarshal(msg, &m)
				changed(stream, &m.Form, &m.Entries)
				c := &claim{has: stored.context(from)}
				c.says = c.has.Clone()
				c.says.Join(heard[from])
				if m.Form == form && m.Hash == c.has.Hash() && !c.says.Equal(c.has) {
					claims[stream], said[c.says.Hash()] = c, m.Hash
					if m.Hash = c.says.Hash(); form == formWhole {
						m.Entries = crdt.AppendVector([]byte{}, c.says)
					} else {
						m.Entries = appendVectorSymbols([]byte{}, c.says, symbolsIn(m.Entries))
					}
				}
				msg = crdt.Marshal(&m)
			case typeVector:
				var m vectorMessage
				unmarshal(msg, &m)
				changed(stream, &m.Form, &m.Entries)
				if c := claims[stream]; c != nil && m.Hash == c.has.Hash() {
					m.Hash, m.Form, m.Entries = c.says.Hash(), formWhole, crdt.AppendVector([]byte{}, c.says)
				}
				msg = crdt.Marshal(&m)
			case typeEnd:
				var m endMessage
				unmarshal(msg, &m)
				if has, ok := said[m.Asked]; ok {
					m.Asked = has
				}
				msg = crdt.Marshal(&m)
			}
			return [][]byte{msg}
		},
	}
}

// liveSketches edits the sketches of live values, and what is made out of them. edit is given a device that asks with a sketch, one that answers,
// and the key of the sketch.
type liveSketches struct {
	stored disks
	hashes map[uint64][16]byte // of the vector that was told, by stream in one direction
	keys   map[uint64][16]byte // of the sketch that was last sent in the other direction
	dead   map[uint64][]byte
	// ask changes a sketch, dead the items that are made out of one.
	ask     func(names disks, asker, answerer int, key [16]byte, m *askMessage)
	answers func(names disks, asker, answerer int, key [16]byte, items []sketch.Item) []sketch.Item
}

func (x *liveSketches) taps(s *scenario.Scenario) des.Taps {
	x.stored = make(disks, len(s.Devices))
	x.hashes, x.keys, x.dead = map[uint64][16]byte{}, map[uint64][16]byte{}, map[uint64][]byte{}
	return des.Taps{Datastore: x.stored.keep, Session: x.session}
}

func (x *liveSketches) session(from, to int, stream uint64, msg []byte) [][]byte {
	switch msg[1] {
	case typeHello:
		var m helloMessage
		unmarshal(msg, &m)
		x.hashes[stream] = m.Hash
	case typeVector:
		var m vectorMessage
		unmarshal(msg, &m)
		x.hashes[stream] = m.Hash
	case typeAsk:
		var m askMessage
		unmarshal(msg, &m)
		delete(x.keys, stream^1)
		if m.Listed != listedSketch || len(m.Vector) > 0 {
			break
		}
		key := x.hashes[stream]
		x.keys[stream^1] = key
		if x.ask != nil {
			x.ask(x.stored, from, to, key, &m)
			return [][]byte{crdt.Marshal(&m)}
		}
	case typeDead:
		var m deadMessage
		unmarshal(msg, &m)
		if _, ok := x.keys[stream]; ok && x.answers != nil {
			x.dead[stream] = append(x.dead[stream], m.Items...)
			return nil
		}
	case typeEnd:
		key, ok := x.keys[stream]
		if !ok || x.answers == nil {
			break
		}
		var m endMessage
		unmarshal(msg, &m)
		var items []sketch.Item
		for b := range slices.Chunk(x.dead[stream], 16) {
			items = append(items, sketch.Item(b))
		}
		delete(x.dead, stream)
		m.Kills -= uint64(len(items))
		items = x.answers(x.stored, to, from, key, items)
		m.Kills += uint64(len(items))
		if len(items) == 0 {
			return [][]byte{crdt.Marshal(&m)}
		}
		slices.SortFunc(items, func(a, b sketch.Item) int { return bytes.Compare(a[:], b[:]) })
		d := deadMessage{Type: typeDead}
		for _, item := range items {
			d.Items = append(d.Items, item[:]...)
		}
		return [][]byte{crdt.Marshal(&d), crdt.Marshal(&m)}
	}
	return [][]byte{msg}
}

// sketchTooOld lets a sketch be of a moment before its device took the values that are dead elsewhere. The context that goes with it holds them.
func sketchTooOld(s *scenario.Scenario) des.Taps {
	x := liveSketches{ask: func(names disks, asker, answerer int, key [16]byte, m *askMessage) {
		live, seen := names.live(answerer), names.context(answerer)
		for _, n := range names.live(asker) {
			if seen.Has(n.Dot) && !slices.Contains(live, n) {
				m.Sketch = withoutItem(m.Sketch, key, nameItem(key, n))
			}
		}
	}}
	return x.taps(s)
}

// sketchMisread lets a sketch be made out wrong, and taken without its sum: a value that lives on both sides counts as dead.
func sketchMisread(s *scenario.Scenario) des.Taps {
	x := liveSketches{answers: func(names disks, asker, answerer int, key [16]byte, items []sketch.Item) []sketch.Item {
		live := names.live(answerer)
		for _, n := range names.live(asker) {
			if slices.Contains(live, n) {
				return []sketch.Item{nameItem(key, n)}
			}
		}
		return items
	}}
	return x.taps(s)
}

// equalClaimed answers every fourth hello with the word that both devices have seen the same.
func equalClaimed(*scenario.Scenario) des.Taps {
	begun := map[uint64]bool{}
	return des.Taps{Session: func(_, _ int, stream uint64, msg []byte) [][]byte {
		var m helloMessage
		if msg[1] != typeHello || !begun[stream/2] || stream/2%4 > 0 {
			begun[stream/2] = true
			return [][]byte{msg}
		}
		unmarshal(msg, &m)
		return [][]byte{crdt.Marshal(&plainMessage{Type: typeOK, Wall: m.Wall})}
	}}
}

// killsTap changes the list of dead values, given what the receiver said is live there.
func killsTap(edit func(live, kills []crdt.Row) []crdt.Row) des.Taps {
	live, kills := map[uint64][]crdt.Row{}, map[uint64][]crdt.Row{}
	sketched := map[uint64]bool{}
	return des.Taps{Session: func(_, _ int, stream uint64, msg []byte) [][]byte {
		switch msg[1] {
		case typeAsk:
			var m askMessage
			unmarshal(msg, &m)
			sketched[stream/2] = sketched[stream/2] || m.Listed == listedSketch // names are not all there is
		case typeLive:
			live[stream/2] = append(live[stream/2], mustRows(msg)...)
		case typeKill:
			if sketched[stream/2] {
				break
			}
			kills[stream/2] = append(kills[stream/2], mustRows(msg)...)
			return nil
		case typeEnd:
			if sketched[stream/2] {
				break
			}
			var m endMessage
			unmarshal(msg, &m)
			asked := live[stream/2]
			if m.Kills == 0 && (len(asked) == 0 || len(m.Floor) == 0) {
				break
			}
			list := edit(asked, kills[stream/2])
			delete(kills, stream/2)
			if m.Kills = uint64(len(list)); m.Kills == 0 {
				return [][]byte{crdt.Marshal(&m)}
			}
			return [][]byte{encodeRows(typeKill, list), crdt.Marshal(&m)}
		}
		return [][]byte{msg}
	}}
}

// liveKilled names the first live value as dead, too.
func liveKilled(*scenario.Scenario) des.Taps {
	return killsTap(func(live, kills []crdt.Row) []crdt.Row {
		first := live[0]
		first.Known = first.Known[:1]
		return append([]crdt.Row{first}, slices.DeleteFunc(kills, func(r crdt.Row) bool { return r.Path == first.Path })...)
	})
}

// killsByDot names all that the transactions of dead values wrote.
func killsByDot(*scenario.Scenario) des.Taps {
	return killsTap(func(live, kills []crdt.Row) []crdt.Row {
		dead := map[crdt.Dot]bool{}
		for _, r := range kills {
			for _, k := range r.Known {
				dead[k.Dot] = true
			}
		}
		var all []crdt.Row
		for _, r := range live {
			r.Known = slices.DeleteFunc(slices.Clone(r.Known), func(k crdt.KnownValue) bool { return !dead[k.Dot] })
			if len(r.Known) > 0 {
				all = append(all, r)
			}
		}
		return all
	})
}

// Mistakes of answers that are about a range of paths.

// rangeForAll lets an answer that ends at a path pass for one that goes on to the end (rule 12).
func rangeForAll(*scenario.Scenario) des.Taps {
	return rowsTap(&rowsEditor{end: func(e *endMessage) { e.To = "" }})
}

// rangeShort drops the last row before the place where an answer was cut (rule 12).
func rangeShort(*scenario.Scenario) des.Taps {
	held := map[uint64][]byte{} // the message of rows that came last, by stream
	return des.Taps{Session: func(_, _ int, stream uint64, msg []byte) [][]byte {
		last := held[stream]
		switch msg[1] {
		case typeRows:
			held[stream] = msg
			if last == nil {
				return nil
			}
			return [][]byte{last}
		case typeEnd:
			delete(held, stream)
			if last == nil {
				break
			}
			var e endMessage
			unmarshal(msg, &e)
			rows := mustRows(last)
			if e.To == "" {
				return [][]byte{last, msg}
			}
			e.Rows--
			if len(rows) == 1 {
				return [][]byte{crdt.Marshal(&e)}
			}
			return [][]byte{encodeRows(typeRows, rows[:len(rows)-1]), crdt.Marshal(&e)}
		}
		return [][]byte{msg}
	}}
}

// rangeFloorKept does not hand on the floor with an answer about a range (rule 11).
func rangeFloorKept(s *scenario.Scenario) des.Taps {
	if s.AnswerRows == 0 {
		return des.Taps{}
	}
	return floorNotHandedOn(s)
}

// rangeAskedWithTop lets a device that has seen more of some paths than of others ask as if it had seen as much of all (rule 15).
func rangeAskedWithTop(*scenario.Scenario) des.Taps {
	told, tops := map[uint64]crdt.Vector{}, map[uint64]crdt.Vector{} // by stream in one direction
	said := map[[16]byte][16]byte{}                                  // the hash of what was asked, and of what should have been
	return des.Taps{Session: func(_, _ int, stream uint64, msg []byte) [][]byte {
		switch msg[1] {
		case typeHello:
			var m helloMessage
			unmarshal(msg, &m)
			if len(m.Top) > 0 {
				told[stream], _ = crdt.DecodeVector(m.Entries)
				top, _ := crdt.DecodeVector(m.Top)
				top.Join(told[stream])
				tops[stream] = top
			}
		case typeAsk:
			var m askMessage
			unmarshal(msg, &m)
			v, err := crdt.DecodeVector(m.Vector)
			if err != nil || m.Listed > 0 || tops[stream].Len() == 0 {
				break
			}
			v.Join(told[stream])
			more := v.Clone()
			more.Join(tops[stream])
			said[more.Hash()] = v.Hash()
			m.Vector = crdt.AppendVector([]byte{}, more.Above(told[stream]))
			msg = crdt.Marshal(&m)
		case typeEnd:
			var m endMessage
			unmarshal(msg, &m)
			if has, ok := said[m.Asked]; ok {
				m.Asked = has
			}
			msg = crdt.Marshal(&m)
		}
		return [][]byte{msg}
	}}
}

// Mistakes about paths of too many values.

// leftTakenForSeen lets an answer that begins with a path that was left out before be one about what lies behind it: nothing of the path comes, and
// all of it counts as seen.
func leftTakenForSeen(*scenario.Scenario) des.Taps {
	type place struct {
		device int
		path   string
	}
	left := map[place]bool{}
	return des.Taps{Session: func(from, to int, _ uint64, msg []byte) [][]byte {
		switch msg[1] {
		case typeLeft:
			var m leftMessage
			unmarshal(msg, &m)
			left[place{from, m.Path}] = true
		case typeAsk:
			var m askMessage
			unmarshal(msg, &m)
			if left[place{to, m.From}] {
				if m.From += "\x00"; m.To == m.From {
					m.To = m.From[:len(m.From)-1] + "\x01" // where no path is
				}
				return [][]byte{crdt.Marshal(&m)}
			}
		}
		return [][]byte{msg}
	}}
}

// leftEndsSession lets a device take leave in place of leaving a path out: what lies behind the path never comes.
func leftEndsSession(*scenario.Scenario) des.Taps {
	return des.Taps{Session: func(_, _ int, _ uint64, msg []byte) [][]byte {
		if msg[1] == typeLeft {
			return [][]byte{crdt.Marshal(&byeMessage{Type: typeBye, Code: "too_many_values"})}
		}
		return [][]byte{msg}
	}}
}
