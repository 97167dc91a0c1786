package node

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"syncline/crdt"
	"syncline/gossip"
	"syncline/store"
)

// Bounds of a space's loop.
const (
	// inputsMax bounds the inputs that wait for the loop; gossip beyond it is dropped, everything else waits.
	inputsMax = 1024
	// gossipBytesMax bounds the bytes of gossip among them, messagesMax the messages of sessions, each of at most [gossip.MessageBytesMax]: of
	// these the next is not read from its stream before one was taken.
	gossipBytesMax = 16 << 20
	messagesMax    = 32
	// stepInputsMax and stepBytesMax bound the inputs of one Step, and so of one batch.
	stepInputsMax = 256
	stepBytesMax  = 8 << 20
)

// loop owns the replica of a space: it feeds it one Step after the other and carries out what they return. What waits for the
// disk is handed to a second goroutine, which shares one sync among all that wait.
type loop struct {
	space  *Space
	inputs chan Input
	// gossiped counts the bytes of gossip in inputs; messages holds one for each message of a session there.
	gossiped atomic.Int64
	messages chan struct{}

	calls chan func()
	quit  chan struct{}
	start time.Time
	ctx   context.Context // ends with quit, for what the loop has others do
	end   context.CancelFunc

	synced  *syncer
	streams *streams
	wg      sync.WaitGroup

	mu      sync.Mutex // guards replies, lastTag, closing
	replies map[uint64]chan Reply
	lastTag uint64
	closing bool
}

func startLoop(s *Space) *loop {
	l := &loop{space: s, inputs: make(chan Input, inputsMax), messages: make(chan struct{}, messagesMax), calls: make(chan func()), quit: make(chan struct{}),
		start: time.Now(), replies: map[uint64]chan Reply{}}
	l.ctx, l.end = context.WithCancel(context.Background())
	l.synced = startSyncer(s.store, s.storeFailed)
	l.streams = &streams{loop: l, byID: map[SessionID]*stream{}}
	l.wg.Add(1)
	go l.run()
	return l
}

// stop ends the loop and waits for everything that it started. Writes under way are answered first.
func (l *loop) stop() {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	close(l.quit)
	l.end()
	l.streams.resetAll()
	l.wg.Wait()
	l.synced.stop()
	l.streams.wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for tag, ch := range l.replies {
		ch <- Reply{Tag: tag, Err: l.space.gone()}
		delete(l.replies, tag)
	}
}

func (l *loop) now() Time {
	return Time{Wall: unixMilli(l.space.node.cfg.Clock()), Mono: time.Since(l.start)}
}

// run is the loop.
func (l *loop) run() {
	defer l.wg.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var batch []Input
		select {
		case in := <-l.inputs:
			runtime.Gosched() // who was answered just now may write again: a batch of many costs little more than one of few
			batch = l.collect(in)
		case call := <-l.calls:
			call()
			continue
		case <-timer.C:
			batch = []Input{Tick{}}
		case <-l.quit:
			l.finish()
			return
		}
		l.steps(batch)
		if at, ok := l.space.replica.Wake(); ok {
			timer.Reset(max(0, at-time.Since(l.start)))
		} else {
			timer.Stop()
		}
	}
}

// finish carries out the inputs that were accepted before the loop was told to stop.
func (l *loop) finish() {
	for {
		select {
		case in := <-l.inputs:
			l.steps(l.collect(in))
		default:
			return
		}
	}
}

// collect adds to an input those that wait already, so that they share one batch and one sync.
func (l *loop) collect(in Input) []Input {
	batch, size := []Input{in}, l.taken(in)
	for len(batch) < stepInputsMax && size < stepBytesMax {
		select {
		case in = <-l.inputs:
			batch = append(batch, in)
			size += l.taken(in)
		default:
			return batch
		}
	}
	return batch
}

// taken makes room for others in the place of an input, and returns its size.
func (l *loop) taken(in Input) int {
	size := inputSize(in)
	switch in.(type) {
	case Ops:
		l.gossiped.Add(-int64(size))
	case SessionMsg:
		<-l.messages
	}
	return size
}

func inputSize(in Input) int {
	n := 0
	switch in := in.(type) {
	case Write:
		for i := range in.Ops {
			n += len(in.Ops[i].Data) + len(in.Ops[i].Path)
		}
	case Ops:
		for _, op := range in.Ops {
			n += len(op)
		}
	case SessionMsg:
		n = len(in.Msg)
	}
	return n
}

// steps runs a batch as one Step, or, if somebody watches, each Write of it as a Step of its own.
func (l *loop) steps(batch []Input) {
	if l.space.node.cfg.Observe == nil {
		l.step(batch)
		return
	}
	for _, in := range apart(batch) {
		l.step(in)
	}
}

// apply lets the replica take a Step, before the eyes of the observer if there is one.
func (l *loop) apply(in []Input) ([]Output, error) {
	s, now := l.space, l.now()
	watch := s.node.cfg.Observe
	if watch == nil {
		return s.replica.Step(now, in...)
	}
	watch.Stepping(s.id, s.store, now, in)
	out, err := s.replica.Step(now, in...)
	watch.Stepped(s.id, out, err)
	return out, err
}

// step runs one Step. If the store refuses a batch, each write in it is tried on its own, so that one bad record does not stop
// the others.
func (l *loop) step(batch []Input) {
	out, err := l.apply(batch)
	if err == nil || len(batch) == 1 {
		if _, idle := batch[0].(Tick); err != nil || !idle { // that time passes proves nothing about the store
			l.report(err)
		}
		l.perform(out)
		return
	}
	again := map[uint64]bool{} // whose turn to be answered is still to come
	for _, in := range batch {
		again[tagOf(in)] = true
	}
	var others []Output
	for _, o := range out {
		if rep, isReply := o.(Reply); !isReply || !again[rep.Tag] {
			others = append(others, o)
		}
	}
	l.perform(others)
	for _, in := range batch {
		out, err := l.apply([]Input{in})
		l.report(err)
		l.perform(out)
	}
}

// tagOf returns the tag of an input that is answered by a Reply, 0 of any other.
func tagOf(in Input) uint64 {
	switch in := in.(type) {
	case Write:
		return in.Tag
	case Repair:
		return in.Tag
	}
	return 0
}

func (l *loop) report(err error) {
	s := l.space
	if err != nil {
		s.log.Error("step failed", "err", err)
		s.storeFailed(err)
		return
	}
	if s.store.Failed() != nil {
		return // the step had nothing to write
	}
	s.mu.Lock()
	delete(s.warnings, warnStore)
	s.mu.Unlock()
}

// perform carries out outputs in order.
func (l *loop) perform(out []Output) {
	s := l.space
	changed := false
	for _, o := range out {
		switch o := o.(type) {
		case Publish:
			if net := s.node.cfg.Network; net != nil && s.node.online.Load() {
				if err := net.Publish(s.id, o.Op); err != nil {
					s.log.Warn("publish", "err", err)
				}
			}
		case Reply:
			if o.Err != nil || s.node.cfg.Relaxed {
				l.reply(o, nil)
			} else {
				l.synced.after(func(err error) { l.reply(o, err) })
			}
		case OpenSession:
			l.streams.open(o)
		case Send:
			l.synced.after(func(err error) { l.streams.send(o, err) })
		case CloseSession:
			l.streams.close(o)
		case Changed:
			l.changed(o)
			changed = true
		case Synced:
			l.learned(o)
		case Merge:
			l.wg.Go(func() { l.put(l.ctx, s.runMerge(l.ctx, o)) })
		case MergeFailed:
			s.log.Info("merge failed", "path", o.Path, "reason", o.Reason)
			s.touch(func() { s.failures[o.Path] = mergeFailure{o.Version, o.Reason} })
		case Alarm:
			s.log.Warn("alarm", "code", o.Code, "device", o.Peer.Short(), "text", o.Text)
			s.touch(func() { s.alarms[o.Code]++ })
			if hint, ok := alarmHints[o.Code]; ok {
				s.warn(warningKey(o.Code, o.Peer), Warning{Code: o.Code, Text: o.Text, Hint: hint})
			}
			if o.Path != "" || !o.Replica.IsZero() {
				l.heal(o.Path)
			}
		}
	}
	if changed {
		s.touch(nil) // once for all: who waits for news looks for all that there is
	}
}

// alarmHints says what a person can do about an alarm. One without a hint is counted and logged only.
var alarmHints = map[string]string{
	AlarmFork:       "A data folder or a running machine was copied. On the copy: peer down, then peer up --new-identity; then invite it.",
	AlarmRolledBack: "Nothing was lost. If a running machine was restored from a snapshot, that is why.",
	AlarmDiverged:   "Please report it, with the output of peer version and of peer export on both devices.",
	AlarmClock:      "Set the clock of that device; until then its writes may win conflicts.",
	AlarmCorrupt:    "The disk may be failing. What was lost is fetched when a device that has it is connected; peer repair says whether one has.",
	AlarmVersion:    "Install the same version of peer on both devices.",
	AlarmValues:     "Decide that conflict on the device that has the values: peer resolve. All other paths are exchanged meanwhile.",
}

// warningKey is under what a warning of an alarm is kept: by code, and by device if it is over when that device has synchronised.
func warningKey(code string, peer gossip.DeviceID) string {
	if code == AlarmVersion || code == AlarmValues {
		return code + " " + peer.String()
	}
	return code
}

func (l *loop) changed(c Changed) {
	s := l.space
	for _, path := range c.Paths {
		if crdt.IsSystemPath(path) {
			if ro, err := s.loadRoster(); err == nil {
				s.roster.Store(ro)
				s.node.accessChanged()
			}
			break
		}
	}
	c.Paths = s.settle(c.Paths)
	s.mu.Lock()
	for _, path := range c.Paths {
		delete(s.failures, path)
	}
	s.mu.Unlock()
	for _, conflict := range c.Conflicts {
		s.log.Info("conflict", "path", conflict.Path, "values", len(conflict.Siblings), "settled", conflict.Settled)
	}
	for _, d := range s.openDatastores(false) {
		if d.hooks != nil {
			d.hooks.changed(c.Paths)
		}
	}
}

func (l *loop) learned(o Synced) {
	s := l.space
	wall := unixMilli(s.node.cfg.Clock())
	s.touch(func() {
		s.held[o.Peer] = l.space.replica.held[o.Peer].Clone()
		if tellsHeld(o.Result) {
			delete(s.unheard, o.Peer)
		}
		if !o.Result.Busy { // who is busy has not looked at our version
			delete(s.warnings, warningKey(AlarmVersion, o.Peer))
			if o.Result.Done && len(o.Result.Left) == 0 { // else it did not come to all paths
				delete(s.warnings, warningKey(AlarmValues, o.Peer))
			}
		}
		if o.Result.PeerWall != 0 {
			s.skew[o.Peer] = clockSkew(o.Result.PeerWall, wall)
		}
	})
	if o.Result.RowsIn+o.Result.RowsOut > 0 {
		s.log.Debug("session", "device", o.Peer.Short(), "rows_in", o.Result.RowsIn, "rows_out", o.Result.RowsOut)
	}
}

// clockSkew returns how far a peer's clock is ahead of ours, both in milliseconds. The peer tells whole seconds and the message
// took its time, so that less than two seconds say nothing.
func clockSkew(theirs, ours int64) time.Duration {
	skew := time.Duration(theirs+500-ours) * time.Millisecond
	if skew.Abs() < 2*time.Second {
		return 0
	}
	return skew.Round(time.Second)
}

// write hands a Write to the loop and waits for its reply. If ctx ends first the write may still happen.
func (l *loop) write(ctx context.Context, w Write) ([]WriteResult, error) {
	rep, err := l.ask(ctx, func(tag uint64) Input { w.Tag = tag; return w })
	if err == nil && rep.Err != nil {
		err = rep.Err
	}
	return rep.Results, err
}

// ask hands an input with a tag to the loop and waits for its reply.
func (l *loop) ask(ctx context.Context, tagged func(tag uint64) Input) (Reply, error) {
	ch := make(chan Reply, 1)
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return Reply{}, l.space.gone()
	}
	l.lastTag++
	tag := l.lastTag
	l.replies[tag] = ch
	l.mu.Unlock()
	if err := l.put(ctx, tagged(tag)); err != nil {
		l.mu.Lock()
		delete(l.replies, tag)
		l.mu.Unlock()
		return Reply{}, err
	}
	select {
	case rep := <-ch:
		return rep, nil
	case <-ctx.Done():
		return Reply{}, ctx.Err()
	}
}

func (l *loop) reply(rep Reply, syncErr error) {
	if syncErr != nil {
		rep.Err = notDurable(syncErr)
	}
	if watch := l.space.node.cfg.Observe; watch != nil {
		watch.Replied(l.space.id, rep)
	}
	l.mu.Lock()
	ch := l.replies[rep.Tag]
	delete(l.replies, rep.Tag)
	l.mu.Unlock()
	if ch != nil {
		ch <- rep
	}
}

func notDurable(cause error) *Problem {
	return ErrStore.With("the write is here but could not be made durable: %v", cause).Because(cause).
		Next(reopenHint(cause))
}

// put queues an input that must not be lost.
func (l *loop) put(ctx context.Context, in Input) error {
	select {
	case l.inputs <- in:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.quit:
		return l.space.gone()
	}
}

// offer queues gossip, which may be dropped.
func (l *loop) offer(in Ops) {
	size := int64(inputSize(in))
	if l.gossiped.Add(size) <= gossipBytesMax {
		select {
		case l.inputs <- in:
			return
		default:
		}
	}
	l.gossiped.Add(-size)
	l.put(context.Background(), Lost{Peer: in.From})
}

// putMessage queues a message of a session, once there is room for it.
func (l *loop) putMessage(in SessionMsg) error {
	select {
	case l.messages <- struct{}{}:
		return l.put(context.Background(), in)
	case <-l.quit:
		return l.space.gone()
	}
}

// read runs f in the loop, between two Steps, with a transaction that is discarded. f must be quick.
func (l *loop) read(ctx context.Context, f func(*store.Tx) error) error {
	done := make(chan error, 1)
	call := func() {
		tx := l.space.store.Begin()
		defer tx.Discard()
		done <- f(tx)
	}
	select {
	case l.calls <- call:
		return <-done
	case <-ctx.Done():
		return ctx.Err()
	case <-l.quit:
		return l.space.gone()
	}
}

// sync returns once everything that is committed now is durable, or with the reason why it is not.
func (l *loop) sync(ctx context.Context) error {
	done := make(chan error, 1)
	err := l.read(ctx, func(*store.Tx) error {
		l.synced.after(func(err error) { done <- err })
		return nil
	})
	if err != nil {
		return err
	}
	select {
	case err := <-done:
		if err != nil {
			return notDurable(err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// syncer shares one sync of the store among all who wait for it.
type syncer struct {
	store  *store.Store
	failed func(error) // is told of a sync that failed
	mu     sync.Mutex
	wait   []func(error)
	wake   chan struct{}
	done   chan struct{}
}

func startSyncer(st *store.Store, failed func(error)) *syncer {
	y := &syncer{store: st, failed: failed, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go y.run()
	return y
}

// after calls f once everything that is committed now is durable, or with the reason why it is not. Calls come in order.
func (y *syncer) after(f func(error)) {
	y.mu.Lock()
	y.wait = append(y.wait, f)
	y.mu.Unlock()
	select {
	case y.wake <- struct{}{}:
	default:
	}
}

func (y *syncer) run() {
	defer close(y.done)
	for range y.wake {
		y.flush()
	}
	y.flush()
}

func (y *syncer) flush() {
	y.mu.Lock()
	wait := y.wait
	y.wait = nil
	y.mu.Unlock()
	if len(wait) == 0 {
		return
	}
	err := y.store.Sync(context.Background())
	if err != nil {
		y.failed(err)
	}
	for _, f := range wait {
		f(err)
	}
}

// stop serves all who wait and ends. after must not be called any more.
func (y *syncer) stop() {
	close(y.wake)
	<-y.done
}
