package sim_test

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"syncline/sim/des"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

var (
	matrixFlag  = flag.Bool("matrix", false, "run every negative control over all its seeds and print the whole kill matrix")
	mistakeFlag = flag.String("mistake", "", "plant only the mistakes in whose description this stands")
)

// A control is a mistake that is planted from outside, where no shipped program can switch it on, and the check that must notice.
type control struct {
	mistake string
	check   oracle.Check
	taps    func(s *scenario.Scenario) des.Taps
	// rare says that the mistake takes a coincidence to show.
	rare bool
}

// controlSeeds is within how many seeds a mistake must be noticed, rareSeeds within how many a rare one.
const (
	controlSeeds = 200
	rareSeeds    = 20_000
)

var controls = []control{
	// Disks and what is kept on them.
	{mistake: "the disk confirms a sync and makes nothing durable", check: oracle.Durability, taps: lyingDisk},
	{mistake: "the error of a sync is ignored", check: oracle.Durability, taps: syncErrorIgnored},
	{mistake: "a batch is written as two", check: oracle.Exact, taps: batchTorn},
	{mistake: "a crash keeps the context of a batch and loses its data", check: oracle.Exact, taps: contextAhead},
	{mistake: "a context is older than its data after a restart", check: oracle.Durability, taps: contextBehind},
	{mistake: "the delete log is lost at a restart, without the floor", check: oracle.Exact, taps: deletesLost},
	{mistake: "a record of several values loses one", check: oracle.Exact, taps: recordCut},
	{mistake: "old entries of the index stay", check: oracle.Metadata, taps: indexLeaks},
	{mistake: "the store fails now and then over what a session brings", check: oracle.Available, taps: sessionsFail},
	{mistake: "the clock is not kept over a restart", check: oracle.ClockOrder, taps: clockForgotten},
	{mistake: "a replica id is continued after a crash", check: oracle.DotReuse, taps: idContinued},
	{mistake: "the counter of a replica begins anew at a restart", check: oracle.DotReuse, taps: counterReset},

	// Sessions.
	{mistake: "an answer holds only the values that the receiver lacks", check: oracle.Exact, taps: onlyLacked},
	{mistake: "an answer repeats the values that the receiver has", check: oracle.Bytes, taps: valuesRepeated},
	{mistake: "an answer loses rows and keeps its context", check: oracle.LostUpdate, taps: rowsLost},
	{mistake: "an answer leaves out the newest operations", check: oracle.LostUpdate, taps: newestLeftOut},
	{mistake: "an answer drops a sibling", check: oracle.LostUpdate, taps: siblingDropped},
	{mistake: "an answer holds the newest of concurrent values", check: oracle.LostUpdate, taps: clockDecides},
	{mistake: "an answer holds a part of a transaction", check: oracle.Atomic, taps: tornInSession},
	{mistake: "remembered deletes are not handed on", check: oracle.Exact, taps: deletesNotHandedOn},
	{mistake: "the floor is not handed on", check: oracle.Exact, taps: floorNotHandedOn},
	{mistake: "dead values below the floor are not named", check: oracle.SEC, taps: killsNotSent},
	{mistake: "a live value below the floor is named as dead", check: oracle.Exact, taps: liveKilled},
	{mistake: "a dead value takes the rest of its transaction along", check: oracle.Exact, taps: killsByDot},
	{mistake: "a sketch of live values is older than the context that goes with it", check: oracle.SEC, taps: sketchTooOld},
	{mistake: "a sketch of live values that was made out wrong is taken", check: oracle.Exact, taps: sketchMisread},
	{mistake: "a vector that was made out wrong from a sketch is taken", check: oracle.Exact, taps: vectorMisread},
	{mistake: "a device says of a gap that it has what came after it", check: oracle.Exact, taps: gossipCounted},
	{mistake: "a device says that it has the same and has not", check: oracle.HeldClaim, taps: equalClaimed},
	{mistake: "a session says before the sync what it has", check: oracle.HeldClaim, taps: earlySend},
	{mistake: "a value is damaged in a session", check: oracle.Phantom, taps: valueDamaged},
	{mistake: "the bindings of new replicas are not sent", check: oracle.NoAlarm, taps: bindingsNotSent},
	{mistake: "conflicts that a session brings are not reported", check: oracle.MissedConflict, taps: sessionConflictsDropped},

	{mistake: "an answer does not say what its values were written over", check: oracle.Phantom, taps: descentLost},
	{mistake: "an answer does not say what settled a conflict", check: oracle.Phantom, taps: resolutionLost},
	{mistake: "an operation does not say which policy settled a conflict", check: oracle.Phantom, taps: policyNotNamed},

	// Answers about ranges of paths.
	{mistake: "an answer about a range is taken for one about all", check: oracle.LostUpdate, taps: rangeForAll},
	{mistake: "an answer about a range lacks its last row", check: oracle.LostUpdate, taps: rangeShort},
	{mistake: "an answer about a range does not hand on the floor", check: oracle.Exact, taps: rangeFloorKept},
	{mistake: "a range is asked for with what was seen of others", check: oracle.Exact, taps: rangeAskedWithTop},
	{mistake: "ranges are made one at a restart", check: oracle.Exact, taps: rangesMadeEqual},

	// Paths of too many values.
	{mistake: "what is left out of an answer counts as seen", check: oracle.Exact, taps: leftTakenForSeen},
	{mistake: "a session ends at a path that it leaves out", check: oracle.Convergence, taps: leftEndsSession},

	// Gossip.
	{mistake: "an operation does not name what its writer left alone", check: oracle.FalseConflict, taps: alsoNotSent},
	{mistake: "an operation does not wait for what its writer left alone", check: oracle.Settled, taps: alsoNotAwaited, rare: true},
	{mistake: "an operation does not name what it supersedes", check: oracle.Causal, taps: predsNotSent},
	{mistake: "an operation does not name the deletes that its writer knew", check: oracle.Causal, taps: deletesNotNamed},
	{mistake: "an operation does not name the floor of its writer", check: oracle.Causal, taps: depsNotSent},
	{mistake: "a transaction loses a part on the way", check: oracle.Atomic, taps: transactionTorn},
	{mistake: "a value is changed in gossip", check: oracle.Phantom, taps: gossipChanged},
	{mistake: "an operation is handed on under another device's name", check: oracle.NoAlarm, taps: authorForged},
	{mistake: "operations that can never be applied are kept", check: oracle.Metadata, taps: uselessKept},
	{mistake: "devices that agree go on gossiping", check: oracle.Quiescence, taps: gossipForEver},
	{mistake: "a clock that is far ahead infects others", check: oracle.ClockOrder, taps: clockInfected},

	// Writes and answers.
	{mistake: "a write is acknowledged before the sync", check: oracle.Durability, taps: earlyReply},
	{mistake: "a write that failed is acknowledged", check: oracle.LostUpdate, taps: failureAcknowledged},
	{mistake: "a write replaces values that its writer was not shown", check: oracle.LostUpdate, taps: unseenReplaced},
	{mistake: "a write does not know what it replaces", check: oracle.FalseConflict, taps: blindWrite},
	{mistake: "a condition is not looked at", check: oracle.Conditional, taps: conditionIgnored},
	{mistake: "a conflict that is open is not settled", check: oracle.Available, taps: resolutionRefused},
	{mistake: "a resolution covers one side", check: oracle.Finality, taps: resolvedOneSided},

	// Damaged records.
	{mistake: "a repair takes what is lost for deleted", check: oracle.Exact, taps: repairMadeUp},
	{mistake: "a repair is about other paths than the damaged ones", check: oracle.Repaired, taps: repairOfOthers},

	// Reads and reports.
	{mistake: "reads come from a cache", check: oracle.ReadYourWrites, taps: staleReads},
	{mistake: "the value that came last is shown", check: oracle.SEC, taps: lastSeenShown},
	{mistake: "what a policy settles is left open", check: oracle.Views, taps: policyIgnored},
	{mistake: "whatever the policy, the newest value is shown", check: oracle.Views, taps: policySettlesByTime},
	{mistake: "a change of a policy is not taken over", check: oracle.Views, taps: policyKept},
	{mistake: "a merge function is asked and its answer lost", check: oracle.Merged, taps: mergeUnanswered},
	{mistake: "the result of a merge is not that of its values", check: oracle.Phantom, taps: mergeMadeUp},
	{mistake: "the result of a merge is written over values that came meanwhile", check: oracle.Merged, taps: mergeWrittenBlindly},
	{mistake: "a value that won over a delete is not reported", check: oracle.DeleteUpdate, taps: wonNotReported},
	{mistake: "a conflict is reported only if the newcomer loses", check: oracle.MissedConflict, taps: newcomerWins},
	{mistake: "values of equal content are reported as a conflict", check: oracle.FalseConflict, taps: equalReported},
	{mistake: "old conflicts are reported again after a restart", check: oracle.Finality, taps: conflictsRepeated},
	{mistake: "a conflict is reported twice", check: oracle.Reports, taps: conflictsTwice},
	{mistake: "what happened last is reported first", check: oracle.Reports, taps: lastToldFirst},
	{mistake: "what a session changed is not reported", check: oracle.Reports, taps: changesNotTold},

	// When devices talk.
	{mistake: "a peer that was lost is given up", check: oracle.Convergence, taps: peerGivenUp},
	{mistake: "devices that agree cannot stop talking", check: oracle.Quiescence, taps: restless},
	{mistake: "a device that polls stops polling", check: oracle.Convergence, taps: pollsForgotten},
	{mistake: "a device that polls never pauses", check: oracle.Quiescence, taps: pollsWithoutPause},
}

// TestControlsAreNoticed plants one mistake at a time and wants the check that is named for it to fail within controlSeeds seeds:
// without that, the silence of TestSeeds would prove nothing.
func TestControlsAreNoticed(t *testing.T) {
	if testing.Short() {
		t.Skip("the mistakes are planted in the long test")
	}
	controls := slices.DeleteFunc(slices.Clone(controls), func(c control) bool { return !strings.Contains(c.mistake, *mistakeFlag) })
	results := make([]controlResult, len(controls))
	var next atomic.Int64
	var wait sync.WaitGroup
	for range sweepWorkers {
		wait.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(controls) {
					return
				}
				results[i] = controls[i].run()
			}
		})
	}
	wait.Wait()
	for i, c := range controls {
		t.Run(c.mistake, func(t *testing.T) {
			if r := results[i]; r.noticed == 0 {
				t.Errorf("nobody noticed in %d seeds by %q that %s; the checks that failed: %s", r.seeds, c.check, c.mistake, r.byChecks())
			}
		})
	}
	t.Log(matrix(controls, results))
}

// matrix is a table of who noticed what, for docs/TESTING.md.
func matrix(controls []control, results []controlResult) string {
	var b strings.Builder
	b.WriteString("\n| Mistake | Named check | First seed | Noticed | By checks |\n|---|---|---|---|---|\n")
	for i, c := range controls {
		r := results[i]
		fmt.Fprintf(&b, "| %s | %s | %d | %d of %d | %s |\n", c.mistake, c.check, r.first, r.noticed, r.seeds, r.byChecks())
	}
	return b.String()
}

// A controlResult is what came of one mistake.
type controlResult struct {
	seeds, noticed int
	first          uint64 // the seed at which the named check failed first
	checks         map[oracle.Check]int
}

func (r *controlResult) byChecks() string {
	var parts []string
	for _, k := range slices.SortedFunc(maps.Keys(r.checks), func(a, b oracle.Check) int {
		if r.checks[a] != r.checks[b] {
			return r.checks[b] - r.checks[a]
		}
		return strings.Compare(string(a), string(b))
	}) {
		parts = append(parts, fmt.Sprintf("%s %d", k, r.checks[k]))
	}
	return strings.Join(parts, ", ")
}

// run goes through the seeds until the named check fails; for the whole matrix through controlSeeds at least.
func (c *control) run() controlResult {
	r := controlResult{checks: map[oracle.Check]int{}}
	limit := controlSeeds
	if c.rare {
		limit = rareSeeds
	}
	for r.seeds < limit && (r.noticed == 0 || *matrixFlag && r.seeds < controlSeeds) {
		r.seeds++
		s := scenario.Generate(uint64(r.seeds), scenario.DefaultSize)
		report := des.Run(s, des.Options{Taps: c.taps(s)})
		for _, check := range report.Checks() {
			r.checks[check]++
		}
		if r.noticed = r.checks[c.check]; r.noticed == 1 && r.first == 0 {
			r.first = s.Seed
		}
	}
	return r
}
