package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

func newPolicy(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Say how conflicts are settled without asking",
		Long: `List the policies of the space. A policy says what becomes of conflicts at the paths that
match a pattern, on every device:

  manual      they wait for somebody: peer resolve (where no pattern matches)
  newest      the newest value is shown
  max, min    the greatest or least value is shown: as numbers if all are numbers
  union       the elements of all values are shown, sorted, each once: of JSON arrays,
              or the lines of texts
  merge:text  what each side changed of the value that both were made from, by lines;
              one device writes the result
  merge:json  the same by the fields of JSON objects
  merge:NAME  a function of that name, which a Go program registered on one of the
              devices, combines the values and writes the result; --json lists those
              that this device knows, as merges

The first five need no write: the values stay as they are, "peer get --all" shows them,
and the next write replaces them all. If values do not fit, or if a line or a field was
changed in different ways, the conflict stays open and "peer conflicts show" says why.
merge:text and merge:json need the value that both sides were made from: it has to be in
the history of one of the devices, which keeps it for 30 days.

In a pattern * stands for any characters within one segment, and a segment ** for any
number of segments. The pattern with the most characters before its first * counts.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := commandsOnly(cmd, args); err != nil {
				return err
			}
			return a.withClient(cmd, requestTimeout, func(ctx context.Context, c *client.Client) error {
				doc, err := c.Policies(ctx)
				if err != nil {
					return err
				}
				return a.out.result(doc, func() { a.printPolicies(doc) })
			})
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "set PATTERN POLICY",
		Short: "Put the paths that match a pattern under a policy",
		Long: `Put the paths that match PATTERN under a policy: manual, newest, max, min, union,
merge:text, merge:json or merge:NAME. Quote the pattern, so that the shell leaves it alone:

  peer policy set 'cart/**' union
  peer policy set 'notes/**' merge:text`,
		Args: arguments("PATTERN", "POLICY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			rule := wire.Policy{Pattern: args[0], Policy: args[1]}
			return a.editPolicies(cmd, func(p []wire.Policy) ([]wire.Policy, error) {
				return append(slices.DeleteFunc(p, func(q wire.Policy) bool { return q.Pattern == rule.Pattern }), rule), nil
			}, func(doc wire.Policies) {
				a.out.done("Conflicts at %s: %s.", visible(rule.Pattern), visible(rule.Policy))
				a.tellUnknown(doc, rule)
			})
		},
	}, &cobra.Command{
		Use:   "unset PATTERN",
		Short: "Remove the policy of a pattern",
		Args:  arguments("PATTERN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.editPolicies(cmd, func(p []wire.Policy) ([]wire.Policy, error) {
				n := len(p)
				if p = slices.DeleteFunc(p, func(q wire.Policy) bool { return q.Pattern == args[0] }); len(p) == n {
					return nil, node.ErrNotFound.With("The pattern %s has no policy.", args[0]).Next(a.self() + " policy lists them.")
				}
				return p, nil
			}, func(wire.Policies) { a.out.done("%s has no policy any more.", visible(args[0])) })
		},
	})
	return cmd
}

// policyTries is how often an edit begins anew because somebody else changed the policies meanwhile.
const policyTries = 4

func (a *app) editPolicies(cmd *cobra.Command, edit func([]wire.Policy) ([]wire.Policy, error), done func(wire.Policies)) error {
	return a.withClient(cmd, requestTimeout, func(ctx context.Context, c *client.Client) error {
		for try := 1; ; try++ {
			doc, err := c.Policies(ctx)
			if err != nil {
				return err
			}
			if doc.Policies, err = edit(doc.Policies); err != nil {
				return err
			}
			doc, err = c.SetPolicies(ctx, doc)
			if errors.Is(err, node.ErrVersionMismatch) && try < policyTries {
				continue
			}
			if err != nil {
				return err
			}
			return a.out.result(doc, func() { done(doc) })
		}
	})
}

func (a *app) printPolicies(doc wire.Policies) {
	if len(doc.Policies) == 0 && a.out.tty {
		a.out.say("No policies: every conflict waits for somebody. Set one:  %s policy set 'cart/**' union", a.self())
		return
	}
	t := a.out.table("PATTERN", "POLICY")
	for _, p := range doc.Policies {
		t.add(text(p.Pattern), text(p.Policy))
	}
	t.print()
	if a.out.tty {
		a.tellUnknown(doc, doc.Policies...)
	}
}

// tellUnknown says which policies call a merge function that this device does not know: a slip of the pen, or one of another device.
func (a *app) tellUnknown(doc wire.Policies, rules ...wire.Policy) {
	for _, r := range rules {
		if name, ok := node.Policy(r.Policy).Merge(); ok && !slices.Contains(doc.Merges, name) {
			a.out.look("No program on this device registered %s; conflicts at %s wait for a device that has it. Known here:  merge:%s",
				visible(r.Policy), visible(r.Pattern), strings.Join(doc.Merges, ", merge:"))
		}
	}
}
