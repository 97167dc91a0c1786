package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"syncline/node"
	"syncline/sim/oracle"
	"syncline/sim/report"
	"syncline/sim/scenario"
)

// simOut is where reports go without --out, and simLatest the link to the last one.
const (
	simOut    = "sim-out"
	simLatest = "latest"
)

// single runs one scenario, writes its report and tells it.
func (c *simCommand) single(ctx context.Context, s *scenario.Scenario, again string) error {
	rec, d, err := c.record(ctx, s, c.folder(s.Seed), again)
	if err != nil {
		return err
	}
	return c.finish(ctx, s, rec, d)
}

// finish explains, tells and judges a run that was recorded.
func (c *simCommand) finish(ctx context.Context, s *scenario.Scenario, rec *report.Recorder, d *report.Document) error {
	if d.Verdict == report.Fail && ctx.Err() == nil && !c.real {
		if err := c.explain(ctx, rec, d, c.cut(ctx, s, d.Checks.Broken[0], simShrinkMax)); err != nil {
			return err
		}
	}
	c.link(d.Folder)
	return c.end(ctx, d)
}

// end tells and judges a run whose report is written.
func (c *simCommand) end(ctx context.Context, d *report.Document) error {
	if err := c.app.out.result(d, func() { c.tell(d) }); err != nil {
		return err
	}
	return c.verdict(ctx, d.Verdict)
}

// errTerminated is the cause of the end of a context that SIGTERM ended.
var errTerminated = errors.New("terminated")

// start returns the context of a run. It ends with --timeout, and with SIGTERM as with Ctrl-C, so that what ran until then is reported; a
// second signal ends the process at once. The caller calls stop.
func (c *simCommand) start(ctx context.Context) (_ context.Context, stop func()) {
	ctx, terminate := context.WithCancelCause(ctx)
	ctx, cancel := c.within(ctx, 0)
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		defer close(done)
		select {
		case <-signals:
			terminate(errTerminated)
		case <-ctx.Done():
		}
		signal.Stop(signals)
	}()
	return ctx, func() { cancel(); terminate(nil); <-done }
}

// verdict returns what the exit code is made from.
func (c *simCommand) verdict(ctx context.Context, v report.Verdict) error {
	switch {
	case v == report.Fail:
		return quietExit(exitBroken)
	case errors.Is(context.Cause(ctx), errTerminated):
		return quietExit(exitTerminated)
	case errors.Is(ctx.Err(), context.Canceled):
		return quietExit(exitInterrupted)
	case v == report.Undecided:
		return quietExit(exitUndecided)
	}
	return nil
}

// folder is where the report of a seed goes.
func (c *simCommand) folder(seed uint64) string {
	if c.out != "" {
		return c.out
	}
	return filepath.Join(simOut, fmt.Sprintf("%s-%d", time.Now().Format("20060102-150405"), seed))
}

// link lets sim-out/latest stand for a new folder, where links can be made.
func (c *simCommand) link(dir string) {
	if c.out != "" {
		return
	}
	name := filepath.Join(simOut, simLatest)
	if info, err := os.Lstat(name); err == nil && info.Mode()&os.ModeSymlink != 0 {
		os.Remove(name)
	}
	os.Symlink(filepath.Base(dir), name)
}

// drive runs a scenario and shows how far it is; took is real time. heard, if not nil, gets what happens.
func (c *simCommand) drive(ctx context.Context, s *scenario.Scenario, heard func(oracle.Event)) (_ *oracle.Report, took time.Duration, _ error) {
	bar := c.progress(-1, "", false)
	defer bar.Finish()
	events, start := 0, time.Now()
	driver, _ := c.driver()
	r, err := driver.Run(ctx, s, func(e oracle.Event) {
		if heard != nil {
			heard(e)
		}
		if events++; events%1000 == 0 {
			bar.Describe(fmt.Sprintf("%s of virtual time, %s events", secondsText(e.At), count(events)))
			bar.Add(1)
		}
	})
	return r, time.Since(start), err
}

// record runs a scenario and writes a report into a folder.
func (c *simCommand) record(ctx context.Context, s *scenario.Scenario, dir, again string) (*report.Recorder, *report.Document, error) {
	rec, err := report.Create(dir, s)
	if err != nil {
		return nil, nil, c.unwritable(err)
	}
	r, took, err := c.drive(ctx, s, rec.Event)
	_, name := c.driver()
	o := report.Outcome{Report: r, Driver: name, Build: c.build, Took: took, Again: again, Reason: c.reason(err)}
	if r == nil {
		o.Report = &oracle.Report{Seed: s.Seed}
	}
	d, err := rec.Close(o)
	if err != nil {
		return nil, nil, c.unwritable(err)
	}
	d.Folder = dir
	return rec, d, nil
}

// reason says why a run did not come to its end; nothing if it did.
func (c *simCommand) reason(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("it took longer than --timeout %v", c.timeout)
	case errors.Is(err, context.Canceled):
		return "interrupted"
	}
	return err.Error()
}

// errReportNotWritten is the problem of a folder that takes no report.
var errReportNotWritten = &node.Problem{Code: "report_not_written", Status: 500, Title: "The report could not be written", Hint: "Name another folder:  --out DIR"}

// unwritable is the problem of a folder for reports.
func (c *simCommand) unwritable(err error) error {
	p := errReportNotWritten.With("%v.", err)
	var foreign *report.ForeignError
	if errors.As(err, &foreign) {
		p = p.With("%v. They were left as they are.", err).Next("Name a folder that is new, empty or a report:  --out DIR")
	}
	return p
}

// tell says on one screen what came of a run.
func (c *simCommand) tell(d *report.Document) {
	o := c.app.out
	o.say("%s", c.headline(d))
	switch {
	case len(d.Violations) > 0:
		c.tellBroken(d)
	case d.Verdict == report.Undecided:
		o.say("safety    %s %s", o.mark(signLook), checksText(d))
		o.say("liveness  %s undecided: %s", o.mark(signLook), visible(d.Reason))
	default:
		o.say("safety    %s %s", o.mark(signDone), checksText(d))
		o.say("liveness  %s converged %s (virtual) after the last fault", o.mark(signDone), secondsText(durationOf(*d.Figures.Converged)))
	}
	if d.Conflicts != nil && len(d.Violations) == 0 {
		o.say("conflicts   %s", conflictsText(d))
	}
	if r := d.Replay; r != nil {
		c.tellReplay(r)
	}
	o.say("ran %s of virtual time in %s", secondsText(durationOf(d.Figures.Virtual)), secondsText(durationOf(d.Figures.Took)))
	o.say("report  %s      again  %s", visible(filepath.Join(c.shown(d.Folder), report.FilePage)), visible(d.Again))
}

// tellReplay says whether a run was that of the report; of a seed nothing is known to compare with.
func (c *simCommand) tellReplay(r *report.Replay) {
	switch {
	case c.real:
		c.app.out.say("replay    %s with real libp2p no two runs are equal to the byte", c.app.out.mark(signLook))
	case r.Uncompared != "":
		c.app.out.say("replay    %s not compared: %s", c.app.out.mark(signLook), visible(r.Uncompared))
	case r.SameTrace == nil:
	case *r.SameTrace:
		c.app.out.say("replay    %s all happened as in the report", c.app.out.mark(signDone))
	default:
		c.app.out.say("replay    %s not all happened as in the report", c.app.out.mark(signLook))
	}
}

// shown is the short name of a folder.
func (c *simCommand) shown(dir string) string {
	if to, err := os.Readlink(filepath.Join(simOut, simLatest)); err == nil && c.out == "" && to == filepath.Base(dir) {
		return filepath.Join(simOut, simLatest)
	}
	return dir
}

func checksText(d *report.Document) string { return plural(d.Checks.Count, "check", "checks") }

func conflictsText(d *report.Document) string {
	k := d.Conflicts
	text := fmt.Sprintf("%s found, %s merged, %s settled · ", count(k.Reported), count(k.Merged), count(k.Settled))
	switch k.Open {
	case 0:
		return text + "no path waits for a decision"
	case 1:
		text += "1 path waits for a decision"
	default:
		text += count(k.Open) + " paths wait for a decision"
	}
	switch {
	case d.Verdict == report.Pass && k.Differ == 0:
		text += ", the same on all devices"
	case d.Verdict == report.Pass:
		text += fmt.Sprintf(", %s not on all devices", count(k.Differ))
	}
	return text
}

func durationOf(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// mark is a sign in its colour.
func (o *printer) mark(s sign) string { return paint(o.color, s.color, s.text) }

// headline says what was run.
func (c *simCommand) headline(d *report.Document) string {
	parts := []string{fmt.Sprintf("seed %d", d.Seed), "build " + d.Build.String()}
	if d.Scenario.Name != "" {
		parts = append(parts, visible(d.Scenario.Name))
	}
	parts = append(parts, plural(d.Scenario.Devices, "device", "devices"), plural(d.Scenario.Writes, "write", "writes"))
	return strings.Join(append(parts, d.Scenario.Faults...), " · ")
}
