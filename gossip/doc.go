// Package gossip is the protocol that keeps replicas equal: operations pushed to everybody ([Delivery] puts them into an order
// in which they can be applied), and sessions in which two replicas find out what each lacks and exchange exactly that
// ([Session], scheduled by [Schedule]). All of it is pure: told the time, given its randomness, without goroutines, sockets or
// storage of its own. A [Network] carries the bytes; package p2p is one.
//
// # A session on one page
//
//	I → R   HELLO    hash of my vector, digest of what is live, and my vector unless we are believed equal
//	R → I   OK                                                            equal: one round trip, done
//	        or HELLO (with vector), ROWS…, OPENS…, END                    what I lacks, read under R's whole context
//	I → R   ROWS…, OPENS…, END                                            what R lacks
//	both    commit the answer in one batch, then DONE                     said after the commit is on disk
//
// The answer to a vector carries all live values of every path that it touches, the remembered deletes, and the sender's whole
// context; the receiver joins it (crdt.Join) in one commit, whatever it has learned since it asked. If the sender has forgotten
// deletes that the receiver may not know of (its floor is not within the receiver's vector), it says FLOOR instead; the receiver says what is
// live there (LIVE…, ASK), and the answer names the dead among it (KILL…, DEAD…): values that only live on because a delete was
// forgotten.
//
// What costs by the number of replicas or of values, a vector or a list of what is live, travels as a sketch (package sketch) where that is
// shorter, and as changes where both ends know the other's. Whoever cannot make a sketch out says MORE.
//
// OPENS carries the bindings of the replicas that the receiver has not heard of. Either side may end the session with BYE and a
// reason: it was set back, or has fetched what it wanted.
//
// Whatever a session says of a replica is on that replica's disk when it is said. So a peer's vector tells what it holds.
package gossip
