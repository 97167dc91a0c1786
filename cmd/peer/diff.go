package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/aymanbagabas/go-udiff"
	"github.com/spf13/cobra"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

func newDiff(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "diff PATH [V1 [V2]]",
		Short: "Compare versions of a value, line by line",
		Long: `Compare two versions of a path as a unified diff of their lines. Without versions it is
what is shown against the version before, or, of an entry with values that compete,
what is shown against each of the others, also where a policy settles them. With V1
it is V1 against what is shown.

The beginning of a version is enough; peer history lists them. Values that are not text
are only said to differ, or not. The exit code does not tell whether they differ.`,
		Example: `  peer diff notes/todo.md
  peer diff notes/todo.md 51ab
  peer diff notes/todo.md 51ab 0c93`,
		Args: arguments("PATH", "[V1]", "[V2]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, requestTimeout, func(ctx context.Context, c *client.Client) error {
				h, err := c.History(ctx, args[0], 0)
				if err != nil {
					return err
				}
				pairs, err := a.pairs(h, args[1:])
				if err != nil {
					return err
				}
				doc := wire.Diff{Schema: wire.SchemaDiff, Path: h.Path, Diffs: []wire.DiffPair{}}
				for _, p := range pairs {
					doc.Diffs = append(doc.Diffs, compare(h.Path, p[0], p[1]))
				}
				return a.out.result(doc, func() { a.printDiffs(doc) })
			})
		},
	}
}

// pairs returns what to compare with what; nil stands for nothing.
func (a *app) pairs(h wire.History, names []string) ([][2]*wire.Revision, error) {
	var named []*wire.Revision
	for _, name := range names {
		r, err := a.find(h, name)
		if err != nil {
			return nil, err
		}
		named = append(named, r)
	}
	shown, rivals, past := sorted(h)
	switch {
	case len(named) == 2:
		return [][2]*wire.Revision{{named[0], named[1]}}, nil
	case len(named) == 1:
		return [][2]*wire.Revision{{named[0], shown}}, nil
	case len(rivals) > 0:
		var pairs [][2]*wire.Revision
		for _, r := range rivals {
			pairs = append(pairs, [2]*wire.Revision{r, shown})
		}
		return pairs, nil
	case past == nil && h.Damaged > 0:
		return nil, node.ErrHistoryExpired.With("The versions before of %s cannot be read.", h.Path).On(h.Path).
			Next("The log of the daemon names the damaged records. Another device may have the version.")
	}
	return [][2]*wire.Revision{{past, shown}}, nil
}

// sorted returns the shown value, those that compete with it, and the newest past one.
func sorted(h wire.History) (shown *wire.Revision, rivals []*wire.Revision, past *wire.Revision) {
	for i := range h.Versions {
		switch r := &h.Versions[i]; {
		case r.Shown:
			shown = r
		case r.Current:
			rivals = append(rivals, r)
		case past == nil && !r.Deleted:
			past = r
		}
	}
	return shown, rivals, past
}

// find returns the version that name, as a person types it, stands for.
func (a *app) find(h wire.History, name string) (*wire.Revision, error) {
	var found *wire.Revision
	for i := range h.Versions {
		if !versionNamed(h.Versions[i].Version, name) {
			continue
		}
		if found != nil {
			return nil, usage("Not clear which version", "“%s” begins more than one version of %s.", name, h.Path).Next("Give more of it.")
		}
		found = &h.Versions[i]
	}
	switch {
	case found == nil:
		return nil, node.ErrHistoryExpired.With("%s has no version “%s” here any more, or never had.", h.Path, name).On(h.Path)
	case found.Deleted:
		return nil, nil
	}
	return found, nil
}

// compare compares two versions; nil stands for nothing.
func compare(path string, from, to *wire.Revision) wire.DiffPair {
	p := wire.DiffPair{From: from, To: to}
	before, text1 := lines(from)
	after, text2 := lines(to)
	p.Text = text1 && text2
	p.Equal = from != nil && to != nil && sameContent(from.Content, to.Content)
	if p.Text && !p.Equal {
		p.Diff = udiff.Unified(label(path, from), label(path, to), before, after)
	}
	return p
}

func sameContent(c, d wire.Content) bool {
	return c.ContentType == d.ContentType && string(c.Value) == string(d.Value) && string(c.ValueBase64) == string(d.ValueBase64)
}

// lines returns the text of a version with a line feed at its end: values that were typed have none, and that is no difference.
func lines(r *wire.Revision) (text string, ok bool) {
	if r == nil {
		return "", true
	}
	if text, ok = r.Text(); ok && text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text, ok
}

// label names one side of a diff.
func label(path string, r *wire.Revision) string {
	switch {
	case r == nil:
		return "/dev/null"
	case r.Version == "":
		return path + "\t" + side(r)
	}
	return fmt.Sprintf("%s\t%s %s %s", path, side(r), shortName(r.Device), stamp(r.Time))
}

func (a *app) printDiffs(doc wire.Diff) {
	for _, p := range doc.Diffs {
		switch {
		case p.Equal:
			a.out.note("%s and %s hold the same.", side(p.From), side(p.To))
		case !p.Text:
			a.out.print("Binary values differ: %s and %s\n", withSize(p.From), withSize(p.To))
		case p.Diff == "" && p.From == nil:
			a.out.note("%s is empty, and there was nothing before it.", side(p.To))
		case p.Diff == "" && p.To == nil:
			a.out.note("%s is empty, and there is nothing now.", side(p.From))
		case p.Diff == "":
			a.out.print("The values differ in their last line feed or in their type: %s and %s\n", withSize(p.From), withSize(p.To))
		default:
			a.printDiff(p.Diff)
		}
	}
}

// printDiff prints a unified diff, coloured for people.
func (a *app) printDiff(diff string) {
	if !a.out.tty {
		a.out.print("%s", diff)
		return
	}
	for line := range strings.Lines(visibleText(diff)) {
		color := ""
		switch {
		case strings.HasPrefix(line, "@@"), strings.HasPrefix(line, "---"), strings.HasPrefix(line, "+++"):
			color = dim
		case strings.HasPrefix(line, "+"):
			color = green
		case strings.HasPrefix(line, "-"):
			color = red
		}
		a.out.print("%s\n", paint(a.out.color && color != "", color, strings.TrimSuffix(line, "\n")))
	}
}

func side(r *wire.Revision) string {
	switch {
	case r == nil:
		return "nothing"
	case r.Version == "":
		return "policy:" + visible(r.SettledBy)
	}
	return shortVersion(r.Version)
}

func withSize(r *wire.Revision) string {
	if r == nil {
		return "nothing"
	}
	return fmt.Sprintf("%s (%s, %s)", side(r), size(int64(r.Size)), orElse(visible(r.ContentType), "bytes"))
}
