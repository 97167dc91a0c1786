package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"syncline/sim"
	"syncline/sim/oracle"
	"syncline/sim/report"
	"syncline/sim/scenario"
)

// folderWithPeer returns a new folder with the program in it, which the test binary is under that name.
func folderWithPeer(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(testBinary(t), filepath.Join(dir, "peer")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestWalkThroughOfTheSimulator does what docs/TESTING.md says about peer sim, line by line, and sees what it shows.
func TestWalkThroughOfTheSimulator(t *testing.T) {
	page, err := os.ReadFile("../../docs/TESTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## peer sim\n")
	section, _, _ = strings.Cut(section, "\n## ")
	dir := folderWithPeer(t)
	steps := 0
	for _, block := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(section, -1) {
		for _, step := range strings.Split("\n"+block[1], "\nlaptop$ ")[1:] {
			command, want, _ := strings.Cut(strings.TrimSuffix(step, "\n")+"\n", "\n")
			cmd := exec.Command("sh", "-c", command)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "NO_COLOR=1")
			got, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v", command, err)
			}
			if words(string(got)) != words(want) {
				t.Errorf("%s\nshows\n%s\nwant\n%s", command, got, want)
			}
			steps++
		}
	}
	if steps < 5 {
		t.Errorf("the section has %d steps; the walk-through is missing", steps)
	}
}

// TestSampleOfTheSimulator runs the seed of which docs/TESTING.md shows the outcome. Its numbers, and the build, may be others.
func TestSampleOfTheSimulator(t *testing.T) {
	page, err := os.ReadFile("../../docs/TESTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## peer sim\n")
	_, sample, _ := strings.Cut(section, "```text\n")
	sample, _, _ = strings.Cut(sample, "```")
	dir := folderWithPeer(t)
	cmd := exec.Command(filepath.Join(dir, "peer"), "sim", "--seed", "42")
	cmd.Dir = dir
	got, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, got)
	}
	build, number := regexp.MustCompile(`(devel\+|--build )[0-9a-f]+`), regexp.MustCompile(`\d+([ .]\d+)*`)
	alike := func(s string) string {
		s = strings.NewReplacer("no path waits", "0 paths wait", "1 path waits", "1 paths wait").Replace(s)
		return words(number.ReplaceAllString(build.ReplaceAllString(s, "${1}BUILD"), "N"))
	}
	if alike(string(got)) != alike(sample) {
		t.Errorf("peer sim --seed 42 shows\n%s\nthe page has\n%s", got, sample)
	}
}

// words is the text with each run of spaces as one.
func words(s string) string {
	return strings.TrimSpace(regexp.MustCompile(`[ \t]+`).ReplaceAllString(s, " "))
}

// TestMilestonesComeNowAndThen: where no bar is shown a sweep says something at each tenth of it, neither too often nor too seldom.
func TestMilestonesComeNowAndThen(t *testing.T) {
	for _, c := range []struct {
		name  string
		of    int
		each  time.Duration // time of one seed
		lines int
	}{
		{"it is over at once", 1000, time.Millisecond, 0},
		{"tenths", 100, time.Second, 9},
		{"tenths would be too often", 20, 500 * time.Millisecond, 4},
		{"tenths would be too seldom", 400, 10 * time.Second, 133},
	} {
		var m milestones
		lines := 0
		for i := 1; i <= c.of; i++ {
			if m.reached(sim.Progress{Seeds: i, Of: c.of, Took: time.Duration(i) * c.each}) {
				lines++
			}
		}
		if lines != c.lines {
			t.Errorf("%s: %d lines, want %d", c.name, lines, c.lines)
		}
	}
}

// A sweep that was interrupted says so even if it found something before.
func TestAnInterruptedSweepWithFailuresSaysBoth(t *testing.T) {
	c := &simCommand{app: &app{}, runs: 9}
	found := &sim.SweepResult{Failures: []*oracle.Report{{Seed: 3}}}
	if d := c.sweepDocument(found, "it was interrupted", 1); d.Verdict != report.Fail || d.Reason != "it was interrupted" || len(d.Failures) != 1 {
		t.Errorf("%+v", d)
	}
}

// An expiring is a context that ends after it was looked at so many times.
type expiring struct {
	context.Context
	looks int
}

func (e *expiring) Err() error {
	if e.looks--; e.looks < 0 {
		return context.Canceled
	}
	return nil
}

// TestShrinkLosesNothing ends sim shrink at many moments: the folder always holds the report of the failure with the shortest story so far.
func TestShrinkLosesNothing(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	dir := filepath.Join(t.TempDir(), "report")
	c := &simCommand{app: &app{out: newPrinter(null, null)}, out: dir}
	s, err := scenario.Parse("hasty.toml", []byte("devices = [\"laptop\", \"phone\"]\nend = \"10s\"\nconverge = \"1ms\"\n[random]\nwrites = 30\n[[at]]\nt = \"1s\"\npartition = \"laptop | phone\"\nfor = \"9s\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	rec, d, err := c.record(context.Background(), s, dir, "")
	if err != nil {
		t.Fatal(err)
	}
	long := c.cut(context.Background(), s, d.Checks.Broken[0], time.Nanosecond) // no time to make it shorter
	if err := c.explain(context.Background(), rec, d, long); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for looks := 0; looks < 200; looks++ {
		before, err := os.ReadFile(filepath.Join(dir, report.FileDocument))
		if err != nil {
			t.Fatal(err)
		}
		old, s, err := c.readFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		code := c.shrink(&expiring{context.Background(), looks}, old, s)
		d, _, err := report.Read(dir)
		if err != nil {
			t.Fatalf("%d looks: %v", looks, err)
		}
		if d.Verdict != report.Fail || d.Shrunk == nil || d.Shrunk.To > old.Shrunk.To {
			t.Fatalf("%d looks: the report has %v, %+v; before it had %+v", looks, d.Verdict, d.Shrunk, old.Shrunk)
		}
		for _, name := range report.Files {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				t.Errorf("%d looks: %v", looks, err)
			}
		}
		after, err := os.ReadFile(filepath.Join(dir, report.FileDocument))
		if err != nil {
			t.Fatal(err)
		}
		seen[fmt.Sprintf("%v, the same %v", code, bytes.Equal(before, after))]++
		if code == quietExit(exitBroken) && d.Shrunk.Complete && !bytes.Equal(before, after) {
			break // it came to its end
		}
	}
	for _, outcome := range []string{"exit 130, the same true", "exit 9, the same true", "exit 9, the same false"} {
		if seen[outcome] == 0 {
			t.Errorf("never came: %s; seen: %v", outcome, seen)
		}
	}
}

// TestLongTimesAreInDays: what a simulated year takes is not told in seconds.
func TestLongTimesAreInDays(t *testing.T) {
	for d, want := range map[time.Duration]string{4 * time.Millisecond: "0.004 s", 1900 * time.Millisecond: "1.9 s", 20 * time.Minute: "1 200 s", 5 * time.Hour: "5 h",
		395 * 24 * time.Hour: "395 d"} {
		if got := secondsText(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}
