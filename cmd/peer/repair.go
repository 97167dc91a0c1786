package main

import (
	"context"

	"github.com/spf13/cobra"

	"syncline/node/api/client"
	"syncline/node/api/wire"
)

func newRepair(a *app) *cobra.Command {
	var giveUp bool
	cmd := &cobra.Command{
		Use:   "repair [PREFIX]",
		Short: "Fetch again what a failing disk has damaged",
		Long: `Look through all entries, or those below a prefix, for records that cannot be read,
and fetch what was lost from a connected device that has it: the value as it was, or
what it has become since. All other entries stay as they are, and what else is damaged,
here or there, is in nobody's way: two damaged devices repair each other. If no connected
device has it, or can read it, the entry stays damaged until one is connected that can;
with code 1.

--give-up deletes what no connected device has, here and everywhere, unless one of them
could not be asked. A device that is away and has it loses it, too. It asks first;
without a terminal it needs -y.

A record that stands in the way of synchronising, or of a write, is fetched like this
without being asked for; "peer status" warns. A disk that damages one record will damage
others: look after it.`,
		Args: arguments("[PREFIX]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if giveUp {
				if err := a.confirm(cmd.Context(), "Delete on every device what no connected device has?", false); err != nil {
					return err
				}
			}
			return a.withClient(cmd, requestTimeout, func(ctx context.Context, c *client.Client) error {
				return a.repair(ctx, c, first(args), giveUp)
			})
		},
	}
	cmd.Flags().BoolVar(&giveUp, "give-up", false, "delete what no connected device has")
	return cmd
}

func (a *app) repair(ctx context.Context, c *client.Client, prefix string, giveUp bool) error {
	doc, err := c.Repair(ctx, wire.Repair{Prefix: prefix, GiveUp: giveUp})
	if err != nil {
		return err
	}
	err = a.out.result(doc, func() {
		if len(doc.Paths) == 0 {
			a.out.done("Nothing is damaged%s.", under(prefix))
		}
		for _, m := range doc.Paths {
			a.tellMended(m)
		}
	})
	if err != nil || doc.Damaged == 0 {
		return err
	}
	return client.ErrDamaged.With("%s cannot be read here, and no connected device could bring back what was lost.", entries(doc.Damaged)).
		Next("Connect a device that has it, and run it again. Or give it up:  " + a.self() + " repair --give-up")
}

func (a *app) tellMended(m wire.Mended) {
	switch {
	case m.Problem != nil:
		a.out.look("%s is still damaged: %s.", visible(m.Path), m.Problem.Detail)
	case m.GivenUp:
		a.out.done("%s is given up.", visible(m.Path))
	case m.From != nil:
		a.out.done("%s is whole again, from %s.", visible(m.Path), shortName(*m.From))
	default:
		a.out.done("%s is whole again.", visible(m.Path))
	}
}
