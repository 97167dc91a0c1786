package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

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
	s, err := decodeScenario(name, text)
	if err != nil {
		return nil, nil, err
	}
	d.Folder = dir
	return &d, s, nil
}

func encodeScenario(s *scenario.Scenario) ([]byte, error) { return json.MarshalIndent(s, "", "  ") }

func decodeScenario(name string, text []byte) (*scenario.Scenario, error) {
	var s scenario.Scenario
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &s, nil
}

// deviceName is what people call a device.
func deviceName(s *scenario.Scenario, device int) string {
	if device >= 0 && device < len(s.Devices) && s.Devices[device].Name != "" {
		return s.Devices[device].Name
	}
	return "device " + strconv.Itoa(device)
}

// traceName writes a trace for people and programs.
func traceName(trace uint64) string { return fmt.Sprintf("%016x", trace) }
