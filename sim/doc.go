// Package sim shows that a group of devices agrees whatever happens to it. A scenario (package scenario) says what happens, a driver
// carries it out on the product's own code, and an oracle (package oracle) judges the outcome.
//
// Package des is the driver that runs replicas over simulated links, disks and clocks: thousands of seeds a minute, each the same
// whenever it is run. [Sweep] runs many seeds; package report shows one run to people.
//
// Programs that combine concurrent values with functions of their own test them here: [CheckMerge] checks the laws that such a function
// must obey, [Check] runs it on simulated devices.
//
// What is run is a function of its inputs; this package, which runs it, is not: sweeps use all processors and measure real time, and the
// functions of others are called on goroutines of their own with deadlines.
package sim
