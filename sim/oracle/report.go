package oracle

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Check names one thing that the oracle looks at.
type Check string

// The checks. Each names the claim that a violation breaks.
const (
	Exact          Check = "exact"           // live values are those writes that nothing seen supersedes
	SEC            Check = "sec"             // devices that have seen the same hold the same and show the same
	Convergence    Check = "convergence"     // some time after the last fault all devices agree
	LostUpdate     Check = "lost-update"     // what a living store holds is in the end everywhere, or superseded
	Phantom        Check = "phantom"         // every value was written, there and so
	FalseConflict  Check = "false-conflict"  // what is reported as a conflict is one
	MissedConflict Check = "missed-conflict" // a conflict is reported where it comes to light
	DeleteUpdate   Check = "delete-update"   // marks of values that won over a delete are true
	ReadYourWrites Check = "ryw"             // a device reads what it wrote, or what superseded it
	Monotonic      Check = "monotonic"       // a device never goes back, except with its data
	Causal         Check = "causal"          // an operation is applied after all that its writer knew of its paths
	Settled        Check = "settled"         // a value that its writer had seen deleted never stands beside its successor
	Durability     Check = "durability"      // a crash takes nothing that was acknowledged, and nothing that was durable
	DotReuse       Check = "dot-reuse"       // one dot names one operation, for ever
	Finality       Check = "finality"        // what was resolved stays resolved
	Atomic         Check = "atomic"          // a transaction is seen as a whole
	Metadata       Check = "metadata"        // a device keeps no more than it needs, and its indexes agree with its values
	HeldClaim      Check = "held"            // what a device is said to have on disk, it has
	NoAlarm        Check = "alarm"           // no alarm without a reason
	Quiescence     Check = "quiescence"      // devices that agree have little to say
	ClockOrder     Check = "clock"           // the timestamps under one replica id go forward, and follow no clock that is far ahead
	Conditional    Check = "conditional"     // a conditional write succeeds if and only if nothing has changed
	Available      Check = "available"       // a device with a working disk can write
	Reports        Check = "reports"         // what changed is told, each conflict once, and nothing after what came of it
	Bytes          Check = "bytes"           // a session costs what differs, whatever happened before
	NoPanic        Check = "panic"           // nothing panics
	Views          Check = "views"           // a device shows what the policies that it has seen make of its values
	Repaired       Check = "repaired"        // what cannot be read on a device is fetched from one that has it
	Merged         Check = "merged"          // a program settles the conflicts that it merges, everywhere with the same value
	Invariant      Check = "invariant"       // what a program says of its data holds
)

// A Violation is one broken claim.
type Violation struct {
	Check  Check
	At     time.Duration
	Device int
	// Name is what people call the device.
	Name string
	Text string
}

// String tells it in one line.
func (v Violation) String() string {
	return fmt.Sprintf("%s at %.6fs, %s: %s", v.Check, v.At.Seconds(), v.Name, v.Text)
}

// violationsMax bounds the violations of one check that are kept of a run; after the first, most are consequences.
const violationsMax = 8

// Coverage counts what happened, so that a sweep in which nothing happened does not pass for one that found nothing.
type Coverage map[string]int

// Join adds the counts of d.
func (c Coverage) Join(d Coverage) {
	for k, n := range d {
		c[k] += n
	}
}

// String lists the counts by name.
func (c Coverage) String() string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(c)) {
		parts = append(parts, fmt.Sprintf("%s %d", k, c[k]))
	}
	return strings.Join(parts, ", ")
}

// A Report is what came of one run.
type Report struct {
	Seed       uint64
	Violations []Violation
	Coverage   Coverage
	// Checked is how often a device was compared with the truth.
	Checked int
	// Converged is how long after the last fault the devices agreed.
	Converged time.Duration
	// Elapsed is the virtual time that the run took, Events the number of events in it.
	Elapsed time.Duration
	Events  int
	// Final holds the contents at each path at the end, if the devices agreed.
	Final map[string][]string
	// Undecided, if not empty, says why nothing can be said of the end, though the run came to it.
	Undecided string
	// Trace is a hash over everything that happened; equal runs have equal traces.
	Trace uint64
}

// Checks returns the checks that failed, in the order of their first violation.
func (r *Report) Checks() []Check {
	var checks []Check
	for _, v := range r.Violations {
		if !slices.Contains(checks, v.Check) {
			checks = append(checks, v.Check)
		}
	}
	return checks
}

// Failed reports whether a check failed.
func (r *Report) Failed(c Check) bool { return slices.Contains(r.Checks(), c) }
