package report_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"syncline/node"
	"syncline/sim/des"
	"syncline/sim/oracle"
	"syncline/sim/report"
	"syncline/sim/scenario"
)

var build = report.Build{Version: "1.2.3", Commit: "abc", Simulator: "f00d"}

// written runs a scenario and writes its report into a new folder.
func written(t testing.TB, s *scenario.Scenario, taps des.Taps) (string, *report.Document, *report.Recorder) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a", "b")
	rec, err := report.Create(dir, s)
	if err != nil {
		t.Fatal(err)
	}
	r, err := des.Driver{Taps: taps}.Run(context.Background(), s, rec.Event)
	if err != nil {
		t.Fatal(err)
	}
	d, err := rec.Close(report.Outcome{Report: r, Driver: "des", Build: build, Took: time.Second, Again: "peer sim replay 7"})
	if err != nil {
		t.Fatal(err)
	}
	return dir, d, rec
}

func generated(seed uint64) *scenario.Scenario {
	return scenario.Generate(seed, scenario.Size{Devices: 5, Writes: 20, Reads: 10, Chaos: 10 * time.Second})
}

// early is the mistake of a device that acknowledges a write before it is on disk.
var early = des.Taps{Early: func(_ int, out node.Output) bool { _, ok := out.(node.Reply); return ok }}

// TestReportTellsTheRun wants the folder to hold what happened, and what was run so that it can be run again.
func TestReportTellsTheRun(t *testing.T) {
	dir, d, _ := written(t, generated(7), des.Taps{})
	got, s, err := report.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.Verdict != report.Pass || got.Seed != 7 || got.Trace != d.Trace || got.Checks.Count == 0 || got.Figures.Converged == nil || got.Coverage["write"] == 0 || got.Build != build {
		t.Errorf("%+v", got)
	}
	if again := fmt.Sprintf("%016x", des.Run(s, des.Options{}).Trace); again != got.Trace {
		t.Errorf("the scenario of the folder has trace %s, want %s", again, got.Trace)
	}
	f, err := os.Open(filepath.Join(dir, report.FileEvents))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, kinds := 0, map[oracle.Kind]int{}
	for in := bufio.NewScanner(f); in.Scan(); lines++ {
		var e oracle.Event
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			t.Fatalf("%v in %s", err, in.Bytes())
		}
		kinds[e.Kind]++
	}
	if lines != got.Events.Count || kinds[oracle.EventAgree] != 1 || kinds[oracle.EventWrite] == 0 {
		t.Errorf("%d lines, want %d: %v", lines, got.Events.Count, kinds)
	}
}

// TestEventsDoNotDependOnTheMachine wants the same bytes from the same seed.
func TestEventsDoNotDependOnTheMachine(t *testing.T) {
	var files [2][]byte
	for i := range files {
		dir, _, _ := written(t, generated(8), des.Taps{})
		b, err := os.ReadFile(filepath.Join(dir, report.FileEvents))
		if err != nil {
			t.Fatal(err)
		}
		files[i] = b
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("two runs of one seed wrote different events")
	}
}

// TestVerdicts wants a broken claim to count more than a run that did not end.
func TestVerdicts(t *testing.T) {
	s, broken := generated(1), []oracle.Violation{{Check: oracle.Exact, At: time.Second, Device: 2, Text: "x"}}
	for _, c := range []struct {
		violations []oracle.Violation
		reason     string
		want       report.Verdict
	}{{nil, "", report.Pass}, {nil, "interrupted", report.Undecided}, {broken, "", report.Fail}, {broken, "interrupted", report.Fail}} {
		if d := report.NewDocument(s, report.Outcome{Report: &oracle.Report{Violations: c.violations}, Reason: c.reason}); d.Verdict != c.want {
			t.Errorf("%d violations and %q: %s, want %s", len(c.violations), c.reason, d.Verdict, c.want)
		}
	}
}

// TestAFailingReportExplains wants the violations, and after shrinking the story and the test, in folder and page.
func TestAFailingReportExplains(t *testing.T) {
	dir, d, rec := written(t, generated(3), early)
	if d.Verdict != report.Fail || len(d.Violations) == 0 || d.Checks.Broken[0] != oracle.Durability {
		t.Fatalf("%+v", d)
	}
	if err := rec.Explain(d, report.Explanation{Shrunk: report.Shrunk{From: 30, To: 2, Complete: true, Story: []string{"once upon a time"}}, GoTest: "package x"}); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{report.FileStory: "once upon a time", report.FileGoTest: "package x", report.FilePage: "once upon a time", report.FileDocument: `"to_steps": 2`} {
		if b, err := os.ReadFile(filepath.Join(dir, file)); err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s lacks %q, %v", file, want, err)
		}
	}
	// A second run into the folder leaves nothing of the first.
	again, err := report.Create(dir, generated(4))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Close(report.Outcome{Report: &oracle.Report{}}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, report.FileStory)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the story of the earlier run is still there: %v", err)
	}
}

// TestClearTakesNothingThatIsNotOurs wants a report to be written only where nothing else can be lost.
func TestClearTakesNothingThatIsNotOurs(t *testing.T) {
	document := `{"schema":"` + report.Schema + `"}`
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string // the files that are left; a refusal leaves all
		ok    bool
	}{
		{"a new folder", nil, "", true},
		{"a report", map[string]string{report.FileDocument: document, report.FilePage: "page", report.FileStory: "story", "shrunk/report.json": document, "shrunk/index.html": "page"}, "", true},
		{"a sweep", map[string]string{report.FileDocument: `{"schema":"peer.sim.sweep/v1","report":"seed-7"}`, "seed-7/report.json": document, "seed-8/mine": "mine"}, "seed-8/mine", true},
		{"a sweep that names what is not in it", map[string]string{report.FileDocument: `{"schema":"peer.sim.sweep/v1","report":".."}`, "notes.txt": "mine"}, "notes.txt", true},
		{"one of another version", map[string]string{report.FileDocument: `{"schema":"peer.sim.sweep/v9"}`}, "", true},
		{"a run that was killed", map[string]string{report.FileEvents: "", report.FileScenario: ""}, "", true},
		{"a report with other files", map[string]string{report.FileDocument: document, "notes.txt": "mine", "shrunk/mine": "mine"}, "notes.txt shrunk/mine", true},
		{"a site", map[string]string{report.FilePage: "mine", report.FileStory: "mine"}, "index.html story.txt", false},
		{"a scenario", map[string]string{report.FileScenario: "mine"}, "scenario.toml", false},
		{"another program's report", map[string]string{report.FileDocument: `{"schema":"other/v1"}`}, "report.json", false},
		{"events beside other files", map[string]string{report.FileEvents: "", "notes.txt": "mine"}, "events.ndjson notes.txt", false},
	} {
		dir := filepath.Join(t.TempDir(), "report")
		for name, text := range c.files {
			name = filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		err := report.Clear(dir)
		var foreign *report.ForeignError
		if errors.As(err, &foreign) == c.ok || c.ok && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		var left []string
		filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				name, _ = filepath.Rel(dir, name)
				left = append(left, filepath.ToSlash(name))
			}
			return err
		})
		if got := strings.Join(left, " "); got != c.want {
			t.Errorf("%s: left is %q, want %q", c.name, got, c.want)
		}
	}
}

// TestReadSaysWhatIsWrong wants clear errors for folders that are no reports, and for reports of which something is damaged.
func TestReadSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := report.Read(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty folder: %v", err)
	}
	for text, want := range map[string]string{"{": "report.json", `{"schema":"peer.sim/v9"}`: "peer.sim/v9", `{"schema":"peer.sim/v1"}`: "scenario.toml: no such file"} {
		if err := os.WriteFile(filepath.Join(dir, report.FileDocument), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var damaged *report.DamagedError
		if _, _, err := report.Read(dir); !errors.As(err, &damaged) || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// nasty is text that would do harm in a page that took it for markup.
const nasty = `</script><img src=x onerror="document.title='harmed'"><!--<script>` + "\u2028'\"`"

// nastyReport is the report of a run whose names, paths, values and texts are all nasty.
func nastyReport(t testing.TB) string {
	t.Helper()
	s := &scenario.Scenario{Name: nasty, About: nasty, Devices: []scenario.Device{{Name: nasty}, {Name: "other"}}, Paths: []string{nasty}, End: time.Second}
	dir := t.TempDir()
	rec, err := report.Create(dir, s)
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range []oracle.Kind{oracle.EventStart, oracle.EventWrite, oracle.EventState, oracle.EventConflict, oracle.EventFault, oracle.EventRefused, oracle.EventMessage, oracle.EventBroken} {
		rec.Event(oracle.Event{At: time.Duration(i) * time.Millisecond, Kind: k, Device: i % 2, Peer: 1 - i%2, Until: time.Second, Path: nasty, Values: []string{nasty, "b"}, Text: nasty, State: nasty})
	}
	d, err := rec.Close(report.Outcome{Report: &oracle.Report{Seed: 1, Violations: []oracle.Violation{{Check: nasty, At: time.Millisecond, Text: nasty}}}, Reason: nasty, Again: nasty, Build: report.Build{Version: nasty}})
	if err != nil {
		t.Fatal(err)
	}
	if err := rec.Explain(d, report.Explanation{Shrunk: report.Shrunk{Story: []string{nasty}}, GoTest: "package x"}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestContentsAreNeverMarkup wants whatever a run holds to be escaped.
func TestContentsAreNeverMarkup(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(nastyReport(t), report.FilePage))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<img", "</script><img", "<!--"} {
		if bytes.Contains(b, []byte(bad)) {
			t.Errorf("the page holds %s", bad)
		}
	}
	if n := bytes.Count(b, []byte("</script>")); n != 2 {
		t.Errorf("%d elements end as scripts, want 2", n)
	}
	if tag := regexp.MustCompile(`<[a-z]+[^>]*\s(src|style|on[a-z]+)=`).Find(b); tag != nil {
		t.Errorf("the page holds %s", tag)
	}
	for _, fetched := range []string{"http://", "https://", "url(", "@import"} {
		if bytes.Contains(b, []byte(fetched)) {
			t.Errorf("the page refers to something outside: %s", fetched)
		}
	}
}

// TestLargeRunsStaySmall wants a page of bounded size that says what it leaves out.
func TestLargeRunsStaySmall(t *testing.T) {
	s := &scenario.Scenario{Devices: make([]scenario.Device, 3000), Paths: []string{"a"}, End: time.Minute}
	dir := t.TempDir()
	rec, err := report.Create(dir, s)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 120_000 {
		e := oracle.Event{At: time.Duration(i) * time.Microsecond, Kind: oracle.EventState, Device: i % 50, Peer: (i + 1) % 50, Path: "a", Values: []string{"v"}, State: "abc"}
		if i%100 == 3 {
			e.Values[0] = strings.Repeat("v", 10_000)
		}
		if i%2 == 0 {
			e.Kind, e.Until, e.Values = oracle.EventGossip, e.At+time.Millisecond, nil
		}
		if i%20 == 1 {
			e.Kind = oracle.EventConnect
		}
		rec.Event(e)
	}
	if _, err := rec.Close(report.Outcome{Report: &oracle.Report{}}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, report.FilePage))
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 16<<20 {
		t.Errorf("the page has %d bytes", len(b))
	}
	for _, want := range []string{"2900 of 3000 devices", "messages one in", "connections made and lost", "is left out"} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// TestConflictsAddUp: what was found was settled, unless its values compete in the end.
func TestConflictsAddUp(t *testing.T) {
	s := generated(1)
	rec, err := report.Create(t.TempDir(), s)
	if err != nil {
		t.Fatal(err)
	}
	conflict := func(path string, values ...string) {
		rec.Event(oracle.Event{Kind: oracle.EventConflict, Path: path, Values: values})
		rec.Event(oracle.Event{Kind: oracle.EventState, Path: path, Values: values, Text: oracle.StateOpen})
	}
	conflict("decided", "one", "two")
	rec.Event(oracle.Event{Kind: oracle.EventState, Path: "decided", Values: []string{"two"}})
	conflict("open", "one", "two")
	conflict("open", "three", "two") // one was replaced meanwhile
	d, err := rec.Close(report.Outcome{Report: &oracle.Report{}, Build: build})
	if err != nil {
		t.Fatal(err)
	}
	if want := (report.Conflicts{Reported: 3, Settled: 2, Open: 1}); *d.Conflicts != want {
		t.Errorf("got %+v, want %+v", *d.Conflicts, want)
	}
}

// TestConflictsOfSomeDevicesAreCounted: the mark of a value that won over a delete need not come to all devices.
func TestConflictsOfSomeDevicesAreCounted(t *testing.T) {
	rec, err := report.Create(t.TempDir(), generated(1))
	if err != nil {
		t.Fatal(err)
	}
	for device := range 3 {
		rec.Event(oracle.Event{Kind: oracle.EventStart, Device: device, State: "a"})
		rec.Event(oracle.Event{Kind: oracle.EventState, Device: device, Path: "all", Values: []string{"one", "two"}, Text: oracle.StateOpen, State: "b"})
	}
	rec.Event(oracle.Event{Kind: oracle.EventState, Device: 1, Path: "one", Values: []string{"won"}, Text: oracle.StateOpen, State: "c"})
	d, err := rec.Close(report.Outcome{Report: &oracle.Report{}, Build: build})
	if err != nil {
		t.Fatal(err)
	}
	if want := (report.Conflicts{Open: 2, Differ: 1}); *d.Conflicts != want {
		t.Errorf("got %+v, want %+v", *d.Conflicts, want)
	}
}

// TestAPageWithoutMessagesSaysWhy: real connections do not tell what they carry.
func TestAPageWithoutMessagesSaysWhy(t *testing.T) {
	for _, silent := range []bool{true, false} {
		dir := t.TempDir()
		rec, err := report.Create(dir, generated(1))
		if err != nil {
			t.Fatal(err)
		}
		rec.Event(oracle.Event{Kind: oracle.EventConnect, Device: 0, Peer: 1})
		if !silent {
			rec.Event(oracle.Event{Kind: oracle.EventMessage, Device: 0, Peer: 1})
		}
		if _, err := rec.Close(report.Outcome{Report: &oracle.Report{}}); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, report.FilePage))
		if err != nil || bytes.Contains(b, []byte("Messages are not drawn")) != silent {
			t.Errorf("silent %v: the page says otherwise (%v)", silent, err)
		}
	}
}
