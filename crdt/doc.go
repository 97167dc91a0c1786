// Package crdt holds the values that Syncline replicates, as pure functions of their inputs: dots, version vectors, hybrid
// logical clocks, registers, states, operations, deltas, their joins, and conflicts with their resolutions. It reads no clock,
// starts nothing, draws no random numbers and does no I/O of its own.
//
// # Words
//
// A replica (an incarnation) is one continued run of writes by one copy of the data. A [Dot] is (replica, counter) and names
// one transaction, the [Op]. A [Vector] is a set of dots without gaps; the vector of what a state has seen is its context. A
// write names its predecessors: the dots that it supersedes at each path. Two writes are concurrent if neither supersedes the
// other, directly or through others. A [Register] holds the values of one path that nothing supersedes: its siblings. Two
// siblings whose contents differ are a [Conflict].
//
// # The state and its join
//
// A replica's state is, for every path, the set of live values, and one context c. There are no tombstones: a dot inside the
// context that is not live is dead. Two states join path by path,
//
//	(s, c) ⊔ (s', c') = (s∩s') ∪ (s∖c') ∪ (s'∖c), with context c ⊔ c' the pointwise maximum
//
// which is commutative, associative and idempotent, so replicas that have seen the same operations hold the same values.
// Contexts without gaps come from DottedDB (Gonçalves et al., SRDS 2017) and "Concise Server-Wide Causality Management for
// Eventually Consistent Data Stores" (DAIS 2015); joins of deltas from "Delta State Replicated Data Types"
// (arXiv:1603.01529).
//
// # Two ways in
//
// [Apply] applies one operation, as gossip brings it, under the delivery rule: next of its replica, and everything that it
// names already seen ([Ready]). [Join] applies a [Delta], the answer of a peer to a context, which carries the whole live set of
// every path it touches. Both work on a [Base]: a [State] in memory or a transaction of package store, with the same code.
//
// # The specification's operations
//
// [Diff], [Merge] and [Resolve] are the three operations by which the system is specified, on States.
package crdt
