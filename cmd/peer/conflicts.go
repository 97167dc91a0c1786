package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

func newConflicts(a *app) *cobra.Command {
	var code bool
	cmd := &cobra.Command{
		Use:   "conflicts [PREFIX]",
		Short: "List the entries whose values compete",
		Long: `List the entries that were written on two devices at the same time with different
values. All values are kept until somebody decides; until then every device shows the
newest. A plain write replaces the shown value only, and the others stay. To decide:

  peer conflicts show PATH          see the values, with device and time, and what each
                                    changed of the value that they were made from
  peer resolve PATH --keep 1        keep one of them
  peer resolve PATH --value TEXT    or write another
  peer resolve PATH --edit          or put them together in the editor
  peer resolve PATH --merge=text    or let that be done, by lines; json by fields

A decision on one device closes the conflict on all.`,
		Args: arguments("[PREFIX]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, requestTimeout, func(ctx context.Context, c *client.Client) error {
				return a.listConflicts(ctx, c, first(args), code)
			})
		},
	}
	cmd.Flags().BoolVar(&code, "exit-code", false, "exit with 5 if any conflict is open")
	cmd.AddCommand(&cobra.Command{
		Use:   "show PATH",
		Short: "Show the values that compete for one path",
		Args:  arguments("PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, requestTimeout, func(ctx context.Context, c *client.Client) error {
				doc, err := c.Conflict(ctx, args[0])
				if err != nil {
					return err
				}
				return a.out.result(doc, func() {
					a.showConflict(doc)
					a.showWays(ctx, c, doc)
				})
			})
		},
	})
	return cmd
}

func (a *app) listConflicts(ctx context.Context, c *client.Client, prefix string, code bool) error {
	doc := wire.Conflicts{Schema: wire.SchemaConflicts, Conflicts: []wire.Conflict{}}
	var damaged error
	for conflict, err := range c.Conflicts(ctx, prefix) {
		if errors.Is(err, client.ErrDamaged) { // everything else has come
			damaged = err
			break
		}
		if errors.Is(err, node.ErrFilling) {
			doc.Incomplete = true
			a.tellFilling(err)
			break
		}
		if err != nil {
			return err
		}
		conflict.Schema = ""
		doc.Conflicts = append(doc.Conflicts, conflict)
	}
	err := a.out.result(doc, func() { a.printConflicts(doc.Conflicts, prefix) })
	if err == nil && damaged != nil {
		return damaged
	}
	if err == nil && code && len(doc.Conflicts) > 0 {
		return quietExit(exitConflicts)
	}
	return err
}

func (a *app) printConflicts(conflicts []wire.Conflict, prefix string) {
	if len(conflicts) == 0 {
		if a.out.tty {
			a.out.done("No conflicts%s.", under(prefix))
		}
		return
	}
	t := a.out.table("PATH", "VALUES", "SINCE", "REASON", "POLICY")
	for _, c := range conflicts {
		t.add(text(c.Path), both(who(c), strconv.Itoa(c.Conflict)), both(strings.TrimSuffix(ago(c.Since), " ago"), stamp(c.Since)), text(c.Reason), text(c.Policy))
	}
	t.print()
	if a.out.tty {
		a.out.say("See the values:  %s conflicts show %s", a.self(), pathWord(conflicts[0].Path))
	}
}

// who names the writers of the values that compete, or the values if they are short.
func who(c wire.Conflict) string {
	var parts []string
	for _, v := range rivals(c.Values) {
		device, at := v.Writer()
		s := shortName(device)
		if t, ok := v.Text(); ok && len(t) <= 12 {
			s += " " + strconv.Quote(t)
		} else {
			s += " " + when(at)
		}
		parts = append(parts, s)
	}
	if c.Reason == "delete/update" {
		parts = append(parts, "deleted elsewhere")
	}
	return strings.Join(parts, " · ")
}

// rivals returns the values of a Conflict, equal ones once: in the order in which they are numbered for people.
func rivals(values []wire.Value) []wire.Value {
	var out []wire.Value
	seen := map[string]bool{}
	for _, v := range values {
		key := v.ContentType + "\x00" + string(v.Value) + "\x00" + string(v.ValueBase64)
		if !seen[key] {
			seen[key] = true
			out = append(out, v)
		}
	}
	return out
}

// showLines is how many lines of each value are shown, diffLines how many of what it changed.
const (
	showLines = 20
	diffLines = 60
)

func (a *app) showConflict(c wire.Conflict) {
	values := rivals(c.Values)
	if !a.out.tty {
		a.out.valueTable(values).print()
		return
	}
	a.out.print("%s — %s\n", visible(c.Path), explain(c, len(values)))
	a.showBase(c)
	for i, v := range values {
		notes, device, at := "", v.Device, v.Time
		if v.Origin != nil {
			notes = "   " + a.out.dim("brought back by "+shortName(v.Device)+", "+when(v.Time))
			device, at = v.Writer()
		}
		if v.Shown {
			notes += "   " + a.out.dim("shown to apps until then")
		}
		a.out.print("[%d] %-12s %s%s\n", i+1, shortName(device), when(at), notes)
		if diff := diffOf(c, v); diff != "" {
			a.printDiff(firstLines(diff, diffLines))
		} else {
			a.out.print("%s", indented(v.Content))
		}
	}
	if c.PolicyReason != "" {
		a.out.say("The policy %s could not decide: %s.", c.Policy, visible(c.PolicyReason))
	}
}

// showWays shows the commands that decide a conflict.
func (a *app) showWays(ctx context.Context, cl *client.Client, c wire.Conflict) {
	if !a.out.tty {
		return
	}
	resolve := a.self() + " resolve " + pathWord(c.Path)
	a.out.say("Keep one:       %s --keep 1", resolve)
	if c.Reason == "delete/update" {
		a.out.say("Delete it:      %s del --all %s", a.self(), pathWord(c.Path))
	}
	a.out.say("Write another:  %s --value TEXT", resolve)
	if i := slices.IndexFunc(c.Values, func(v wire.Value) bool { _, ok := v.Text(); return !ok }); i < 0 {
		a.out.say("In the editor:  %s --edit", resolve)
	} else {
		a.out.say("Save one:       %s get %s --version %s > FILE", a.self(), pathWord(c.Path), c.Values[i].Version)
	}
	if by := mergeOf(c.Values); by != "" {
		p, err := cl.PreviewResolve(ctx, wire.Resolve{Path: c.Path, IfMatch: &c.Version, Merge: true, Policy: string(node.PolicyMerge(by))})
		if err == nil {
			a.out.say("Combine them:   %s --merge=%s   %s", resolve, by, a.out.dim("gives "+preview(p.Content)))
		}
	}
}

// mergeOf returns the name of the built-in merge for values, "" if there is none.
func mergeOf(values []wire.Value) string {
	by := "json"
	for _, v := range values {
		if text, ok := v.Text(); !ok {
			return ""
		} else if !strings.HasPrefix(strings.TrimSpace(text), "{") || !json.Valid([]byte(text)) {
			by = "text"
		}
	}
	return by
}

// showBase shows what the values were made from.
func (a *app) showBase(c wire.Conflict) {
	switch {
	case c.Base != nil && c.Base.Nothing:
		a.out.print("    %s\n", a.out.dim("begun apart, where there was nothing"))
	case c.Base != nil:
		a.out.print("    %-12s %s   %s\n", shortName(c.Base.Device), when(c.Base.Time), a.out.dim("what they were made from"))
		a.out.print("%s", indented(c.Base.Content))
	case c.BaseReason != "" && c.Reason != "delete/update": // which is reason enough
		a.out.say("What they were made from is not known: %s.", visible(c.BaseReason))
	}
}

// diffOf returns what a value changed of the base, without the names of the two, if both are texts of several lines.
func diffOf(c wire.Conflict, v wire.Value) string {
	i := slices.IndexFunc(c.Values, func(w wire.Value) bool { return w.Version == v.Version })
	if c.Base == nil || c.Base.Nothing || i < 0 || i >= len(c.Diffs) || !severalLines(c.Base.Content) || !severalLines(v.Content) {
		return ""
	}
	_, rest, _ := strings.Cut(c.Diffs[i], "\n+++ ")
	_, rest, _ = strings.Cut(rest, "\n")
	return rest
}

func severalLines(c wire.Content) bool {
	s, ok := c.Text()
	return ok && strings.Contains(strings.TrimSuffix(s, "\n"), "\n")
}

func explain(c wire.Conflict, n int) string {
	if c.Reason == "delete/update" {
		return "written on one device while it was deleted on another"
	}
	return fmt.Sprintf("%d values, written without knowledge of each other", n)
}

// indented writes the first lines of a value.
func indented(c wire.Content) string {
	s, ok := c.Text()
	if !ok {
		return "      " + preview(c) + "\n"
	}
	if s == "" {
		return "      (empty)\n"
	}
	var b strings.Builder
	for line := range strings.Lines(firstLines(visibleText(s), showLines)) {
		b.WriteString("      " + strings.TrimSuffix(line, "\n") + "\n")
	}
	return b.String()
}

// firstLines returns the first n lines of a text, and one that says so if there are more.
func firstLines(text string, n int) string {
	end := 0
	for line := range strings.Lines(text) {
		if n--; n < 0 {
			return text[:end] + "…\n"
		}
		end += len(line)
	}
	return text
}
