package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

func newHistory(a *app) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "history PATH",
		Short: "List what was written at a path, newest first",
		Long: `List what was written at a path, newest first: the current values, those that were
overwritten, deleted or lost a decision, and the deletes; with who wrote each and what
replaced it. Where a policy settles what competes each line says what it did, and what
it made of several values, a union, comes first and has no version. Each device keeps its own history, by default the last 10 values of an
entry for 30 days; a value that this device no longer has, another may have.

  peer diff PATH                    compare the value with the one before
  peer get PATH --version V         print a past value
  peer restore PATH --version V     write it again

The beginning of a version is enough wherever one is asked for.`,
		Args: arguments("PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 0 {
				return usage("The limit is negative", "--limit is %d.", limit).Next("Give the number of versions to list, or leave it out for all.")
			}
			return a.withClient(cmd, requestTimeout, func(ctx context.Context, c *client.Client) error {
				doc, err := c.History(ctx, args[0], limit)
				if err != nil {
					return err
				}
				return a.out.result(doc, func() { a.printHistory(doc) })
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 0, "list at most so many (default all that are kept)")
	return cmd
}

func (a *app) printHistory(doc wire.History) {
	t := a.out.table("VERSION", "DEVICE", "WRITTEN", "VALUE", "THEN")
	for _, r := range doc.Versions {
		value := both(preview(r.Content), machineValue(r.Content))
		if r.Deleted {
			value = both("(deleted)", "-")
		}
		version, writer, written := both(shortVersion(r.Version), r.Version), shortName(r.Device), both(when(r.Time), stamp(r.Time))
		device := both(writer, orElse(r.Device.ID, "-"))
		switch {
		case r.Version == "": // nobody wrote it
			version, device, written = both("—", "-"), both("—", "-"), both("—", "-")
		case r.MergedBy != "":
			device.text = writer + ", by " + visible(r.MergedBy)
		}
		t.add(version, device, written, value, both(fate(r), machineFate(r)))
	}
	t.print()
	if doc.Damaged > 0 {
		a.out.note("%s %s cannot be read and are left out; the log of the daemon names them.", a.out.errSign(signLook),
			plural(doc.Damaged, "version", "versions"))
	}
}

// shortVersion is as much of the name of a version as people need to tell it from others.
func shortVersion(v string) string { return v[:min(len(v), len("h.51ab09e2"))] }

// fate says what became of a version, as people say it.
func fate(r wire.Revision) string {
	switch {
	case r.Shown && r.SettledBy == "":
		return "shown"
	case r.Shown && r.Version == "":
		return "shown, made by the policy " + visible(r.SettledBy)
	case r.Shown:
		return "shown by the policy " + visible(r.SettledBy)
	case r.SettledBy == string(node.PolicyUnion):
		return "taken up by the policy union"
	case r.SettledBy != "":
		return "set aside by the policy " + visible(r.SettledBy)
	case r.Current:
		return "competes"
	case r.Replaced == nil:
		return ""
	}
	by := ""
	if d := r.Replaced.Device; d != nil {
		by = " by " + shortName(*d)
	}
	switch r.Replaced.How {
	case "delete":
		return "deleted" + by
	case "resolve":
		return "lost a decision" + by
	case "automatic":
		return "set aside by the policy " + visible(r.Replaced.Policy)
	case "unseen":
		return "replaced elsewhere"
	}
	return "overwritten" + by
}

// machineFate says the same in one word.
func machineFate(r wire.Revision) string {
	switch {
	case r.SettledBy != "" && r.Shown:
		return "shown:" + visible(r.SettledBy)
	case r.SettledBy != "":
		return "settled:" + visible(r.SettledBy)
	case r.Current:
		return "current"
	case r.Replaced == nil:
		return "-"
	}
	return r.Replaced.How
}

func newRestore(a *app) *cobra.Command {
	var version string
	cmd := &cobra.Command{
		Use:   "restore PATH --version VERSION",
		Short: "Write a past value again",
		Long: `Write a past value of a path again: one that was overwritten, deleted, or lost a decision.
It becomes the newest value, on every device; what it replaces stays in the history, so
that this can be taken back in the same way.

If the entry is in conflict this replaces the value that is shown; the others stay.`,
		Example: `  peer history notes/todo.md
  peer restore notes/todo.md --version 51ab`,
		Args: arguments("PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if version == "" {
				return usage("A version is missing", "peer restore needs --version.").
					Next("See which there are:  " + a.self() + " history " + pathWord(args[0]))
			}
			return a.withClient(cmd, requestTimeout, func(ctx context.Context, c *client.Client) error {
				doc, err := c.Restore(ctx, args[0], version)
				if err != nil {
					return err
				}
				return a.out.result(doc, func() { a.tellRestored(doc) })
			})
		},
	}
	cmd.Flags().StringVar(&version, "version", "", "the version to bring back, or its beginning")
	return cmd
}

func (a *app) tellRestored(doc wire.Restored) {
	a.out.done("%s is what it was at %s.", visible(doc.Path), shortVersion(doc.Restored))
	if doc.Remaining > 0 {
		a.out.look("%s; the entry is still in conflict. See:  %s conflicts show %s", remain(doc.Remaining), a.self(), pathWord(doc.Path))
	}
}

// versionNamed reports whether a person who typed name may mean the version v.
func versionNamed(v, name string) bool {
	return strings.HasPrefix(v, name) || strings.HasPrefix(strings.TrimPrefix(v, "h."), name)
}
