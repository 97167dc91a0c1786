package report

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// Schemas of what a folder holds; report.json names them.
const (
	Schema      = "peer.sim/v1"
	SchemaEvent = "peer.sim.event/v1"
)

// The files of a folder.
const (
	FileDocument = "report.json"
	FileEvents   = "events.ndjson"
	FileScenario = "scenario.toml"
	FilePage     = "index.html"
	FileStory    = "story.txt"
	FileGoTest   = "repro_test.go"
	// FolderShrunk holds the report of the smallest scenario that breaks the same claim.
	FolderShrunk = "shrunk"
)

// A Verdict says how a run ended.
type Verdict string

// The verdicts.
const (
	Pass      Verdict = "pass"
	Fail      Verdict = "fail"      // a claim was broken
	Undecided Verdict = "undecided" // nothing was broken, and nothing can be said of the end
)

// A Document is report.json. Times are virtual unless they say otherwise. Fields are only ever added.
type Document struct {
	Schema  string  `json:"schema"`
	Verdict Verdict `json:"verdict"`
	// Reason says why a run is undecided, or why one that broke a claim did not come to its end.
	Reason     string      `json:"reason,omitempty"`
	Seed       uint64      `json:"seed"`
	Driver     string      `json:"driver"`
	Build      Build       `json:"build"`
	Scenario   Scenario    `json:"scenario"`
	Checks     Checks      `json:"checks"`
	Violations []Violation `json:"violations"`
	// First is the first broken claim; nil if none is, or if the events of the run were not followed.
	First *First `json:"first,omitempty"`
	// Conflicts is nil if the events of the run were not followed.
	Conflicts *Conflicts     `json:"conflicts,omitempty"`
	Coverage  map[string]int `json:"coverage"`
	Figures   Figures        `json:"figures"`
	// Trace is a hash over everything that happened; a repeated run has the same, if the driver is repeatable.
	Trace string `json:"trace"`
	// Again is the command line that repeats the run.
	Again string `json:"again,omitempty"`
	// Shrunk says what is left of a failing scenario, once it was cut down.
	Shrunk *Shrunk `json:"shrunk,omitempty"`
	// Replay compares the run with the report that it repeats.
	Replay *Replay `json:"replay,omitempty"`
	// Events says what events.ndjson holds.
	Events *Events `json:"events,omitempty"`
	// Folder is where the report was written, as the caller named it. It stands in no file.
	Folder string `json:"folder,omitempty"`
}

// A Build names the program that made a report.
type Build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	// Simulator is equal for programs that draw the same scenarios and run them alike (sim.Fingerprint).
	Simulator string `json:"simulator"`
}

// String names the build for people, as 1.4.0+8c1f2a.
func (b Build) String() string {
	if b.Simulator == "" {
		return b.Version
	}
	return b.Version + "+" + b.Simulator
}

// A Scenario says in short what was run.
type Scenario struct {
	Name    string `json:"name,omitempty"`
	About   string `json:"about,omitempty"`
	Devices int    `json:"devices"`
	// Steps counts all operations and faults, Writes and Reads those of people.
	Steps  int `json:"steps"`
	Writes int `json:"writes"`
	Reads  int `json:"reads"`
	// Faults sums up in words what goes wrong.
	Faults []string `json:"faults"`
}

// Checks says how often devices were compared with the truth, and which checks failed.
type Checks struct {
	Count  int            `json:"count"`
	Broken []oracle.Check `json:"broken"`
}

// A Violation is one broken claim.
type Violation struct {
	Check  oracle.Check `json:"check"`
	At     float64      `json:"at_seconds"`
	Device int          `json:"device"`
	Name   string       `json:"device_name"`
	Text   string       `json:"text"`
}

// Conflicts counts the different conflicts that devices reported, the results of merge functions that were written, the conflicts that
// ended otherwise, by a decision, a write or a policy, and the paths that wait for a decision in the end: on a device at least, and of those the
// ones that do not on another, though it holds the same values, as the mark of a value that won over a delete need not come to all.
type Conflicts struct {
	Reported int `json:"reported"`
	Merged   int `json:"merged"`
	Settled  int `json:"settled"`
	Open     int `json:"open"`
	Differ   int `json:"differ"`
}

// Figures are lengths of time in seconds, and the number of events that the driver worked through.
type Figures struct {
	// Converged is how long after the last fault all devices agreed; nil if they did not.
	Converged *float64 `json:"converged_seconds"`
	Virtual   float64  `json:"virtual_seconds"`
	// Took is real time.
	Took   float64 `json:"took_seconds"`
	Events int     `json:"events"`
}

// Shrunk says how many steps a failing scenario had and how many are left.
type Shrunk struct {
	From int `json:"from_steps"`
	To   int `json:"to_steps"`
	// Complete says that no single step can be left out any more; false if shrinking was cut short.
	Complete bool `json:"complete"`
	// Story tells the steps in plain words, First is the first broken claim of what is left.
	Story []string `json:"story"`
	First *First   `json:"first,omitempty"`
}

// Replay says what became of a run that was run again.
type Replay struct {
	// Build is the one that made the report, or that a seed comes from.
	Build     Build `json:"build"`
	SameBuild bool  `json:"same_build"`
	// SameTrace is nil if there is nothing to compare with; Uncompared then says why, unless the run is one of a seed.
	SameTrace  *bool  `json:"same_trace,omitempty"`
	Uncompared string `json:"uncompared,omitempty"`
}

// Events says what events.ndjson holds.
type Events struct {
	Schema string `json:"schema"`
	Count  int    `json:"count"`
}

// An Outcome is what a caller knows of a run that ended.
type Outcome struct {
	Report *oracle.Report
	// Reason, if not empty, says why the run did not come to its end.
	Reason string
	Driver string
	Build  Build
	// Took is the real time of the run.
	Took time.Duration
	// Again is the command line that repeats the run.
	Again string
}

// NewDocument returns the document of a run without what only its events tell.
func NewDocument(s *scenario.Scenario, o Outcome) *Document {
	r := o.Report
	d := &Document{Schema: Schema, Verdict: Pass, Seed: s.Seed, Driver: o.Driver, Build: o.Build, Again: o.Again,
		Scenario: Scenario{Name: s.Name, About: s.About, Devices: len(s.Devices), Steps: len(s.Ops), Writes: s.Writes()},
		Checks:   Checks{Count: r.Checked, Broken: []oracle.Check{}}, Violations: []Violation{}, Coverage: r.Coverage,
		Figures: Figures{Virtual: r.Elapsed.Seconds(), Took: o.Took.Seconds(), Events: r.Events}, Trace: traceName(r.Trace)}
	for _, op := range s.Ops {
		if op.Do == scenario.DoRead {
			d.Scenario.Reads++
		}
	}
	d.Scenario.Faults = faults(s)
	for _, v := range r.Violations {
		d.Violations = append(d.Violations, Violation{v.Check, v.At.Seconds(), v.Device, s.DeviceName(v.Device), v.Text})
	}
	d.Checks.Broken = append(d.Checks.Broken, r.Checks()...)
	if r.Final != nil {
		converged := r.Converged.Seconds()
		d.Figures.Converged = &converged
	}
	d.Reason = cmp.Or(o.Reason, r.Undecided)
	switch {
	case len(r.Violations) > 0:
		d.Verdict = Fail
	case d.Reason != "":
		d.Verdict = Undecided
	}
	return d
}

// faultNouns says what the faults of a scenario are called, one and many, in the order in which they are summed up.
var faultNouns = []struct {
	do        scenario.Action
	one, many string
}{
	{scenario.DoPartition, "partition", "partitions"}, {scenario.DoStall, "stall", "stalls"}, {scenario.DoDisconnect, "disconnection", "disconnections"},
	{scenario.DoCrash, "crash", "crashes"}, {scenario.DoRestart, "restart", "restarts"}, {scenario.DoRestore, "restored backup", "restored backups"},
	{scenario.DoClone, "clone", "clones"}, {scenario.DoDiskFull, "full disk", "full disks"},
}

// faults sums up what goes wrong in a scenario.
func faults(s *scenario.Scenario) []string {
	out := []string{}
	counts := map[scenario.Action]int{}
	wrong := int64(0)
	for _, op := range s.Ops {
		counts[op.Do]++
		if op.Do == scenario.DoClock {
			wrong = max(wrong, op.Amount, -op.Amount)
		}
	}
	for _, d := range s.Devices {
		wrong = max(wrong, d.Skew, -d.Skew)
	}
	for _, f := range faultNouns {
		switch n := counts[f.do]; n {
		case 0:
		case 1:
			out = append(out, "1 "+f.one)
		default:
			out = append(out, fmt.Sprintf("%d %s", n, f.many))
		}
	}
	if s.Network.Loss > 0 {
		out = append(out, fmt.Sprintf("%g %% loss", math.Round(1000*s.Network.Loss)/10))
	}
	if wrong > 0 {
		out = append(out, "clocks wrong by up to "+roughly(time.Duration(wrong)*time.Millisecond))
	}
	return out
}

// roughly writes a length of time in its largest unit.
func roughly(d time.Duration) string {
	const day = 24 * time.Hour
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{365 * day, "y"}, {day, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if d >= u.unit {
			return fmt.Sprintf("%.0f %s", float64(d)/float64(u.unit), u.name)
		}
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}
