// Package sim says what may happen to a group of devices and judges what they made of it: scenarios of timed operations and faults,
// a generator that draws them from a seed, and an oracle that knows the graph of all operations.
//
// A driver carries a [Scenario] out and tells an [Oracle] what it saw. Package des is the driver that runs the product's own
// replicas over simulated links, disks and clocks: thousands of seeds a minute, each the same whenever it is run.
//
// # Ground truth
//
// The oracle identifies a value by its content, which no two writes share, and compares the name that a replica gave it with the
// name that it had when it was written. What a write supersedes follows from what its writer was shown, as the driver read it just
// before; nothing is taken from what replicas say of each other. From a replica the oracle takes one claim, the set of dots that
// it says it has seen, and everything else must follow from that claim: the live values of every path, the reports of conflicts,
// and what survives a crash.
package sim
