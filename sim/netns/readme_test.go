//go:build linux

package netns

import (
	"os"
	"strings"
	"testing"
	"time"
)

// readmeStepMax bounds how long a line of the README may take to appear.
const readmeStepMax = 45 * time.Second

// TestReadmeTwoLaptops does what the README says, on two devices with a terminal each, and sees what it shows.
func TestReadmeTwoLaptops(t *testing.T) {
	slow(t, "15 s", true)
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	steps := consoleSteps(t, string(text))
	l, shared := labFor(t), t.TempDir()
	terms := map[string]*terminal{}
	words := newWords()
	for _, s := range steps {
		term := terms[s.device]
		if term == nil {
			term = newTerminal(newDevice(t, l, s.device))
			terms[s.device] = term
		}
		if s.command != "" {
			term.finish()
			term.start(words.actual(s.command), shared)
		}
		for _, line := range s.lines {
			term.expect(line, words)
		}
		if s.command == "" || !s.last {
			term.finish()
		}
	}
	for _, term := range terms {
		term.finish()
	}
	if len(steps) < 10 {
		t.Errorf("the README has %d steps; the walk-through is missing", len(steps))
	}
	t.Logf("%d steps on %d devices", len(steps), len(terms))
}

// A step is one command of the README and what its terminal shows; without a command more of what the last one shows.
type step struct {
	device  string
	command string
	lines   []string
	last    bool // of its block: a command that has not ended goes on in the background
}

// consoleSteps reads the fenced blocks "console" of a document. A line "NAME$ COMMAND" is typed on the device NAME, "NAME$"
// alone turns to its terminal, where the last command still runs; the lines below are what is seen there.
func consoleSteps(t *testing.T, text string) []step {
	t.Helper()
	var steps []step
	inside := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n ")
		switch {
		case strings.HasPrefix(line, "```"):
			if inside && len(steps) > 0 {
				steps[len(steps)-1].last = true
			}
			inside = !inside && line == "```console"
		case !inside:
		default:
			if device, command, ok := prompt(line); ok {
				steps = append(steps, step{device: device, command: command})
			} else if len(steps) == 0 {
				t.Fatalf("a console block begins with %q, not with a prompt", line)
			} else if line != "" {
				last := &steps[len(steps)-1]
				last.lines = append(last.lines, line)
			}
		}
	}
	return steps
}

// prompt splits "laptop$ peer ls".
func prompt(line string) (device, command string, ok bool) {
	device, command, ok = strings.Cut(line, "$")
	if !ok || device == "" || strings.Trim(device, "abcdefghijklmnopqrstuvwxyz") != "" || command != "" && command[0] != ' ' {
		return "", "", false
	}
	return device, strings.TrimSpace(command), true
}
