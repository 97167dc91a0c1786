package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"syncline/node/api/wire"
	"syncline/sim"
	"syncline/sim/oracle"
	"syncline/sim/report"
)

// schemaSweep is that of report.json in the folder of a sweep.
const schemaSweep = "peer.sim.sweep/v1"

// A sweepDocument is report.json of a sweep.
type sweepDocument struct {
	Schema  string         `json:"schema"`
	Verdict report.Verdict `json:"verdict"`
	// Reason says why a sweep ended early, or what failed beside the runs.
	Reason   string         `json:"reason,omitempty"`
	Build    report.Build   `json:"build"`
	Scenario string         `json:"scenario,omitempty"`
	First    uint64         `json:"first"`
	Seeds    int            `json:"seeds"`
	Ran      int            `json:"ran"`
	Failures []sweepFailure `json:"failures"`
	Unequal  []uint64       `json:"unequal"`
	// Undecided is the number of seeds of whose end nothing could be said.
	Undecided int             `json:"undecided"`
	Never     []string        `json:"never"`
	Coverage  oracle.Coverage `json:"coverage"`
	Checks    int             `json:"checks"`
	Figures   sweepFigures    `json:"figures"`
	Again     string          `json:"again"`
	// Report is the folder, within that of the sweep, with the report of the first seed that failed.
	Report string `json:"report,omitempty"`
	// Folder is where the sweep was reported, as the caller named it. It stands in no file.
	Folder string `json:"folder,omitempty"`
}

type sweepFailure struct {
	Seed   uint64         `json:"seed"`
	Broken []oracle.Check `json:"broken"`
}

type sweepFigures struct {
	// Agreed is the number of seeds whose devices agreed. How long after the last fault they did is null if there is none.
	Agreed       int      `json:"agreed"`
	ConvergedP50 *float64 `json:"converged_p50_seconds"`
	ConvergedP99 *float64 `json:"converged_p99_seconds"`
	Virtual      float64  `json:"virtual_seconds"`
	Took         float64  `json:"took_seconds"`
	PerMinute    float64  `json:"seeds_per_minute"`
	YearsPerDay  float64  `json:"simulated_years_per_day"`
}

// simTwice is the period of the seeds that run twice, to see that runs are repeatable.
const simTwice = 100

// sweep runs many seeds and tells what came of them; with --json one line for each, in the order of seeds, and
// one about all.
func (c *simCommand) sweep(ctx context.Context) error {
	dir := c.folder(c.seed)
	if err := report.Clear(dir); err != nil {
		return c.unwritable(err)
	}
	lines := &sweepLines{c: c, next: c.seed, waiting: map[uint64]*report.Document{}}
	bar := c.progress(int64(c.runs), "seeds", false)
	var marks milestones
	checks := 0
	driver, name := c.driver()
	config := sim.SweepConfig{Driver: driver, First: c.seed, Seeds: c.runs, Workers: runtime.GOMAXPROCS(0), Twice: simTwice}
	if c.real {
		config.Workers, config.Twice = 1, 0
	}
	if c.scenario != "" || c.devices > 0 || c.ops > 0 || c.real {
		config.Scenario = c.make
	}
	config.Done = func(r sim.Run, p sim.Progress) {
		checks += r.Report.Checked
		lines.add(report.NewDocument(r.Scenario, report.Outcome{Report: r.Report, Driver: name, Build: c.build, Took: r.Took, Again: c.again(r.Scenario.Seed)}))
		rate := fmt.Sprintf("%s failed, %.0f a minute, %.1f simulated years a day", count(p.Failed), p.PerMinute(), p.YearsPerDay())
		bar.Describe("seeds, " + rate)
		bar.Add(1)
		if !c.app.out.errTTY && !c.json && marks.reached(p) { // with --json the lines of the runs tell as much
			c.app.out.note("%s of %s seeds, %s", count(p.Seeds), count(p.Of), rate)
		}
	}
	r, err := sim.Sweep(ctx, config)
	bar.Finish()
	lines.rest()
	d := c.sweepDocument(r, c.reason(err), checks)
	if len(r.Failures) > 0 {
		d.Report = fmt.Sprintf("seed-%d", r.Failures[0].Seed)
	}
	if err := c.writeSweep(dir, d); err != nil {
		return err
	}
	c.link(dir)
	d.Folder = dir
	var failing *report.Document
	var unrecorded error
	if d.Report != "" && ctx.Err() == nil {
		failing, unrecorded = c.recordSeed(ctx, r.Failures[0].Seed, filepath.Join(dir, d.Report))
	}
	if err := c.app.out.result(d, func() { c.tellSweep(d, r, failing) }); err != nil {
		return err
	}
	if unrecorded != nil {
		return unrecorded
	}
	return c.verdict(ctx, d.Verdict)
}

// milestones say when a line about a long sweep is due where no bar is shown: at each tenth of the seeds, unless that is after less than
// milestoneMin, and after milestoneMax at the latest. The end is told by the result.
type milestones struct {
	seeds int
	took  time.Duration
}

const (
	milestoneMin = 2 * time.Second
	milestoneMax = 30 * time.Second
)

// reached reports whether a line is due.
func (m *milestones) reached(p sim.Progress) bool {
	since := p.Took - m.took
	tenth := (p.Seeds-m.seeds)*10 >= p.Of && since >= milestoneMin
	if p.Seeds == p.Of || !tenth && since < milestoneMax {
		return false
	}
	m.seeds, m.took = p.Seeds, p.Took
	return true
}

// recordSeed writes the report of one seed of a sweep.
func (c *simCommand) recordSeed(ctx context.Context, seed uint64, dir string) (*report.Document, error) {
	s, err := c.make(seed)
	if err != nil {
		return nil, err
	}
	rec, d, err := c.record(ctx, s, dir, c.again(seed))
	if err == nil && d.Verdict == report.Fail && !c.real {
		err = c.explain(ctx, rec, d, c.cut(ctx, s, d.Checks.Broken[0], simShrinkMax))
	}
	return d, err
}

func (c *simCommand) sweepDocument(r *sim.SweepResult, reason string, checks int) *sweepDocument {
	d := &sweepDocument{Schema: schemaSweep, Verdict: report.Pass, Build: c.build, Scenario: c.scenario, First: c.seed, Seeds: c.runs, Ran: r.Seeds,
		Failures: []sweepFailure{}, Undecided: r.Undecided, Unequal: append([]uint64{}, r.Unequal...), Never: append([]string{}, r.Never...), Coverage: r.Coverage, Checks: checks,
		Figures: sweepFigures{Agreed: r.Agreed(), Virtual: r.Virtual.Seconds(), Took: r.Took.Seconds(), PerMinute: r.PerMinute(), YearsPerDay: r.YearsPerDay()},
		Again:   fmt.Sprintf("%s sim --seed %d --runs %d%s", c.self(), c.seed, c.runs, c.what())}
	for _, f := range r.Failures {
		d.Failures = append(d.Failures, sweepFailure{f.Seed, f.Checks()})
	}
	if r.Agreed() > 0 {
		p50, p99 := r.Percentile(50).Seconds(), r.Percentile(99).Seconds()
		d.Figures.ConvergedP50, d.Figures.ConvergedP99 = &p50, &p99
	}
	d.Reason = reason
	switch {
	case !r.OK():
		d.Verdict = report.Fail
	case reason != "":
		d.Verdict = report.Undecided
	}
	return d
}

func (c *simCommand) writeSweep(dir string, d *sweepDocument) error {
	b, err := wire.Encode(d)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, report.FileDocument), append(b, '\n'), 0o644)
	}
	if err != nil {
		return c.unwritable(err)
	}
	return nil
}

// tellSweep says on one screen what came of a sweep. A seed is listed under the first claim that it broke.
func (c *simCommand) tellSweep(d *sweepDocument, r *sim.SweepResult, failing *report.Document) {
	o := c.app.out
	head := fmt.Sprintf("seeds %d … %d · build %v", d.First, d.First+uint64(d.Seeds)-1, d.Build)
	if d.Scenario != "" {
		head += " · " + visible(d.Scenario)
	}
	o.say("%s", head)
	sign, seeds := signDone, plural(d.Ran, "seed", "seeds")
	if d.Ran < d.Seeds {
		sign, seeds = signLook, fmt.Sprintf("%s of %s seeds, %s", count(d.Ran), count(d.Seeds), visible(d.Reason))
	}
	var unsafe, late []sweepFailure
	for _, f := range d.Failures {
		if aboutLiveness(f.Broken[0]) {
			late = append(late, f)
		} else {
			unsafe = append(unsafe, f)
		}
	}
	if len(unsafe) > 0 {
		sign, seeds = signFailed, seeds+fmt.Sprintf(", %s failed: %s", count(len(unsafe)), someSeeds(unsafe))
	}
	o.say("safety    %s %s, %s", o.mark(sign), seeds, plural(d.Checks, "check", "checks"))
	o.say("liveness  %s", c.livenessText(d, r, late))
	if len(d.Unequal) > 0 {
		o.say("repeat    %s two runs of one seed differ: %v", o.mark(signFailed), d.Unequal)
	}
	if len(d.Never) > 0 {
		o.say("coverage  %s never happened: %s; a sweep without it proves little", o.mark(signFailed), strings.Join(d.Never, ", "))
	}
	o.say("ran %s of virtual time in %s · %s seeds a minute · %.1f simulated years a day", span(time.Duration(d.Figures.Virtual*float64(time.Second))), secondsText(r.Took), count(int(r.PerMinute())), r.YearsPerDay())
	if failing != nil {
		o.say("")
		c.tell(failing)
		return
	}
	o.say("report  %s      again  %s", visible(filepath.Join(c.shown(d.Folder), report.FileDocument)), visible(d.Again))
}

// livenessText says how many seeds did not agree, which of them failed by that alone, and how fast the others were.
func (c *simCommand) livenessText(d *sweepDocument, r *sim.SweepResult, late []sweepFailure) string {
	never, converged := d.Ran-r.Agreed()-d.Undecided, fmt.Sprintf("converged %s (virtual) after the last fault in the median, %s at the 99th percentile",
		secondsText(r.Percentile(50)), secondsText(r.Percentile(99)))
	if d.Undecided > 0 {
		converged += fmt.Sprintf("; %s undecided: %s", count(d.Undecided), oracle.LostToAll)
	}
	if r.Agreed()+never == 0 {
		return c.app.out.mark(signLook) + " " + undecidedText(d)
	}
	if never == 0 && len(late) == 0 {
		return c.app.out.mark(signDone) + " " + converged
	}
	text := fmt.Sprintf("%s of %s never agreed", count(never), plural(d.Ran, "seed", "seeds"))
	if never == 0 {
		text = fmt.Sprintf("%s of %s failed", count(len(late)), plural(d.Ran, "seed", "seeds"))
	}
	if len(late) > 0 {
		text += ": " + someSeeds(late)
	}
	if r.Agreed() > 0 {
		text += fmt.Sprintf("; %s %s", count(r.Agreed()), converged)
	}
	return c.app.out.mark(signFailed) + " " + text
}

// undecidedText says why nothing can be said of the end of any seed.
func undecidedText(d *sweepDocument) string {
	if d.Ran == 0 {
		return "undecided"
	}
	return "undecided: " + oracle.LostToAll
}

// someSeeds lists the first seeds that failed, with what they broke.
func someSeeds(fs []sweepFailure) string {
	var parts []string
	for i, f := range fs {
		if i == 5 {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, fmt.Sprintf("%d (%s)", f.Seed, f.Broken[0]))
	}
	return strings.Join(parts, ", ")
}

// sweepLines prints one document a run, in the order of seeds.
type sweepLines struct {
	c       *simCommand
	next    uint64
	waiting map[uint64]*report.Document
}

func (l *sweepLines) add(d *report.Document) {
	if !l.c.json {
		return
	}
	l.waiting[d.Seed] = d
	for l.waiting[l.next] != nil {
		l.c.app.out.document(l.waiting[l.next])
		l.c.app.out.flush()
		delete(l.waiting, l.next)
		l.next++
	}
}

// rest prints what ended beyond a seed that did not.
func (l *sweepLines) rest() {
	for len(l.waiting) > 0 {
		if d := l.waiting[l.next]; d != nil {
			l.c.app.out.document(d)
			delete(l.waiting, l.next)
		}
		l.next++
	}
}
