// Package report writes what came of one run into a folder: report.json for programs, events.ndjson with everything that happened,
// the scenario, and index.html, one page that shows the run and works from the disk.
//
// A [Recorder] takes the events of a run as they come, so that a run of any length needs bounded memory; the page says what it leaves
// out. Whatever a run holds, names and values too, is text in the page and never markup.
package report
