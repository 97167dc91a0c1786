package main

import (
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
)

// TestWalkThroughOfTheSimulator does what docs/TESTING.md says about peer sim, line by line, and sees what it shows.
func TestWalkThroughOfTheSimulator(t *testing.T) {
	page, err := os.ReadFile("../../docs/TESTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## peer sim\n")
	section, _, _ = strings.Cut(section, "\n## ")
	dir := t.TempDir()
	if err := os.Symlink(testBinary(t), filepath.Join(dir, "peer")); err != nil {
		t.Fatal(err)
	}
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
