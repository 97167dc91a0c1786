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
	if !isReport(dir) && !abandoned(files) {
		return &ForeignError{dir, files[0].Name()}
	}
	shrunk := filepath.Join(dir, FolderShrunk)
	for _, name := range Files { // the document last: until then it is a report
		if name == FolderShrunk && !isReport(shrunk) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// isReport reports whether dir holds the document of a run or of a sweep, of any version.
func isReport(dir string) bool {
	b, err := os.ReadFile(filepath.Join(dir, FileDocument))
	var d struct{ Schema string }
	return err == nil && json.Unmarshal(b, &d) == nil && (strings.HasPrefix(d.Schema, "peer.sim/") || strings.HasPrefix(d.Schema, "peer.sim.sweep/"))
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
	b, err := os.ReadFile(name)
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
	var fault *fs.PathError
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
