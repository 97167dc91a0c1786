package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// A Recorder writes the report of one run while it runs. It is used by one goroutine at a time.
type Recorder struct {
	dir    string
	s      *scenario.Scenario
	page   *page
	sides  sides
	file   *os.File
	events *bufio.Writer
	count  int
	err    error
}

// Create begins a report of s in dir, which [Clear] makes ready.
func Create(dir string, s *scenario.Scenario) (*Recorder, error) {
	if err := Clear(dir); err != nil {
		return nil, err
	}
	f, err := os.Create(filepath.Join(dir, FileEvents)) // first, see abandoned
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, FileScenario), s.TOML(), 0o644); err != nil {
		f.Close()
		return nil, err
	}
	return &Recorder{dir: dir, s: s, page: newPage(s), file: f, events: bufio.NewWriterSize(f, 1<<16),
		sides: sides{s: s, states: map[int]string{}, values: map[int]map[string][]string{}}}, nil
}

// Event takes the next event of the run. An error of the disk is kept for Close.
func (r *Recorder) Event(e oracle.Event) {
	r.count++
	r.page.add(e)
	r.sides.follow(e)
	if r.err != nil {
		return
	}
	line, err := json.Marshal(e)
	if err == nil {
		_, err = r.events.Write(append(line, '\n'))
	}
	r.err = err
}

// Close writes the rest of the report. It returns the document that it wrote.
func (r *Recorder) Close(o Outcome) (*Document, error) {
	err := errors.Join(r.err, r.events.Flush(), r.file.Close())
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", FileEvents, err)
	}
	d := NewDocument(r.s, o)
	if d.First = r.sides.first; d.First != nil && len(d.Violations) > 0 {
		d.First.Violation = d.Violations[0]
	}
	conflicts := r.page.conflicts()
	conflicts.Merged = o.Report.Coverage[oracle.CoverMerge]
	conflicts.Settled = max(0, conflicts.Settled-conflicts.Merged)
	d.Conflicts = &conflicts
	d.Events = &Events{SchemaEvent, r.count}
	return d, r.write(d, "")
}

// An Explanation is what shrinking found out about a failing run.
type Explanation struct {
	Shrunk Shrunk
	// GoTest is a test that repeats what is left.
	GoTest string
}

// Explain adds an explanation to a report that was closed with d.
func (r *Recorder) Explain(d *Document, e Explanation) error {
	d.Shrunk = &e.Shrunk
	story := tellStory(e.Shrunk)
	for name, text := range map[string]string{FileStory: story, FileGoTest: e.GoTest} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return r.write(d, story)
}

// tellStory writes a story as a numbered list.
func tellStory(s Shrunk) string {
	var b strings.Builder
	for i, line := range s.Story {
		fmt.Fprintf(&b, "%2d. %s\n", i+1, line)
	}
	if f := s.First; f != nil {
		fmt.Fprintf(&b, "\nThen, at %.6f s on %s: %s: %s\n", f.At, f.Name, f.Check, f.Text)
	}
	return b.String()
}

// write writes the page and report.json.
func (r *Recorder) write(d *Document, story string) error {
	html, err := r.page.html(d, story)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.dir, FilePage), html, 0o644); err != nil {
		return err
	}
	c := *d
	c.Folder = ""
	b, err := json.MarshalIndent(&c, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.dir, FileDocument), append(b, '\n'), 0o644)
}
