package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-datastore"

	"syncline/crdt"
	"syncline/gossip"
	"syncline/store"
)

// A Space is one shared state and its members, as this device holds it. All methods are safe for concurrent use. Reads and
// writes are answered by this device alone, at once.
//
// What waits (writes, [Space.Watch], [Space.WaitSync]) and what goes through many entries ends when its context does; what reads one
// entry is over at once and does not look at it. Bytes and slices that are returned belong to the caller, but for the Data of values,
// which is shared with others who read: copy it before changing it. Bytes that are given are not to be changed afterwards.
//
// After [Node.Close] every method returns [ErrClosed]. [Node.Join] may end the handle of the space that was the default, and a disk that
// failed and works again ends that of a space whose store is opened anew: it then returns [ErrSpaceLeft]; ask [Node.Space] for the one that
// took its place.
type Space struct {
	node    *Node
	id      gossip.SpaceID
	key     [32]byte
	genesis []byte
	dir     string      // "" in memory
	rec     spaceRecord // what is on disk of it; the node's entering guards it
	log     *slog.Logger

	ds      datastore.Batching
	store   *store.Store
	replica *Replica // owned by the loop
	loop    *loop

	closing  sync.Once
	closeErr error
	over     atomic.Pointer[Problem] // why it answers no more, nil if that is because the node ends

	roster    atomic.Pointer[roster]
	repairing chan struct{} // holds one while a repair is under way

	devices sync.Map // crdt.ReplicaID → gossip.DeviceID
	rules   atomic.Pointer[ruleBook]
	settled settled // owned by the loop, but for its count

	// mu guards the fields below; it is never held while anything else is waited for or locked.
	mu         sync.Mutex
	name       string
	changed    chan struct{} // closed and replaced when something changes
	held       map[gossip.DeviceID]crdt.Vector
	skew       map[gossip.DeviceID]time.Duration
	up         map[gossip.DeviceID]bool
	unheard    map[gossip.DeviceID]bool // those of up that have not told yet what they hold, which may be less than before
	warnings   map[string]Warning
	alarms     map[string]int
	datastores map[*Datastore]struct{}
	readings   map[*reading]struct{}
	failures   map[string]mergeFailure // by path
	healing    healing
	closed     bool // no datastore can be opened any more, and no reading begun
}

// openSpace opens a space whose datastore is given, and starts its loop.
func openSpace(n *Node, rec spaceRecord, dir string, ds datastore.Batching, token store.BootToken) (*Space, error) {
	id, key, gen, err := rec.parse()
	if err != nil {
		return nil, ErrStore.With("space %s: %v", rec.Name, err)
	}
	s := &Space{node: n, id: id, key: key, genesis: gen, dir: dir, rec: rec, ds: ds, name: rec.Name, log: n.log.With("space", rec.Name),
		changed: make(chan struct{}), held: map[gossip.DeviceID]crdt.Vector{}, skew: map[gossip.DeviceID]time.Duration{},
		up: map[gossip.DeviceID]bool{}, unheard: map[gossip.DeviceID]bool{}, warnings: map[string]Warning{}, alarms: map[string]int{}, datastores: map[*Datastore]struct{}{}, readings: map[*reading]struct{}{},
		failures: map[string]mergeFailure{}, repairing: make(chan struct{}, 1)}
	if s.store, err = store.Open(context.Background(), ds, store.Options{Token: token, Random: n.cfg.Rand, CacheBytes: n.cacheBytes(dir),
		History: store.HistoryBounds{Versions: n.cfg.HistoryVersions, Age: n.cfg.HistoryAge}}); err != nil {
		return nil, openProblem(err)
	}
	var seed [32]byte
	if _, err := io.ReadFull(n.cfg.Rand, seed[:]); err != nil {
		return nil, err
	}
	s.replica = NewReplica(ReplicaConfig{Store: s.store, Space: id, Key: n.key, Rand: rand.NewChaCha8(seed),
		AntiEntropy: n.cfg.AntiEntropy, NoGossip: n.cfg.NoGossip, DeleteLog: n.cfg.DeleteLog, Limits: n.cfg.Limits,
		RowsMemory: n.cfg.RowsMemory})
	for rec, err := range s.store.Metas(heldPrefix) { // hints, made anew by the next session
		if unreadable(err) {
			continue
		} else if err != nil {
			return nil, openProblem(err)
		}
		if d, err := gossip.ParseDeviceID(rec.Key[len(heldPrefix):]); err == nil {
			s.held[d], _ = crdt.DecodeVector(rec.Data)
		}
	}
	ro, err := s.loadRoster()
	if err != nil {
		return nil, openProblem(err)
	}
	s.roster.Store(ro)
	if err := s.loadRules(); unreadable(err) {
		s.log.Warn("what the policies settle cannot be told", "err", err)
	} else if err != nil {
		return nil, openProblem(err)
	}
	s.loop = startLoop(s)
	if err := s.store.Failed(); err != nil { // the disk was full
		s.storeFailed(err)
	}
	return s, s.tellMerges()
}

// foundSpace returns the record of a new space.
func foundSpace(key ed25519.PrivateKey, name string, random io.Reader, now time.Time) (spaceRecord, error) {
	g := genesis{Version: 1, Device: gossip.DeviceID(key.Public().(ed25519.PublicKey)), Name: name}
	secret := make([]byte, 32)
	if _, err := io.ReadFull(random, g.Nonce[:]); err != nil {
		return spaceRecord{}, err
	}
	if _, err := io.ReadFull(random, secret); err != nil {
		return spaceRecord{}, err
	}
	b := crdt.Marshal(&g)
	return spaceRecord{ID: spaceIDOf(b).String(), Name: name, Key: fmt.Sprintf("%x", secret), Genesis: fmt.Sprintf("%x", b), Joined: now.UTC()}, nil
}

// cacheBytes returns the size of the store's cache: none where the datastore is in memory, or the program's own.
func (n *Node) cacheBytes(dir string) int {
	if n.cfg.Backend != nil || dir == "" {
		return 0
	}
	return store.CacheBytes
}

// found writes the first records of a new space: how it was founded, and this device as its first member.
func (s *Space) found(ctx context.Context) error {
	me := newMember(s.node.id, s.node.name, s.node.id, s.node.cfg.Clock())
	_, err := s.write(ctx, Write{Ops: []WriteOp{
		{Path: genesisPath, Content: Bytes(s.genesis), All: true},
		me.op(),
	}})
	return err
}

// unfounded reports whether this device founded the space and did not get as far as writing it down.
func (s *Space) unfounded() bool {
	var g genesis
	return crdt.Unmarshal(s.genesis, &g) == nil && g.Device == s.node.id && len(s.roster.Load().members) == 0
}

// close ends the datastores, stops the loop and closes the store. Later calls return what the first did.
func (s *Space) close() error {
	s.closing.Do(func() { s.closeErr = s.shut() })
	return s.closeErr
}

func (s *Space) shut() error {
	for _, d := range s.openDatastores(true) {
		d.Close()
	}
	s.endReadings()
	s.loop.stop()
	err := s.store.Close(context.Background(), true)
	if e := s.ds.Close(); err == nil {
		err = e
	}
	if err != nil {
		return storeProblem(err)
	}
	return nil
}

// gone says why the space answers no more.
func (s *Space) gone() *Problem {
	if p := s.over.Load(); p != nil {
		return p
	}
	return ErrClosed
}

// problem turns an error of the space's store into what people are told. What fails while the space ends, or after that, fails for that
// reason.
func (s *Space) problem(err error) *Problem {
	if errors.Is(err, store.ErrClosed) || s.ended() != nil {
		return s.gone()
	}
	return storeProblem(err)
}

// ended returns why the space answers no more, nil while it does.
func (s *Space) ended() error {
	select {
	case <-s.loop.quit:
		return s.gone()
	default:
		return nil
	}
}

// Info names the space.
func (s *Space) Info() SpaceInfo {
	s.mu.Lock()
	name := s.name
	s.mu.Unlock()
	return SpaceInfo{ID: s.id, Name: name, Default: s.node.isDefault(s.id)}
}

// access is what the network must know of the space.
func (s *Space) access() gossip.Access {
	return gossip.Access{Space: s.id, Key: s.key, Members: s.roster.Load().ids(), NoGossip: s.node.cfg.NoGossip}
}

// pulse returns a channel that is closed at the next change of anything: entries, peers, sessions, invites.
func (s *Space) pulse() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// touch lets everybody who waits look again. edit, if any, runs under the lock.
func (s *Space) touch(edit func()) {
	s.mu.Lock()
	if edit != nil {
		edit()
	}
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
}

// warn keeps something that a person should look at, until it is put right.
func (s *Space) warn(key string, w Warning) {
	s.touch(func() { s.warnings[key] = w })
}

// deviceOf returns the device that a replica is bound to, zero if it is not known.
func (s *Space) deviceOf(r crdt.ReplicaID) gossip.DeviceID {
	if d, ok := s.devices.Load(r); ok {
		return d.(gossip.DeviceID)
	}
	var device gossip.DeviceID
	known := false
	s.loop.read(context.Background(), func(tx *store.Tx) (err error) {
		open, err := tx.Open(r)
		if err == nil && open != nil {
			var b binding
			b, err = readBinding(r, open)
			device, known = b.Device, err == nil
		}
		return err
	})
	if known {
		s.devices.Store(r, device)
	}
	return device
}

func (s *Space) refOf(r crdt.ReplicaID) DeviceRef { return s.roster.Load().ref(s.deviceOf(r)) }

// entry turns a register with live values into what people and programs read.
func (s *Space) entry(path string, reg crdt.Register) Entry {
	rules := s.rules.Load()
	e := Entry{Path: path, Version: rules.version(path, reg), Kind: reg.Kind(), Conflict: reg.Contending(), Overruled: reg.Overruled()}
	shown, _ := reg.Shown()
	view, settled, reason := rules.viewOf(path, reg)
	if settled {
		shown = view.value
	}
	for _, v := range reg.Newest() {
		e.Values = append(e.Values, s.value(v, v.Dot == shown.Dot && !view.made))
	}
	if e.Conflict > 0 {
		e.Policy, e.PolicyReason = rules.policy(path), reason
		if reason == "" {
			e.PolicyReason = s.mergeReason(e)
		}
	}
	if settled {
		e.Settled, e.Conflict = e.Conflict, 0
		of := s.value(shown, true)
		if view.made {
			of.ID = ""
		}
		e.View = &of
	}
	return e
}

func (s *Space) value(v crdt.Value, shown bool) Value {
	return Value{ID: ValueID(v.Dot), Content: Content{Data: v.Data, Type: v.Type},
		Device: s.refOf(v.Dot.Replica), Time: v.Time.Time(), Shown: shown, WonOverDelete: v.Won}
}

// pending returns the members that are not known to hold all of a register.
func (s *Space) pending(reg crdt.Register) []DeviceRef {
	ro := s.roster.Load()
	var out []DeviceRef
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range ro.ids() {
		if d == s.node.id {
			continue
		}
		held := s.held[d]
		for _, v := range reg.Live {
			if !held.Has(v.Dot) {
				out = append(out, ro.ref(d))
				break
			}
		}
	}
	return out
}

// mayRead refuses what is no path of users, and a space that has ended.
func (s *Space) mayRead(path string) error {
	if err := checkUserPath(path); err != nil {
		return err
	}
	return s.ended()
}

// Get returns the entry at path, or [ErrNotFound].
func (s *Space) Get(ctx context.Context, path string) (Entry, error) {
	if err := s.mayRead(path); err != nil {
		return Entry{}, err
	}
	reg, err := s.store.Get(path)
	if err != nil {
		return Entry{}, s.problem(err)
	}
	if len(reg.Live) == 0 {
		return Entry{}, s.notFound(path, reg)
	}
	e := s.entry(path, reg)
	e.Pending = s.pending(reg)
	return e, nil
}

// notFound says that nothing is here, and who deleted it if that is remembered.
func (s *Space) notFound(path string, reg crdt.Register) *Problem {
	p := ErrNotFound.With("%s does not exist here", path).On(path)
	if s.Filling(path).Ranges > 0 {
		p = p.Next("This device still receives what others have; it may come.  peer status")
	}
	if n := len(reg.Deletes); n > 0 {
		last := reg.Deletes[0]
		for _, d := range reg.Deletes[1:] {
			if d.Time > last.Time {
				last = d
			}
		}
		p = ErrNotFound.With("%s was deleted by %s at %s", path, s.refOf(last.Dot.Replica).Name, last.Time.Time().Format(time.RFC3339)).On(path).
			Next("What it was:  peer history PATH      To bring it back:  peer restore PATH --version VERSION")
	}
	return p
}

func checkUserPath(path string) error {
	if err := crdt.CheckPath(path); err != nil {
		return ErrBadPath.With("%v", err).On(path)
	}
	return nil
}

// write hands a Write to the loop and waits for its reply.
func (s *Space) write(ctx context.Context, w Write) ([]WriteResult, error) {
	return s.loop.write(ctx, w)
}

func userOp(path string, opts []WriteOption) (WriteOp, error) {
	if err := checkUserPath(path); err != nil {
		return WriteOp{}, err
	}
	var o writeOptions
	for _, opt := range opts {
		if opt != nil {
			opt(&o)
		}
	}
	if o.err != nil {
		return WriteOp{}, o.err.On(path)
	}
	return WriteOp{Path: path, Kind: o.kind, IfVersion: o.ifVersion, IfAbsent: o.ifAbsent, All: o.all}, nil
}

// Put writes content at path. It replaces the value that a plain read shows; other values of an open Conflict stay, and so does
// the Conflict. It returns once the write is on disk, unless the node is relaxed.
//
// After an error nothing was written, with two exceptions, for every method that writes: if ctx ended first, the write may still
// happen; if the Problem says that the write could not be made durable, it is here and may be elsewhere, but may not survive a
// crash of this device, nor the opening of its store that follows when the disk works again.
func (s *Space) Put(ctx context.Context, path string, c Content, opts ...WriteOption) (WriteResult, error) {
	op, err := userOp(path, opts)
	if err != nil {
		return WriteResult{}, err
	}
	op.Content = c
	return first(s.write(ctx, Write{Ops: []WriteOp{op}}))
}

// Delete deletes the shown value at path, with [All] every value; Remaining in the result says how many are left. It returns
// [ErrNotFound] if nothing is there.
func (s *Space) Delete(ctx context.Context, path string, opts ...WriteOption) (WriteResult, error) {
	op, err := userOp(path, opts)
	if err != nil {
		return WriteResult{}, err
	}
	op.Delete = true
	return first(s.write(ctx, Write{Ops: []WriteOp{op}}))
}

func first(results []WriteResult, err error) (WriteResult, error) {
	if err != nil {
		return WriteResult{}, err
	}
	return results[0], nil
}

// A Tx collects the writes of one transaction. They are carried out together or not at all, and become visible at once on every
// device. A path may occur once. A Tx must not be used after the function it was given to has returned.
type Tx struct {
	ops []WriteOp
	err error
}

// Put adds a write to the transaction.
func (t *Tx) Put(path string, c Content, opts ...WriteOption) {
	t.add(path, opts, func(op *WriteOp) { op.Content = c })
}

// Delete adds a delete to the transaction.
func (t *Tx) Delete(path string, opts ...WriteOption) {
	t.add(path, opts, func(op *WriteOp) { op.Delete = true })
}

func (t *Tx) add(path string, opts []WriteOption, edit func(*WriteOp)) {
	op, err := userOp(path, opts)
	if err != nil && t.err == nil {
		p := *ProblemOf(err)
		p.Index = len(t.ops) + 1
		t.err = &p
	}
	edit(&op)
	if len(t.ops) == cap(t.ops) {
		t.ops = slices.Grow(t.ops, max(16, len(t.ops))) // append alone copies a large transaction many times
	}
	t.ops = append(t.ops, op)
}

// Tx carries out what f puts into the transaction, at most TxEntriesMax paths and TxBytesMax bytes. If f returns an error
// nothing is written and Tx returns it. The results are in the order of the writes. A transaction does not read: what f read before it
// wrote may have changed, unless the write says so by [IfVersion]. An error of one write has its number in [Problem].Index. A
// transaction without writes is refused with [ErrBadRequest].
func (s *Space) Tx(ctx context.Context, f func(*Tx) error) ([]WriteResult, error) {
	if f == nil {
		return nil, ErrBadRequest.With("a transaction needs a function that fills it")
	}
	var t Tx
	if err := f(&t); err != nil {
		return nil, err
	}
	if t.err != nil {
		return nil, t.err
	}
	return s.write(ctx, Write{Ops: t.ops})
}

// Deleted says what [Space.DeletePrefix] did.
type Deleted struct {
	// Entries counts what was deleted here; what somebody else deleted meanwhile is not counted.
	Entries int
	// Unkept is as that of a [WriteResult], true if it is so of any of them.
	Unkept bool
}

// DeletePrefix deletes every entry whose path begins with prefix, all of its values, in transactions of up to a thousand, or of about [TxBytesMax]. After an error
// it says what was deleted until then.
func (s *Space) DeletePrefix(ctx context.Context, prefix string) (Deleted, error) {
	var deleted Deleted
	var ops []WriteOp
	bytes := 0 // of what they delete, which goes into history
	flush := func() error {
		for len(ops) > 0 {
			results, err := s.write(ctx, Write{Ops: ops})
			if err == nil {
				deleted.Entries += len(ops)
				deleted.Unkept = deleted.Unkept || results[0].Unkept // one batch, which keeps all or nothing
				ops = nil
			} else if !errors.Is(err, ErrNotFound) {
				return err
			} else {
				gone := max(ProblemOf(err).Index, 1) - 1 // 0 in a transaction of one
				ops = slices.Delete(ops, gone, gone+1)
			}
		}
		return nil
	}
	for e, err := range s.List(ctx, prefix, ListOptions{}) {
		if err != nil {
			return deleted, err
		}
		ops = append(ops, WriteOp{Path: e.Path, Delete: true, All: true})
		for _, v := range e.Values {
			bytes += len(v.Data)
		}
		if len(ops) == 1000 || bytes >= TxBytesMax {
			if err := flush(); err != nil {
				return deleted, err
			}
			bytes = 0
		}
	}
	return deleted, flush()
}
