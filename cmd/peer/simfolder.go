package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"syncline/node"
	"syncline/sim/report"
	"syncline/sim/scenario"
)

// Documents of the commands about folders and scenarios.
const (
	schemaView      = "peer.sim.view/v1"
	schemaScenarios = "peer.sim.scenarios/v1"
	schemaScenario  = "peer.sim.scenario/v1"
)

func newSimReplay(a *app) *cobra.Command {
	c, build := &simCommand{app: a, runs: 1}, ""
	cmd := &cobra.Command{
		Use:   "replay [DIR | SEED]",
		Short: "Run again what a report or a seed stands for",
		Long: `Run again the scenario of a report, by default of the last one, or the one of a seed with
the flags that it was run with. A scenario file is explicit: another build of peer runs the
same operations, though messages may take other ways. A seed stands for the same scenario
only in a build that draws alike; --build says which one it comes from.

` + simOutcome,
		Args: arguments("[DIR | SEED]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.check(); err != nil {
				return err
			}
			if err := c.identify(); err != nil {
				return err
			}
			ctx, cancel := c.within(cmd.Context(), 0)
			defer cancel()
			if seed, err := strconv.ParseUint(first(args), 10, 64); err == nil && !isFolder(first(args)) {
				return c.replaySeed(ctx, seed, build)
			}
			for _, flag := range []string{"scenario", "devices", "ops", "real", "build"} {
				if cmd.Flags().Changed(flag) {
					return usage("A report needs no such flag", "--%s goes with a seed; the scenario of a report is explicit.", flag).Next("Usage:  " + cmd.UseLine())
				}
			}
			return c.replayFolder(ctx, first(args))
		},
	}
	c.flags(cmd)
	cmd.Flags().StringVar(&build, "build", "", "build that the seed comes from, as a report names it after the +")
	return cmd
}

func isFolder(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

func (c *simCommand) replaySeed(ctx context.Context, seed uint64, build string) error {
	c.seed, c.seeded = seed, true
	s, err := c.make(seed)
	if err != nil {
		return err
	}
	if build != "" && build != c.build.Simulator && !c.json {
		c.app.out.note("%s Seed %d comes from build %s; this is %s, which may draw another scenario from it or run it otherwise.\n  The folder of its report holds the scenario itself:  %s sim replay DIR",
			c.app.out.errSign(signLook), seed, visible(build), c.build.Simulator, c.self())
	}
	return c.single(ctx, s, c.again(seed))
}

func (c *simCommand) replayFolder(ctx context.Context, name string) error {
	old, s, err := c.readFolder(name)
	if err != nil {
		return err
	}
	c.real = old.Driver == driverBubble
	if old.Build.Simulator != c.build.Simulator && !c.json {
		c.app.out.note("%s The report was made by build %v, this is %v. The scenario of the report is run as it stands; its messages may go other ways,\n  so that the outcome may differ.",
			c.app.out.errSign(signLook), old.Build, c.build)
	}
	dir := c.folder(s.Seed)
	rec, d, err := c.record(ctx, s, dir, c.self()+" sim replay "+quoteWord(dir))
	if err != nil {
		return err
	}
	d.Replay = &report.Replay{Build: old.Build, SameBuild: old.Build.Simulator == c.build.Simulator, SameTrace: old.Trace == d.Trace}
	return c.finish(ctx, s, rec, d, simShrinkMax)
}

func newSimShrink(a *app) *cobra.Command {
	c := &simCommand{app: a, runs: 1}
	return &cobra.Command{
		Use:   "shrink [DIR]",
		Short: "Cut a failing scenario down to the fewest steps",
		Long: `Run the scenario of a report again, by default of the last one, and cut it down to the
fewest steps that break the same claim, however long that takes; Ctrl-C or --timeout keeps
the best so far. The folder gets the story in words, a Go test, and in shrunk/ a report of
what is left.`,
		Args: arguments("[DIR]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.identify(); err != nil {
				return err
			}
			old, s, err := c.readFolder(first(args))
			if err != nil {
				return err
			}
			ctx, cancel := c.within(cmd.Context(), 0)
			defer cancel()
			if old.Driver != driverDES {
				return errNothingToShrink.With("Only a run that is repeatable to the byte can be cut down; that of %s had real libp2p.", old.Folder).
					Next("See whether it fails without:  " + c.self() + " sim --scenario " + quoteWord(filepath.Join(old.Folder, report.FileScenario)))
			}
			c.out = old.Folder
			rec, d, err := c.record(ctx, s, old.Folder, old.Again)
			if err != nil {
				return err
			}
			if d.Verdict == report.Pass {
				return errNothingToShrink.With("The scenario of %s passes in this build.", old.Folder)
			}
			return c.finish(ctx, s, rec, d, 0)
		},
	}
}

// errNothingToShrink is the problem of a scenario that breaks nothing.
var errNothingToShrink = &node.Problem{Code: "nothing_to_shrink", Status: 409, Title: "There is nothing to shrink", Hint: "Run it again:  peer sim replay DIR"}

// finish explains, tells and judges a run that was recorded.
func (c *simCommand) finish(ctx context.Context, s *scenario.Scenario, rec *report.Recorder, d *report.Document, bound time.Duration) error {
	if d.Verdict == report.Fail && ctx.Err() == nil && !c.real {
		if err := c.explain(ctx, s, rec, d, bound); err != nil {
			return err
		}
	}
	c.link(d.Folder)
	if err := c.app.out.result(d, func() { c.tell(d) }); err != nil {
		return err
	}
	return c.verdict(ctx, d.Verdict)
}

// readFolder reads the report of a folder, of the last run if name is empty. The folder of a sweep stands for the seed in it that failed.
func (c *simCommand) readFolder(name string) (*report.Document, *scenario.Scenario, error) {
	dir := c.place(name)
	if sweep := readSweep(dir); sweep != nil {
		if sweep.Report == "" {
			return nil, nil, node.ErrNotFound.With("%s holds a sweep of %s seeds in which none failed", dir, count(sweep.Ran)).
				Next("Run one seed:  " + c.self() + " sim --seed " + strconv.FormatUint(sweep.First, 10))
		}
		dir = filepath.Join(dir, sweep.Report)
	}
	d, s, err := report.Read(dir)
	var mistakes scenario.SyntaxErrors
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, noReport(dir, c.self())
	case errors.As(err, &mistakes):
		return nil, nil, badScenario(err)
	}
	return d, s, err
}

// noReport is the problem of a folder that holds no report.
func noReport(dir, self string) error {
	p := node.ErrNotFound.With("%s holds no report of a simulation.", dir).Next("Make one:  " + self + " sim --out DIR      or name the folder of one")
	p.Title = "There is no report"
	return p
}

// place is the folder that a person means: by its name, by one of its files, or the last one.
func (c *simCommand) place(name string) string {
	if name == "" {
		return filepath.Join(simOut, simLatest)
	}
	if info, err := os.Stat(name); err == nil && !info.IsDir() {
		return filepath.Dir(name)
	}
	return filepath.Clean(name)
}

// readSweep reads the document of a sweep, nil if the folder is that of one run, or of none.
func readSweep(dir string) *sweepDocument {
	var d sweepDocument
	b, err := os.ReadFile(filepath.Join(dir, report.FileDocument))
	if err != nil || json.Unmarshal(b, &d) != nil || d.Schema != schemaSweep {
		return nil
	}
	return &d
}

func newSimView(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "view [DIR]",
		Short: "Look at a run in the browser",
		Long: `Open index.html of a report, by default of the last one, in the browser. Without a terminal,
or if no browser can be started, its name is printed; the page works from the disk.`,
		Args: arguments("[DIR]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := &simCommand{app: a}
			d, _, err := c.readFolder(first(args))
			if err != nil {
				return err
			}
			page, err := filepath.Abs(filepath.Join(d.Folder, report.FilePage))
			if err != nil {
				return err
			}
			if _, err := os.Stat(page); err != nil {
				return noReport(d.Folder, a.self())
			}
			doc := struct {
				Schema string `json:"schema"`
				Page   string `json:"page"`
			}{schemaView, page}
			return a.out.result(doc, func() {
				a.out.print("%s\n", visible(page))
				if a.out.tty {
					browse(page)
				}
			})
		},
	}
}

// browse starts the browser of the desktop, if there is one.
func browse(page string) {
	name, args := "xdg-open", []string{page}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", page}
	}
	cmd := exec.Command(name, args...)
	if cmd.Start() == nil {
		cmd.Process.Release()
	}
}

// A simScenario describes a built-in scenario.
type simScenario struct {
	Name    string `json:"name"`
	About   string `json:"about"`
	Devices int    `json:"devices"`
	Steps   int    `json:"steps"`
}

func newSimScenarios(a *app) *cobra.Command {
	show := ""
	cmd := &cobra.Command{
		Use:   "scenarios",
		Short: "List the built-in scenarios, or print one",
		Long: `List the scenarios that peer sim --scenario knows by name. --show prints the file of one,
to start one of your own from:

  peer sim scenarios --show two-laptops > mine.toml
  peer sim --scenario mine.toml`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if show != "" {
				return showScenario(a, show)
			}
			doc := struct {
				Schema    string        `json:"schema"`
				Scenarios []simScenario `json:"scenarios"`
			}{Schema: schemaScenarios}
			t := a.out.table("NAME", "DEVICES", "ABOUT")
			for _, name := range scenario.Names() {
				s, err := scenario.Builtin(name, 0, scenario.Overrides{})
				if err != nil {
					return err
				}
				doc.Scenarios = append(doc.Scenarios, simScenario{name, s.About, len(s.Devices), len(s.Ops)})
				t.add(text(name), text(strconv.Itoa(len(s.Devices))), text(s.About))
			}
			return a.out.result(doc, t.print)
		},
	}
	cmd.Flags().StringVar(&show, "show", "", "print the file of this scenario")
	return cmd
}

func showScenario(a *app, name string) error {
	file, err := scenario.File(name)
	if err != nil {
		return unknownScenario(a, name)
	}
	doc := struct {
		Schema string `json:"schema"`
		Name   string `json:"name"`
		TOML   string `json:"toml"`
	}{schemaScenario, name, string(file)}
	return a.out.result(doc, func() { a.out.print("%s", file) })
}

// unknownScenario says which scenario was probably meant.
func unknownScenario(a *app, name string) error {
	hint := "All scenarios:  " + a.self() + " sim scenarios"
	if near := nearest(name, scenario.Names()); near != "" {
		hint = "Did you mean  " + near + "?      " + hint
	}
	return usage("Unknown scenario", "There is no built-in scenario “%s”, and no file of that name.", name).Next(hint)
}
