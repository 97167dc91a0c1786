package main

import (
	"context"

	"github.com/spf13/cobra"

	"syncline/node/api/client"
)

func newUndo(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "undo [ID]",
		Short: "Take back a resolution that was made on this device",
		Long: `Take back the last resolution that was made on this device, or the one with ID, which
"peer resolve --json" tells: the values that it replaced compete again, on every device.
They are written anew by this device; where a history still tells who wrote them first,
"peer conflicts show" names that device, and "--keep DEVICE" means it.
What it kept beside the entry is deleted, unless somebody wrote to it. It is refused if
the entry was written since. The last 32 resolutions can be taken back. What a policy
settled is no resolution of this kind; under merge:NAME, values that compete again are
combined again: change the policy first. Under merge:text and merge:json they stay open.`,
		Args: arguments("[ID]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, requestTimeout, func(ctx context.Context, c *client.Client) error {
				e, err := c.Undo(ctx, first(args))
				if err != nil {
					return err
				}
				return a.out.result(e, func() {
					a.out.done("%s is as it was before the decision: %s, written anew by this device.", visible(e.Path), plural(len(rivals(e.Values)), "value", "values"))
					if a.out.tty {
						a.out.say("Who wrote them first:  %s conflicts show %s", a.self(), visible(e.Path))
					}
				})
			})
		},
	}
}
