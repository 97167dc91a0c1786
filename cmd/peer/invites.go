package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

func newInvites(a *app) *cobra.Command {
	list := func(cmd *cobra.Command, args []string) error {
		return a.withClient(cmd, requestTimeout, func(ctx context.Context, c *client.Client) error {
			doc, err := c.Invites(ctx)
			if err != nil {
				return err
			}
			return a.out.result(doc, func() { a.printInvites(doc.Invites) })
		})
	}
	cmd := &cobra.Command{Use: "invites", Short: "List and close open invites, and answer devices that want to join", Args: commandsOnly, RunE: list}
	cmd.AddCommand(
		&cobra.Command{Use: "list", Short: "List open invites", Args: arguments(), RunE: list},
		a.newAnswer("accept", "Let the device in that brought the ticket", true),
		a.newAnswer("reject", "Turn the device away that brought the ticket", false),
		a.newClose(),
	)
	return cmd
}

func (a *app) newClose() *cobra.Command {
	return &cobra.Command{
		Use:   "close INVITE",
		Short: "Close an open invite",
		Long: `Close an open invite before its time, as when its ticket got into wrong hands: nobody
joins with it from then on, and a device that waits is turned away.`,
		Args: arguments("INVITE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, requestTimeout, func(ctx context.Context, c *client.Client) error {
				inv, err := c.CloseInvite(ctx, args[0])
				if err != nil {
					return err
				}
				return a.out.result(inv, func() { a.out.done("Invite %s is closed; its ticket is good for nothing.", inv.ID) })
			})
		},
	}
}

func (a *app) newAnswer(verb, short string, admit bool) *cobra.Command {
	long := short + ". The invite may be left out if only one device waits."
	if !admit {
		long += "\nThe ticket stays good for another try; peer invites close ends that."
	}
	return &cobra.Command{
		Use:   verb + " [INVITE]",
		Short: short,
		Long:  long,
		Args:  arguments("[INVITE]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, requestTimeout, func(ctx context.Context, c *client.Client) error {
				return a.answer(ctx, c, first(args), admit)
			})
		},
	}
}

func (a *app) answer(ctx context.Context, c *client.Client, id string, admit bool) error {
	if id == "" {
		var err error
		if id, err = waitingInvite(ctx, c); err != nil {
			return err
		}
	}
	inv, err := c.AnswerInvite(ctx, id, "", admit)
	if err != nil {
		return err
	}
	return a.out.result(inv, func() {
		switch {
		case inv.Joined != nil:
			a.out.done("%s joined space %s.", deviceName(*inv.Joined), visible(inv.Space.Name))
		case admit:
			a.out.look("Invite %s is accepted, but the device has gone away. It can try again.", inv.ID)
		default:
			a.out.done("The device was turned away; invite %s stays open. To close it:  %s invites close %s", inv.ID, a.self(), inv.ID)
		}
	})
}

// waitingInvite finds the one invite whose ticket somebody has brought.
func waitingInvite(ctx context.Context, c *client.Client) (string, error) {
	doc, err := c.Invites(ctx)
	if err != nil {
		return "", err
	}
	var ids []string
	for _, inv := range doc.Invites {
		if inv.State == wire.InviteWaiting {
			ids = append(ids, inv.ID)
		}
	}
	switch len(ids) {
	case 1:
		return ids[0], nil
	case 0:
		return "", node.ErrTicketUnknown.With("No device waits to be let in.").Next("See the invites:  peer invites")
	}
	return "", usage("Say which", "%d devices wait: %s.", len(ids), strings.Join(ids, ", ")).Next("peer invites accept " + ids[0])
}

func (a *app) printInvites(invites []wire.Invite) {
	if len(invites) == 0 {
		if a.out.tty {
			a.out.say("No open invites. Make one:  %s invite", a.self())
		}
		return
	}
	t := a.out.table("ID", "STATE", "SPACE", "EXPIRES", "DEVICE")
	for _, inv := range invites {
		device := wire.Device{}
		switch {
		case inv.Joined != nil:
			device = *inv.Joined
		case inv.Request != nil:
			device = inv.Request.Device
		}
		name := "—"
		if device.ID != "" {
			name = deviceName(device)
		}
		t.add(text(inv.ID), text(inv.State), both(inv.Space.Name, inv.Space.ID), both(left(inv.Expires), stamp(inv.Expires)), both(name, orElse(device.ID, "-")))
	}
	t.print()
}

// left says how long it is until t.
func left(t time.Time) string {
	if d := time.Until(t); d > 0 {
		return "in " + span(d)
	}
	return "over"
}
