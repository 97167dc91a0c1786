package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"syncline/sim/scenario"
)

// Read returns the document of a folder and the scenario that was run. A folder without a report yields an error that is fs.ErrNotExist.
func Read(dir string) (*Document, *scenario.Scenario, error) {
	b, err := os.ReadFile(filepath.Join(dir, FileDocument))
	if err != nil {
		return nil, nil, err
	}
	var d Document
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", filepath.Join(dir, FileDocument), err)
	}
	if d.Schema != Schema {
		return nil, nil, fmt.Errorf("%s has the schema %q, this program reads %q", filepath.Join(dir, FileDocument), d.Schema, Schema)
	}
	name := filepath.Join(dir, FileScenario)
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, err
	}
	s, err := scenario.Parse(name, text)
	if err != nil {
		return nil, nil, err
	}
	d.Folder = dir
	return &d, s, nil
}

// traceName writes a trace for people and programs.
func traceName(trace uint64) string { return fmt.Sprintf("%016x", trace) }
