// Package scenario says what may happen to a group of devices: a [Scenario] is an explicit list of timed operations and faults, which
// people and programs can read, edit and cut down. [Generate] draws one from a seed; [Shrink] takes away what a failure does not need.
package scenario
