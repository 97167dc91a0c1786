package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"syncline/sim"
	"syncline/sim/bubble"
	"syncline/sim/des"
	"syncline/sim/report"
	"syncline/sim/scenario"
)

// A simCommand is peer sim with the flags that say what is run.
type simCommand struct {
	*app
	seed     uint64
	devices  int
	ops      int
	runs     int
	real     bool
	scenario string
	out      string

	// seeded says that --seed was given. build is this program's.
	seeded bool
	build  report.Build
}

func newSim(a *app) *cobra.Command {
	c := &simCommand{app: a}
	cmd := c.running("sim", `Run a group of devices in virtual time, with every fault there is, and check that they
agree in the end and lose nothing on the way. No daemon is needed and nothing of yours is
touched. Without a subcommand this is peer sim run.

  peer sim                              a seed of its own
  peer sim --seed 42                    the same run whenever it is run
  peer sim --scenario flaky-wifi        a scenario with a name; peer sim scenarios lists them
  peer sim --scenario my.toml           a scenario of yours
  peer sim --runs 1000                  many seeds

`+simOutcome)
	cmd.AddCommand(c.running("run", `Run a scenario and judge it: the one of a seed, a built-in one, or a file of yours.

`+simOutcome), newSimReplay(a), newSimShrink(a), newSimView(a), newSimScenarios(a))
	return cmd
}

// simOutcome is what the help says about what comes of a run.
const simOutcome = `A report goes to sim-out/ (or --out): index.html shows the run, report.json is for programs.
Many seeds tell how far they are: on a terminal with a bar, elsewhere with a line now and then.
Exit codes: 0 all is well; 9 a claim is broken; 10 undecided; 130 interrupted, or 143 ended by
SIGTERM, and what ran until then is reported.`

// running returns a command that runs scenarios.
func (c *simCommand) running(name, long string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name,
		Short: "Simulate devices and faults, and check that they agree",
		Long:  long,
		Args:  commandsOnly,
		RunE: func(cmd *cobra.Command, args []string) error {
			c.seeded = cmd.Flags().Changed("seed")
			return c.run(cmd)
		},
	}
	cmd.Flags().Uint64Var(&c.seed, "seed", 0, "what chance begins with (default: a new one)")
	cmd.Flags().IntVar(&c.runs, "runs", 1, "seeds to run, from --seed on")
	c.flags(cmd)
	return cmd
}

// flags adds those that say what a seed stands for, and where the report goes.
func (c *simCommand) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVar(&c.devices, "devices", 0, "number of devices (default: 8, or what the scenario says)")
	f.IntVar(&c.ops, "ops", 0, "writes that are drawn from the seed (default: 40 and as many reads, or what the scenario says)")
	f.StringVar(&c.scenario, "scenario", "", "name of a built-in scenario, or a file")
	f.BoolVar(&c.real, "real", false, "run whole devices with real libp2p over simulated packets: slower, and not repeatable to the byte")
	f.StringVar(&c.out, "out", "", "folder for the report (default: sim-out/<time>-<seed>)")
}

// check refuses flags that cannot be meant.
func (c *simCommand) check(cmd *cobra.Command) error {
	hint, given := "All flags:  "+c.self()+" sim --help", cmd.Flags().Changed
	switch {
	case given("devices") && (c.devices < 1 || c.devices > scenario.DevicesMax):
		return usage("That number of devices cannot be simulated", "--devices is %d; it can be 1 to %d.", c.devices, scenario.DevicesMax).Next(hint)
	case given("ops") && (c.ops < 1 || c.ops > simOpsMax):
		return usage("That number of writes cannot be simulated", "--ops is %d; it can be 1 to %d.", c.ops, simOpsMax).Next(hint)
	case c.runs < 1:
		return usage("There is nothing to run", "--runs is %d; it must be 1 or more.", c.runs).Next(hint)
	}
	return nil
}

// simOpsMax bounds --ops, so that a slip of a finger does not fill the memory.
const simOpsMax = 1_000_000

func (c *simCommand) run(cmd *cobra.Command) error {
	if err := c.check(cmd); err != nil {
		return err
	}
	if !c.seeded {
		c.seed = uint64(rand.Uint32N(1_000_000_000)) // short enough to be told on the phone
	}
	if err := c.identify(); err != nil {
		return err
	}
	s, err := c.make(c.seed)
	if err != nil {
		return err
	}
	ctx, stop := c.start(cmd.Context())
	defer stop()
	if c.runs > 1 {
		return c.sweep(ctx)
	}
	return c.single(ctx, s, c.again(s.Seed))
}

// Names of the drivers in reports.
const (
	driverDES    = "des"    // discrete events; a run is repeatable to the byte
	driverBubble = "bubble" // real libp2p in virtual time
)

// driver is what carries scenarios out, with its name.
func (c *simCommand) driver() (sim.Driver, string) {
	if c.real {
		return bubble.Driver{}, driverBubble
	}
	return des.Driver{}, driverDES
}

// identify finds out which build this is.
func (c *simCommand) identify() error {
	v := versionInfo()
	name, err := sim.Fingerprint(des.Driver{})
	c.build = report.Build{Version: v.Version, Commit: v.Commit, Simulator: name}
	return err
}

// make returns the scenario of a seed.
func (c *simCommand) make(seed uint64) (*scenario.Scenario, error) {
	switch {
	case c.scenario == "":
		return scenario.Generate(seed, c.size()), nil
	case isName(c.scenario):
		if !slices.Contains(scenario.Names(), c.scenario) {
			return nil, unknownScenario(c.app, c.scenario)
		}
		s, err := scenario.Builtin(c.scenario, seed, scenario.Overrides{Devices: c.devices, Ops: c.ops})
		if err != nil {
			return nil, usage("That scenario cannot be run", "%s.", strings.TrimSuffix(err.Error(), ".")).Next("All scenarios:  " + c.self() + " sim scenarios")
		}
		return s, nil
	}
	return c.read(seed)
}

// size is that of generated scenarios.
func (c *simCommand) size() scenario.Size {
	size := scenario.DefaultSize
	if c.devices > 0 {
		size.Devices = c.devices
	}
	if c.ops > 0 {
		size.Writes, size.Reads = c.ops, c.ops
	}
	return size
}

// isName tells a name of a scenario from that of a file.
func isName(s string) bool {
	if strings.ContainsAny(s, `/\.`) {
		return false
	}
	info, err := os.Stat(s)
	return err != nil || info.IsDir()
}

// read reads a scenario file.
func (c *simCommand) read(seed uint64) (*scenario.Scenario, error) {
	text, err := os.ReadFile(c.scenario)
	if err != nil {
		return nil, usage("The scenario cannot be read", "%v.", err).Next("All built-in scenarios:  " + c.self() + " sim scenarios")
	}
	chance := &seed
	if !c.seeded && c.runs == 1 {
		chance = nil // that of the file
	}
	s, err := scenario.ParseWith(c.scenario, text, chance, scenario.Overrides{Devices: c.devices, Ops: c.ops})
	if err != nil {
		return nil, c.badScenario(err)
	}
	return s, nil
}

// mistakesTold is how many mistakes of a file people are told at once; programs get all.
const mistakesTold = 10

// badScenario tells the mistakes of a file, each in a line.
func (c *simCommand) badScenario(err error) error {
	title, detail := "The scenario has a mistake", err.Error()
	var all scenario.SyntaxErrors
	if errors.As(err, &all) && len(all) > 1 {
		title, detail = "The scenario has mistakes", all.Error()
		if more := len(all) - mistakesTold; more > 0 && !c.json {
			detail = fmt.Sprintf("%v\n(and %s)", all[:mistakesTold], plural(more, "mistake more", "mistakes more"))
		}
	}
	return usage(title, "%s", detail).Next("An example:  peer sim scenarios --show two-laptops")
}

// again is the command line that repeats the run of a seed.
func (c *simCommand) again(seed uint64) string {
	return fmt.Sprintf("%s sim replay %d%s --build %s", c.self(), seed, c.what(), c.build.Simulator)
}

// what writes the flags that say what is run, but for the seed.
func (c *simCommand) what() string {
	line := ""
	if c.scenario != "" {
		line += " --scenario " + quoteWord(c.scenario)
	}
	if c.real {
		line += " --real"
	}
	if c.devices > 0 {
		line += fmt.Sprintf(" --devices %d", c.devices)
	}
	if c.ops > 0 {
		line += fmt.Sprintf(" --ops %d", c.ops)
	}
	return line
}

// quoteWord quotes s for a shell, if it must be.
func quoteWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// secondsText writes a length of time as 1.9 s, 0.004 s where that is short, and 395 d where it is long.
func secondsText(d time.Duration) string {
	switch s := d.Seconds(); {
	case d >= 2*time.Hour:
		return span(d)
	case s >= 100:
		return count(int(s)) + " s"
	case s >= 1:
		return fmt.Sprintf("%.1f s", s)
	default:
		return fmt.Sprintf("%.2g s", s)
	}
}
