// Package des carries scenarios out by discrete events: real replicas, each with a real store on a datastore in memory that can
// lose what was not synced, exchange real bytes over links that lose, delay, repeat and reorder them. Time is virtual, nothing runs
// beside anything else, and a scenario has the same outcome, byte for byte, whenever it is run.
package des

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"syncline/crdt"
	"syncline/gossip"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// Options say how a scenario is run.
type Options struct {
	Taps Taps
	// Trace gets one line for everything that happens, if it is not nil.
	Trace func(line string)
	// Events gets everything that happens, if it is not nil.
	Events func(oracle.Event)
	// First ends the run at the first violation.
	First bool
	// Program runs on every device, if it is not nil.
	Program *oracle.Program
}

// stormMax bounds the events of one device in one minute; more is a storm.
const stormMax = 250_000

// quietShare is how many seeds there are to each one that goes on for a while once the devices agree, to see that they have little
// to say.
const quietShare = 8

// wallStart is when every run begins by a clock that is right, in milliseconds since 1970.
const wallStart = 1_700_000_000_000

// Run carries a scenario out and judges what happened. It panics if s does not pass its own Check.
func Run(s *scenario.Scenario, o Options) *oracle.Report {
	r, err := run(context.Background(), s, o)
	if err != nil {
		panic(fmt.Errorf("des: a scenario that cannot be run: %w", err))
	}
	return r
}

// A Driver is Run as sim.Driver has it. The zero Driver plants no mistakes.
type Driver struct {
	Taps Taps
	// First ends a run at the first violation.
	First bool
}

// Run carries s out, as sim.Driver says. If ctx ends, the report holds what was found until then.
func (d Driver) Run(ctx context.Context, s *scenario.Scenario, events func(oracle.Event)) (*oracle.Report, error) {
	return run(ctx, s, Options{Taps: d.Taps, First: d.First, Events: events})
}

func run(ctx context.Context, s *scenario.Scenario, o Options) (*oracle.Report, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	w := newWorld(s, o)
	w.schedule()
	err := w.loop(ctx)
	return &oracle.Report{Seed: s.Seed, Violations: w.oracle.Violations, Coverage: w.oracle.Coverage, Checked: w.oracle.Checked,
		Converged: w.converged, Elapsed: w.now, Events: w.events, Final: w.final, Undecided: w.undecided, Trace: w.hash}, err
}

// A world is one run.
type world struct {
	s       *scenario.Scenario
	taps    Taps
	trace   func(string)
	history *history // nil if nobody listens
	first   bool
	now     time.Duration
	queue   queue
	events  int
	hash    uint64
	oracle  *oracle.Oracle
	space   gossip.SpaceID
	// signatures is shared by the devices: a binding that one of them made is known to hold, and any other is verified once.
	signatures signatures
	devices    []*device
	byID       map[gossip.DeviceID]*device
	// pairs are in the order of their devices.
	pairs []*pair
	// cuts are the partitions and stalls that hold now; what follows adds to the badness of the network until it ends.
	cuts            []*cut
	loss, duplicate float64
	reorder, slow   time.Duration
	// healings counts how often all that lasted was ended.
	healings int
	streams  uint64
	// dots tells which operation a hash over its bytes stands for.
	dots map[uint64]crdt.Dot
	// healed says that all faults are over, done that the run is.
	healed, done bool
	final        map[string][]string
	undecided    string
	converged    time.Duration
	// quietFrom is when the devices agreed and began to be watched for what they still say; said counts it.
	quietFrom time.Duration
	said      int
	// merges counts the writes by programs.
	merges int
	// decideAt is when somebody decides again about what sessions leave out.
	decideAt time.Duration
}

func newWorld(s *scenario.Scenario, o Options) *world {
	w := &world{s: s, taps: o.Taps, trace: o.Trace, first: o.First, byID: map[gossip.DeviceID]*device{}, dots: map[uint64]crdt.Dot{}, signatures: signatures{}}
	w.oracle = oracle.New(s, func() time.Duration { return w.now })
	if o.Events != nil {
		w.history = &history{w: w, to: o.Events}
	}
	w.oracle.Program = o.Program
	copy(w.space[:], "a simulated space")
	for i := range s.Devices {
		w.addDevice(i)
	}
	w.addPairs()
	return w
}

// after arranges something.
func (w *world) after(d time.Duration, run func()) { w.queue.push(w.now+d, run) }

// schedule arranges everything that the scenario holds.
func (w *world) schedule() {
	for i := range w.s.Devices {
		if w.s.Start(i) == nil {
			w.queue.push(0, func() { w.devices[i].start(oracle.FirstStart) })
		}
	}
	for i := range w.s.Ops {
		op := &w.s.Ops[i]
		w.queue.push(op.At, func() { w.do(op) })
	}
	w.queue.push(w.s.End+oracle.HealAfter, w.heal)
}

// ctxEvery is how many events pass between two looks at whether the run is still wanted.
const ctxEvery = 1 << 6

// loop lets things happen until the run is done, or ctx ends. A panic is a violation and ends it.
func (w *world) loop(ctx context.Context) error {
	defer func() {
		if r := recover(); r != nil {
			w.oracle.Fail(oracle.NoPanic, 0, "%v\n%s", r, debug.Stack())
		}
		w.history.violations()
	}()
	calm, minute := 0, time.Duration(0) // the number of events before this minute
	for len(w.queue.heap) > 0 && !w.done {
		e := w.queue.pop()
		w.now = e.at
		if now := w.now / time.Minute; now != minute {
			calm, minute = w.events, now
		}
		if w.events++; w.events-calm > stormMax*len(w.devices) {
			w.oracle.Fail(oracle.Quiescence, 0, "more than %d events in a minute", w.events-calm-1)
			return nil
		}
		if w.events%ctxEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		e.run()
		w.history.violations()
		if w.first && len(w.oracle.Violations) > 0 {
			return nil
		}
	}
	return nil
}

// fold makes x part of the hash over everything that happened.
func (w *world) fold(x uint64) { w.hash = mix(w.hash, x^uint64(w.now)<<20) }

func (w *world) tell(format string, args ...any) {
	if w.trace != nil {
		w.trace(fmt.Sprintf("%10.6f  ", w.now.Seconds()) + fmt.Sprintf(format, args...))
	}
}

// heal ends all faults and begins to wait for the devices to agree.
func (w *world) heal() {
	w.tell("all faults are over")
	w.history.event(oracle.Event{Kind: oracle.EventHeal, Device: -1, Text: oracle.TextHealed})
	w.healed = true
	w.healAll()
	w.oracle.Healed()
	for _, d := range w.devices {
		d.keepRepairing()
	}
	w.probe()
}

// probe looks from time to time whether the devices agree.
func (w *world) probe() {
	damage, lost := w.oracle.Damage()
	if lost && w.now > w.s.End+w.s.ConvergeMax/4 {
		w.oracle.Sometimes("damage that nobody could repair")
		w.undecided, w.done = oracle.LostToAll, true
		return
	}
	if w.oracle.Agree() && !w.merging() && w.oracle.Unmerged() == "" && !damage {
		w.converged = w.now - w.s.End
		w.tell("the devices agree")
		w.history.event(oracle.Event{Kind: oracle.EventAgree, Device: -1})
		if w.s.Seed%quietShare != 0 {
			w.finish()
			return
		}
		// What was said before they agreed may have to be said again; then only the regular sessions are left.
		w.after(w.s.AntiEntropy*3/2+5*time.Second, func() {
			w.quietFrom = w.now
			w.after(w.s.AntiEntropy, w.finish)
		})
		return
	}
	if w.now > w.s.End+w.s.ConvergeMax {
		if damage {
			w.oracle.Unrepaired()
		} else if path := w.oracle.Unmerged(); w.oracle.Agree() && path != "" {
			w.oracle.Fail(oracle.Merged, 0, "what competes at %s is left open, and there is a function that would combine it", path)
		} else if w.oracle.Agree() {
			w.oracle.Fail(oracle.Merged, 0, "programs go on merging %v after the last fault", w.s.ConvergeMax)
		} else {
			w.oracle.NotConverged()
		}
		w.done = true
		return
	}
	if w.now >= w.decideAt {
		for _, x := range w.oracle.Crowds() {
			w.decideAt = w.now + w.s.AntiEntropy + decideAfter
			w.devices[x.Device].write([]scenario.Part{x.Part})
		}
	}
	w.after(50*time.Millisecond, w.probe)
}

// decideAfter is how long, after a period in which everybody meets everybody, somebody waits for what came of decisions about what sessions leave
// out before they decide again: who decides sooner competes with decisions that are still under way.
const decideAfter = 5 * time.Second

// finish makes the last checks. A session between devices that agree takes two messages; each device starts one with each peer
// in a period, which may be shorter by a fifth.
func (w *world) finish() {
	sessions := 0
	for _, p := range w.pairs {
		if p.conn != nil {
			for _, period := range []time.Duration{w.s.Period(p.a.index), w.s.Period(p.b.index)} {
				sessions += int((w.s.AntiEntropy + period - 1) / period)
			}
		}
	}
	// Where parts stay different for ever, each session asks about each of them.
	if limit := 2*sessions*3/2 + 8; w.said > limit && !w.oracle.Ranges() {
		w.oracle.Fail(oracle.Quiescence, 0, "%d messages in one period between devices that agree, want at most %d", w.said, limit)
	}
	w.oracle.Finish()
	for _, d := range w.devices {
		w.oracle.HeldBack(d.index, d.replica.HeldBack())
		w.oracle.CheckShown(d.index, w.s.Paths, d.shown)
	}
	w.final = w.oracle.Final(0)
	w.done = true
}
