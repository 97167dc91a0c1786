package des

import (
	"context"
	"crypto/ed25519"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"github.com/ipfs/go-datastore"

	"syncline/crdt"
	"syncline/gossip"
	"syncline/node"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
	"syncline/store"
	"syncline/store/mem"
)

// A device is one simulated machine.
type device struct {
	w      *world
	index  int
	key    ed25519.PrivateKey
	id     gossip.DeviceID
	skew   int64
	disk   *disk
	token  *store.MemoryToken
	backup *disk
	full   bool // the disk
	// pairs are those that the device belongs to, in the order of the other device.
	pairs []*pair

	// What follows lives from one start to the next stop. life tells one such time from another.
	up      bool
	life    int
	store   *store.Store
	replica *node.Replica
	wakeAt  time.Duration
	streams map[node.SessionID]*end
	lastIn  node.SessionID
	seen    map[uint64]bool // the gossip that came by, which is not handed on twice
	inbox   inbox
	frame   [][]byte      // operations that wait to be sent as one frame
	waiting []node.Output // outputs that wait for a sync which has not begun
	syncing bool
	attempt map[uint64]*oracle.Attempt // by tag
	tag     uint64
	// repairing says that a repair is under way; repairs holds, by tag, the peers that are asked next.
	repairing bool
	repairs   map[uint64][]gossip.DeviceID
	merging   map[string]bool // the paths at which a program is about to settle a conflict
}

// A disk is a datastore that knows how much of it is durable while a sync is under way.
type disk struct {
	*mem.Datastore
	// durable is the number of batches that finished syncs cover; epoch changes when the numbering does.
	durable, epoch int
	// covers is what the sync that ends now covers: the batches before a mark, or everything if it is negative.
	covers int
	fails  failure
}

// A failure is what is wrong with the syncs of a disk. One that failed to write says so once: the operating system then takes what it
// could not write for written, and confirms every later sync (Rebello and others, "Can Applications Recover from fsync Failures?",
// USENIX ATC 2020).
type failure int

const (
	works failure = iota
	fails         // at the next sync
	lies
)

func newDisk(ds *mem.Datastore) *disk {
	return &disk{Datastore: ds, covers: -1}
}

// written returns the number of batches that were written.
func (d *disk) written() int { return d.durable + d.Unsynced() }

// settle makes the batches before mark durable.
func (d *disk) settle(mark int) {
	if mark > d.durable {
		d.Settle(mark - d.durable)
		d.durable = mark
	}
}

// Sync makes everything durable at once, but for the sync that a device has waited for: what was written since it began is not.
func (d *disk) Sync(ctx context.Context, key datastore.Key) error {
	switch {
	case d.fails == fails:
		d.fails = lies
		return syscall.EIO
	case d.fails == lies:
		return nil
	case d.covers >= 0:
		d.settle(d.covers)
		return nil
	}
	if err := d.Datastore.Sync(ctx, key); err != nil {
		return err
	}
	d.durable = 0
	d.epoch++
	return nil
}

func (w *world) addDevice(i int) {
	d := &device{w: w, index: i, key: keyOf(i), skew: w.s.Devices[i].Skew, disk: newDisk(mem.New()), token: &store.MemoryToken{}}
	d.id = gossip.DeviceID(d.key.Public().(ed25519.PublicKey))
	w.devices = append(w.devices, d)
	w.byID[d.id] = d
}

// join starts a device for the first time, empty or with a copy of another's data.
func (w *world) join(op *scenario.Op) {
	d := w.devices[op.Device]
	if d.life > 0 {
		return
	}
	how := oracle.FirstStart
	if op.Do == scenario.DoClone {
		d.disk = newDisk(w.devices[op.Of].disk.Clone())
		how = oracle.AsClone
		w.oracle.Sometimes("clone")
		d.tellDamage()
	}
	d.start(how)
}

func (d *device) datastore() datastore.Batching {
	if tap := d.w.taps.Datastore; tap != nil {
		return tap(d.index, d.disk)
	}
	return d.disk
}

func (d *device) bootToken() store.BootToken {
	if tap := d.w.taps.Token; tap != nil {
		return tap(d.index, d.disk.Datastore, d.token)
	}
	return d.token
}

// start opens the store and runs a replica on it.
func (d *device) start(how oracle.Start) {
	w := d.w
	if d.up {
		return
	}
	d.life++
	source := rand.NewPCG(w.s.Seed, uint64(d.index)<<32|uint64(d.life))
	st, err := store.Open(context.Background(), d.datastore(), store.Options{Token: d.bootToken(), Random: reader{rand.New(source)}, CacheBytes: w.cacheBytes()})
	if err != nil {
		w.oracle.Fail(oracle.Available, d.index, "open: %v", err)
		w.done = true
		return
	}
	d.up, d.store, d.wakeAt = true, st, -1
	d.streams, d.seen, d.attempt = map[node.SessionID]*end{}, map[uint64]bool{}, map[uint64]*oracle.Attempt{}
	d.lastIn, d.inbox, d.frame, d.waiting, d.syncing = 1<<63, inbox{}, nil, nil, false
	d.merging = map[string]bool{}
	d.repairing, d.repairs = false, map[uint64][]gossip.DeviceID{}
	if _, ok := st.Incarnation(); ok {
		w.oracle.Sometimes("replica id continued")
	}
	d.replica = node.NewReplica(node.ReplicaConfig{Store: st, Space: w.space, Key: d.key, Rand: source, AntiEntropy: w.s.Period(d.index), NoGossip: !d.gossips(),
		DeleteLog: w.s.DeleteLog, Limits: w.limits(), RowsMemory: w.s.AnswerMemory, Symbols: w.symbols(d), Sign: w.signatures.sign, Verify: w.signatures.verify})
	w.tell("device %d starts, having seen %v", d.index, st.Context().Len())
	w.fold(uint64(d.index)<<8 | uint64(how))
	w.oracle.Started(d.index, how, st)
	w.history.started(d, how)
	d.step(PhaseStart, node.Tick{})
	if w.s.HasFunctions(d.index) {
		d.step(PhaseOther, node.MergeNames{Names: scenario.Functions})
	}
	d.notice(w.s.Paths)
	w.dialAll(d)
}

// symbols returns the size of a device's first sketches. Two thirds of the devices of each scenario begin with so few that what is sketched for
// 10,000 elements elsewhere is sketched for three or six here.
func (w *world) symbols(d *device) int { return int((w.s.Seed + uint64(d.index)) % 3) }

// limits are those of answers. A cut answer is made from names or by walking the paths, as it is with large ones.
func (w *world) limits() crdt.Limits {
	if w.s.AnswerRows == 0 {
		return crdt.Limits{}
	}
	return crdt.Limits{Rows: w.s.AnswerRows, Bytes: 1 << 20, Names: 4 * w.s.AnswerRows}
}

func (d *device) gossips() bool { return d.w.s.Gossips(d.index) }

// reader makes bytes of random numbers.
type reader struct{ *rand.Rand }

func (r reader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return len(p), nil
}

// stop ends everything that lives in memory.
func (d *device) stop() {
	d.up = false
	d.life++
	d.w.oracle.Stopped(d.index)
	d.w.dropAll(d)
	d.store, d.replica, d.streams, d.waiting = nil, nil, nil, nil
}

// crash takes the power away: what was not durable is lost but for a share of it.
func (d *device) crash(share int64) {
	unsynced := d.disk.Unsynced()
	keep := int(int64(unsynced) * share / 1000)
	if unsynced > 0 {
		d.w.oracle.Sometimes("crash before the sync")
	}
	if keep < unsynced {
		d.w.oracle.Sometimes("crash that loses something")
	}
	d.w.tell("device %d loses power; %d of %d batches were durable, %d survive", d.index, d.disk.durable, d.disk.written(), d.disk.durable+keep)
	d.stop()
	if tap := d.w.taps.Crash; tap != nil {
		tap(d.index, d.disk.Datastore, keep)
	} else {
		d.disk.Crash(keep)
	}
	d.tellDamage()
	d.disk.durable = 0
	d.disk.epoch++
	d.works()
	d.token.Remove()
}

// works says that the disk is in order again.
func (d *device) works() {
	if d.disk.fails == lies {
		d.w.oracle.Sometimes("sync that failed")
	}
	d.disk.fails = works
	d.tellDisk()
}

// close ends the program in order.
func (d *device) close() (clean bool) {
	err := d.store.Close(context.Background(), true)
	d.stop()
	return err == nil
}

// stepFor feeds inputs to the replica and arranges what it wants done. a is the write among them, nil if there is none.
func (d *device) stepFor(how Phase, a *oracle.Attempt, in ...node.Input) {
	w := d.w
	if tap := w.taps.Input; tap != nil {
		for i := range in {
			in[i] = tap(d.index, in[i])
		}
		if in = slices.DeleteFunc(in, func(i node.Input) bool { return i == nil }); len(in) == 0 {
			return
		}
	}
	now := node.Time{Wall: d.wall(), Mono: w.now}
	if tap := w.taps.Wall; tap != nil {
		now.Wall = tap(d.index, now.Wall)
	}
	damaged := len(d.disk.Damaged())
	out, err := d.replica.Step(now, in...)
	if tap := w.taps.Output; tap != nil {
		out = tap(d.index, how, out)
	}
	if err != nil {
		w.oracle.StepFailed(d.index, err)
		w.tell("device %d: %T failed: %v", d.index, in[0], err)
		if len(in) > 1 {
			out = withoutAnswers(out, in)
		}
	}
	w.fold(uint64(d.index)<<16 | uint64(len(out)))
	if how != PhaseOther || len(out) > 0 {
		w.oracle.Stepped(d.index, out, a, how == PhaseGossip)
	}
	d.judgeAlarms(out) // by what was damaged when the step began: its last input may have mended what the first met
	if damaged != len(d.disk.Damaged()) {
		d.tellDamage()
	}
	if w.trace != nil {
		d.tellStep(in, out)
	}
	if how == PhaseSession && !d.gossips() && len(oracle.ChangesIn(out)) > 0 {
		w.oracle.Sometimes("poll that brings something")
	}
	w.history.stepped(d, out)
	for _, o := range out {
		d.perform(o)
	}
	d.flush()
	d.arrangeWake()
	if err != nil && len(in) > 1 {
		d.again(in)
	}
}

// wall is what the device's clock shows, in milliseconds since 1970.
func (d *device) wall() int64 { return wallStart + d.w.now.Milliseconds() + d.skew }

// arrangeWake makes sure that the replica is asked again when it wants to be.
func (d *device) arrangeWake() {
	at, ok := d.replica.Wake()
	if !ok || d.wakeAt >= 0 && d.wakeAt <= at {
		return
	}
	d.wakeAt = max(at, d.w.now+100*time.Microsecond)
	life, due := d.life, d.wakeAt
	d.w.queue.push(due, func() {
		if d.life == life && d.wakeAt == due {
			d.wakeAt = -1
			d.step(PhaseOther, node.Tick{})
		}
	})
}

// judgeAlarms lets the oracle judge what a step says is wrong.
func (d *device) judgeAlarms(out []node.Output) {
	for _, o := range out {
		if a, ok := o.(node.Alarm); ok {
			peer := -1
			if other := d.w.byID[a.Peer]; other != nil {
				peer = other.index
			}
			d.w.oracle.Alarm(d.index, peer, a)
		}
	}
}

// perform carries an output out, or puts it with those that wait for the sync.
func (d *device) perform(out node.Output) {
	w := d.w
	switch o := out.(type) {
	case node.Publish:
		w.publish(d, o.Op)
	case node.OpenSession:
		w.open(d, o)
	case node.Synced:
		d.synced(o)
	case node.Changed:
		w.oracle.CheckShown(d.index, o.Paths, d.shown)
		d.notice(o.Paths)
	case node.Merge:
		d.call(o)
	case node.MergeFailed:
		w.oracle.Sometimes("merge given up")
	case node.Reply:
		if o.Err != nil {
			d.reply(o)
		} else {
			d.wait(o)
		}
	case node.CloseSession:
		if o.Reset {
			d.reset(o.ID)
		} else {
			d.wait(o)
		}
	default:
		d.wait(out)
	}
}

func (d *device) wait(out node.Output) {
	if tap := d.w.taps.Early; tap != nil && tap(d.index, out) {
		d.release(out)
		return
	}
	d.waiting = append(d.waiting, out)
}

// flush begins a sync for the outputs that wait, or lets them go if there is nothing to sync.
func (d *device) flush() {
	if d.syncing || len(d.waiting) == 0 {
		return
	}
	batch := d.waiting
	d.waiting = nil
	mark, epoch := d.disk.written(), d.disk.epoch
	if mark == d.disk.durable && d.disk.fails == works {
		d.releaseAll(batch, nil)
		return
	}
	d.syncing = true
	life, durable := d.life, d.w.oracle.Durable(d.index)
	f := d.w.fate(fateSync, d.index, 0, uint64(mark))
	d.w.after(f.between(d.w.s.Network.SyncMin, d.w.s.Network.SyncMax), func() {
		if d.life != life {
			return
		}
		d.syncing = false
		err := d.sync(mark, epoch)
		if err == nil {
			durable()
		}
		d.releaseAll(batch, err)
		if d.life == life {
			d.flush()
		}
	})
}

// sync ends the sync of the store that covers the unsynced batches before mark, counted in epoch: what came before epoch is durable.
func (d *device) sync(mark, epoch int) error {
	if d.disk.epoch != epoch {
		mark = 0
	}
	d.disk.covers = mark
	err := d.store.Sync(context.Background())
	d.disk.covers = -1
	return err
}

// releaseAll carries out outputs after their sync, or, if that failed with err, tells all who wait for it.
func (d *device) releaseAll(batch []node.Output, err error) {
	life := d.life
	for _, out := range batch {
		switch {
		case d.life != life:
			return
		case err != nil:
			d.abandon(out, err)
		default:
			d.release(out)
		}
	}
}

// abandon is release after a sync that failed, as the node does it.
func (d *device) abandon(out node.Output, err error) {
	switch o := out.(type) {
	case node.Reply:
		o.Err = node.ErrStore.Because(err)
		d.reply(o)
	case node.Send:
		d.breakOne(o.ID)
	case node.CloseSession:
		d.finish(o.ID)
	}
}

// release carries out what waited.
func (d *device) release(out node.Output) {
	switch o := out.(type) {
	case node.Reply:
		d.reply(o)
	case node.Send:
		d.send(o)
	case node.CloseSession:
		d.finish(o.ID)
	}
}

func (d *device) reply(r node.Reply) {
	if _, ok := d.repairs[r.Tag]; ok {
		d.repaired(r)
		return
	}
	a := d.attempt[r.Tag]
	delete(d.attempt, r.Tag)
	d.w.history.refused(a, r.Err)
	d.w.oracle.Replied(d.index, a, r.Err)
}

// synced hands the oracle what a session found out.
func (d *device) synced(o node.Synced) {
	for what, n := range map[string]int{"sketch of a vector": o.Result.VectorSketches, "sketch of live values": o.Result.LiveSketches,
		"sketch that did not suffice": o.Result.UnreadSketches} {
		if n > 0 {
			d.w.oracle.Sometimes(what)
		}
	}
	peer := d.w.byID[o.Peer]
	d.w.oracle.Held(d.index, peer.index, o.Result.Held)
	d.w.oracle.LeftOut(d.index, o.Result.Left)
	switch {
	case o.Result.Busy:
		d.w.oracle.Sometimes("session refused for another")
	case o.Result.Equal:
		d.w.oracle.Sometimes("session between equals")
	default:
		d.w.oracle.Sometimes("session")
	}
}

// write asks the replica for a transaction.
func (d *device) write(parts []scenario.Part) {
	d.takeIn()
	a := d.w.oracle.Attempt(d.index, parts, d.wall())
	if a == nil {
		return
	}
	d.tag++
	d.attempt[d.tag] = a
	if d.sessions() > 0 {
		d.w.oracle.Sometimes("write during a session")
	}
	if !d.gossips() {
		d.w.oracle.Sometimes("write that waits for a poll")
	}
	d.w.history.write(a)
	d.stepFor(PhaseWrite, a, node.Write{Tag: d.tag, Ops: a.Ops})
}

func (d *device) sessions() int { return len(d.streams) }

// read shows a path to a person.
func (d *device) read(path string) {
	reg, err := d.store.Get(path)
	if err != nil {
		d.w.oracle.Unread(d.index, path, err)
		return
	}
	live := reg.Live
	if tap := d.w.taps.Read; tap != nil {
		live = tap(d.index, path, live)
	}
	d.w.oracle.Read(d.index, path, live)
	d.w.history.read(d, path, live)
	if shown, settled, ok := d.shown(path, crdt.Register{Live: live}); ok {
		d.w.oracle.Shown(d.index, path, live, shown, settled)
	}
}

// shown is what a plain read shows.
func (d *device) shown(path string, reg crdt.Register) (v crdt.Value, settled, ok bool) {
	v, settled, ok = d.replica.Shown(path, reg)
	if tap := d.w.taps.Shown; ok && tap != nil {
		v, settled = tap(d.index, path, reg.Live, v, settled)
	}
	return v, settled, ok
}

// policy lets somebody set a policy.
func (d *device) policy(op *scenario.Op) {
	d.takeIn()
	a := d.w.oracle.Policy(d.index, op.Path, op.Policy, d.wall())
	if a == nil {
		return
	}
	d.tag++
	d.attempt[d.tag] = a
	d.stepFor(PhaseWrite, a, node.Write{Tag: d.tag, Ops: a.Ops})
}
