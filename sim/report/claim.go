package report

import "syncline/sim/oracle"

// claims says for each check what devices promise.
var claims = map[oracle.Check]string{
	oracle.Exact:          "a device holds exactly the values that nothing it has seen replaced",
	oracle.SEC:            "devices that have seen the same hold and show the same",
	oracle.Convergence:    "some time after the last fault all devices agree",
	oracle.LostUpdate:     "nothing that was written is lost",
	oracle.Phantom:        "every value was written, at that path and so",
	oracle.FalseConflict:  "what is reported as a conflict is one",
	oracle.MissedConflict: "every conflict is reported where it comes to light",
	oracle.DeleteUpdate:   "a write that won over a delete is reported, and nothing else as one",
	oracle.ReadYourWrites: "a device reads what it wrote",
	oracle.Monotonic:      "a device never goes back",
	oracle.Causal:         "nothing arrives before what its writer knew",
	oracle.Settled:        "a deleted value never stands beside its successor",
	oracle.Durability:     "a crash takes nothing that was acknowledged",
	oracle.DotReuse:       "one name stands for one write, for ever",
	oracle.Finality:       "what was resolved stays resolved",
	oracle.Atomic:         "a transaction is seen as a whole",
	oracle.Metadata:       "a store keeps no more than it needs, and its indexes are right",
	oracle.HeldClaim:      "what a device is said to have on disk, it has",
	oracle.NoAlarm:        "there is no alarm without a reason",
	oracle.Quiescence:     "devices that agree have little to say",
	oracle.ClockOrder:     "times go forward, and follow no clock that is far ahead",
	oracle.Conditional:    "a conditional write succeeds if and only if nothing has changed",
	oracle.Available:      "a device with a working disk can write",
	oracle.Reports:        "what changed is told, each conflict once, and nothing after what came of it",
	oracle.Bytes:          "a session costs what differs, whatever happened before",
	oracle.Views:          "a device shows what the policies make of its values",
	oracle.Repaired:       "what cannot be read on a device is fetched from one that has it",
	oracle.Merged:         "what a merge function combines is settled, everywhere with the same value",
	oracle.Invariant:      "what a program says of its data holds",
	oracle.NoPanic:        "nothing panics",
}

// Claim says in plain words what a check is about.
func Claim(c oracle.Check) string {
	if text, ok := claims[c]; ok {
		return text
	}
	return string(c)
}
