package node

import (
	"encoding/binary"
	"slices"

	"syncline/crdt"
	"syncline/gossip"
	"syncline/store"
)

// A repair is a Repair that a session carries out. It is answered when the session has brought what it can, or is dropped.
type repair struct {
	Repair
	answered bool
	// left holds what stays damaged of the ranges that have been answered.
	left []store.Damage
	// opens holds the bindings of answers that could not be joined: a peer tells each once in a session.
	opens []crdt.Binding
}

// repair mends what needs nobody else: remembered deletes, and what is given up. For the rest it opens a session with the peer which
// asks as if the lost values had never been seen.
func (r *Replica) repair(in Repair) error {
	found, err := r.tx.Damage(in.Paths)
	if err != nil {
		return err
	}
	asked := r.tx.Context().Clone()
	var alone, missing []store.Damage
	for _, d := range found {
		if len(d.Live) == 0 || in.GiveUp {
			alone = append(alone, d)
			continue
		}
		missing = append(missing, d)
		for _, dot := range d.Live {
			dot.Counter-- // this one and what its replica did later leaves the vector
			asked.Retreat(dot)
		}
	}
	if len(alone) > 0 {
		if err := r.mended(alone, nil, nil); err != nil {
			return err
		}
	}
	if len(missing) == 0 {
		r.emit(Reply{Tag: in.Tag, Mended: in.Paths})
		return nil
	}
	peer := r.peers[in.Peer]
	if peer == nil {
		r.emit(Reply{Tag: in.Tag, Mended: without(in.Paths, missing), Err: ErrUnreachable.With("no device that has what was lost is connected")})
		return nil
	}
	// The device is the repair's own meanwhile: an answer of another session that touches what is damaged would fail a step, and all
	// sessions with it, again and again.
	for _, id := range r.sessionIDs() {
		if s := r.sessions[id]; s.repair == nil || s.peer == in.Peer {
			r.breakOff(id, gossip.BusyDelay)
		}
	}
	asked.Add(crdt.Dot{Replica: r.nobody(), Counter: 1})
	r.lastID++
	r.emit(OpenSession{ID: r.lastID, Peer: in.Peer})
	s := &session{replica: r.id, peer: in.Peer, out: true, last: r.now.Mono, repair: &repair{Repair: in}}
	s.Session = gossip.NewSession(gossip.SessionConfig{Initiator: true, Fetch: asked, WallMillis: r.now.Wall})
	r.sessions[r.lastID], peer.session = s, r.lastID
	s.Start(r.tx)
	r.pump(r.lastID)
	return nil
}

// repairing reports whether a session with another device than p carries out a repair.
func (r *Replica) repairing(p gossip.DeviceID) bool {
	for _, s := range r.sessions {
		if s.repair != nil && !s.repair.answered && s.peer != p {
			return true
		}
	}
	return false
}

// nobody draws the id of a replica that there is not.
func (r *Replica) nobody() (id crdt.ReplicaID) {
	binary.BigEndian.PutUint64(id[:], r.rand.Uint64()|1)
	return id
}

func paths(damages []store.Damage) (out []string) {
	for _, d := range damages {
		out = append(out, d.Path)
	}
	return out
}

// without returns those of the paths that are not damaged.
func without(all []string, damages []store.Damage) (out []string) {
	for _, path := range all {
		if !slices.Contains(paths(damages), path) {
			out = append(out, path)
		}
	}
	return out
}

// mend puts what an answer brings in the place of what was lost, and joins the answer. A value that was lost and does not come was
// superseded, if the peer had seen it; if it had not, its path stays damaged. Then the answer as a whole cannot be joined, and only
// those paths are mended whose values all came. An answer about a range of paths says nothing of the others.
func (r *Replica) mend(s *session, d *crdt.Delta) error {
	found, err := r.tx.Damage(s.repair.Paths)
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(x store.Damage) bool { return x.Path < d.From || d.To != "" && x.Path >= d.To })
	came := map[string][]crdt.Value{}
	for i := range d.Rows {
		came[d.Rows[i].Path] = d.Rows[i].Values
	}
	values := map[string][]crdt.Value{}
	var seen, whole []store.Damage
	for _, damage := range found {
		for _, v := range came[damage.Path] {
			if slices.Contains(damage.Live, v.Dot) {
				values[damage.Path] = append(values[damage.Path], v)
			}
		}
		if len(values[damage.Path]) == len(damage.Live) {
			whole = append(whole, damage)
		}
		if !slices.ContainsFunc(damage.Live, func(dot crdt.Dot) bool { return !d.Context.Has(dot) }) {
			seen = append(seen, damage)
		}
	}
	d.Opens = append(s.repair.opens, d.Opens...)
	join := func() error { return r.join(s, d) }
	if len(seen) < len(found) {
		seen, join, s.repair.opens = whole, nil, d.Opens
	}
	if err := r.mended(seen, values, join); err != nil {
		return err
	}
	s.repair.left = append(s.repair.left, slices.DeleteFunc(found, func(d store.Damage) bool { return slices.Contains(paths(seen), d.Path) })...)
	if d.To == "" {
		r.answer(s.repair, Reply{Mended: without(s.repair.Paths, s.repair.left)})
	}
	return nil
}

// mended puts whole records in place, lets join go on from there, and says what is new.
func (r *Replica) mended(damages []store.Damage, values map[string][]crdt.Value, join func() error) error {
	r.trimAt = 0
	if err := r.tx.Mend(damages, values); err != nil {
		return err
	}
	if join != nil {
		if err := join(); err != nil {
			return err
		}
	}
	if len(damages) > 0 {
		r.emit(Changed{Paths: paths(damages), Remote: true})
	}
	return nil
}

// answer answers a repair that a session carried out.
func (r *Replica) answer(x *repair, reply Reply) {
	x.answered = true
	r.answered = append(r.answered, x)
	reply.Tag = x.Tag
	r.emit(reply)
}
