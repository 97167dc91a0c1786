package bubble

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"syncline/gossip"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
	"syncline/store/mem"
)

// Times in a run.
const (
	// setUpMax bounds the time until all devices that run from the beginning have joined and hold the same.
	setUpMax = 10 * time.Minute
	// redialSlack is added to how long the devices may take to agree: real connections have to time out, be dialled and proved.
	redialSlack = time.Minute
	// probeEvery is how often it is looked whether the devices agree.
	probeEvery = 50 * time.Millisecond
	// lingerMax is what is left of connections after all devices were closed; libp2p ends it in the background.
	lingerMax = 5 * time.Minute
)

// wallStart is when every scenario begins by a clock that is right, in milliseconds since 1970.
const wallStart = 1_700_000_000_000

// dirPattern names the folder with the data directories of a run.
const dirPattern = "syncline-bubble-*"

// A world is one run.
type world struct {
	ctx     context.Context // only looked at: nothing in a bubble may wait for what is outside
	s       *scenario.Scenario
	log     *slog.Logger
	dir     string
	router  *router
	devices []*device
	wall    int64 // what a right clock is ahead of the bubble's, in milliseconds
	pulse   pulse
	taps    taps

	// What follows belongs to the goroutine that carries the scenario out: what ends later, sorted by time, and how often all that
	// lasted was ended.
	ends     []end
	healings int
	// decideAt is when somebody decides again about what sessions leave out, decisions is how often they did.
	decideAt  time.Duration
	decisions int

	people sync.WaitGroup // what people do at the devices
	away   sync.WaitGroup // devices that stop and start again
	work   sync.WaitGroup // devices that join, and what is left of those that lost power

	// mu makes of the devices' steps, and of all that is done to them, one sequence of which the oracle is told. It is held for a moment
	// only, never while anything waits, and no lock of a node is taken under it but those of its store's readers.
	mu     sync.Mutex
	oracle *oracle.Oracle
	events func(oracle.Event)
	told   int // violations that were emitted
	// undecided says why nothing can be said of the end.
	undecided string
	space     gossip.SpaceID
	folder    string // of the space, in a data directory
	byID      map[gossip.DeviceID]*device
	steps     int
	begin     time.Time // of the scenario; zero before
	over      bool
	ended     chan struct{} // closed when nothing is judged any more
}

// An end is what becomes of a fault when its time has come.
type end struct {
	at time.Time
	do func()
}

func newWorld(ctx context.Context, s *scenario.Scenario, log *slog.Logger, events func(oracle.Event)) (*world, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	dir, err := os.MkdirTemp("/dev/shm", dirPattern) // the few files of each device are synced to disk, which takes real time
	if err != nil {
		dir, err = os.MkdirTemp("", dirPattern)
	}
	if err != nil {
		return nil, err
	}
	w := &world{ctx: ctx, s: s, log: log, dir: dir, router: newRouter(s), events: events, byID: map[gossip.DeviceID]*device{}}
	w.oracle = oracle.New(s, w.now)
	for i := range s.Devices {
		d := &device{w: w, index: i, dir: filepath.Join(dir, fmt.Sprint(i)), stores: map[string]*mem.Datastore{}}
		d.skew.Store(s.Devices[i].Skew)
		w.devices = append(w.devices, d)
	}
	return w, nil
}

func (w *world) remove() { _ = os.RemoveAll(w.dir) }

// now is the time since the scenario began. The caller holds mu.
func (w *world) now() time.Duration {
	if w.begin.IsZero() {
		return 0
	}
	return time.Since(w.begin)
}

// since is the time since the scenario began at t, but not earlier than now. The caller holds mu.
func (w *world) since(t time.Time) time.Duration { return max(t.Sub(w.begin), w.now()) }

// emit tells what happened now. The caller holds mu.
func (w *world) emit(e oracle.Event) {
	if w.events != nil {
		e.At = w.now()
		w.events(e)
	}
}

// emitBroken tells of new violations. The caller holds mu.
func (w *world) emitBroken() {
	for ; w.told < len(w.oracle.Violations); w.told++ {
		w.emit(w.oracle.Violations[w.told].Broken())
	}
}

func (w *world) sometimes(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.oracle.Sometimes(what)
}

// deviceOf returns the number of a device, -1 if it has none yet. The caller holds mu.
func (w *world) deviceOf(id gossip.DeviceID) int {
	if d := w.byID[id]; d != nil {
		return d.index
	}
	return -1
}

// indexOf is deviceOf for callers that do not hold mu.
func (w *world) indexOf(id gossip.DeviceID) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.deviceOf(id)
}

// still waits until a device is not in the middle of a step. The caller holds mu, which is given up meanwhile.
func (w *world) still(d *device) {
	for d.stepping {
		w.mu.Unlock()
		time.Sleep(10 * time.Microsecond)
		w.mu.Lock()
	}
}

// host returns a member that can invite a device; which one depends on how often that was tried.
func (w *world) host(guest *device, try int) *device {
	w.mu.Lock()
	defer w.mu.Unlock()
	var hosts []*device
	for _, d := range w.devices {
		if d.up && w.router.linked(d.index, guest.index) {
			hosts = append(hosts, d)
		}
	}
	if len(hosts) == 0 {
		return nil
	}
	return hosts[try%len(hosts)]
}

func (w *world) isOver() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over
}

// run is the body of the bubble.
func (w *world) run() (*oracle.Report, error) {
	w.wall = wallStart - time.Now().UnixMilli()
	w.ended = make(chan struct{}) // of the bubble
	stop := make(chan struct{})
	var beating sync.WaitGroup
	beating.Go(func() { w.beat(stop) })
	err := w.setUp()
	if err == nil {
		w.mu.Lock()
		w.begin = time.Now()
		w.mu.Unlock()
		w.router.setFaulty(true)
		err = w.play()
	}
	var converged time.Duration
	var final map[string][]string
	if err == nil {
		converged, final, err = w.settle()
	}
	elapsed := time.Since(w.begin)
	w.tearDown()
	close(stop)
	beating.Wait()
	if err != nil {
		return nil, err
	}
	w.emitBroken()
	return &oracle.Report{Seed: w.s.Seed, Violations: w.oracle.Violations, Coverage: w.oracle.Coverage, Converged: converged, Elapsed: elapsed,
		Checked: w.oracle.Checked, Events: w.steps, Final: final, Undecided: w.undecided}, nil
}

// beat shows that virtual time goes on.
func (w *world) beat(stop <-chan struct{}) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.pulse.Add(1)
		case <-stop:
			return
		}
	}
}

// setUp starts the devices that run from the beginning: the first founds the space, the others are invited into it.
func (w *world) setUp() error {
	first := w.devices[founder(w.s)]
	if err := first.open(oracle.FirstStart, false); err != nil {
		return err
	}
	if err := first.enter(); err != nil {
		return err
	}
	var waiting []*device
	for _, d := range w.devices {
		if d != first && w.s.Start(d.index) == nil {
			waiting = append(waiting, d)
		}
	}
	for len(waiting) > 0 {
		i := slices.IndexFunc(waiting, func(d *device) bool { return w.host(d, 0) != nil })
		if i < 0 {
			return fmt.Errorf("device %d has no link to the others", waiting[0].index)
		}
		if err := waiting[i].join(oracle.FirstStart); err != nil {
			return err
		}
		waiting = slices.Delete(waiting, i, i+1)
	}
	for begun := time.Now(); !w.level(); time.Sleep(probeEvery) {
		if time.Since(begun) > setUpMax {
			return fmt.Errorf("the devices did not come together within %v", setUpMax)
		}
		if err := w.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// level reports whether all devices that are up have seen the same and know of all members.
func (w *world) level() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	var first *device
	for _, d := range w.devices {
		if !d.up {
			continue
		}
		if first == nil {
			first = d
		}
		if d.view == nil || d.stepping || !d.view.Context().Equal(first.view.Context()) {
			return false
		}
	}
	return true
}

// play carries out the operations of the scenario at their times.
func (w *world) play() error {
	writes := 0
	for i := range w.s.Ops {
		op := &w.s.Ops[i]
		w.sleepUntil(op.At)
		if err := w.ctx.Err(); err != nil {
			return err
		}
		w.do(op, writes)
		if op.Do == scenario.DoWrite {
			writes++
		}
	}
	w.sleepUntil(w.s.End + oracle.HealAfter)
	return nil
}

// sleepUntil waits for a time of the scenario. What ends before is ended meanwhile.
func (w *world) sleepUntil(at time.Duration) {
	until := w.begin.Add(at)
	for len(w.ends) > 0 && w.ends[0].at.Before(until) {
		e := w.ends[0]
		w.ends = w.ends[1:]
		time.Sleep(time.Until(e.at))
		e.do()
	}
	time.Sleep(time.Until(until))
}

// after arranges that something is done after a while, by the goroutine that carries the scenario out.
func (w *world) after(length time.Duration, do func()) {
	e := end{time.Now().Add(length), do}
	i, _ := slices.BinarySearchFunc(w.ends, e.at, func(e end, at time.Time) int {
		if e.at.After(at) {
			return 1
		}
		return -1 // of two at the same time, the first remains the first
	})
	w.ends = slices.Insert(w.ends, i, e)
}

// lasting arranges the end of something that lasts for a while, unless it is healed before: with a length of 0 nothing else ends it.
func (w *world) lasting(length time.Duration, end func()) {
	if healings := w.healings; length > 0 {
		w.after(length, func() {
			if w.healings == healings {
				end()
			}
		})
	}
}

// healAll ends everything that lasts: cuts, full disks, and what makes the network worse.
func (w *world) healAll() {
	w.healings++
	w.router.heal()
	for _, d := range w.devices {
		d.fill(false)
	}
}

// addCut separates groups for a while.
func (w *world) addCut(groups [][]int, stall bool, length time.Duration) {
	c := w.router.addCut(groups, stall)
	w.lasting(length, func() { w.router.uncut(c) })
}

// do carries out one operation; number counts the writes before it.
func (w *world) do(op *scenario.Op, number int) {
	if op.Do.OnDevice() {
		w.doOn(w.devices[op.Device], op, number)
		return
	}
	r, amount := w.router, time.Duration(op.Amount)*time.Millisecond
	w.tellFault(op)
	switch op.Do {
	case scenario.DoPartition, scenario.DoStall:
		w.sometimes(string(op.Do))
		w.addCut(op.Groups, op.Do == scenario.DoStall, op.For)
	case scenario.DoHeal:
		w.healAll()
	case scenario.DoLoss:
		worsen(w, &r.loss, float64(op.Amount)/1000, op.For)
	case scenario.DoDuplicate:
		worsen(w, &r.duplicate, float64(op.Amount)/1000, op.For)
	case scenario.DoReorder:
		w.sometimes("reorder")
		worsen(w, &r.reorder, amount, op.For)
	case scenario.DoSlow:
		worsen(w, &r.slow, amount, op.For)
	}
}

// tellFault emits a fault of the scenario.
func (w *world) tellFault(op *scenario.Op) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e, ok := oracle.FaultEvent(w.s, op, w.now()); ok {
		w.emit(e)
	}
}

// doOn carries out an operation on a device, if it runs.
func (w *world) doOn(d *device, op *scenario.Op, number int) {
	switch op.Do {
	case scenario.DoClock:
		w.tellFault(op)
		d.skew.Add(op.Amount)
		w.sometimes("clock jump")
		return
	case scenario.DoJoin, scenario.DoClone:
		w.begins(d, op)
		return
	case scenario.DoDisconnect:
		w.tellFault(op)
		w.disconnect(d, op.For)
		return
	}
	w.mu.Lock()
	up := d.up
	w.mu.Unlock()
	if !up {
		return
	}
	switch op.Do {
	case scenario.DoWrite:
		if op.Parts[0].Verb == scenario.Resolve && w.router.isCut() {
			w.sometimes("resolve in a partition")
		}
		d.write(number, op.Parts)
	case scenario.DoRead:
		d.read(op.Path, true)
	case scenario.DoPolicy:
		w.tellFault(op)
		d.policy(op.Path, op.Policy)
	case scenario.DoDamage:
		w.tellFault(op)
		d.damage(op.Path)
	case scenario.DoRepair:
		w.tellFault(op)
		d.repair()
	case scenario.DoSync:
		d.sync()
	case scenario.DoReset:
		w.tellFault(op)
		if d.port.resetAll() > 0 {
			w.sometimes("stream broken")
		}
	case scenario.DoCrash:
		w.crash(d, op.Amount, time.Now().Add(op.For))
	case scenario.DoSyncFail:
		w.tellFault(op)
		w.failSync(d, op)
	case scenario.DoRestart:
		w.restart(d, op)
	case scenario.DoBackup:
		w.tellFault(op)
		w.backUp(d)
	case scenario.DoRestore:
		w.restore(d, time.Now().Add(op.For))
	case scenario.DoDiskFull:
		w.tellFault(op)
		w.sometimes("disk full")
		d.fill(true)
		w.lasting(op.For, func() { d.fill(false) })
	}
}

// begins starts a device for the first time, empty or with a copy of another's folder.
func (w *world) begins(d *device, op *scenario.Op) {
	how := startOf(op)
	if how == oracle.AsClone {
		if copied, err := d.clone(w.devices[op.Of]); err != nil || !copied {
			w.log.Info("nothing to clone", "device", op.Of, "err", err)
			how = oracle.FirstStart
		} else {
			w.sometimes("clone")
		}
	}
	w.work.Go(func() {
		if err := d.join(how); err != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.oracle.Fail(oracle.Available, d.index, "join: %v", err)
		}
	})
}

// disconnect separates one device from all others for a while.
func (w *world) disconnect(d *device, length time.Duration) {
	w.sometimes("disconnect")
	w.addCut(oracle.Apart(d.index, len(w.devices)), false, length)
}

// crash takes the power of a device away for a while.
func (w *world) crash(d *device, share int64, until time.Time) {
	d.crash(share, until)
	w.away.Go(func() { d.again(until, oracle.AfterCrash) })
}

// failSync breaks the disk of a device for a while. Then somebody starts the machine anew.
func (w *world) failSync(d *device, op *scenario.Op) {
	w.mu.Lock()
	defer w.mu.Unlock()
	broken := d.disk
	if broken.fails != works {
		return
	}
	broken.fails = fails
	d.tellDisk()
	w.after(op.For, func() {
		w.mu.Lock()
		runs := d.up && d.disk == broken
		w.mu.Unlock()
		if runs {
			w.crash(d, op.Amount, time.Now())
		}
	})
}

func (w *world) restart(d *device, op *scenario.Op) {
	until := time.Now().Add(op.For)
	w.mu.Lock()
	broken := d.disk.fails != works
	w.mu.Unlock()
	if broken { // what the program wrote may be gone when it is started again
		w.crash(d, op.Amount, until)
		return
	}
	w.down(d)
	w.away.Go(func() {
		if d.close(oracle.StopRestart, until) {
			w.sometimes("orderly restart")
		}
		d.again(until, oracle.AfterClose) // nothing is lost even if the mark of an orderly end could not be written
	})
}

// down notes at once that a device is not to be asked for anything any more.
func (w *world) down(d *device) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d.up = false
}

func (w *world) backUp(d *device) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.still(d)
	d.backup = d.disk.Clone()
	w.oracle.BackedUp(d.index)
}

// restore replaces the data of a device by its backup.
func (w *world) restore(d *device, until time.Time) {
	if d.backup == nil {
		return
	}
	w.sometimes("restore")
	w.down(d)
	w.away.Go(func() {
		d.close(oracle.StopRestore, until)
		w.mu.Lock()
		d.stores[w.folder] = d.backup.Clone()
		w.mu.Unlock()
		d.again(until, oracle.AfterRestore)
	})
}

// settle ends all faults, waits for the devices to agree and makes the last checks. That they have little to say then is not checked: of
// what crosses the network, most is the transport's.
func (w *world) settle() (converged time.Duration, final map[string][]string, err error) {
	w.router.setFaulty(false)
	w.healAll()
	w.people.Wait()
	w.away.Wait() // what a device holds that is away, nobody knows before it is back
	w.mu.Lock()
	w.oracle.Healed()
	w.emit(oracle.Event{Kind: oracle.EventHeal, Device: -1, Text: oracle.TextHealed})
	w.mu.Unlock()
	stop := make(chan struct{})
	w.away.Go(func() { w.keepRepairing(stop) })
	defer close(stop)
	for {
		if done := w.probe(&converged, &final); done {
			w.readAll()
			return converged, final, nil
		}
		if err := w.ctx.Err(); err != nil {
			return 0, nil, errors.Join(errors.New("the run was ended"), err)
		}
		time.Sleep(probeEvery)
	}
}

// readAll shows every path to a person at each device.
func (w *world) readAll() {
	for _, d := range w.devices {
		w.mu.Lock()
		up := d.up
		w.mu.Unlock()
		for _, path := range w.s.Paths {
			if up {
				d.read(path, false)
			}
		}
	}
	w.people.Wait()
}

// probe looks whether the devices agree, or have had time enough to.
func (w *world) probe(converged *time.Duration, final *map[string][]string) (done bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	late := w.now() > w.s.End+w.s.ConvergeMax+redialSlack
	if slices.ContainsFunc(w.devices, func(d *device) bool { return d.stepping }) {
		return false
	}
	damage, lost := w.oracle.Damage()
	open := w.oracle.Unmerged()
	switch {
	case lost && w.now() > w.s.End+w.s.ConvergeMax/4:
		w.oracle.Sometimes("damage that nobody could repair")
		w.undecided = oracle.LostToAll
	case w.oracle.Agree() && !damage && open == "":
		*converged = w.now() - w.s.End
		w.emit(oracle.Event{Kind: oracle.EventAgree, Device: -1})
		w.oracle.Finish()
		*final = w.oracle.Final(0)
	case late && damage:
		w.oracle.Unrepaired()
	case late && w.oracle.Agree():
		w.oracle.Fail(oracle.Merged, 0, "what competes at %s is left open, and there is a function that would combine it", open)
	case late:
		w.oracle.NotConverged()
	default:
		w.decide()
		return false
	}
	w.emitBroken()
	return true
}

// decideEvery is how long somebody waits for what came of decisions about what sessions leave out before they decide again.
const decideEvery = 10 * time.Second

// decide lets people decide about what sessions leave out, once all else is the same everywhere. The caller holds mu.
func (w *world) decide() {
	if w.now() < w.decideAt {
		return
	}
	for _, x := range w.oracle.Crowds() {
		w.decideAt = w.now() + decideEvery
		w.decisions++
		w.devices[x.Device].write(len(w.s.Ops)+w.decisions, []scenario.Part{x.Part}) // a number that no other write has
	}
}

// tearDown closes all devices and waits for everything to end.
func (w *world) tearDown() {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	close(w.ended)
	w.healAll() // a full disk may keep a device from starting
	w.away.Wait()
	w.work.Wait()
	var closing sync.WaitGroup
	for _, d := range w.devices {
		w.mu.Lock()
		d.life++ // what happens from now on is not judged
		n := d.node
		w.mu.Unlock()
		if n != nil {
			closing.Go(func() { _ = n.Close() })
		}
	}
	closing.Wait()
	w.people.Wait()
	time.Sleep(lingerMax)
}
