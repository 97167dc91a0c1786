package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"syncline/node/api/client"
	"syncline/node/api/wire"
)

// lockPoll is how often the end of the daemon is looked for.
const lockPoll = 20 * time.Millisecond

func newDown(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Stop this device",
		Long: `Stop this device and wait until it has ended. If it does not answer it gets the
signal TERM. It is no error if nothing runs.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, requestTimeout, a.down)
		},
	}
}

func (a *app) down(ctx context.Context, c *client.Client) error {
	inst, err := a.instance()
	if err != nil {
		return err
	}
	doc, err := c.Down(ctx)
	if errors.Is(err, client.ErrNotRunning) && !inst.runs() {
		return a.out.result(wire.Down{Schema: wire.SchemaDown}, func() { a.out.done("Nothing was running.") })
	}
	if err != nil {
		if doc, err = a.signalDown(inst, err); err != nil {
			return err
		}
	}
	if err := awaitEnd(ctx, inst); err != nil {
		return err
	}
	return a.out.result(doc, func() { a.out.done("Stopped (pid %d).", doc.PID) })
}

// signalDown ends a daemon whose API does not answer. The lock is held, so the process that wrote it lives.
func (a *app) signalDown(inst instance, cause error) (wire.Down, error) {
	info, err := readLock(inst.data)
	if err != nil || !inst.holds() || !lockHeld(inst.data) {
		return wire.Down{}, cause
	}
	if err := terminate(info.PID); err != nil {
		return wire.Down{}, cause
	}
	return wire.Down{Schema: wire.SchemaDown, WasRunning: true, PID: info.PID}, nil
}

// awaitEnd waits until the daemon has ended.
func awaitEnd(ctx context.Context, inst instance) error {
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for inst.runs() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
