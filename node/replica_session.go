package node

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"syncline/crdt"
	"syncline/gossip"
	"syncline/store"
)

// Bounds of sessions.
const (
	// SessionsMax bounds the sessions under way; a peer that comes later is told to try again soon.
	SessionsMax = 16
	// SessionIdleMax is how long a session may go without a message.
	SessionIdleMax = 30 * time.Second
	// sendBytesMax bounds the messages that are handed to a stream at once.
	sendBytesMax = 256 << 10
)

// A peer is a connected member.
type peer struct {
	// equal says that the last session ended with equal vectors and that nothing is known to be lost since.
	equal   bool
	session SessionID // the outbound or inbound session under way, 0 if none
	// again says that there was a new reason for a session while one was under way.
	again bool
	// stuck says that the last session met what the next cannot exchange either, unless somebody decides or repairs it, or the store writes again.
	stuck bool
	// other is what was told of it last: that it speaks another version of the protocol.
	other *gossip.VersionError
}

// A session is a gossip.Session with the peer it is with.
type session struct {
	*gossip.Session
	replica crdt.ReplicaID // our incarnation when it began
	peer    gossip.DeviceID
	out     bool
	sending bool // a Send is under way; SessionReady is due
	heard   bool // a message has come
	last    time.Duration
	repair  *repair // what it fetches, nil if it is an ordinary one
}

// heldKey is where the store keeps, for one device, the vector of what it is known to have on disk.
func heldKey(p gossip.DeviceID) string { return heldPrefix + p.String() }

const heldPrefix = "held/"

// heldBy returns what a device is known to have on disk.
func (r *Replica) heldBy(p gossip.DeviceID) (crdt.Vector, error) {
	if v, ok := r.held[p]; ok {
		return v, nil
	}
	b, err := r.tx.Meta(heldKey(p))
	if err != nil && !unreadable(err) {
		return crdt.Vector{}, err
	}
	v, err := crdt.DecodeVector(b)
	if err != nil {
		v = crdt.Vector{} // it is a hint, and made anew by the next session
	}
	r.held[p] = v
	return v, nil
}

// learnHeld takes note of what a device has on disk.
func (r *Replica) learnHeld(p gossip.DeviceID, v crdt.Vector) error {
	old, err := r.heldBy(p)
	if err != nil || v.Equal(old) {
		return err
	}
	r.held[p] = v.Clone()
	return r.tx.SetMeta(heldKey(p), crdt.AppendVector(nil, v))
}

// tellsHeld reports whether a session came so far that the peer told what it holds, if only that it is nothing.
func tellsHeld(res gossip.Result) bool { return res.Done || res.Held.Len() > 0 }

func (r *Replica) peerUp(p gossip.DeviceID) error {
	if r.peers[p] != nil {
		r.peerDown(p) // it came back before it was missed
	}
	held, err := r.heldBy(p)
	if err != nil {
		return err
	}
	r.peers[p] = &peer{equal: held.Len() > 0 && len(r.tx.Parts()) == 1 && held.Equal(r.tx.Context())}
	// Both ends learn of the connection at once. The smaller id speaks first; the other only if it hears nothing.
	r.schedule.Add(p, r.now.Mono)
	if bytes.Compare(r.self[:], p[:]) > 0 {
		r.schedule.Put(p, r.now.Mono, time.Second)
	}
	return nil
}

func (r *Replica) peerDown(p gossip.DeviceID) {
	delete(r.peers, p)
	r.schedule.Remove(p)
	for _, id := range r.sessionIDs() {
		if r.sessions[id].peer == p {
			r.breakOff(id, 0)
			r.fillFromOthers(p)
		}
	}
}

// distrust drops the belief that a peer, or all if p is zero, holds what we hold.
func (r *Replica) distrust(p gossip.DeviceID) {
	for id, peer := range r.peers {
		if p.IsZero() || id == p {
			peer.equal = false
		}
	}
}

// lost arranges sessions soon with whom gossip was lost.
func (r *Replica) lost(p gossip.DeviceID) {
	r.distrust(p)
	r.hasten(p, gossip.GapDelay)
}

// syncNow makes a peer, or all if p is zero, due at once. With one that is stuck that would go on for as long as somebody waits.
func (r *Replica) syncNow(p gossip.DeviceID) {
	for _, id := range r.peerIDs() {
		switch {
		case !p.IsZero() && id != p:
		case r.peers[id].stuck:
			r.hasten(id, gossip.RetryDelay)
		default:
			r.hasten(id, 0)
		}
	}
}

// hasten makes a peer, or all if p is zero, due after delay, or again after the session that is under way.
func (r *Replica) hasten(p gossip.DeviceID, delay time.Duration) {
	for _, id := range r.peerIDs() {
		if p.IsZero() || id == p {
			r.peers[id].again = r.peers[id].session != 0
			r.schedule.Hasten(id, r.now.Mono, delay)
		}
	}
}

func (r *Replica) peerIDs() []gossip.DeviceID {
	return slices.SortedFunc(maps.Keys(r.peers), func(a, b gossip.DeviceID) int { return bytes.Compare(a[:], b[:]) })
}

func (r *Replica) sessionIDs() []SessionID { return slices.Sorted(maps.Keys(r.sessions)) }

// startDue starts a session with every peer that is due.
func (r *Replica) startDue() error {
	for _, p := range r.schedule.Due(r.now.Mono) {
		if r.peers[p].session != 0 || len(r.sessions) >= SessionsMax {
			r.schedule.Put(p, r.now.Mono, gossip.BusyDelay)
			continue
		}
		r.schedule.Put(p, r.now.Mono, 0)
		r.lastID++
		r.emit(OpenSession{ID: r.lastID, Peer: p})
		s := r.addSession(r.lastID, p, true)
		s.Start(sessionView{r.tx, r})
		r.pump(r.lastID)
	}
	return nil
}

func (r *Replica) addSession(id SessionID, p gossip.DeviceID, out bool) *session {
	s := &session{replica: r.id, peer: p, out: out, last: r.now.Mono}
	s.Session = gossip.NewSession(gossip.SessionConfig{Initiator: out, BelievedEqual: r.peers[p].equal, WallMillis: r.now.Wall,
		Replica: crdt.Dot{Replica: r.id, Counter: r.tx.Context().Get(r.id)}, Limits: r.cfg.Limits,
		RowsMemory: r.cfg.RowsMemory, Symbols: r.cfg.Symbols})
	r.sessions[id] = s
	r.peers[p].session = id
	return s
}

// sessionIn admits a session that a peer opened. Of two that cross, the one of the device with the smaller id stays.
func (r *Replica) sessionIn(in SessionIn) {
	peer := r.peers[in.Peer]
	if peer == nil {
		r.emit(CloseSession{ID: in.ID, Reset: true})
		return
	}
	cross := r.sessions[peer.session]
	busy := len(r.sessions) >= SessionsMax
	if cross != nil {
		if !cross.out {
			r.breakOff(peer.session, 0) // the peer began anew
		} else if cross.heard || bytes.Compare(r.self[:], in.Peer[:]) < 0 {
			busy = true
		}
	}
	if busy {
		old := peer.session
		s := r.addSession(in.ID, in.Peer, false)
		peer.session = old
		s.RefuseBusy()
		r.pump(in.ID)
		return
	}
	r.addSession(in.ID, in.Peer, false)
}

// sessionMsg feeds a message to its session and commits the answer that it completes.
func (r *Replica) sessionMsg(in SessionMsg) error {
	s := r.sessions[in.ID]
	if s == nil {
		return nil // it was broken off
	}
	if s.Finished() {
		return nil // it crossed with our last word
	}
	s.last, s.heard = r.now.Mono, true
	view := sessionView{r.tx, r}
	delta, err := s.Receive(view, in.Msg)
	if err != nil {
		return r.badMessage(in.ID, s, err)
	}
	if delta != nil {
		bound, err := r.admit(s, delta)
		if err != nil {
			return r.badMessage(in.ID, s, err)
		}
		if s.repair != nil { // what fails from here on is no fault of the peer
			err = r.take(s.repair, delta)
		} else {
			if err = r.join(delta, bound); err == nil {
				err = r.joined()
			}
		}
		if err != nil {
			return err
		}
		if err := s.Committed(view); err != nil {
			return r.badMessage(in.ID, s, err)
		}
	}
	if s.Finished() {
		if err := r.finish(s); err != nil {
			return err
		}
	}
	r.pump(in.ID)
	return nil
}

// badMessage ends a session whose peer broke the rules. Errors of our own store are passed on.
func (r *Replica) badMessage(id SessionID, s *session, err error) error {
	var version *gossip.VersionError
	switch {
	case unreadable(err):
		// Nothing was changed: only this session cannot go on, and will not before the record is repaired.
		alarm := Alarm{Code: AlarmCorrupt, Peer: s.peer, Text: fmt.Sprintf("a session was broken off: %v", err)}
		if corrupt := new(store.CorruptError); errors.As(err, &corrupt) && corrupt.Path != "" {
			alarm.Path = corrupt.Path
			r.torn[corrupt.Path] = true
		}
		r.emit(alarm)
		s.Refuse(gossip.ByeDamaged, "a record that it has to carry cannot be read here")
		if p := r.peers[s.peer]; p != nil && p.session == id {
			p.equal, p.stuck = false, true
			r.schedule.Put(s.peer, r.now.Mono, r.cfg.AntiEntropy)
		}
		r.pump(id)
		return nil
	case errors.As(err, &version):
		if p := r.peers[s.peer]; p != nil && (p.other == nil || *p.other != *version) {
			p.other = version
			r.alarm(AlarmVersion, s.peer, "device %s: %v", s.peer.Short(), err)
		}
		if s.Finished() { // it has a last word, which tells our version
			r.pump(id)
		} else {
			r.breakOff(id, 0) // nothing is different before one of both is another program, and connects anew
		}
		return nil
	case errors.Is(err, crdt.ErrDecode), errors.Is(err, errUnbound):
		r.alarm(AlarmBadFrame, s.peer, "a session was broken off: %v", err)
	default:
		return err
	}
	r.breakOff(id, gossip.RetryDelay)
	return nil
}

var errUnbound = errors.New("a replica without a valid binding")

// admit looks at an answer before it touches anything: every replica in it must be bound to a device, and what it would change, readable. It
// returns the bindings that are new.
func (r *Replica) admit(s *session, d *crdt.Delta) (map[crdt.ReplicaID]gossip.DeviceID, error) {
	if x := s.repair; x != nil {
		return nil, r.bindRepair(x, d)
	}
	if err := r.readable(d); err != nil {
		return nil, err
	}
	bound := map[crdt.ReplicaID]gossip.DeviceID{}
	return bound, r.bindings(bound, d.Opens, d.Context.Above(d.Asked))
}

// join takes over the answer of a peer, with its bindings.
func (r *Replica) join(d *crdt.Delta, bound map[crdt.ReplicaID]gossip.DeviceID) error {
	effects, err := crdt.Join(r.tx, d)
	if err != nil {
		return err
	}
	maps.Copy(r.devices, bound)
	for _, row := range d.Rows {
		for _, v := range row.Values {
			r.follow(v.Time, r.devices[v.Dot.Replica])
		}
	}
	return r.changed(effects, true)
}

// joined lets the operations that were held back follow answers that were joined.
func (r *Replica) joined() error {
	r.delivery.Prune(r.tx.Parts())
	return r.drain()
}

// bindings verifies the bindings that an answer brings, adds those that are new to bound, and verifies that no replica of which it tells is
// without one.
func (r *Replica) bindings(bound map[crdt.ReplicaID]gossip.DeviceID, opens []crdt.Binding, told crdt.Vector) error {
	for _, o := range opens {
		if had, err := r.tx.Open(o.Replica); err == nil && bytes.Equal(had, o.Open) {
			continue
		}
		device, err := r.boundDevice(o.Replica, o.Open)
		if err != nil {
			return errors.Join(errUnbound, err)
		}
		bound[o.Replica] = device
	}
	for top := range told.All() {
		if _, ok := bound[top.Replica]; ok {
			continue
		}
		_, ok, err := r.deviceOf(top.Replica)
		switch {
		case err != nil:
			return err
		case ok:
		case r.tx.Parts().Top().Get(top.Replica) > 0: // it was bound when it was first seen
			r.lostBinding(top.Replica)
		default:
			return errors.Join(errUnbound, errors.New(top.Replica.String()))
		}
	}
	return nil
}

// hasBinding reports whether the binding of a replica is here and can be read.
func (r *Replica) hasBinding(id crdt.ReplicaID) bool {
	open, err := r.tx.Open(id)
	if err != nil || open == nil {
		return false
	}
	_, err = readBinding(id, open)
	return err == nil
}

// finish takes over what a session found out.
func (r *Replica) finish(s *session) error {
	res := s.Result()
	delay := time.Duration(0)
	if p := r.peers[s.peer]; p != nil && r.sessions[p.session] == s { // else it gave way to another, which knows more
		p.equal = res.SameHash || res.Busy && p.equal
		p.stuck = len(res.Left) > 0 || res.Refused == gossip.ByeDamaged || res.Busy && p.stuck
		goesOn := (p.again || r.goesOn(res)) && !res.SameHash
		switch {
		case res.Busy:
			delay = gossip.BusyDelay
		case res.Refused == gossip.ByeDamaged: // nothing is different soon
		case goesOn && !p.stuck:
			delay = gossip.GapDelay
		case goesOn, res.Refused != "":
			delay = gossip.RetryDelay
		}
		p.again = false
		r.schedule.Put(s.peer, r.now.Mono, delay)
	}
	if tellsHeld(res) {
		if err := r.learnHeld(s.peer, res.Held); err != nil {
			return err
		}
	}
	if res.Brought {
		r.relay(s.peer)
	}
	r.learnLeft(s.peer, res)
	if res.Diverged {
		r.alarm(AlarmDiverged, s.peer, "this device and %s have seen the same and hold different values", s.peer.Short())
	}
	if res.RolledBack && s.replica == r.id {
		r.alarm(AlarmRolledBack, s.peer, "device %s has seen writes of this one that are not here; going on under a new replica id", s.peer.Short())
		if err := r.renew(); err != nil {
			return err
		}
		r.schedule.Put(s.peer, r.now.Mono, gossip.BusyDelay)
	}
	if s.repair != nil {
		r.fetched(s, res)
	}
	r.emit(Synced{Peer: s.peer, Result: res})
	return nil
}

// learnLeft takes note of what sessions with p leave out, and raises the alarm when that is something else than before. A session that was not done
// has not looked at all paths: what it did not name may be left out as before.
func (r *Replica) learnLeft(p gossip.DeviceID, res gossip.Result) {
	left := res.Left
	if !res.Done {
		left = slices.Concat(r.left[p], left)
		slices.Sort(left)
		left = slices.Compact(left)
		left = left[:min(len(left), gossip.LeftMax)]
	}
	if slices.Equal(left, r.left[p]) {
		return
	}
	r.left[p] = left
	if len(left) > 0 {
		r.alarm(AlarmValues, p, "%s: more values compete than can be exchanged with device %s at once", leftOut(left), p.Short())
	}
}

// leftOut names what a session left out, for people.
func leftOut(paths []string) string {
	switch n := len(paths); n {
	case 1:
		return fmt.Sprintf("“%s”", paths[0])
	case 2:
		return fmt.Sprintf("“%s” and 1 other path", paths[0])
	default:
		return fmt.Sprintf("“%s” and %d other paths", paths[0], n-1)
	}
}

// relay arranges sessions soon with the other neighbours, because what a session with p brought is not gossiped: else it would wait a
// period at each device on its way. A session that brings nothing is not told on, so that this ends where all hold the same; one
// that a neighbour begins first takes the place of ours. Devices without gossip have chosen to wait.
func (r *Replica) relay(p gossip.DeviceID) {
	if r.cfg.NoGossip {
		return
	}
	for _, id := range r.peerIDs() {
		if id != p && r.peers[id].session == 0 {
			r.schedule.Hasten(id, r.now.Mono, gossip.RelayDelay)
		}
	}
}

// goesOn says whether a session that ended filled this replica, so that the next should not be long in coming: to take what has changed
// meanwhile, or to find that nothing has.
func (r *Replica) goesOn(res gossip.Result) bool {
	return res.Brought && (res.Answers > 1 || len(r.tx.Parts()) > 1)
}

// renew gives up an incarnation that others have seen ahead of us: its dots from the opening on name other operations there.
// They leave our context, so that those other operations can come, and what we wrote under them and is still live is written
// again under a fresh id, beside whatever others hold at its path. Nothing is lost; a value that one of our overwrites or
// deletes had removed may come back as a sibling.
func (r *Replica) renew() error {
	old := crdt.Dot{Replica: r.id, Counter: max(r.opened, 1)}
	again, err := r.forgetSince(old)
	if err != nil {
		return err
	}
	r.tx.Retreat(old)
	r.id, r.opened = crdt.ReplicaID{}, 0
	r.tx.SetIncarnation(r.id)
	for _, c := range again {
		op, effects, err := r.commitOp([]crdt.Change{c})
		if err != nil {
			return err
		}
		r.publish(op)
		if err := r.changed(effects, false); err != nil {
			return err
		}
	}
	return nil
}

// forgetSince removes what our incarnation wrote after the dot old, and returns what writes the values that were live among it again, in their
// order: of one path there may be several.
func (r *Replica) forgetSince(old crdt.Dot) ([]crdt.Change, error) {
	seen := r.tx.Parts().Top().Clone()
	seen.Retreat(old)
	var names []crdt.Name
	for name, err := range mergeNames(r.tx.LiveAbove(seen), r.tx.DeletesAbove(seen)) {
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	var again []crdt.Change
	for _, name := range names {
		reg, err := r.tx.Register(name.Path)
		if err != nil {
			return nil, err
		}
		for _, v := range reg.Live {
			if v.Dot == name.Dot {
				again = append(again, crdt.Change{Path: name.Path, Kind: v.Kind, Type: v.Type, Data: v.Data})
			}
		}
		reg.Live = slices.DeleteFunc(slices.Clone(reg.Live), func(v crdt.Value) bool { return v.Dot == name.Dot })
		reg.Deletes = slices.DeleteFunc(slices.Clone(reg.Deletes), func(d crdt.Delete) bool { return d.Dot == name.Dot })
		if err := r.tx.SetRegister(name.Path, reg); err != nil {
			return nil, err
		}
	}
	return again, nil
}

// pump hands out the next messages of a session, up to a bound; more when they are sent. A finished session is closed after
// its last message.
func (r *Replica) pump(id SessionID) {
	s := r.sessions[id]
	if s == nil || s.sending {
		return
	}
	s.last = r.now.Mono
	var msgs [][]byte
	for size := 0; size < sendBytesMax; {
		m := s.Next()
		if m == nil {
			break
		}
		msgs = append(msgs, m)
		size += len(m)
	}
	if len(msgs) > 0 {
		s.sending = true
		r.emit(Send{ID: id, Msgs: msgs})
		return
	}
	if s.Finished() {
		r.emit(CloseSession{ID: id})
		r.dropSession(id, -1)
	}
}

// sessionEnd takes note that a stream has ended.
func (r *Replica) sessionEnd(in SessionEnd) {
	if s := r.sessions[in.ID]; s != nil {
		r.emit(CloseSession{ID: in.ID, Reset: in.Err != nil})
		r.dropSession(in.ID, gossip.RetryDelay)
	}
}

// breakOff resets a session; delay says when the peer is due again, 0 after a period.
func (r *Replica) breakOff(id SessionID, delay time.Duration) {
	r.emit(CloseSession{ID: id, Reset: true})
	r.dropSession(id, delay)
}

// dropSession forgets a session. Unless delay is negative, it did not come to its end, and the peer is due again after delay.
func (r *Replica) dropSession(id SessionID, delay time.Duration) {
	s := r.sessions[id]
	delete(r.sessions, id)
	if s.repair != nil && !s.Finished() {
		s.repair.end(false, "device %s answered nothing, or broke off", s.peer.Short())
	}
	p := r.peers[s.peer]
	if p == nil || p.session != id {
		return
	}
	p.session = 0
	if delay >= 0 && !s.Finished() {
		p.equal = false
		r.schedule.Put(s.peer, r.now.Mono, delay)
		r.fillFromOthers(s.peer)
	}
}

// fillFromOthers arranges sessions with the other peers if one with p broke off while this replica fills.
func (r *Replica) fillFromOthers(p gossip.DeviceID) {
	if len(r.store.Parts()) < 2 {
		return
	}
	for _, id := range r.peerIDs() {
		if id != p {
			r.hasten(id, gossip.GapDelay)
		}
	}
}

// deadline returns when a session is broken off if nothing more happens in it, and if it is for a repair in any case: who tells one thing now
// and then does not hold that up.
func (s *session) deadline() time.Duration {
	at := s.last + SessionIdleMax
	if s.repair != nil {
		at = min(at, s.repair.until)
	}
	return at
}

func (r *Replica) sessionDeadline() (time.Duration, bool) {
	first, any := time.Duration(0), false
	for _, s := range r.sessions {
		if at := s.deadline(); !any || at < first {
			first, any = at, true
		}
	}
	return first, any
}

// expireSessions breaks off the sessions in which nothing happens any more.
func (r *Replica) expireSessions() {
	if first, any := r.sessionDeadline(); !any || r.now.Mono < first {
		return
	}
	for _, id := range r.sessionIDs() {
		s := r.sessions[id]
		if r.now.Mono < s.deadline() {
			continue
		}
		if x := s.repair; x != nil {
			x.end(len(x.came) > 0, "device %s did not answer all in %v", s.peer.Short(), RepairMax)
		}
		r.breakOff(id, gossip.RetryDelay)
	}
}
