// Package oracle judges what a group of devices made of a scenario. It knows the graph of all operations; a driver tells an [Oracle]
// what it saw.
//
// The oracle identifies a value by its content, which no two writes share, and compares the name that a replica gave it with the
// name that it had when it was written. What a write supersedes follows from what its writer was shown, as the driver read it just
// before; nothing is taken from what replicas say of each other. From a replica the oracle takes one claim, the set of dots that
// it says it has seen, and everything else must follow from that claim: the live values of every path, the reports of conflicts,
// and what survives a crash.
package oracle
