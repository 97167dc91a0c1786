package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"syncline/sim/des"
	"syncline/sim/oracle"
	"syncline/sim/report"
	"syncline/sim/scenario"
)

// simShrinkMax bounds how long a failing run is cut down before it is told; peer sim shrink goes on.
const simShrinkMax = 30 * time.Second

// An essence is what is left of a failing scenario, cut down to what a broken claim needs.
type essence struct {
	check oracle.Check
	// steps is the number of operations before, left the scenario after.
	steps int
	left  *scenario.Scenario
	// complete says that no single step can be left out any more; false if there was no time to find out.
	complete bool
}

// cut cuts a failing scenario down, until ctx or the time that bound gives is over. 0 means no bound.
func (c *simCommand) cut(ctx context.Context, s *scenario.Scenario, check oracle.Check, bound time.Duration) essence {
	start, stopped := time.Now(), false
	bar := c.progress(-1, "", false)
	x := &scenario.Shrinker{}
	x.Fails = func(s *scenario.Scenario) bool {
		bar.Describe(fmt.Sprintf("cutting it down, %s runs", count(x.Runs)))
		bar.Add(1)
		r, err := des.Driver{First: true}.Run(ctx, s, nil)
		return err == nil && r.Failed(check)
	}
	x.Stop = func() bool {
		stopped = ctx.Err() != nil || bound > 0 && time.Since(start) > bound
		return stopped
	}
	left := x.Shrink(s)
	bar.Finish()
	return essence{check, len(s.Ops), left, !stopped}
}

// explain writes what is left of a failing scenario beside its report.
func (c *simCommand) explain(ctx context.Context, rec *report.Recorder, d *report.Document, e essence) error {
	dir := filepath.Join(d.Folder, report.FolderShrunk)
	_, left, err := c.record(context.WithoutCancel(ctx), e.left, dir, fmt.Sprintf("%s sim replay %s", c.self(), quoteWord(dir)))
	if err != nil {
		return err
	}
	err = rec.Explain(d, report.Explanation{
		Shrunk: report.Shrunk{From: e.steps, To: len(e.left.Ops), Complete: e.complete, Story: scenario.Story(e.left), First: left.First},
		GoTest: scenario.GoTest(e.left, string(e.check)),
	})
	if err != nil {
		return c.unwritable(err)
	}
	return nil
}

// tellBroken says what is broken: the claim, the first step that broke it, the shortest story that does, and what two devices held.
func (c *simCommand) tellBroken(d *report.Document) {
	o := c.app.out
	first := d.Violations[0]
	broken := fmt.Sprintf("%s %s is broken: %s", o.mark(signFailed), first.Check, report.Claim(first.Check))
	converged := o.mark(signFailed) + " the devices did not agree"
	if d.Figures.Converged != nil {
		converged = fmt.Sprintf("%s converged %s (virtual) after the last fault", o.mark(signDone), secondsText(durationOf(*d.Figures.Converged)))
	}
	if aboutLiveness(first.Check) {
		o.say("safety    %s %s", o.mark(signDone), checksText(d))
		o.say("liveness  %s", broken)
	} else {
		o.say("safety    %s", broken)
		o.say("liveness  %s", converged)
	}
	o.say("first     at %s on %s: %s", moment(first.At), visible(first.Name), visible(firstLine(first.Text)))
	if n := len(d.Violations) - 1; n > 0 {
		o.say("          and %s after it: %s", plural(n, "violation", "violations"), joinChecks(d))
	}
	shown := d.First
	if s := d.Shrunk; s != nil {
		o.say("")
		o.say("shrunk from %d to %s:", s.From, plural(s.To, "step", "steps"))
		for i, line := range s.Story {
			o.say("  %d. %s", i+1, visible(line))
		}
		if !s.Complete {
			o.say("  (not to the end; this goes on:  %s sim shrink %s)", c.self(), quoteWord(c.shown(d.Folder)))
		}
		if s.First != nil {
			shown = s.First
			o.say("  Then, at %s on %s: %s", moment(s.First.At), visible(s.First.Name), visible(firstLine(s.First.Text)))
		}
	}
	if shown != nil {
		o.say("")
		c.tellSides(shown)
	}
	o.say("")
	if d.Shrunk != nil {
		o.say("Go test %s", visible(filepath.Join(c.shown(d.Folder), report.FileGoTest)))
	}
}

// aboutLiveness says whether a check is about what must happen in the end; the others are about what must never happen.
func aboutLiveness(c oracle.Check) bool { return c == oracle.Convergence || c == oracle.Quiescence }

// moment writes a time of a run, in full: links and searches need it.
func moment(seconds float64) string { return fmt.Sprintf("%.6f s", seconds) }

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func joinChecks(d *report.Document) string {
	var names []string
	for _, check := range d.Checks.Broken {
		names = append(names, string(check))
	}
	return strings.Join(names, ", ")
}

// tellSides prints what two devices held, side by side, at the paths where either holds anything.
func (c *simCommand) tellSides(f *report.First) {
	o := c.app.out
	paths := map[string]bool{}
	for _, side := range f.Sides {
		for path := range side.Values {
			paths[path] = true
		}
	}
	header := []string{"at " + moment(f.At)}
	for _, side := range f.Sides {
		header = append(header, visible(side.Name))
	}
	rows := [][]string{header}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		row := []string{visible(path)}
		for _, side := range f.Sides {
			row = append(row, valuesText(side.Values[path]))
		}
		rows = append(rows, row)
	}
	if len(paths) == 0 {
		rows = append(rows, append([]string{"(no path)"}, slices.Repeat([]string{"–"}, len(f.Sides))...))
	}
	wide := make([]int, len(header))
	for _, row := range rows {
		for i, cell := range row {
			wide[i] = max(wide[i], columns(cell))
		}
	}
	for i, row := range rows {
		line := ""
		for k, cell := range row {
			line += cell + strings.Repeat(" ", wide[k]-columns(cell)+3)
		}
		mark := "  "
		if i > 0 && len(row) == 3 && row[1] != row[2] {
			mark = "≠ "
		}
		o.say("%s%s", mark, strings.TrimRight(line, " "))
	}
}

func valuesText(values []string) string {
	if len(values) == 0 {
		return "–"
	}
	var parts []string
	for _, v := range values {
		parts = append(parts, visible(v))
	}
	return strings.Join(parts, " and ")
}
