package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"syncline/node/api/wire"
)

func newMan(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages into a folder",
		Long: `Write a manual page for each command and each topic of the help into DIR/man1, which
is made if it is absent. man finds them if DIR is on its path:

  peer man ~/.local/share/man && man peer-put`,
		Args: arguments("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := filepath.Join(args[0], "man1")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return fileError(err)
			}
			doc := wire.Man{Schema: wire.SchemaMan, Folder: dir, Pages: []string{}}
			for _, c := range manCommands(cmd.Root()) {
				name := manName(c) + ".1"
				if err := os.WriteFile(filepath.Join(dir, name), manPage(c), 0o644); err != nil {
					return fileError(err)
				}
				doc.Pages = append(doc.Pages, name)
			}
			return a.out.result(doc, func() {
				a.out.done("%s in %s. Read one:  man %s", plural(len(doc.Pages), "page", "pages"), home(dir), filepath.Join(dir, "peer.1"))
			})
		},
	}
}

// manCommands returns every command that has a page: all, and the topics of the help.
func manCommands(c *cobra.Command) []*cobra.Command {
	out := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			out = append(out, manCommands(sub)...)
		}
	}
	return out
}

// manName is the name of a command's page, as peer-config-set.
func manName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// manPage writes the page of a command in the macros of man(7). The texts of the help are set already, in lines and columns, so
// they are kept as they are; a converter from Markdown, as cobra's own pages use it, would fill their lines.
func manPage(c *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, ".TH %q 1 \"\" \"peer\" \"Syncline\"\n", strings.ToUpper(manName(c)))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(manName(c)), roff(lowerFirst(c.Short)))
	if c.Runnable() {
		fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(c.UseLine()))
	}
	text := orElse(c.Long, c.Short+".")
	manSection(&b, "DESCRIPTION", text)
	if c.HasAvailableSubCommands() {
		var list strings.Builder
		for _, sub := range c.Commands() {
			if !sub.Hidden {
				fmt.Fprintf(&list, "%-18s %s\n", strings.TrimPrefix(sub.CommandPath(), "peer "), sub.Short)
			}
		}
		manSection(&b, "COMMANDS", list.String())
	}
	manSection(&b, "EXAMPLES", c.Example)
	manFlags(&b, "OPTIONS", c.NonInheritedFlags())
	if c.HasParent() {
		manFlags(&b, "OPTIONS OF EVERY COMMAND", c.InheritedFlags())
		fmt.Fprintf(&b, ".SH SEE ALSO\n.BR %s (1), peer help exit\\-codes\n", roff(manName(c.Parent())))
	}
	return b.Bytes()
}

// manSection writes a text whose lines stay as they are.
func manSection(b *bytes.Buffer, title, text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	fmt.Fprintf(b, ".SH %s\n.nf\n", title)
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		fmt.Fprintln(b, roff(strings.TrimRight(line, "\n")))
	}
	b.WriteString(".fi\n")
}

// manFlags writes a list of flags.
func manFlags(b *bytes.Buffer, title string, flags *pflag.FlagSet) {
	begun := false
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		if !begun {
			fmt.Fprintf(b, ".SH %s\n", title)
			begun = true
		}
		name, usage := pflag.UnquoteUsage(f)
		form := "--" + f.Name
		if f.Shorthand != "" {
			form = "-" + f.Shorthand + ", " + form
		}
		if name != "" {
			form += " " + name
		}
		fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(form), roff(usage))
	})
}

// roff escapes a line of text.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
