//go:build linux

package netns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// ErrUndecided says that a scenario holds something that cannot be carried out on a LAN; its text names it.
var ErrUndecided = errors.New("undecided on a LAN")

// ClockVariable names the environment variable by which a [Driver] tells its Clocked program how far its clock is off: a file that
// holds a duration, and may change.
const ClockVariable = "SYNCLINE_CLOCK"

// Bounds of a run.
const (
	meetWithin    = 2 * time.Minute // devices that are set up, or join
	answerWithin  = time.Minute     // one request, one command line
	syncWithin    = 10 * time.Second
	pagePoll      = 50 * time.Millisecond
	readAgainMax  = 8         // looks of a writer at a path that changes under its hands
	diskBytes     = 128 << 20 // of a device whose disk fills up
	diskBytesLeft = 4 << 20   // when it is full
	lossMax       = 0.4       // beyond it no connection lasts, and nothing is decided
)

// A Driver carries scenarios out in real time: each device is a process on a host of a [Lab], a crash is SIGKILL, time is that of the
// machine. It judges by what the devices answer to people; see [oracle.Witness]. It implements sim.Driver. It runs in the namespaces
// that [Contain] makes.
//
// The network of a scenario is that of all frames: a share of loss is one of Ethernet frames, gossip and sessions alike. How often
// devices synchronise, how many deletes they remember and how fast their disks are is up to the program and the machine. A transaction
// of new values and deletes is one; one that decides, which the local API does not have, is done path by path.
type Driver struct {
	// Binary is the program peer.
	Binary string
	// Clocked is a program that serves a device as Binary does, by a clock that is ahead of the right one by what stands in the file
	// that ClockVariable names. Without it, scenarios in which a clock is wrong are undecided.
	Clocked string
	// Weather is that of single devices, besides that of the scenario's network. It lasts to the end.
	Weather map[int]Weather
	// Looks are moments of the scenario, in order, at which all faults end and its time stands still until the devices that are not
	// away hold the same. What they show then is judged as at the end. An operation on a device that lasts beyond one keeps it away.
	Looks []time.Duration
	// Looked, if not nil, is told what each look found, the one at the end, too.
	Looked func(Look)
	// Log, if not nil, gets the ends of the devices' logs if a check failed.
	Log func(device string, end []byte)
}

// Run implements sim.Driver. It takes the time of the scenario and some seconds. The error is ErrUndecided for a scenario that cannot be carried out here.
func (d *Driver) Run(ctx context.Context, s *scenario.Scenario, events func(oracle.Event)) (*oracle.Report, error) {
	if err := errors.Join(s.Check(), d.Decides(s)); err != nil {
		return nil, err
	}
	r, err := d.prepare(s, events)
	if err != nil {
		return nil, err
	}
	for i, w := range d.Weather {
		err = errors.Join(err, r.actors[i].peer.Host.SetWeather(w))
	}
	if err == nil {
		err = r.play(ctx)
	}
	for _, a := range r.actors {
		a.inspect(d.Log)
	}
	report := r.report()
	if err := errors.Join(err, r.close()); err != nil {
		return nil, err
	}
	return report, nil
}

// Decides returns an ErrUndecided that names what of a scenario cannot be carried out, nil if there is no such thing.
func (d *Driver) Decides(s *scenario.Scenario) error {
	var errs []error
	no := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: %s", ErrUndecided, fmt.Sprintf(format, args...)))
	}
	if len(s.Devices) > hostsMax {
		no("more than %d devices", hostsMax)
	}
	if s.NoGossip {
		no("noGossip: this driver starts all devices with gossip")
	}
	if s.AnswerRows > 0 {
		no("answerRows: the program decides by itself how large an answer is")
	}
	if s.AnswerMemory > 0 {
		no("answerMemory: the program decides by itself how large an answer is")
	}
	if s.Network.Break > 0 {
		no("network.break: a single stream cannot be broken from outside")
	}
	if s.Network.Loss > lossMax {
		no("network.loss %v: frames of sessions are lost like those of gossip, and beyond %v no connection lasts", s.Network.Loss, lossMax)
	}
	for i, dev := range s.Devices {
		if dev.Poll != 0 {
			no("device %d polls: this driver starts all devices with gossip", i)
		}
		if dev.Skew != 0 && d.Clocked == "" {
			no("the wrong clock of device %d: the program takes the time of the machine", i)
		}
	}
	for i := range s.Ops {
		if why := d.undecided(&s.Ops[i]); why != "" {
			no("%s, at %v: %s", s.Ops[i].Do, s.Ops[i].At, why)
		}
	}
	return errors.Join(errs...)
}

// undecided says why an operation cannot be carried out, "" if it can.
func (d *Driver) undecided(o *scenario.Op) string {
	switch o.Do {
	case scenario.DoReset:
		return "a single stream cannot be broken from outside"
	case scenario.DoClock:
		if d.Clocked == "" {
			return "the program takes the time of the machine"
		}
	case scenario.DoPolicy:
		return "what devices answer is not judged by policies here"
	case scenario.DoDamage, scenario.DoRepair:
		return "the records of a database that is open cannot be damaged from outside"
	case scenario.DoSyncFail:
		return "no disk of the machine can be told to fail at a sync"
	case scenario.DoWrite:
		for _, p := range o.Parts {
			if p.Verb == scenario.Sibling {
				return "the local API has no write that leaves what is shown"
			}
		}
	case scenario.DoRead, scenario.DoSync, scenario.DoJoin, scenario.DoClone, scenario.DoPartition, scenario.DoDisconnect, scenario.DoStall,
		scenario.DoHeal, scenario.DoLoss, scenario.DoDuplicate, scenario.DoReorder, scenario.DoSlow, scenario.DoCrash, scenario.DoRestart,
		scenario.DoBackup, scenario.DoRestore, scenario.DoDiskFull:
	default:
		return "not known"
	}
	return ""
}

// A run is one scenario that is carried out.
type run struct {
	s      *scenario.Scenario
	driver *Driver
	lab    *Lab
	dir    string
	events func(oracle.Event)
	actors []*actor
	time   stopwatch // of the scenario, once everything is set up
	faults faults
	final  map[string][]string
	agreed time.Duration
	took   time.Duration

	mu      sync.Mutex // guards what follows
	witness *oracle.Witness
	told    int // violations that were told as events
	count   int
}

// prepare makes the lab and the devices of a scenario.
func (d *Driver) prepare(s *scenario.Scenario, events func(oracle.Event)) (*run, error) {
	r := &run{s: s, driver: d, events: events}
	r.time.begin()
	r.witness = oracle.NewWitness(s, r.now)
	r.faults.run = r
	var err error
	if r.lab, err = NewSeeded(s.Seed); err != nil {
		return nil, err
	}
	if _, ok := r.lab.fabric.(*taps); !ok {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrUndecided, ErrNoSwitch), r.lab.Close())
	}
	if r.dir, err = os.MkdirTemp("", "run"); err != nil {
		return nil, errors.Join(err, r.lab.Close())
	}
	for i := range s.Devices {
		a, err := newActor(r, i, d.Binary)
		if err != nil {
			return nil, errors.Join(err, r.close())
		}
		r.actors = append(r.actors, a)
	}
	return r, nil
}

func (r *run) close() error {
	err := r.lab.Close()
	for _, a := range r.actors {
		err = errors.Join(err, a.close())
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}

// now is the time of the scenario.
func (r *run) now() time.Duration { return r.time.now() }

// judge gives the witness, alone, to f, and tells the violations that it finds.
func (r *run) judge(f func(w *oracle.Witness)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r.witness)
	for ; r.told < len(r.witness.Violations); r.told++ {
		v := r.witness.Violations[r.told]
		r.emit(oracle.Event{At: v.At, Kind: oracle.EventBroken, Device: v.Device, Text: v.String()})
	}
}

// tell passes an event on.
func (r *run) tell(e oracle.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.At = r.now()
	r.emit(e)
}

func (r *run) emit(e oracle.Event) {
	r.count++
	if r.events != nil {
		r.events(e)
	}
}

// play sets the devices up, carries out all operations, and compares what the devices show in the end.
func (r *run) play(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if err := r.assemble(ctx); err != nil {
		return err
	}
	if err := r.faults.begin(); err != nil {
		return err
	}
	r.time.begin()
	var work sync.WaitGroup
	errs := make([]error, len(r.actors))
	for i, a := range r.actors {
		work.Go(func() {
			if errs[i] = a.work(ctx); errs[i] != nil {
				stop() // nobody waits for it
			}
		})
	}
	err := r.perform(ctx)
	for _, a := range r.actors {
		close(a.tasks)
	}
	if err != nil {
		stop()
	}
	work.Wait()
	if err := errors.Join(append(errs, err)...); err != nil {
		return err
	}
	return r.finish(ctx)
}

// assemble starts the devices that run from the beginning, and lets the first one admit the others.
func (r *run) assemble(ctx context.Context) error {
	var first *actor
	for i, a := range r.actors {
		if r.s.Start(i) != nil {
			continue
		}
		if err := a.up(ctx, oracle.FirstStart, 0); err != nil {
			return err
		}
		if first == nil {
			first, a.joined = a, true
			continue
		}
		if err := a.join(ctx, first); err != nil {
			return err
		}
	}
	if first == nil {
		return fmt.Errorf("%w: no device runs from the beginning", ErrUndecided)
	}
	return r.await(ctx, meetWithin, "all devices are connected", func() bool {
		for _, a := range r.actors {
			if a.running() && !a.seesAll(ctx) {
				return false
			}
		}
		return true
	})
}

// await polls until cond holds.
func (r *run) await(ctx context.Context, within time.Duration, what string, cond func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for !cond() {
		if err := sleep(ctx, pagePoll); err != nil {
			return fmt.Errorf("not within %v: %s", within, what)
		}
	}
	return nil
}

// sleep waits, or returns the error of a context that ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// perform carries out the operations, each at its time, looks when it is time to, and ends all faults.
func (r *run) perform(ctx context.Context) error {
	ops := slices.Clone(r.s.Ops)
	slices.SortStableFunc(ops, func(a, b scenario.Op) int { return cmp.Compare(a.At, b.At) })
	looks := r.driver.Looks
	for i := range ops {
		for ; len(looks) > 0 && looks[0] <= ops[i].At; looks = looks[1:] {
			if err := r.standStill(ctx, looks[0]); err != nil {
				return err
			}
		}
		if err := r.until(ctx, ops[i].At); err != nil {
			return err
		}
		if err := r.do(ctx, &ops[i]); err != nil {
			return fmt.Errorf("%s: %w", ops[i], err)
		}
	}
	if err := r.until(ctx, r.s.End); err != nil {
		return err
	}
	return r.faults.heal()
}

// until waits for a time of the scenario; faults that end before it do.
func (r *run) until(ctx context.Context, at time.Duration) error {
	for {
		next, ends := r.faults.next(at)
		if err := sleep(ctx, next-r.now()); err != nil {
			return err
		}
		if !ends {
			return nil
		}
		if err := r.faults.endAt(next); err != nil {
			return err
		}
	}
}

// do begins an operation.
func (r *run) do(ctx context.Context, o *scenario.Op) error {
	if !o.Do.OnDevice() || o.Do == scenario.DoDisconnect || o.Do == scenario.DoDiskFull {
		return r.faults.add(o)
	}
	return r.actors[o.Device].take(ctx, o)
}

// finish waits until all devices show the same, and judges it.
func (r *run) finish(ctx context.Context) error {
	pages, err := r.look(ctx, r.actors)
	if err != nil {
		return err
	}
	r.took = r.now()
	r.final = map[string][]string{}
	for path, a := range pages[0].Paths {
		for _, v := range a.Values {
			r.final[path] = append(r.final[path], v.Data)
		}
		slices.Sort(r.final[path])
	}
	return nil
}

func (r *run) report() *oracle.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &oracle.Report{Seed: r.s.Seed, Violations: r.witness.Violations, Coverage: r.witness.Coverage, Converged: r.agreed,
		Elapsed: r.took, Events: r.count, Final: r.final}
}
