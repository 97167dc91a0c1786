// Package mdns advertises one instance of a service on the local network and hears of the others: the part of multicast DNS (RFC
// 6762) and of DNS-based service discovery (RFC 6763) that a device with a random instance name needs.
//
// # What it does
//
// A [Speaker] announces its records twice, one second apart, answers questions about them, and takes them back (time to live 0)
// when it closes. It asks for other instances at once, then after four seconds, then ever more seldom, up to once a minute. Each
// TXT record of the service that it hears is handed on, as often as it comes: there is no cache that could fill up, or go
// stale. Addresses and ports of other instances are not looked at; what matters stands in the TXT record.
//
// It does not probe for its names (section 8.1), because they are random, and answers resolvers that do not listen to the group
// (section 6.7) like everybody else. Of the answers that a question says it knows (section 7.1) it heeds the PTR records.
//
// # Bounds
//
// Everybody on the network can send anything; whoever is not on it nothing. Only packets addressed to the multicast group are
// heard, which no router hands on (section 11). Where the system does not tell the destination, the source must be in the network
// of an interface. Of what is heard:
//
//   - a packet has at most 9,000 bytes (section 17), and its first 256 questions and records are looked at;
//   - a socket reads 128 packets a second, after 256 at once; the others are dropped unread;
//   - a packet brings at most 8 instances, a second 32, after 128 at once, with at most 2,048 bytes of text each;
//   - however much is asked, an interface gets one packet of answers a second for each of IPv4 and IPv6 (section 6), 20 to 120 ms
//     after the question, and single askers (section 5.4) 8 packets a second, after 16 at once;
//   - nothing that was heard is kept.
package mdns
