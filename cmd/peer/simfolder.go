package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"

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
			if err := c.check(cmd); err != nil {
				return err
			}
			if err := c.identify(); err != nil {
				return err
			}
			ctx, stop := c.start(cmd.Context())
			defer stop()
			if seed, err := strconv.ParseUint(first(args), 10, 64); err == nil && !isFolder(first(args)) {
				return c.replaySeed(ctx, seed, build)
			}
			for _, flag := range []string{"scenario", "devices", "ops", "real", "build"} {
				if cmd.Flags().Changed(flag) && len(args) == 0 {
					return usage("A seed is missing", "--%s goes with a seed, and none is given.", flag).Next("Name it:  " + c.self() + " sim replay SEED" + c.what())
				}
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

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && !info.IsDir()
}

func (c *simCommand) replaySeed(ctx context.Context, seed uint64, build string) error {
	c.seed, c.seeded = seed, true
	s, err := c.make(seed)
	if err != nil {
		return err
	}
	same := build == c.build.Simulator
	if build != "" && !same && !c.json {
		c.app.out.note("%s Seed %d comes from build %s; this is %s, which may draw another scenario from it or run it otherwise.\n  The folder of its report holds the scenario itself:  %s sim replay DIR",
			c.app.out.errSign(signLook), seed, visible(build), c.build.Simulator, c.self())
	}
	rec, d, err := c.record(ctx, s, c.folder(seed), c.again(seed))
	if err != nil {
		return err
	}
	if build != "" {
		d.Replay = &report.Replay{Build: report.Build{Simulator: build}, SameBuild: same}
	}
	return c.finish(ctx, s, rec, d)
}

func (c *simCommand) replayFolder(ctx context.Context, name string) error {
	old, s, err := c.readFolder(name)
	if err != nil {
		return err
	}
	c.real = old.Driver == driverBubble
	c.noteBuild(old)
	dir := c.folder(s.Seed)
	rec, d, err := c.record(ctx, s, dir, c.self()+" sim replay "+quoteWord(dir))
	if err != nil {
		return err
	}
	d.Replay = c.compare(old, d)
	return c.finish(ctx, s, rec, d)
}

// noteBuild says if another build made a report.
func (c *simCommand) noteBuild(old *report.Document) {
	if old.Build.Simulator != c.build.Simulator && !c.json {
		c.app.out.note("%s The report was made by build %s, this is %v. The scenario of the report is run as it stands; its messages may go other ways,\n  so that the outcome may differ.",
			c.app.out.errSign(signLook), visible(old.Build.String()), c.build)
	}
}

// compare says how a run is related to the report that it repeats. Of two that differ, and of which one did not come to its end, nothing is
// known but that: they may have been the same until then.
func (c *simCommand) compare(old, d *report.Document) *report.Replay {
	r := &report.Replay{Build: old.Build, SameBuild: old.Build.Simulator == c.build.Simulator}
	same := old.Trace == d.Trace
	switch {
	case !same && d.Reason != "":
		r.Uncompared = "this run did not come to its end: " + d.Reason
	case !same && old.Reason != "":
		r.Uncompared = "the run of the report did not come to its end: " + old.Reason
	default:
		r.SameTrace = &same
	}
	return r
}

// readFolder reads the report of a folder, see find.
func (c *simCommand) readFolder(name string) (*report.Document, *scenario.Scenario, error) {
	dir, err := c.find(name)
	if err != nil {
		return nil, nil, err
	}
	d, s, err := report.Read(dir)
	var mistakes scenario.SyntaxErrors
	var damaged *report.DamagedError
	switch {
	case errors.As(err, &damaged) && d != nil: // the scenario is missing
		return nil, nil, errReportDamaged.With("%v.", err).Next("Run what the report stands for:  " + d.Again)
	case errors.As(err, &damaged):
		return nil, nil, errReportDamaged.With("%v.", err).Next("Run its scenario:  " + c.self() + " sim --scenario " + quoteWord(filepath.Join(dir, report.FileScenario)))
	case errors.As(err, &mistakes):
		return nil, nil, c.badScenario(err)
	}
	return d, s, err
}

// find returns the folder of the report that a person means: that of a name, or of one of its files, or of the last run if name is empty.
// The folder of a sweep stands for the seed in it that failed.
func (c *simCommand) find(name string) (string, error) {
	dir := filepath.Clean(name)
	info, err := os.Stat(dir)
	switch {
	case name == "":
		dir = filepath.Join(simOut, simLatest)
	case err != nil && slices.Contains(scenario.Names(), name):
		return "", noReport(name+" is a scenario, not the folder of a report.", "Run it:  "+c.self()+" sim --scenario "+name)
	case err == nil && !info.IsDir() && slices.Contains(report.Files, filepath.Base(dir)) && isFile(filepath.Join(filepath.Dir(dir), report.FileDocument)):
		dir = filepath.Dir(dir)
	case err == nil && !info.IsDir():
		return "", noReport(name+" is a file, not the folder of a report.", "Run it, if it is a scenario:  "+c.self()+" sim --scenario "+quoteWord(name))
	}
	if sweep := readSweep(dir); sweep != nil {
		if sweep.Report == "" {
			return "", noReport(fmt.Sprintf("%s holds a sweep of %s seeds in which none failed.", dir, count(sweep.Ran)),
				"Run one seed:  "+c.self()+" sim --seed "+strconv.FormatUint(sweep.First, 10))
		}
		dir = filepath.Join(dir, sweep.Report)
	}
	if !isFile(filepath.Join(dir, report.FileDocument)) {
		return "", noReport(dir+" holds no report of a simulation.", "Make one:  "+c.self()+" sim --out DIR      or name the folder of one")
	}
	return dir, nil
}

// noReport is the problem of a name that is not that of a report.
func noReport(detail, hint string) error {
	p := node.ErrNotFound.With("%s", detail).Next(hint)
	p.Title = "There is no report"
	return p
}

// errReportDamaged is the problem of a report of which something cannot be read.
var errReportDamaged = &node.Problem{Code: "report_damaged", Status: 500, Title: "The report is damaged", Hint: "Make another:  peer sim"}

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
			dir, err := c.find(first(args))
			if err != nil {
				return err
			}
			page, err := filepath.Abs(filepath.Join(dir, report.FilePage))
			if err != nil {
				return err
			}
			if !isFile(page) {
				return errReportDamaged.With("%s has no %s.", dir, report.FilePage).Next("Write another:  " + a.self() + " sim replay " + quoteWord(dir))
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
