// Package netns runs the shipped binary on a network of Linux network namespaces: the third driver of a simulation, with real
// kernel sockets, real multicast, real disks and SIGKILL, in real time.
//
// A [Lab] is a LAN. A [Host] is a machine that is plugged into it: a namespace with one interface. Hosts can be split into
// groups that do not hear each other, unplugged, moved to another address. A [Peer] is a device on a host: a home folder of
// its own and the binary, as its owner would run it.
//
// Hosts are connected by a [Switch], which is part of the program and takes frames from TAP interfaces, so it can lose, repeat,
// delay and hold them; the kernel needs no queueing disciplines for that. Where /dev/net/tun cannot be opened, as without root,
// they are connected by bridges of the kernel, which can only be cut.
//
// A [Driver] carries scenarios out on such a LAN and judges them by what the devices answer.
//
// Nothing of the machine outside is touched. [Contain] runs a program in process, mount and network namespaces of its own, so that whatever it made ends with it, however it ends; it needs root, or the right of users
// to make namespaces. The command ip, from the package iproute2, must be there.
//
// The tests of this package are the product's tests on a LAN. `go test ./sim/netns` runs a quick part and skips it, saying
// why, where namespaces cannot be made. With SYNCLINE_LAN=full all of it runs, and fails where it cannot; SYNCLINE_MEASURE=1 adds what
// takes minutes and only measures. SYNCLINE_PEER names
// a binary to test instead of one that is built from cmd/peer.
package netns
