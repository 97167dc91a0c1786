package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"syncline/node/api/client"
	"syncline/node/api/wire"
)

// syncPoll is how often the progress of the first synchronisation is looked at.
const syncPoll = 200 * time.Millisecond

func newJoin(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "join [TICKET|-]",
		Short: "Join the space of another device, with its ticket",
		Long: `Join the space of another device, with the ticket that "peer invite" printed there. It
ends when that device has let this one in. The ticket may also come from standard input
(-) or from the variable PEER_INVITE; on a terminal it is asked for. Whoever may list the
processes of this machine can read arguments, so on one that others use take another way.

The space becomes the default here. If this device held entries already they are kept in
their own space.`,
		Args: arguments("[TICKET]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ticket, err := a.ticket(cmd.Context(), args)
			if err != nil {
				return err
			}
			return a.withClient(cmd, 0, func(ctx context.Context, c *client.Client) error {
				return a.join(ctx, c, ticket)
			})
		},
	}
}

// ticket finds the ticket: in the arguments, on standard input, in the environment, or by asking.
func (a *app) ticket(ctx context.Context, args []string) (string, error) {
	given := first(args)
	if given == "" {
		given = os.Getenv("PEER_INVITE")
	}
	switch {
	case given == "-":
		b, err := io.ReadAll(io.LimitReader(stdin(ctx), 64<<10))
		if err != nil {
			return "", fileError(err)
		}
		given = string(b)
	case given == "" && a.interactive():
		a.out.note("Ticket (from “peer invite” on the other device):")
		line, err := readLine(ctx)
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if given = line; err != nil {
			given = ""
		}
	}
	if given = strings.TrimSpace(given); given == "" {
		why := "There is none in the arguments, and no terminal to ask on."
		if a.interactive() {
			why = "None was given."
		}
		return "", usage("A ticket is missing", "%s", why).
			Next("Make one on the other device with peer invite, then here:  " + a.self() + " join TICKET")
	}
	return given, nil
}

func (a *app) join(ctx context.Context, c *client.Client, ticket string) error {
	if a.out.errTTY && !a.json {
		a.out.note("Asking the other device… (it has to say yes)")
	}
	doc, err := c.Join(ctx, ticket)
	if err != nil {
		return err
	}
	return a.out.result(doc, func() {
		a.out.done("Joined space %s through %s.", visible(doc.Space.Name), deviceName(doc.Inviter))
		if doc.Kept != nil {
			a.out.look("What was here before is kept in space %s:  %s --space %s ls", visible(doc.Kept.Name), a.self(), visible(doc.Kept.Name))
		}
		if a.out.tty && a.out.errTTY {
			a.watchSync(ctx, c, doc.Inviter.ID, "receiving")
		}
	})
}

// watchSync shows the first synchronisation with a device until both hold the same. Ctrl-C ends the view, not the
// synchronisation, so that is no error.
func (a *app) watchSync(ctx context.Context, c *client.Client, device, what string) error {
	bar := a.progress(-1, what, false)
	defer bar.Finish()
	tick := time.NewTicker(syncPoll)
	defer tick.Stop()
	for {
		st, err := c.Status(ctx)
		if err != nil {
			return viewed(err)
		}
		d := findStatus(st.Devices, device)
		switch {
		case d.State == "in sync":
			bar.Finish()
			a.out.done("In sync with %s: %s.", deviceName(d.Device), entries(st.Entries))
			return nil
		case d.State == "behind" && d.Missing.Entries > 0:
			bar.ChangeMax(st.Entries)
			bar.Set(st.Entries - min(d.Missing.Entries, st.Entries))
		default:
			bar.Set(st.Entries)
		}
		select {
		case <-ctx.Done():
			return viewed(ctx.Err())
		case <-tick.C:
		}
	}
}

// viewed drops the end of a view that the person asked for.
func viewed(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, client.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

func findStatus(ds []wire.DeviceStatus, id string) wire.DeviceStatus {
	for _, d := range ds {
		if d.ID == id {
			return d
		}
	}
	return wire.DeviceStatus{}
}
