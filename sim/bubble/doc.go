// Package bubble carries scenarios out with whole devices in virtual time: node.Node on gossip/p2p, with go-libp2p, gossipsub, QUIC and
// TLS as they are shipped, in a bubble of testing/synctest. Simulated are the packets between the devices, the disks below their
// stores, and what people do. The oracle of package des judges the same scenarios, by what it is told of each replica's steps.
//
// The fate of a packet depends on the seed, but the order in which goroutines run does not: a run can be repeated, and will have the
// same verdict nearly always, but not the same trace. A failure that package des shows too is better looked at there.
package bubble
