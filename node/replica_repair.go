package node

import (
	"maps"
	"slices"
	"time"

	"syncline/crdt"
	"syncline/gossip"
	"syncline/store"
)

// Bounds of repairs.
const (
	// RepairMax is how long a Repair may take. What has come until then is mended.
	RepairMax = 20 * time.Second
	// repairBytesMax is about how much of what came is kept in memory until it is mended.
	repairBytesMax = 8 << 20
	// giveUpMax is how many paths one operation gives up.
	giveUpMax = 1000
)

// nowhere is the path that is fetched where only bindings are wanted, which come with whatever is fetched first: nobody writes there.
const nowhere = "/nowhere"

// A repair is a Repair under way: what needs others is fetched path by path, in one session or several. It is answered when the peer was
// asked about every path, or cannot be asked any more.
type repair struct {
	Repair
	until time.Duration
	// rest holds the paths that were not asked for, in order, asking those of the session under way, unread those that the peer cannot read
	// either, left those that it has and leaves out.
	rest, asking, unread, left, mended []string
	// came holds the answers that were not mended yet, of about so many bytes.
	came  []*crdt.Delta
	bytes int
	// opens holds the bindings that came and were not here, bound the devices that they name. The peer tells each once in a session. told is what
	// the answers told of, whose bindings were looked at.
	opens []crdt.Binding
	bound map[crdt.ReplicaID]gossip.DeviceID
	told  crdt.Vector
	// rebound says that one of them was put in the place of one that could not be read.
	rebound bool
	// why says why the session ended early, busy that it is worth another try.
	why  *Problem
	busy bool
	// over says that the session has ended and no other follows.
	over bool
}

// repair mends what needs nobody else: remembered deletes, and what is given up. For the rest it opens a session with the peer.
func (r *Replica) repair(in Repair) error {
	found, err := r.tx.Damage(in.Paths)
	if err != nil {
		return err
	}
	x := &repair{Repair: in, until: r.now.Mono + RepairMax, bound: map[crdt.ReplicaID]gossip.DeviceID{}}
	var alone []store.Damage
	for i, d := range found {
		if d.Lost() && !in.GiveUp {
			r.torn[d.Path] = true
			x.rest = append(x.rest, d.Path)
		} else {
			alone = append(alone, found[i])
		}
	}
	slices.Sort(x.rest)
	x.mended = slices.DeleteFunc(slices.Clone(in.Paths), func(p string) bool { _, lost := slices.BinarySearch(x.rest, p); return lost })
	if in.Bindings && len(x.rest) == 0 && !in.Peer.IsZero() {
		lost, err := r.lostBindings()
		if err != nil {
			return err
		}
		if lost > 0 {
			x.rest = []string{nowhere}
		}
	}
	if err := r.giveUp(alone); err != nil {
		return err
	}
	r.repairs = append(r.repairs, x)
	r.fetch(x)
	return nil
}

// giveUp mends what needs nobody else. Of live values that are given up the other devices hear by a delete, or those that have seen them, too,
// would keep them and never know. Records of the system are only dropped: a delete of a member would be more than was lost.
func (r *Replica) giveUp(damages []store.Damage) error {
	dots, gone := map[string][]crdt.Value{}, []crdt.Change{}
	for i := range damages {
		d := &damages[i]
		if len(d.Live) == 0 || crdt.IsSystemPath(d.Path) {
			continue
		}
		d.GivenUp = true
		for _, dot := range slices.SortedFunc(slices.Values(d.Live), crdt.Dot.Compare) {
			dots[d.Path] = append(dots[d.Path], crdt.Value{Dot: dot})
		}
		gone = append(gone, crdt.Change{Path: d.Path, Delete: true, ShownAll: true})
	}
	if err := r.mended(damages, dots); err != nil {
		return err
	}
	for changes := range slices.Chunk(gone, giveUpMax) {
		op, effects, err := r.commitOp(changes)
		if err != nil {
			return err
		}
		if op == nil {
			continue
		}
		r.publish(op)
		if err := r.changed(effects, false); err != nil {
			return err
		}
	}
	return nil
}

// fetch opens a session for what is left of a repair, or ends it.
func (r *Replica) fetch(x *repair) {
	peer := r.peers[x.Peer]
	switch {
	case len(x.rest) == 0:
		x.over = true
		return
	case peer == nil:
		x.end(false, "no device that has what was lost is connected")
		return
	case r.tx.Parts().Top().Len() == 0:
		x.end(false, "nothing is known to have been seen here")
		return
	}
	if s := r.sessions[peer.session]; s != nil && !s.Finished() {
		// The peer may be fetching, too: whoever came first goes on. One of our own would bring what is fetched and more, or fail over it.
		if !s.out || s.repair != nil {
			x.end(true, "device %s is in another session with this one", x.Peer.Short())
			return
		}
		r.breakOff(peer.session, gossip.BusyDelay)
	}
	n := min(len(x.rest), gossip.FetchMax)
	x.asking, x.rest = x.rest[:n], x.rest[n:]
	r.lastID++
	r.emit(OpenSession{ID: r.lastID, Peer: x.Peer})
	s := &session{replica: r.id, peer: x.Peer, out: true, last: r.now.Mono, repair: x}
	s.Session = gossip.NewSession(gossip.SessionConfig{Initiator: true, Fetch: x.asking, WallMillis: r.now.Wall, Symbols: r.cfg.Symbols})
	r.sessions[r.lastID], peer.session = s, r.lastID
	s.Start(sessionView{r.tx, r})
	r.pump(r.lastID)
}

// end says that nothing more comes, and why.
func (x *repair) end(busy bool, format string, args ...any) {
	if !x.over {
		x.over, x.busy, x.why = true, busy, ErrUnreachable.With(format, args...)
	}
}

// bindRepair looks at the bindings of an answer, each once: it keeps those that are new, and believes no other in the place of one that can be
// read here.
func (r *Replica) bindRepair(x *repair, d *crdt.Delta) error {
	d.Opens = slices.DeleteFunc(d.Opens, func(o crdt.Binding) bool {
		_, had := x.bound[o.Replica]
		return had || r.hasBinding(o.Replica)
	})
	told := d.Context.Above(x.told)
	if len(d.Opens)+told.Len() == 0 {
		return nil
	}
	bound := maps.Clone(x.bound)
	if err := r.bindings(bound, d.Opens, told); err != nil {
		return err
	}
	x.bound, x.opens = bound, append(x.opens, d.Opens...)
	x.told.Join(d.Context)
	return nil
}

// take keeps an answer until it is mended.
func (r *Replica) take(x *repair, d *crdt.Delta) error {
	for _, o := range d.Opens { // those that were damaged here
		if r.tx.Parts().Top().Get(o.Replica) > 0 {
			if err := r.tx.SetOpen(o.Replica, o.Open); err != nil {
				return err
			}
			x.rebound = true
		}
	}
	if d.From == nowhere {
		return nil
	}
	x.came = append(x.came, d)
	x.bytes += 32 * d.Context.Len()
	for i := range d.Rows {
		for _, v := range d.Rows[i].Values {
			x.bytes += len(v.Data)
		}
	}
	if x.bytes > repairBytesMax {
		return r.mend(x)
	}
	return nil
}

// fetched goes on after a session of a repair has ended in order: the peer has answered all, or could not read what it was asked for.
func (r *Replica) fetched(s *session, res gossip.Result) {
	x := s.repair
	path := s.Fetching()
	x.left = append(x.left, res.Left...)
	switch {
	case res.Busy:
		x.end(true, "device %s is busy", x.Peer.Short())
	case res.Refused == gossip.ByeDamaged && path != "":
		x.unread = append(x.unread, path)
		i, _ := slices.BinarySearch(x.asking, path)
		x.rest = slices.Concat(x.asking[i+1:], x.rest)
	case res.Refused != "" && res.Refused != "fetched":
		x.end(false, "device %s refused: %s", x.Peer.Short(), res.Refused)
	}
}

// endRepairs mends what came of the repairs that are over, and answers them. One whose session ended with paths left goes on.
func (r *Replica) endRepairs() error {
	for _, x := range slices.Clone(r.repairs) {
		if !x.over && !r.fetching(x) {
			r.fetch(x)
		}
		if !x.over {
			continue
		}
		if err := r.mend(x); err != nil {
			return err
		}
		unbound := 0
		if x.Bindings {
			var err error
			if unbound, err = r.lostBindings(); err != nil {
				return err
			}
		}
		r.repairs = slices.DeleteFunc(r.repairs, func(y *repair) bool { return y == x })
		r.answered = append(r.answered, x)
		r.emit(Reply{Tag: x.Tag, Mended: x.mended, Unread: x.unread, Left: x.left, Unbound: unbound, Busy: x.busy, Err: x.why})
		if len(x.mended) > 0 || x.rebound {
			r.hasten(gossip.DeviceID{}, gossip.GapDelay) // what it was in the way of goes on
		}
	}
	return nil
}

// fetching reports whether a session of a repair is under way.
func (r *Replica) fetching(x *repair) bool {
	for _, s := range r.sessions {
		if s.repair == x && !s.Finished() {
			return true
		}
	}
	return false
}

// mend puts what came in the place of what was lost. An answer holds what stands at its path at the peer, under the peer's context:
//
//   - If all values that were lost are among it, they are put back and nothing else changes: what is newer comes as ever.
//   - Else, if the peer has seen all that was lost, the others were superseded by what stands there now. That is joined, for this path. So
//     it is, too, if nothing tells what was lost, and the peer has seen all that was seen here.
//   - Else the path stays damaged: nobody is believed who has not seen what was lost.
func (r *Replica) mend(x *repair) error {
	byPath := map[string]*crdt.Delta{}
	var paths []string
	for _, d := range x.came {
		byPath[d.From] = d
		paths = append(paths, d.From)
	}
	x.came, x.bytes = nil, 0
	found, err := r.tx.Damage(paths)
	if err != nil {
		return err
	}
	values, left := map[string][]crdt.Value{}, map[string]bool{}
	var whole []store.Damage
	var joins []*crdt.Delta
	for i := range found {
		damage := &found[i]
		d, path := byPath[damage.Path], damage.Path
		back, all, known := r.back(damage, d)
		switch {
		case all:
		case known && !r.setBack(d):
			joins = append(joins, d)
		default:
			left[path] = true
			continue
		}
		values[path] = back
		whole = append(whole, *damage)
	}
	if err := r.mended(whole, values); err != nil {
		return err
	}
	for i, d := range joins {
		if d.Opens = nil; i == 0 { // all that came, for whichever needs them
			d.Opens, x.opens = slices.DeleteFunc(x.opens, func(o crdt.Binding) bool { return r.hasBinding(o.Replica) }), nil
		}
		bound := map[crdt.ReplicaID]gossip.DeviceID{}
		for _, o := range d.Opens {
			bound[o.Replica] = x.bound[o.Replica]
		}
		if err := r.join(d, bound); err != nil {
			return err
		}
	}
	for _, path := range paths {
		if !left[path] {
			x.mended = append(x.mended, path)
		}
	}
	return r.joined() // not before all is joined: until then what was superseded is gone, and what superseded it has not come
}

// back returns the values of an answer that had been seen here and are not superseded. all says that they are all that was lost, known that
// what else was lost has been seen by the peer.
func (r *Replica) back(damage *store.Damage, d *crdt.Delta) (values []crdt.Value, all, known bool) {
	parts := r.tx.Parts()
	context := parts[parts.Of(damage.Path)].Context
	ahead := context.Within(d.Context) // it has seen all that was seen here
	came := 0
	for i := range d.Rows {
		for _, v := range d.Rows[i].Values {
			lost := slices.Contains(damage.Live, v.Dot)
			if lost {
				came++
			}
			if lost || ahead && context.Has(v.Dot) {
				values = append(values, v)
			}
		}
	}
	all = came > 0 && came == len(damage.Live)
	known = ahead || len(damage.Live) > 0 && d.Context.HasAll(damage.Live)
	return values, all, known
}

// setBack reports whether an answer knows of more writes of this replica than there were: they are not to be taken for its own.
func (r *Replica) setBack(d *crdt.Delta) bool {
	return !r.id.IsZero() && d.Context.Get(r.id) > r.tx.Parts().Top().Get(r.id)
}

// mended puts whole records in place and says what is new.
func (r *Replica) mended(damages []store.Damage, values map[string][]crdt.Value) error {
	if len(damages) == 0 {
		return nil
	}
	r.trimAt = 0
	if err := r.tx.Mend(damages, values); err != nil {
		return err
	}
	effects := make([]crdt.Effect, 0, len(damages))
	for _, d := range damages {
		delete(r.torn, d.Path)
		reg, err := r.tx.Register(d.Path)
		if err != nil {
			return err
		}
		effects = append(effects, crdt.Effect{Path: d.Path, Before: reg, After: reg})
	}
	return r.changed(effects, true)
}

// readable reports a record that is known to be damaged and that the join of an answer would have to read, before anything is changed.
func (r *Replica) readable(d *crdt.Delta) error {
	if len(r.torn) == 0 {
		return nil
	}
	look := func(path string) error {
		if !r.torn[path] {
			return nil
		}
		_, err := r.tx.Register(path)
		if err == nil {
			delete(r.torn, path)
		}
		return err
	}
	for i := range d.Rows {
		if err := look(d.Rows[i].Path); err != nil {
			return err
		}
	}
	for _, name := range d.Kills {
		if err := look(name.Path); err != nil {
			return err
		}
	}
	return nil
}
