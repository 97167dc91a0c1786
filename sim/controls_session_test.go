package sim_test

import (
	"slices"

	"syncline/crdt"
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

// gossipCounted lets a device say of a gap that it has what came after it.
func gossipCounted(s *scenario.Scenario) des.Taps {
	heard := make([]crdt.Vector, len(s.Devices))
	said := map[[16]byte][16]byte{} // the hash of what a device said, and of what it has
	raise := func(device int, vector []byte) []byte {
		v, err := crdt.DecodeVector(vector)
		if err != nil || v.Len() == 0 {
			return vector
		}
		more := v.Clone()
		more.Join(heard[device])
		said[more.Hash()] = v.Hash()
		return crdt.AppendVector([]byte{}, more)
	}
	return des.Taps{
		Gossip: func(_, to int, encoded []byte) []byte {
			if op, err := crdt.DecodeOp(encoded); err == nil {
				heard[to].Add(op.Dot)
			}
			return encoded
		},
		Session: func(from, _ int, _ uint64, msg []byte) [][]byte {
			switch msg[1] {
			case typeHello:
				var m helloMessage
				unmarshal(msg, &m)
				if len(m.Vector) > 0 {
					m.Vector = raise(from, m.Vector)
					v, _ := crdt.DecodeVector(m.Vector)
					m.Hash = v.Hash()
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
	return des.Taps{Session: func(_, _ int, stream uint64, msg []byte) [][]byte {
		switch msg[1] {
		case typeLive:
			live[stream/2] = append(live[stream/2], mustRows(msg)...)
		case typeKill:
			kills[stream/2] = append(kills[stream/2], mustRows(msg)...)
			return nil
		case typeEnd:
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
func rangeAskedWithTop(s *scenario.Scenario) des.Taps {
	tops := make([]crdt.Vector, len(s.Devices))
	said := map[[16]byte][16]byte{} // the hash of what was asked, and of what should have been
	return des.Taps{Session: func(from, _ int, _ uint64, msg []byte) [][]byte {
		switch msg[1] {
		case typeHello:
			var m helloMessage
			unmarshal(msg, &m)
			common, _ := crdt.DecodeVector(m.Vector)
			top, _ := crdt.DecodeVector(m.Top)
			common.Join(top)
			tops[from] = common
		case typeAsk:
			var m askMessage
			unmarshal(msg, &m)
			v, err := crdt.DecodeVector(m.Vector)
			if err != nil || m.Listed > 0 {
				break
			}
			more := v.Clone()
			more.Join(tops[from])
			said[more.Hash()] = v.Hash()
			m.Vector = crdt.AppendVector([]byte{}, more)
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
