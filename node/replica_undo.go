package node

import (
	"strconv"
	"strings"

	"syncline/crdt"
	"syncline/store"
)

// Bounds of what is kept for undo.
const (
	// undosMax is the number of resolutions that can be taken back, the latest ones.
	undosMax = 32
	// undoBytesMax and undoValuesMax bound the values that one resolution replaced; a larger one cannot be taken back. Each value is
	// brought back by a write, which names those before.
	undoBytesMax  = 8 << 20
	undoValuesMax = 1000
)

// undoPrefix is where the store keeps the resolutions of this device, each under its number modulo undosMax.
const undoPrefix = "undo/"

// undoRecord is what one resolution did.
type undoRecord struct {
	_       struct{} `cbor:",toarray"`
	Version uint8
	Number  uint64
	Path    string
	// After is the one value that it wrote, by its dot.
	Replica crdt.ReplicaID
	Counter uint64
	// Before holds the live values that it replaced, as [crdt.AppendValues] writes them.
	Before []byte
	// Copies are the paths of values that were kept beside the entry, each written by the same operation.
	Copies []string
}

func (u undoRecord) after() crdt.Dot { return crdt.Dot{Replica: u.Replica, Counter: u.Counter} }

// id returns the name of the resolution.
func (u undoRecord) id() string {
	return "u." + strings.TrimPrefix(ValueID(u.after()), valueIDPrefix)[:8]
}

func undoKey(number uint64) string { return undoPrefix + strconv.FormatUint(number%undosMax, 10) }

// readUndo reads a record of [store.Store.Metas].
func readUndo(rec store.Record) (u undoRecord, ok bool) {
	return u, crdt.Unmarshal(rec.Data, &u) == nil && u.Version == 1
}

// nextUndo returns the number of the next resolution. Records that cannot be read are passed over: they cannot be taken back.
func nextUndo(st *store.Store) uint64 {
	next := uint64(0)
	for rec, err := range st.Metas(undoPrefix) {
		if u, ok := readUndo(rec); err == nil && ok {
			next = max(next, u.Number+1)
		}
	}
	return next
}

// toUndo returns what the resolutions among ops would replace, by path, nil if there are none.
func (r *Replica) toUndo(ops []WriteOp) (map[string][]crdt.Value, error) {
	var before map[string][]crdt.Value
	for i := range ops {
		if !ops[i].Resolve || ops[i].Delete {
			continue
		}
		reg, err := r.tx.Register(ops[i].Path)
		if err != nil {
			return nil, err
		}
		if before == nil {
			before = map[string][]crdt.Value{}
		}
		if len(reg.Live) <= undoValuesMax {
			before[ops[i].Path] = reg.Live
		}
	}
	return before, nil
}

// keepUndo keeps what the resolutions among ops replaced, in the batch that replaces it, in the place of the oldest that is kept.
func (r *Replica) keepUndo(ops []WriteOp, before map[string][]crdt.Value, effects []crdt.Effect, results []WriteResult) error {
	for i := range ops {
		if !ops[i].Resolve || ops[i].Delete {
			continue
		}
		u := undoRecord{Version: 1, Number: r.undoNext, Path: ops[i].Path}
		for _, e := range effects {
			switch {
			case e.Path == u.Path && len(before[u.Path]) > 0:
				u.Before = crdt.AppendValues(nil, before[u.Path])
			case e.Path != u.Path && len(e.Before.Live) == 0:
				u.Copies = append(u.Copies, e.Path)
			}
		}
		if u.Before == nil || len(u.Before) > undoBytesMax {
			continue
		}
		u.Replica, u.Counter = r.id, r.tx.Context().Get(r.id)
		if err := r.tx.SetMeta(undoKey(u.Number), crdt.Marshal(&u)); err != nil {
			return err
		}
		r.undoNext++
		results[i].Undo = u.id()
	}
	return nil
}
