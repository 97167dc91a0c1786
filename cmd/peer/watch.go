package main

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

// A watchCommand is peer watch with its flags.
type watchCommand struct {
	*app
	since  string
	once   bool
	values bool
}

func newWatch(a *app) *cobra.Command {
	w := &watchCommand{app: a}
	cmd := &cobra.Command{
		Use:   "watch [PREFIX]",
		Short: "Print changes as they come",
		Long: `Print the entries under a prefix, and then every change as it comes, until Ctrl-C.
--since now leaves out what is there already; --since CURSOR goes on where an earlier
watch (--json prints cursors) has ended. A conflict that a policy settles is told as
resolved, with the name of the policy. In a pipe a line has the time, the device, what
happened, the path, its version, the number of values that compete, and the policy.

--once waits for one change, prints it and ends. Without --since that is the next one
from now. With --timeout it ends with code 8 if none comes.`,
		Args: arguments("[PREFIX]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if w.once && !cmd.Flags().Changed("since") {
				w.since = string(node.CursorNow)
			}
			return a.withClient(cmd, 0, func(ctx context.Context, c *client.Client) error {
				return w.run(ctx, c, first(args))
			})
		},
	}
	cmd.Flags().StringVar(&w.since, "since", "", "only what came after this cursor, or “now”")
	cmd.Flags().BoolVar(&w.once, "once", false, "end after one change")
	cmd.Flags().BoolVar(&w.values, "values", false, "with --json: the values, too")
	return cmd
}

func (w *watchCommand) run(ctx context.Context, c *client.Client, prefix string) error {
	ctx, stop := w.out.whileRead(ctx)
	defer stop()
	for line, err := range c.Watch(ctx, prefix, w.since, w.values) {
		if err != nil && errors.Is(context.Cause(ctx), syscall.EPIPE) {
			return syscall.EPIPE
		}
		if errors.Is(err, client.ErrTimeout) {
			return client.ErrTimeout.With("No change came in time.")
		}
		if err != nil {
			return err
		}
		if line.Type == wire.LineReset {
			return node.ErrCursorExpired.With("More has happened than is remembered.")
		}
		w.print(line)
		if err := w.out.flush(); err != nil {
			return err
		}
		if w.once && isChange(line.Type) {
			return nil
		}
	}
	return client.ErrCutOff.With("The daemon has ended.").Next("Start it again:  " + w.self() + " up -d")
}

func isChange(lineType string) bool {
	return lineType != wire.LineHello && lineType != wire.LineUpToDate
}

func (w *watchCommand) print(line client.Line) {
	switch {
	case w.json:
		w.out.document(json.RawMessage(line.Raw))
	case isChange(line.Type):
		w.change(line.Change)
	case line.Type == wire.LineUpToDate && w.out.tty:
		w.out.say("%s", w.out.dim("up to date; waiting for changes (Ctrl-C ends)"))
	}
}

// change prints one change: for people with the columns of a table that has no end, for pipes tab-separated. Both end with the policy that
// settled what competed, if one did.
func (w *watchCommand) change(c wire.Change) {
	if !w.out.tty {
		w.out.print("%s\t%s\t%s\t%s\t%s\t%d\t%s\n", stamp(c.Time), orElse(c.Device.ID, "-"), c.Type, visible(c.Path), orElse(c.Version, "-"), c.Conflict,
			orElse(visible(c.Policy), "-"))
		return
	}
	note := ""
	if c.Version != "" {
		note = "  " + w.out.dim("("+c.Version+")")
	}
	if c.Policy != "" {
		note += "  by " + visible(c.Policy)
	}
	switch {
	case c.Conflict == 1:
		note += "  " + paint(w.out.color, yellow, "! won over a delete")
	case c.Conflict > 1:
		note += "  " + paint(w.out.color, yellow, "! "+strconv.Itoa(c.Conflict)+" values")
	}
	w.out.print("%s  %-12s  %-8s  %s%s\n", c.Time.Local().Format(time.TimeOnly), shortName(c.Device), c.Type, visible(c.Path), note)
}
