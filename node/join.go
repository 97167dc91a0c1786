package node

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"syncline/crdt"
	"syncline/gossip"
)

// The join protocol, over a stream that is encrypted and authenticated by both device keys:
//
//	J → I  joinHello   which ticket, a nonce
//	I → J  joinNonce   a nonce, the same whether the ticket is known or not
//	J → I  joinProof   the joiner's name, and the proof that it holds the ticket's secret
//	I → J  joinAnswer  waiting…, then the space with the proof that the inviter holds the secret too, or a refusal
//
// The proof is an HMAC over everything that was said and both device ids, so it fits this one connection. The secret has 128
// bits, so nothing can be guessed from it.
type (
	joinHello struct {
		_       struct{} `cbor:",toarray"`
		Version uint8
		Ticket  [16]byte
		Nonce   [16]byte
	}
	joinNonce struct {
		_     struct{} `cbor:",toarray"`
		Nonce [16]byte
	}
	joinProof struct {
		_    struct{} `cbor:",toarray"`
		Name string
		MAC  []byte
	}
	joinAnswer struct {
		_ struct{} `cbor:",toarray"`
		// Status is one of the joinStatus values. The fields below are set when it is joinAdmitted.
		Status  uint8
		MAC     []byte
		Name    string // of the inviter
		Space   string // its name
		Key     []byte
		Genesis []byte
		Members [][]byte
	}
)

const (
	joinVersion = 1
	joinNameMax = NameBytesMax
	// joinMembersBytesMax bounds the members in an answer, and joinTextMax its name and founding record each: it fits into a message.
	joinMembersBytesMax = gossip.JoinAnswerBytesMax / 2
	joinTextMax         = 1 << 10
)

const (
	joinWaiting = iota
	joinAdmitted
	joinUnknown
	joinExpired
	joinSpent
	joinDenied
)

// joinStepMax bounds each step of the protocol that no person has to think about.
const joinStepMax = 10 * time.Second

// ticketID names a ticket in the protocol without telling its secret.
func ticketID(secret [16]byte) (id [16]byte) {
	k, err := hkdf.Key(sha256.New, secret[:], nil, "syncline/join/id/1", len(id))
	if err != nil {
		panic("node: hkdf: " + err.Error())
	}
	copy(id[:], k)
	return id
}

// joinMAC proves the secret of a ticket in one direction of one run of the protocol.
func joinMAC(secret [16]byte, dir string, transcript []byte) []byte {
	k, err := hkdf.Key(sha256.New, secret[:], nil, "syncline/join/key/1", 32)
	if err != nil {
		panic("node: hkdf: " + err.Error())
	}
	m := hmac.New(sha256.New, k)
	m.Write([]byte(dir))
	m.Write(transcript)
	return m.Sum(nil)
}

// joinTranscript is what both ends saw.
func joinTranscript(inviter, joiner gossip.DeviceID, tid, nonceI, nonceJ [16]byte, name string) []byte {
	b := []byte("syncline/join/1")
	b = append(append(b, inviter[:]...), joiner[:]...)
	b = append(append(append(b, tid[:]...), nonceI[:]...), nonceJ[:]...)
	b = binary.AppendUvarint(b, uint64(len(name)))
	return append(b, name...)
}

// admit serves a join stream on the inviter.
func (n *Node) admit(joiner gossip.DeviceID, conn gossip.Stream) {
	if err := n.serveJoin(joiner, conn); err != nil {
		n.log.Info("join refused", "device", joiner.Short(), "addr", conn.RemoteAddr(), "err", err)
	}
}

func (n *Node) serveJoin(joiner gossip.DeviceID, conn gossip.Stream) error {
	var hello joinHello
	if err := recvJoin(conn, &hello); err != nil {
		return err
	}
	if n.isInvited(joiner, &hello) {
		conn.SetDeadline(time.Now().Add(joinStepMax))
	}
	var nonce joinNonce
	if _, err := io.ReadFull(n.cfg.Rand, nonce.Nonce[:]); err != nil {
		return err
	}
	if err := conn.Send(crdt.Marshal(&nonce)); err != nil {
		return err
	}
	var proof joinProof
	if err := recvJoin(conn, &proof); err != nil {
		return err
	}
	if len(proof.Name) > joinNameMax {
		return errors.New("a name that is too long")
	}
	transcript := joinTranscript(n.id, joiner, hello.Ticket, nonce.Nonce, hello.Nonce, proof.Name)
	i, status := n.checkProof(joiner, &hello, &proof, transcript)
	if status != joinAdmitted {
		return turnAway(conn, status, fmt.Sprintf("status %d", status))
	}
	err := n.decide(i, joiner, proof.Name, conn)
	n.mu.Lock()
	i.claimed = gossip.DeviceID{}
	n.mu.Unlock()
	if err != nil {
		return err
	}
	return conn.Send(crdt.Marshal(n.welcome(i, transcript)))
}

func recvJoin(conn gossip.Stream, v any) error {
	msg, err := conn.Recv()
	if err != nil {
		return err
	}
	return crdt.Unmarshal(msg, v)
}

// isInvited reports whether a joiner names an invite that it can use, whatever it can prove. Nobody can guess one. The network keeps
// a place for whoever does, and for nobody else.
func (n *Node) isInvited(joiner gossip.DeviceID, hello *joinHello) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, i := range n.invites {
		if ticketID(i.rec.Secret) == hello.Ticket {
			return i.tries < inviteTriesMax && (!i.rec.Spent || i.rec.By == joiner) && !n.cfg.Clock().After(i.expires())
		}
	}
	return false
}

// checkProof finds the invite that a joiner speaks of and looks whether it may be used.
func (n *Node) checkProof(joiner gossip.DeviceID, hello *joinHello, proof *joinProof, transcript []byte) (*invite, int) {
	if hello.Version != joinVersion {
		return nil, joinUnknown
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, i := range n.invites {
		if ticketID(i.rec.Secret) != hello.Ticket {
			continue
		}
		switch {
		case i.tries >= inviteTriesMax, i.closing:
			return nil, joinUnknown
		case !hmac.Equal(proof.MAC, joinMAC(i.rec.Secret, "J", transcript)):
			i.tries++
			return nil, joinUnknown
		case i.rec.Spent && i.rec.By != joiner:
			return nil, joinSpent
		case n.cfg.Clock().After(i.expires()):
			return nil, joinExpired
		case !i.claimed.IsZero():
			return nil, joinSpent
		}
		i.claimed = joiner
		return i, joinAdmitted
	}
	return nil, joinUnknown
}

// decide waits for the answer of a person, unless the invite says that none is needed or was given before, and makes the joiner
// a member: the record of the member and the spent ticket are one batch, so neither exists without the other.
func (n *Node) decide(i *invite, joiner gossip.DeviceID, name string, conn gossip.Stream) error {
	n.mu.Lock()
	rec := i.rec
	n.mu.Unlock()
	if rec.Spent {
		return nil
	}
	if !rec.Auto {
		if err := n.ask(i, joiner, name, conn); err != nil {
			return err
		}
	}
	n.mu.Lock()
	closing := i.closing
	i.admitting = !closing
	n.mu.Unlock()
	if closing {
		return turnAway(conn, joinDenied, "the invite was closed")
	}
	defer func() {
		n.mu.Lock()
		i.admitting = false
		n.mu.Unlock()
	}()
	rec.Spent, rec.By = true, joiner
	m := newMember(joiner, name, n.id, n.cfg.Clock())
	w := Write{Ops: []WriteOp{m.op()}, Meta: map[string][]byte{invitePrefix + i.id: crdt.Marshal(&rec)}}
	if _, err := i.space.write(n.ctx, w); err != nil {
		n.mu.Lock()
		i.request = nil
		n.mu.Unlock()
		i.space.touch(nil)
		return err
	}
	ref := DeviceRef{ID: joiner, Name: name}
	n.mu.Lock()
	i.rec, i.request, i.joined, i.retryUntil = rec, nil, &ref, n.cfg.Clock().Add(inviteRetryMax)
	n.mu.Unlock()
	n.log.Info("joined", "device", joiner.Short(), "name", name)
	i.space.touch(nil)
	return nil
}

// ask waits for a person to answer for the joiner, as long as the invite is valid and the joiner waits.
func (n *Node) ask(i *invite, joiner gossip.DeviceID, name string, conn gossip.Stream) (err error) {
	req := &joinRequest{device: joiner, name: name, addr: conn.RemoteAddr(), answer: make(chan bool, 1)}
	n.mu.Lock()
	closing := i.closing
	if !closing {
		i.request = req
	}
	left := i.expires().Sub(n.cfg.Clock())
	n.mu.Unlock()
	if closing {
		return turnAway(conn, joinDenied, "the invite was closed")
	}
	i.space.touch(nil)
	defer func() {
		if err == nil {
			return // the request stays until the device is a member
		}
		n.mu.Lock()
		if i.request == req {
			i.request = nil
		}
		n.mu.Unlock()
		i.space.touch(nil)
	}()
	conn.SetDeadline(time.Now().Add(left + joinStepMax))
	if err := conn.Send(emptyAnswer(joinWaiting)); err != nil {
		return err
	}
	gone := make(chan error, 1)
	go func() { // the joiner says nothing while it waits; when Recv returns it has gone away
		_, err := conn.Recv()
		gone <- fmt.Errorf("the joiner went away: %w", err)
	}()
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case yes := <-req.answer:
		if yes {
			return nil
		}
		return turnAway(conn, joinDenied, "turned away")
	case <-timer.C:
		return turnAway(conn, joinExpired, "expired")
	case err := <-gone:
		return err
	case <-n.ctx.Done():
		return ErrClosed
	}
}

// emptyAnswer returns an answer that is no more than a status.
func emptyAnswer(status int) []byte {
	return crdt.Marshal(&joinAnswer{Status: uint8(status), MAC: []byte{}, Key: []byte{}, Genesis: []byte{}, Members: [][]byte{}})
}

// turnAway tells the joiner a status that ends its join, and returns the reason as an error.
func turnAway(conn gossip.Stream, status int, reason string) error {
	conn.Send(emptyAnswer(status))
	return errors.New(reason)
}

// welcome is what a joiner is given: of the members both devices, and others while there is room. Its first session brings the rest.
func (n *Node) welcome(i *invite, transcript []byte) *joinAnswer {
	s := i.space
	a := &joinAnswer{Status: joinAdmitted, MAC: joinMAC(i.rec.Secret, "I", transcript), Name: n.name, Space: s.Info().Name,
		Key: s.key[:], Genesis: s.genesis, Members: [][]byte{}}
	ro := s.roster.Load()
	room := joinMembersBytesMax
	for _, d := range append([]gossip.DeviceID{n.id, i.rec.By}, ro.ids()...) {
		m, ok := ro.members[d]
		b := crdt.Marshal(&m)
		if twice := len(a.Members) > 1 && (d == n.id || d == i.rec.By); !ok || twice || len(b) > room {
			continue
		}
		a.Members, room = append(a.Members, b), room-len(b)
	}
	return a
}

// Join brings this device into the space that a ticket invites to, and makes it the default. It returns once the inviter has let
// it in, which may take until a person there has answered. A default space that was never used is dropped, and its handles return
// [ErrSpaceLeft]; one that holds entries, or policies, or has other members, is kept under its name. Ask [Node.Space] for the new default.
// Joins take effect one after another. One that was cut short, by an error of the disk or the end of the process, is finished by the next
// with the same ticket, or by [Open].
func (n *Node) Join(ctx context.Context, text string) (JoinResult, error) {
	if n.cfg.Network == nil {
		return JoinResult{}, ErrLocalOnly.With("it was started without a network")
	}
	if err := n.ended(); err != nil {
		return JoinResult{}, err
	}
	t, err := parseTicket(text)
	if err != nil {
		return JoinResult{}, err
	}
	if res, done, err := n.checkTicket(t); err != nil || done {
		return res, err
	}
	conn, err := n.cfg.Network.OpenJoin(ctx, t.inviter, t.addrs)
	if ctx.Err() != nil {
		return JoinResult{}, ctx.Err()
	}
	if errors.Is(err, gossip.ErrJoinRefused) {
		return JoinResult{}, n.perhapsLate(t, ErrTicketUnknown.With("the inviting device has no open invite now, or too many devices ask it at once").
			Next("Try the same ticket again in some seconds, or make a new one on the other device:  peer invite"))
	}
	if err != nil {
		return JoinResult{}, n.perhapsLate(t, ErrUnreachable.With("the device %s that made the ticket does not answer: %v", t.inviter.Short(), err).
			Next("See that peer runs there (peer status), and that both devices are on one network."))
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Reset() })()
	a, err := n.askToJoin(conn, t)
	if err != nil {
		if ctx.Err() != nil {
			return JoinResult{}, ctx.Err()
		}
		return JoinResult{}, n.perhapsLate(t, err)
	}
	return n.enter(ctx, a, t)
}

// perhapsLate explains a failed attempt by the expiry of the ticket if that fits. It is the inviter whose clock decides, for
// ours may be wrong; but it forgets expired invites, and then cannot tell the reason.
func (n *Node) perhapsLate(t ticket, err error) error {
	if n.cfg.Clock().After(t.expires) && (errors.Is(err, ErrTicketUnknown) || errors.Is(err, ErrUnreachable)) {
		return ErrTicketExpired.With("it was valid until %s", t.expires.Local().Format("2006-01-02 15:04:05"))
	}
	return err
}

// checkTicket refuses a ticket of this device, or of a space that it has joined. A join of that space that was cut short it finishes.
func (n *Node) checkTicket(t ticket) (res JoinResult, done bool, err error) {
	if t.inviter == n.id {
		return res, false, ErrTicketBad.With("this device made it").Next("Use it on the other device:  peer join TICKET")
	}
	n.entering.Lock()
	defer n.entering.Unlock()
	if err := n.ended(); err != nil {
		return res, false, err // the node may be closed by now, and its directory another's
	}
	for _, s := range n.spaceList() {
		// Whoever founded the space and lost its store has founded it again, and knows nobody.
		ro := s.roster.Load()
		if _, member := ro.members[n.id]; !member || len(ro.members) == 1 || string(s.id[:8]) != string(t.space[:]) {
			continue
		}
		if s.halfJoined() {
			res, err := n.finishJoin(s, ro.ref(t.inviter))
			return res, true, err
		}
		return res, false, ErrMember.With("this device is in space %s", s.Info().Name).Next("peer devices shows who else is.")
	}
	return res, false, nil
}

// askToJoin is the joiner's side of the protocol.
func (n *Node) askToJoin(conn gossip.Stream, t ticket) (*joinAnswer, error) {
	lost := func(err error) error {
		return ErrUnreachable.With("the connection to the inviting device broke: %v", err).Next("Try the same ticket again.")
	}
	conn.SetDeadline(time.Now().Add(joinStepMax))
	hello := joinHello{Version: joinVersion, Ticket: ticketID(t.secret)}
	if _, err := io.ReadFull(n.cfg.Rand, hello.Nonce[:]); err != nil {
		return nil, err
	}
	if err := conn.Send(crdt.Marshal(&hello)); err != nil {
		return nil, lost(err)
	}
	var nonce joinNonce
	if err := recvJoin(conn, &nonce); err != nil {
		return nil, lost(err)
	}
	name := n.name
	transcript := joinTranscript(t.inviter, n.id, hello.Ticket, nonce.Nonce, hello.Nonce, name)
	if err := conn.Send(crdt.Marshal(&joinProof{Name: name, MAC: joinMAC(t.secret, "J", transcript)})); err != nil {
		return nil, lost(err)
	}
	for {
		var a joinAnswer
		if err := recvJoin(conn, &a); err != nil {
			return nil, lost(err)
		}
		if a.Status == joinWaiting {
			conn.SetDeadline(time.Now().Add(InviteExpiresMax)) // the inviter ends it, by its clock
			continue
		}
		if a.Status == joinAdmitted && !hmac.Equal(a.MAC, joinMAC(t.secret, "I", transcript)) {
			return nil, ErrTicketBad.With("the inviting device does not hold the ticket's secret")
		}
		return &a, joinRefusal(a.Status)
	}
}

func joinRefusal(status uint8) error {
	switch status {
	case joinAdmitted:
		return nil
	case joinExpired:
		return ErrTicketExpired.With("nobody let this device in before it expired")
	case joinSpent:
		return ErrTicketSpent.With("another device joined with it, or is just asking to")
	case joinDenied:
		return ErrJoinDenied.With("a person there said no, or the invite was closed")
	}
	return ErrTicketUnknown.With("the inviting device does not know it: it may have been made before that device was set up anew, or been closed after wrong tries")
}

// enter makes the space that this device was let into its default.
func (n *Node) enter(ctx context.Context, a *joinAnswer, t ticket) (JoinResult, error) {
	rec := spaceRecord{ID: spaceIDOf(a.Genesis).String(), Name: a.Space, Key: fmt.Sprintf("%x", a.Key), Genesis: fmt.Sprintf("%x", a.Genesis), Joined: n.cfg.Clock().UTC()}
	id, key, _, err := rec.parse()
	if len(a.Genesis) > joinTextMax || len(a.Space) > joinTextMax {
		return JoinResult{}, ErrTicketBad.With("the name or the founding record of the space that the inviting device offered is too long")
	}
	if err != nil || string(id[:8]) != string(t.space[:]) {
		return JoinResult{}, ErrTicketBad.With("the inviting device offered another space than the ticket names")
	}
	n.entering.Lock()
	defer n.entering.Unlock()
	if err := n.ended(); err != nil {
		return JoinResult{}, err
	}
	old, err := n.Space("")
	if err != nil {
		return JoinResult{}, err
	}
	if old.id != id {
		rec.Replaces = old.id.String()
	}
	n.mu.Lock()
	s := n.spaces[id] // a copy of a device that has a new identity holds the space already
	n.mu.Unlock()
	switch {
	case s == nil:
		goes := old
		if !old.untouched() {
			goes = nil
		}
		s, err = n.addSpace(n.uniqueName(rec, goes))
	case s.key != key: // it was restored from a backup, which holds no key
		rec.Name = s.rec.Name
		s, err = n.rekey(s, rec)
	default:
		rec.Name = s.rec.Name
		err = s.keepRecord(rec)
	}
	if err != nil {
		return JoinResult{}, err
	}
	if err := s.adoptMembers(ctx, a.Members); err != nil {
		return JoinResult{}, err
	}
	return n.finishJoin(s, DeviceRef{ID: t.inviter, Name: a.Name})
}

// finishJoin makes a space that this device was let into its default, and retires the one whose place it takes. What of it was done
// before does no harm. The node's entering is held.
func (n *Node) finishJoin(s *Space, inviter DeviceRef) (res JoinResult, err error) {
	rec := s.rec
	var old *Space
	for _, o := range n.spaceList() {
		if o != s && o.id.String() == rec.Replaces {
			old = o
		}
	}
	if err := n.setDefault(s.id); err != nil {
		return res, storeProblem(err).With("this device was let into space %s, which could not be made its default: %v", rec.Name, err).
			Next("Mend what is named, then use the same ticket again, here, or start peer again: either finishes the join.")
	}
	n.accessChanged()
	res = JoinResult{Space: s.Info(), Inviter: inviter}
	if old != nil {
		if res.Kept, err = n.retire(old); err != nil {
			return res, err
		}
	}
	if rec.Replaces == "" {
		return res, nil
	}
	rec.Replaces = ""
	rec = n.uniqueName(rec, nil) // the other one may have been used since this one was named
	if err := s.keepRecord(rec); err != nil {
		n.log.Warn("the next start finishes the join once more", "space", rec.Name, "err", err)
		return res, nil
	}
	s.touch(func() { s.name = rec.Name })
	res.Space = s.Info()
	return res, nil
}

// finishJoins finishes the joins that the end of an earlier run cut short.
func (n *Node) finishJoins() {
	n.entering.Lock()
	defer n.entering.Unlock()
	for _, s := range n.spaceList() {
		if !s.halfJoined() {
			continue
		}
		if d := n.defaultID.Load().String(); d != s.id.String() && d != s.rec.Replaces {
			continue // a later join chose another default
		}
		if _, err := n.finishJoin(s, DeviceRef{}); err != nil {
			n.log.Warn("a join is finished by the next start", "space", s.rec.Name, "err", err)
		}
	}
}

// halfJoined reports whether this device was let into the space, and the join did not end. The node's entering is held.
func (s *Space) halfJoined() bool {
	_, member := s.roster.Load().members[s.node.id]
	return member && s.rec.Replaces != ""
}

// keepRecord replaces what is on disk of the space. The node's entering is held.
func (s *Space) keepRecord(rec spaceRecord) error {
	if s.dir != "" {
		if err := writeJSON(filepath.Join(s.dir, spaceFile), rec); err != nil {
			return storeProblem(err)
		}
	}
	s.rec = rec
	return nil
}

// uniqueName gives a joined space another name if this device has another space of that name; one that goes does not count.
func (n *Node) uniqueName(rec spaceRecord, goes *Space) spaceRecord {
	base := rec.Name
	taken := func(s *Space) bool { return s != goes && s.id.String() != rec.ID && s.Info().Name == rec.Name }
	for i := 2; slices.ContainsFunc(n.spaceList(), taken); i++ {
		rec.Name = fmt.Sprintf("%s-%d", base, i)
	}
	return rec
}

// adoptMembers believes the inviter's list of members until the first session brings the real one.
func (s *Space) adoptMembers(ctx context.Context, list [][]byte) error {
	if err := s.keepMeta(ctx, adoptedKey, crdt.Marshal(list)); err != nil {
		return err
	}
	ro, err := s.loadRoster()
	if err != nil {
		return storeProblem(err)
	}
	s.roster.Store(ro)
	return nil
}

// untouched reports whether a space holds nothing but what its founding wrote, and has no other member.
func (s *Space) untouched() bool {
	head := s.store.Head()
	return head.Entries == 0 && head.Deletes == 0 && len(s.rules.Load().rules) == 0 && len(s.roster.Load().members) <= 1
}

// retire drops a former default space that was never used, and returns it if it is kept.
func (n *Node) retire(s *Space) (*SpaceInfo, error) {
	if !s.untouched() {
		info := s.Info()
		return &info, nil
	}
	n.mu.Lock()
	delete(n.spaces, s.id)
	for _, i := range n.invites {
		if i.space == s {
			n.dropInvite(i)
		}
	}
	n.mu.Unlock()
	s.touch(nil) // who waits for news of an invite looks again
	n.updateJoinable()
	n.accessChanged()
	s.leave("the device joined a space since")
	if !s.untouched() { // somebody wrote to it meanwhile, and was told that it is stored
		return n.reopen(s)
	}
	if s.dir == "" {
		return nil, nil
	}
	// Without its record the folder is no space any more, even if the rest cannot be removed.
	if err := os.Remove(filepath.Join(s.dir, spaceFile)); err != nil {
		n.log.Warn("an empty space is kept, because it cannot be removed", "dir", s.dir, "err", err)
		return n.reopen(s)
	}
	if err := os.RemoveAll(s.dir); err != nil {
		n.log.Warn("an empty space could not be removed", "dir", s.dir, "err", err)
	}
	return nil, nil
}

// leave closes a space that another takes the place of, or that is opened anew, and says why.
func (s *Space) leave(why string) {
	s.over.Store(ErrSpaceLeft.With("%s", why))
	if err := s.close(); err != nil { // what was confirmed is on disk
		s.log.Warn("a space was not closed in order", "err", err)
	}
}

// rekey opens a space anew with the key that the inviter gave. Unless the record with the key is on disk nothing has changed.
func (n *Node) rekey(s *Space, rec spaceRecord) (*Space, error) {
	if err := s.keepRecord(rec); err != nil {
		return nil, err
	}
	s.leave("the device joined a space since")
	return n.openAgain(s, rec)
}

// reopen opens a space again that was just closed.
func (n *Node) reopen(s *Space) (*SpaceInfo, error) {
	again, err := n.openAgain(s, s.rec)
	if err != nil {
		return nil, err
	}
	if err := n.loadInvites(again); err != nil {
		n.log.Warn("invites are read by the next start", "space", s.rec.Name, "err", err)
	}
	n.updateJoinable()
	info := again.Info()
	return &info, nil
}

// openAgain opens a space that was closed, for the devices that are connected, too. If it does not open, the closed one stays in its place and
// says why, until keepStores can open it.
func (n *Node) openAgain(s *Space, rec spaceRecord) (again *Space, err error) {
	if s.dir == "" {
		again, err = openSpace(n, rec, "", s.ds, nil)
	} else {
		again, err = n.openSpaceDir(rec, s.dir)
	}
	if err != nil {
		p := storeProblem(err).With("space %s was closed, and does not open again: %v", rec.Name, err).
			Next("What it holds is on disk. Mend what is named; the space is then opened within a minute. If it is not:  peer down, then peer up")
		s.over.Store(p)
		again, err = s, p
		n.lookAtStores()
	}
	n.meeting.Lock()
	defer n.meeting.Unlock()
	n.mu.Lock()
	n.spaces[again.id] = again
	n.mu.Unlock()
	if again != s {
		for _, p := range s.connected() {
			again.meet(p)
		}
	}
	n.accessChanged()
	return again, err
}
