package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write docs/reference/cli.md anew")

const referenceFile = "../../docs/reference/cli.md"

// docs/reference/cli.md is the help of every command.
func TestReferenceIsUpToDate(t *testing.T) {
	want := reference(newRoot(newApp(nil)))
	if *update {
		if err := os.WriteFile(referenceFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from the commands; write it anew:  go test ./cmd/peer -run Reference -update", referenceFile)
	}
}

// Help and manual pages are read on terminals, which break longer lines anywhere.
func TestHelpFitsATerminal(t *testing.T) {
	const most = 100
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for line := range strings.Lines(c.Long) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > most {
				t.Errorf("%s: a line of its help has %d characters, %d is the most: %s", c.CommandPath(), n, most, line)
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(newApp(nil)))
}

func reference(root *cobra.Command) []byte {
	var b bytes.Buffer
	b.WriteString("# Command line\n\nWritten by `go test ./cmd/peer -run Reference -update` from the commands themselves.\n")
	b.WriteString("[exit-codes.md](exit-codes.md), [errors.md](errors.md) and [api.md](api.md) say the rest.\n\n")
	fmt.Fprintf(&b, "```text\n%s\n```\n\nFlags of every command; each may be given as a variable, `--no-color` as `PEER_NO_COLOR`:\n\n```text\n%s```\n", root.Long, flags(root.PersistentFlags()))
	describe := func(c *cobra.Command) {
		if !c.Runnable() {
			return
		}
		fmt.Fprintf(&b, "\n## peer %s\n\n```text\n%s\n\n", strings.TrimPrefix(c.CommandPath(), "peer "), strings.TrimSuffix(c.UseLine(), " [flags]"))
		if c.Long != "" {
			b.WriteString(c.Long + "\n")
		} else {
			b.WriteString(c.Short + ".\n")
		}
		if c.Example != "" {
			b.WriteString("\n" + c.Example + "\n")
		}
		if own := flags(c.LocalNonPersistentFlags()); own != "" {
			b.WriteString("\n" + own)
		}
		b.WriteString("```\n")
	}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			describe(sub)
			walk(sub)
		}
	}
	walk(root)
	for _, topic := range topics {
		fmt.Fprintf(&b, "\n## peer help %s\n\n```text\n%s\n```\n", topic.name, topic.text)
	}
	return b.Bytes()
}

func flags(f *pflag.FlagSet) string {
	var shown pflag.FlagSet
	f.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			shown.AddFlag(f)
		}
	})
	return shown.FlagUsages()
}

// docs/reference/exit-codes.md names every problem that has a code of its own.
func TestReferenceListsExitCodes(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/exit-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	for code, exit := range exitCodes {
		row := regexp.MustCompile(fmt.Sprintf("(?m)^\\| %d \\|.*`%s`", exit, code))
		if !row.Match(page) {
			t.Errorf("exit-codes.md does not give %d for %s", exit, code)
		}
	}
}

// docs/reference/errors.md lists the problems of the command line.
func TestReferenceListsProblems(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{errUsage.Code, errInterrupted.Code, errDeclined.Code, errNothingToShrink.Code, errReportNotWritten.Code, errReportDamaged.Code, errOutput.Code} {
		if !strings.Contains(string(page), "| `"+code+"` |") {
			t.Errorf("errors.md lacks %s", code)
		}
	}
}
