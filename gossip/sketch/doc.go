// Package sketch finds out how two sets differ at a cost that follows the difference and not the sets: rateless invertible Bloom
// lookup tables (Yang, Gilad and Alizadeh, "Practical Rateless Set Reconciliation", SIGCOMM 2024, arXiv:2402.02668, sections 4 and 5).
//
// A set has an endless row of coded symbols; each is the sum of some of the items, and the first of all of them. The symbols of one set less
// those of another are the symbols of their difference. About 1.35 d of them, or up to twice as many where d is small, give the d
// items of the difference back, one uncovering the next; whoever cannot make it out asks for the symbols that follow.
//
// A symbol holds the items' exclusive or, that of their hashes, and their number. The hash is SipHash-2-4 under a key that both ends know: with
// a key of its own each exchange covers the items anew, and no set stays hard to tell. Here the paper's real numbers are replaced by
// integers, so that every machine takes the same indexes: see walk.
//
// What is made out is right unless 64-bit hashes collide; who depends on it checks the outcome against a hash of the whole.
package sketch
