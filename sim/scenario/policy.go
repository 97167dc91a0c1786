package scenario

import (
	"slices"
	"strings"
)

// Policies are those that an operation with DoPolicy may name. Of the merge functions, join makes of the same values the same on every
// device; differ makes something else on each; fail and hang never make anything. [Scenario.HasFunctions] says who has them.
var Policies = []string{"manual", "newest", "max", "min", "union", "merge:join", "merge:differ", "merge:fail", "merge:hang"}

// Functions are the names of the merge functions among the policies, sorted.
var Functions = []string{"differ", "fail", "hang", "join"}

// HasFunctions reports whether a device has the merge functions: in a scenario with a policy that names one, three devices of four do.
// A device without leaves what competes to the others.
func (s *Scenario) HasFunctions(device int) bool { return device%4 != 3 && s.merges() }

func (s *Scenario) merges() bool {
	return slices.ContainsFunc(s.Ops, func(o Op) bool { return strings.HasPrefix(o.Policy, "merge:") })
}

// resultsPerPart is how many results of merge functions there may be for each part of a write before they are taken for endless.
const resultsPerPart = 4

// Merges bounds the writes by which programs and merge functions settle conflicts.
func (s *Scenario) Merges() int {
	if s.merges() {
		return s.MergesMax + resultsPerPart*s.Parts()
	}
	return s.MergesMax
}
