package node

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2" // only its types: the source is given by the caller
	"slices"
	"time"

	"syncline/crdt"
	"syncline/gossip"
	"syncline/store"
)

// ReplicaConfig is what a replica is given.
type ReplicaConfig struct {
	Store *store.Store
	Space gossip.SpaceID
	// Key is the device's; its public half is the device id.
	Key ed25519.PrivateKey
	// Rand is where replica ids and jitter come from. The same seed and the same inputs give the same outputs.
	Rand rand.Source
	// AntiEntropy, NoGossip and DeleteLog are as in [Config], without defaults.
	AntiEntropy time.Duration
	NoGossip    bool
	DeleteLog   int
	// Limits bound the answers of sessions; zero means those of package gossip.
	Limits crdt.Limits
	// RowsMemory bounds what the rows of one answer take in memory, in bytes; zero means that of package gossip.
	RowsMemory int
	// Symbols is the size of the first sketch of a session; zero means that of package gossip.
	Symbols int
	// Sign returns the signature of message under Key; nil means [ed25519.Sign]. Verify says whether sig is the signature of message by
	// the owner of key; nil means [ed25519.Verify]. Both are pure functions: many replicas in one process may share the answers.
	Sign   func(key ed25519.PrivateKey, message []byte) []byte
	Verify func(key ed25519.PublicKey, message, sig []byte) bool
}

// A Replica is one copy of one space: the deterministic core that ties crdt, store and gossip together. It reads no clock and
// starts nothing; everything that happens to it comes through Step, and everything that it wants done is in what Step returns.
// One goroutine owns it.
type Replica struct {
	cfg   ReplicaConfig
	self  gossip.DeviceID
	store *store.Store
	rand  *rand.Rand

	// id is the incarnation under which this replica writes; zero until the first write of an open that may not continue the
	// last one. opened is the counter it stood at when the store was opened.
	id     crdt.ReplicaID
	opened uint64
	// openedBefore is opened as of the beginning of the Step under way.
	openedBefore uint64
	clock        crdt.Clock
	// toldFloor is the floor as of our last operation: what rose since goes into the next one.
	toldFloor crdt.Vector

	delivery gossip.Delivery
	schedule *gossip.Schedule
	peers    map[gossip.DeviceID]*peer
	sessions map[SessionID]*session
	lastID   SessionID
	// held remembers what devices are known to have on disk, left what sessions with them leave out.
	held map[gossip.DeviceID]crdt.Vector
	left map[gossip.DeviceID][]string
	// devices remembers which device a replica is bound to.
	devices map[crdt.ReplicaID]gossip.DeviceID
	suspect map[gossip.DeviceID]bool
	// rules are the policies, as of the last operation applied.
	rules *ruleBook
	// undoNext counts the resolutions that were kept for undo.
	undoNext uint64
	// functions are the merge functions of this device, merges the Conflicts that they may settle, running those that are being asked, tried
	// those, by path, that they did not settle. differed counts the results in a row that met another result. rescan says that everything
	// must be looked at anew.
	functions map[string]bool
	merges    map[string]*merging
	tried     map[string]Version
	differed  map[string]int
	running   map[Merge]bool
	rescan    bool
	// mergesAt is when the next function may be asked, after a result could not be written.
	mergesAt time.Duration

	// raised counts the alarms about what others said.
	raised int
	// torn holds the paths that are known to have a damaged record, repairs the repairs under way. unbound says when the damaged binding of a
	// replica is told of again.
	torn    map[string]bool
	repairs []*repair
	unbound map[crdt.ReplicaID]time.Duration

	// trimAt is when the remembered deletes are looked at again after some could not be forgotten.
	trimAt time.Duration

	// now, tx and out belong to the Step under way, as do the repairs that it answered.
	now      Time
	tx       *store.Tx
	out      []Output
	answered []*repair
}

// NewReplica returns the replica that the store holds.
func NewReplica(c ReplicaConfig) *Replica {
	r := &Replica{cfg: c, self: gossip.DeviceID(c.Key.Public().(ed25519.PublicKey)), store: c.Store, rand: rand.New(c.Rand),
		peers: map[gossip.DeviceID]*peer{}, sessions: map[SessionID]*session{},
		held: map[gossip.DeviceID]crdt.Vector{}, left: map[gossip.DeviceID][]string{}, devices: map[crdt.ReplicaID]gossip.DeviceID{}, suspect: map[gossip.DeviceID]bool{},
		merges: map[string]*merging{}, tried: map[string]Version{}, running: map[Merge]bool{}, differed: map[string]int{}, torn: map[string]bool{},
		unbound: map[crdt.ReplicaID]time.Duration{}}
	if r.cfg.Sign == nil {
		r.cfg.Sign = ed25519.Sign
	}
	if r.cfg.Verify == nil {
		r.cfg.Verify = ed25519.Verify
	}
	r.schedule = gossip.NewSchedule(c.AntiEntropy, r.rand)
	r.reload()
	r.opened = r.store.Context().Get(r.id)
	return r
}

// reload takes over what the store holds.
func (r *Replica) reload() {
	r.id, r.toldFloor = crdt.ReplicaID{}, crdt.Vector{}
	clear(r.held)
	clear(r.devices)
	clear(r.differed)
	clear(r.unbound)
	clear(r.left)
	if id, ok := r.store.Incarnation(); ok {
		r.id = id
	}
	r.clock.Last = r.store.Head().Clock
	r.rules = loadRules(r.store)
	r.undoNext = nextUndo(r.store)
	r.rescanMerges()
}

// Step applies inputs to the replica, in order, commits what they change in one atomic batch, and returns, in order, what must
// happen next. Replies and session messages among that wait for the store's sync; see [Output].
//
// If the store fails, nothing of the inputs has happened: every write among them is answered with the failure, all sessions are
// broken off, and the replica is as the store holds it. Step may be called again.
func (r *Replica) Step(now Time, in ...Input) ([]Output, error) {
	r.now, r.out, r.answered, r.tx = now, nil, nil, r.store.Begin()
	if len(in) > 1 {
		r.out = make([]Output, 0, 3*len(in)+1) // as many as so many writes have
	}
	r.openedBefore = r.opened
	r.tx.SetNow(now.Wall)
	if r.rescan {
		if err := r.scanConflicts(); err != nil {
			return r.fail(in, err)
		}
	}
	for _, i := range in {
		if err := r.apply(i); err != nil {
			return r.fail(in, err)
		}
	}
	if err := r.endRepairs(); err != nil {
		return r.fail(in, err)
	}
	r.mergeDue()
	if err := r.startDue(); err != nil {
		return r.fail(in, err)
	}
	if err := r.trim(); err != nil {
		return r.fail(in, err)
	}
	if r.clock.Last != r.tx.Head().Clock {
		r.tx.SetClock(r.clock.Last)
	}
	if err := r.tx.Commit(); err != nil {
		return r.fail(in, err)
	}
	if r.tx.Unkept() {
		r.tellUnkept()
	}
	if n := r.tx.Dropped(); n > 0 {
		r.emit(Alarm{Code: AlarmUnkept, Text: fmt.Sprintf("%d values are not in the history: too many large ones were replaced at once", n)})
	}
	return r.out, nil
}

// tellUnkept says of all that the Step wrote, deletes alone, that history lacks what they deleted.
func (r *Replica) tellUnkept() {
	for _, o := range r.out {
		if rep, ok := o.(Reply); ok {
			for i := range rep.Results {
				rep.Results[i].Unkept = true
			}
		}
	}
	r.emit(Alarm{Code: AlarmUnkept, Text: "the disk is full: what was deleted is not in the history"})
}

// trim bounds the remembered deletes. While the record of one is damaged, those that its replica made later, or all, are not forgotten either: the
// bound may be exceeded until it is repaired. It is looked at now and then, for that costs a pass over all of them.
func (r *Replica) trim() error {
	if r.now.Mono < r.trimAt {
		return nil
	}
	err := crdt.Trim(r.tx, r.cfg.DeleteLog)
	if r.damaged(err) {
		err = nil // it was met before anything was forgotten
	}
	if err == nil && r.tx.DeleteCount() > r.cfg.DeleteLog {
		r.trimAt = r.now.Mono + r.cfg.AntiEntropy
	}
	return err
}

// Wake returns when Step should be called next, at the latest, with a Tick.
func (r *Replica) Wake() (time.Duration, bool) {
	at, ok := r.schedule.Wake()
	if deadline, any := r.sessionDeadline(); any && (!ok || deadline < at) {
		at, ok = deadline, true
	}
	if due, any := r.mergeWake(); any && (!ok || due < at) {
		return due, true
	}
	return at, ok
}

// Shown returns what a plain read of the register at path shows under the policies that the replica has seen, and whether one of them
// settles what competes there. It reports false if nothing is live.
func (r *Replica) Shown(path string, reg crdt.Register) (v crdt.Value, settled, ok bool) {
	if view, ok, _ := r.rules.viewOf(path, reg); ok {
		return view.value, true, true
	}
	v, ok = reg.Shown()
	return v, false, ok
}

// HeldBack returns the number of operations from gossip that wait for what comes before them.
func (r *Replica) HeldBack() int { return r.delivery.Len() }

// fail undoes a Step.
func (r *Replica) fail(in []Input, err error) ([]Output, error) {
	r.tx.Discard()
	var closes []Output // of sessions that are dropped already, and that nobody else would close
	for _, o := range r.out {
		switch o := o.(type) {
		case Merge:
			delete(r.running, o) // nobody hears of it
		case CloseSession:
			closes = append(closes, CloseSession{ID: o.ID, Reset: true})
		}
	}
	r.out = closes
	damage := r.damaged(err) // of a path: the repair itself is not in question
	for _, i := range in {
		switch i := i.(type) {
		case Write:
			p := storeProblem(err)
			if errors.Is(p, ErrDiskFull) && p.Retryable && i.mixed() {
				p = p.Next("Nothing was written and nothing was lost. It would delete and write in one transaction: delete alone first, which is done on a full disk, too. Or free some space.")
			}
			r.emit(Reply{Tag: i.Tag, Err: p})
		case Repair:
			r.emit(Reply{Tag: i.Tag, Err: storeProblem(err), Busy: damage})
		case Merged:
			delete(r.running, i.Merge) // its function has ended, whatever becomes of the result
			r.mergesAt = r.now.Mono + r.cfg.AntiEntropy
		}
	}
	for _, x := range append(r.answered, r.repairs...) { // an answer of this step was not heard
		if !slices.ContainsFunc(in, func(i Input) bool { y, ok := i.(Repair); return ok && y.Tag == x.Tag }) {
			r.emit(Reply{Tag: x.Tag, Err: storeProblem(err), Busy: damage})
		}
	}
	r.repairs = nil
	for _, id := range r.sessionIDs() {
		r.peers[r.sessions[id].peer].stuck = true // the next would fail, too, as long as the store does
		r.emit(CloseSession{ID: id, Reset: true})
		r.dropSession(id, gossip.RetryDelay)
	}
	r.delivery = gossip.Delivery{}
	r.reload()
	r.opened = r.openedBefore
	return r.out, err
}

func (r *Replica) emit(o Output) {
	if r.out == nil {
		r.out = make([]Output, 0, 4) // as many as most steps have
	}
	r.out = append(r.out, o)
}

func (r *Replica) alarm(code string, peer gossip.DeviceID, format string, args ...any) {
	r.raised++
	r.emit(Alarm{Code: code, Peer: peer, Text: fmt.Sprintf(format, args...)})
}

// unreadable reports whether err says that the disk has damaged a record, or the file that it lies in.
func unreadable(err error) bool {
	if err == nil {
		return false
	}
	record, file := new(store.CorruptError), new(store.FileDamage)
	return errors.As(err, &record) || errors.As(err, &file)
}

// damaged reports whether err says that a record of a path does not decode, and raises the alarm if so.
func (r *Replica) damaged(err error) bool {
	if err == nil {
		return false // without an allocation: every step asks
	}
	var corrupt *store.CorruptError
	if !errors.As(err, &corrupt) || corrupt.Path == "" {
		return false
	}
	r.torn[corrupt.Path] = true
	r.emit(Alarm{Code: AlarmCorrupt, Path: corrupt.Path, Text: corrupt.Error()})
	return true
}

// apply dispatches one input. An error is one of the store.
func (r *Replica) apply(in Input) error {
	switch in := in.(type) {
	case Write:
		return r.write(in)
	case Ops:
		return r.receive(in)
	case PeerUp:
		return r.peerUp(in.Peer)
	case PeerDown:
		r.peerDown(in.Peer)
	case Lost:
		r.lost(in.Peer)
	case SyncNow:
		r.syncNow(in.Peer)
	case SessionIn:
		r.sessionIn(in)
	case SessionMsg:
		return r.sessionMsg(in)
	case SessionReady:
		if s := r.sessions[in.ID]; s != nil {
			s.sending = false
			r.pump(in.ID)
		}
	case SessionEnd:
		r.sessionEnd(in)
	case Repair:
		return r.repair(in)
	case MergeNames:
		r.mergeNames(in)
	case Merged:
		return r.merged(in)
	case Tick:
		r.expireSessions()
	default:
		panic(fmt.Sprintf("node: unknown input %T", in))
	}
	return nil
}

// changed reports what effects did, and follows the clocks of their writers.
func (r *Replica) changed(effects []crdt.Effect, remote bool) error {
	if len(effects) == 0 {
		return nil
	}
	c := Changed{Remote: remote, Conflicts: crdt.Conflicts(effects)}
	for _, e := range effects {
		c.Paths = append(c.Paths, e.Path)
	}
	if rules := r.rules.with(effects); rules != r.rules {
		r.rules = rules
		r.rescanMerges()
	}
	r.emit(c)
	for _, e := range effects {
		if err := r.lookMerge(e.Path, e.After); err != nil {
			return err
		}
	}
	return nil
}

// follow adopts the time of a remote operation, unless its device's clock is far ahead, which is reported once.
func (r *Replica) follow(t crdt.Timestamp, d gossip.DeviceID) {
	if r.clock.Observe(t, r.now.Wall) || r.suspect[d] {
		return
	}
	r.suspect[d] = true
	ahead := time.Duration(t.WallMillis()-r.now.Wall) * time.Millisecond
	r.alarm(AlarmClock, d, "the clock of device %s is %v ahead of ours", d.Short(), ahead.Round(time.Second))
}

// deviceOf returns the device that a replica is bound to; it reports false if no binding is known, or the record of it is damaged.
func (r *Replica) deviceOf(id crdt.ReplicaID) (gossip.DeviceID, bool, error) {
	if d, ok := r.devices[id]; ok {
		return d, true, nil
	}
	open, err := sessionView{r.tx, r}.Open(id)
	if corrupt := new(store.CorruptError); errors.As(err, &corrupt) {
		return gossip.DeviceID{}, false, nil
	} else if err != nil || open == nil {
		return gossip.DeviceID{}, false, err
	}
	b, err := readBinding(id, open)
	if err != nil {
		return gossip.DeviceID{}, false, err
	}
	r.devices[id] = b.Device
	return b.Device, true, nil
}
