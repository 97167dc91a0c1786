package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"syncline/sim/scenario"
)

// Files are the names that a report has in its folder; report.json is the last. Do not change it.
var Files = []string{FileEvents, FileScenario, FilePage, FileStory, FileGoTest, FolderShrunk, FileDocument}

// A ForeignError says that a folder holds what no report left there.
type ForeignError struct {
	Folder string
	// File is the name of one such file.
	File string
}

// Error tells it in one line.
func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s holds files that are no report of a simulation, %s among them", e.Folder, e.File)
}

// Clear makes dir ready for a report: it creates the folder, or removes the earlier report of a run or a sweep from it. Other files stay in
// the folder of a report. A folder that holds files and no report yields a [*ForeignError], and nothing is changed.
func Clear(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return nil
	}
	old := headOf(dir)
	if !old.ours() && !abandoned(files) {
		return &ForeignError{dir, files[0].Name()}
	}
	for _, f := range files {
		within := filepath.Join(dir, f.Name())
		if (f.Name() == FolderShrunk || f.Name() == old.Report) && f.IsDir() && headOf(within).ours() {
			if err := os.RemoveAll(within); err != nil {
				return err
			}
		}
	}
	for _, name := range Files { // the document last: until then it is a report
		if name == FolderShrunk {
			continue
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// A head is what tells the document of a run or of a sweep, of any version, from other files. Report is the folder in that of a sweep that
// holds the report of a seed.
type head struct{ Schema, Report string }

// headOf reads the head of the document in a folder; it is empty if there is none.
func headOf(dir string) head {
	var h head
	if b, err := os.ReadFile(filepath.Join(dir, FileDocument)); err != nil || json.Unmarshal(b, &h) != nil {
		return head{}
	}
	return h
}

func (h head) ours() bool {
	return strings.HasPrefix(h.Schema, "peer.sim/") || strings.HasPrefix(h.Schema, "peer.sim.sweep/")
}

// abandoned reports whether files are what a run leaves that was killed: its events, and nothing that a report does not have.
func abandoned(files []os.DirEntry) bool {
	events := false
	for _, f := range files {
		if !slices.Contains(Files, f.Name()) {
			return false
		}
		events = events || f.Name() == FileEvents
	}
	return events
}

// A DamagedError says which file of a report cannot be read, and why.
type DamagedError struct {
	File string
	Err  error
}

// Error tells it in one line.
func (e *DamagedError) Error() string { return e.File + ": " + e.Err.Error() }

// Read returns the document of a folder and the scenario that was run. A folder without a document yields an error that is fs.ErrNotExist;
// a report of which something cannot be read yields a [*DamagedError], with the document if that is whole; a scenario with mistakes yields
// scenario.SyntaxErrors.
func Read(dir string) (*Document, *scenario.Scenario, error) {
	name := filepath.Join(dir, FileDocument)
	var fault *fs.PathError
	b, err := os.ReadFile(name)
	if errors.As(err, &fault) && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, &DamagedError{name, fault.Err}
	}
	if err != nil {
		return nil, nil, err
	}
	d := &Document{}
	if err := json.Unmarshal(b, d); err != nil {
		return nil, nil, &DamagedError{name, err}
	}
	if d.Schema != Schema {
		return nil, nil, &DamagedError{name, fmt.Errorf("its schema is %q, this program reads %q", d.Schema, Schema)}
	}
	d.Folder = dir
	name = filepath.Join(dir, FileScenario)
	text, err := os.ReadFile(name)
	if errors.As(err, &fault) {
		return d, nil, &DamagedError{name, fault.Err}
	}
	s, err := scenario.Parse(name, text)
	if err != nil {
		return nil, nil, err
	}
	return d, s, nil
}

// traceName writes a trace for people and programs.
func traceName(trace uint64) string { return fmt.Sprintf("%016x", trace) }
