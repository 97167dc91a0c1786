package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"syncline/crdt"
	"syncline/gossip"
	"syncline/store"
)

// GossipOpBytesMax bounds the operations that are gossiped; larger ones travel by session.
const GossipOpBytesMax = 64 << 10

// write carries out a Write: all of it under one dot, or nothing.
func (r *Replica) write(w Write) error {
	if len(w.Ops) == 0 && len(w.Meta) > 0 {
		return r.keep(w)
	}
	changes, results, problem, err := r.plan(w.Ops)
	if r.damaged(err) { // nothing was changed, and the others of this step need not fail with it
		problem = storeProblem(err)
	} else if err != nil {
		return err
	}
	if problem != nil {
		r.emit(Reply{Tag: w.Tag, Err: problem})
		return nil
	}
	before, err := r.toUndo(w.Ops)
	if err != nil {
		return err
	}
	op, effects, err := r.commitOp(changes)
	if err != nil {
		return err
	}
	if op != nil {
		r.publish(op)
		if err := r.changed(effects, false); err != nil {
			return err
		}
	}
	for i := range w.Ops {
		if err := r.result(&w.Ops[i], &results[i]); err != nil {
			return err
		}
	}
	w.results = results
	if err := r.keepUndo(w.Ops, before, effects, results); err != nil {
		return err
	}
	return r.keep(w)
}

// keep adds the local records of a write to the batch and answers it.
func (r *Replica) keep(w Write) error {
	for key, value := range w.Meta {
		if err := r.tx.SetMeta(key, value); err != nil {
			return err
		}
	}
	r.emit(Reply{Tag: w.Tag, Results: w.results})
	return nil
}

// commitOp writes changes as the next operation of this replica, under a fresh id if it has none.
func (r *Replica) commitOp(changes []crdt.Change) (*crdt.Op, []crdt.Effect, error) {
	r.mendClock()
	w := crdt.Writer{Dot: crdt.Dot{Replica: r.id, Counter: r.tx.Context().Get(r.id) + 1}}
	if r.id.IsZero() {
		w.Dot = crdt.Dot{Replica: r.freshID(), Counter: 1}
		r.toldFloor = crdt.Vector{} // nobody waits for the last incarnation's operations before those of this one
	}
	if w.Dot.Counter == 1 {
		w.Open = r.bind(w.Dot.Replica)
	}
	w.Time = r.clock.Tick(r.now.Wall)
	filling := len(r.tx.Parts()) > 1
	if w.Deps = r.tx.Floor().Above(r.toldFloor); filling {
		w.Deps = r.tx.Floor() // what was told of one range need not have been seen with another
	}
	op, effects, err := crdt.Write(r.tx, w, changes)
	if err != nil || op == nil {
		return nil, nil, err
	}
	if r.id.IsZero() {
		r.id = w.Dot.Replica
		r.tx.SetIncarnation(r.id)
	}
	if r.toldFloor = r.tx.Floor().Clone(); filling {
		r.toldFloor = crdt.Vector{}
	}
	return op, effects, nil
}

// mendClock starts a new incarnation if the device's clock was set back by more than ClockAheadMax: it had been wrong, or is
// now. Times of one incarnation never go back; without a new one every later write of this device would carry the wrong time.
func (r *Replica) mendClock() {
	if r.clock.Last.WallMillis() > max(r.now.Wall, 0)+crdt.ClockAheadMax {
		r.clock.Last = 0
		r.id, r.opened = crdt.ReplicaID{}, 0
	}
}

func (r *Replica) freshID() (id crdt.ReplicaID) {
	for id.IsZero() {
		binary.BigEndian.PutUint64(id[:], r.rand.Uint64())
	}
	return id
}

// publish gives an operation to gossip, or, if it is too large for that, to sessions with all peers. Without gossip it waits for the
// next poll, which finds that the peers are behind.
func (r *Replica) publish(op *crdt.Op) {
	if r.cfg.NoGossip {
		r.distrust(gossip.DeviceID{})
		return
	}
	if leastBytes(op) <= GossipOpBytesMax { // a larger one is not encoded in vain
		if encoded := op.Encode(); len(encoded) <= GossipOpBytesMax {
			r.emit(Publish{Op: encoded})
			return
		}
	}
	r.lost(gossip.DeviceID{})
}

// leastBytes returns the bytes of the paths, values and dots of an operation, which its encoding exceeds.
func leastBytes(op *crdt.Op) int {
	const dotBytes = 11 // two heads of CBOR, a replica, and a counter of one byte; a dot of the operation's own replica is the counter alone
	n := 0
	for i := range op.Entries {
		e := &op.Entries[i]
		n += len(e.Path) + len(e.Data)
		for _, dots := range [...][]crdt.Dot{e.Preds, e.PredDeletes, e.Also} {
			for _, d := range dots {
				if n++; d.Replica != op.Dot.Replica {
					n += dotBytes - 1
				}
			}
		}
	}
	return n
}

// plan checks every part of a write against the registers and turns it into changes. Nothing is written.
func (r *Replica) plan(ops []WriteOp) ([]crdt.Change, []WriteResult, *Problem, error) {
	if problem := checkSize(ops); problem != nil {
		return nil, nil, problem, nil
	}
	changes := make([]crdt.Change, len(ops))
	results := make([]WriteResult, len(ops))
	var seen map[string]bool
	if len(ops) > 1 {
		seen = make(map[string]bool, len(ops))
	}
	for i := range ops {
		reg, err := r.tx.Register(ops[i].Path)
		if err != nil {
			return nil, nil, nil, err
		}
		problem := checkOp(&ops[i], reg, r.rules)
		if problem == nil && seen[ops[i].Path] {
			problem = ErrBadRequest.With("%s occurs twice in one transaction", ops[i].Path).On(ops[i].Path)
		}
		if problem == nil {
			changes[i], problem = planOp(&ops[i], reg, r.rules)
		}
		if problem != nil {
			if len(ops) > 1 {
				problem.Index = i + 1
			}
			return nil, nil, problem, nil
		}
		if seen != nil {
			seen[ops[i].Path] = true
		}
		results[i].Created = !ops[i].Delete && len(reg.Live) == 0
	}
	return changes, results, nil, nil
}

func checkSize(ops []WriteOp) *Problem {
	if len(ops) == 0 {
		return ErrBadRequest.With("a transaction without operations")
	}
	total := 0
	for i := range ops {
		total += opBytes(&ops[i])
	}
	return checkTotals(len(ops), total)
}

func opBytes(op *WriteOp) int { return len(op.Path) + len(op.Data) }

// checkTotals holds the size of a transaction against its limits.
func checkTotals(paths, bytes int) *Problem {
	if paths > TxEntriesMax {
		p := ErrTooLarge.With("a transaction of %d paths; the limit is %d", paths, TxEntriesMax)
		p.Limit = TxEntriesMax
		return p
	}
	if bytes > TxBytesMax {
		p := ErrTooLarge.With("a transaction of %d bytes; the limit is %d", bytes, TxBytesMax)
		p.Limit = TxBytesMax
		return p
	}
	return nil
}

// checkOp checks path, content and conditions of one part. The Problem is the caller's own.
func checkOp(op *WriteOp, reg crdt.Register, rules *ruleBook) *Problem {
	if !crdt.IsSystemPath(op.Path) {
		if err := crdt.CheckPath(op.Path); err != nil {
			return ErrBadPath.With("%v", err).On(op.Path)
		}
	}
	if p := checkContent(op); p != nil {
		return p
	}
	switch {
	case op.IfAbsent && len(reg.Live) > 0:
		have := rules.version(op.Path, reg)
		p := ErrExists.With("%s is here at version %s", op.Path, have).On(op.Path)
		p.Version = string(have)
		return p
	case op.IfVersion != "" && op.IfVersion != rules.version(op.Path, reg):
		have := rules.version(op.Path, reg)
		p := ErrVersionMismatch.With("%s is %s, you sent %s", op.Path, describe(have), op.IfVersion).On(op.Path)
		p.Version = string(have)
		return p
	case (op.Delete && !op.Idempotent || op.Resolve) && len(reg.Live) == 0:
		return ErrNotFound.With("%s does not exist here", op.Path).On(op.Path)
	case op.Resolve && reg.Contending() == 0 && op.IfVersion == "":
		return ErrNoConflict.With("%s has no open conflict", op.Path).On(op.Path)
	}
	return nil
}

// checkContent checks what is to be stored.
func checkContent(op *WriteOp) *Problem {
	if len(op.Data) > ValueBytesMax {
		p := ErrTooLarge.With("the value has %d bytes; the limit is %d bytes (1 MiB)", len(op.Data), ValueBytesMax).On(op.Path)
		p.Limit, p.Hint = ValueBytesMax, "Split it over several entries."
		return p
	}
	if err := crdt.CheckType(op.Content.Type); err != nil {
		return ErrBadRequest.With("%v", err).On(op.Path)
	}
	return nil
}

func describe(v Version) string {
	if v == "" {
		return "not here"
	}
	return string(v)
}

// planOp decides what one part supersedes. A plain write replaces what its writer was shown and nothing else, so that nobody
// loses a value they never saw.
func planOp(op *WriteOp, reg crdt.Register, rules *ruleBook) (crdt.Change, *Problem) {
	c := crdt.Change{Path: op.Path, Delete: op.Delete, Type: op.Content.Type, Data: op.Data, Clear: op.Resolve, Kind: reg.Kind()}
	if op.Keep != "" {
		v, ok := valueByID(reg, op.Keep)
		if !ok {
			p := ErrVersionMismatch.With("%s has no value %s any more", op.Path, op.Keep).On(op.Path)
			p.Version = string(rules.version(op.Path, reg))
			return c, p
		}
		c.Type, c.Data = v.Type, v.Data
	}
	if op.Kind != nil {
		c.Kind = *op.Kind
	}
	if op.Delete {
		c.Kind, c.Type, c.Data = crdt.Multi, "", nil
	}
	if op.Over != "" {
		v, ok := valueByID(reg, op.Over)
		if !ok {
			p := ErrVersionMismatch.With("%s has no value %s any more", op.Path, op.Over).On(op.Path)
			p.Version = string(rules.version(op.Path, reg))
			return c, p
		}
		c.Shown = []crdt.Dot{v.Dot}
		return c, nil
	}
	// Where a view settles what competes, its writer was shown what all values come to.
	_, settled, _ := rules.viewOf(op.Path, reg)
	c.ShownAll = !op.Sibling && (op.All || op.Resolve || op.IfVersion != "" || settled || reg.Contending() < 2)
	if shown, ok := reg.Shown(); ok && !op.Sibling && !c.ShownAll {
		for _, v := range reg.Live {
			if v.SameContent(shown) {
				c.Shown = append(c.Shown, v.Dot)
			}
		}
	}
	return c, nil
}

// result fills in what a part of a write left behind.
func (r *Replica) result(op *WriteOp, res *WriteResult) error {
	reg, err := r.tx.Register(op.Path)
	if err != nil {
		return err
	}
	res.Version = r.rules.version(op.Path, reg)
	res.Remaining = len(reg.Live)
	if !op.Delete {
		res.Remaining--
	}
	return nil
}

// storeProblem turns an error of the store into what people are told.
func storeProblem(err error) *Problem {
	var p *Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, store.ErrClosed):
		return ErrClosed
	}
	if corrupt := new(store.CorruptError); errors.As(err, &corrupt) && corrupt.Path != "" {
		return ErrStore.Because(err).On(corrupt.Path).Next("peer repair fetches what was lost from a connected device that has it.")
	}
	switch file := new(store.FileDamage); {
	case errors.Is(err, store.ErrUnnamed):
		return ErrFileDamaged.Because(err)
	case errors.As(err, &file):
		return ErrStore.Because(err).Next(ErrFileDamaged.Hint)
	case errors.Is(err, store.ErrUnsynced), errors.Is(err, store.ErrBroken): // also if there is space again
		p = ErrStore
		if full(err) && !errors.Is(err, store.ErrUnsynced) {
			p = ErrDiskFull
		}
		p = p.Because(err).Next(reopenHint(err))
		p.Retryable = true
		return p
	case full(err):
		return ErrDiskFull.Because(err)
	}
	return ErrStore.Because(fmt.Errorf("nothing was written: %w", err))
}

// full reports whether a disk without space is the cause of err.
func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// reopenHint says how a store that has become read-only writes again; see [Node.keepStores].
func reopenHint(err error) string {
	const then = " Within a minute of that the store is opened anew and writes again. If it does not:  peer down, then peer up"
	if full(err) {
		return "Free some space." + then
	}
	return "Look after the disk." + then
}
