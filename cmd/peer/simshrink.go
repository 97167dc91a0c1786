package main

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"syncline/node"
	"syncline/sim/oracle"
	"syncline/sim/report"
	"syncline/sim/scenario"
)

func newSimShrink(a *app) *cobra.Command {
	c := &simCommand{app: a, runs: 1}
	return &cobra.Command{
		Use:   "shrink [DIR]",
		Short: "Cut a failing scenario down to the fewest steps",
		Long: `Run the scenario of a report again, by default of the last one, and cut it down to the
fewest steps that break the same claim, however long that takes; Ctrl-C or --timeout keeps
the best so far. The folder gets the story in words, a Go test, and in shrunk/ a report of
what is left. It stays as it is if the scenario passes in this build, or if nothing shorter
than before was found until the end.`,
		Args: arguments("[DIR]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.identify(); err != nil {
				return err
			}
			old, s, err := c.readFolder(first(args))
			if err != nil {
				return err
			}
			if old.Driver != driverDES {
				return errNothingToShrink.With("Only a run that is repeatable to the byte can be cut down; that of %s had real libp2p.", old.Folder).
					Next("See whether it fails without:  " + c.self() + " sim --scenario " + quoteWord(filepath.Join(old.Folder, report.FileScenario)))
			}
			ctx, stop := c.start(cmd.Context())
			defer stop()
			return c.shrink(ctx, old, s)
		},
	}
}

// errNothingToShrink is the problem of a scenario that breaks nothing.
var errNothingToShrink = &node.Problem{Code: "nothing_to_shrink", Status: 409, Title: "There is nothing to shrink", Hint: "Run it again:  peer sim replay DIR"}

// shrink cuts down the scenario of a report and writes the report anew. Nothing is written before there is something to write: until then
// the folder is the only evidence.
func (c *simCommand) shrink(ctx context.Context, old *report.Document, s *scenario.Scenario) error {
	c.out = old.Folder
	c.noteBuild(old)
	r, took, err := c.drive(ctx, s, nil)
	if err != nil {
		d := report.NewDocument(s, report.Outcome{Report: &oracle.Report{Coverage: oracle.Coverage{}}, Driver: driverDES, Build: c.build, Took: took, Again: old.Again, Reason: c.reason(err)})
		if err := c.app.out.result(d, func() {
			c.app.out.look("The scenario did not come to its end: %s. %s stays as it was.", visible(d.Reason), visible(old.Folder))
		}); err != nil {
			return err
		}
		return c.verdict(ctx, d.Verdict)
	}
	if len(r.Violations) == 0 {
		return errNothingToShrink.With("The scenario of %s passes in this build. The report stays as it was.", old.Folder).
			Next("Run it again:  " + c.self() + " sim replay " + quoteWord(old.Folder))
	}
	e := c.cut(ctx, s, r.Checks()[0], 0)
	if had := old.Shrunk; had != nil && !e.complete && len(e.left.Ops) >= had.To {
		if err := c.app.out.result(old, func() {
			c.app.out.look("Nothing shorter was found until then. %s stays as it was:", visible(old.Folder))
			c.tell(old)
		}); err != nil {
			return err
		}
		return c.verdict(ctx, old.Verdict)
	}
	whole := context.WithoutCancel(ctx)
	rec, d, err := c.record(whole, s, old.Folder, old.Again)
	if err != nil {
		return err
	}
	d.Replay = c.compare(old, d)
	if err := c.explain(whole, rec, d, e); err != nil {
		return err
	}
	return c.end(ctx, d)
}
