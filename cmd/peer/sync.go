package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

// syncGlance is how long "peer sync" without --wait looks on before it says how things stand.
const syncGlance = 500 * time.Millisecond

// A syncCommand is peer sync with its flags.
type syncCommand struct {
	*app
	wait   bool
	device string
}

func newSync(a *app) *cobra.Command {
	s := &syncCommand{app: a}
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Synchronise now, and with --wait until it is done",
		Long: `Start synchronising with every connected device now. Nobody has to run this for
entries to travel; it is for scripts that must not wait and for those that must know.

--wait returns when the device named with --device, or every connected one, holds all
that this device held when the wait began; with code 8 if that takes longer than
--timeout (30 s). A device that is away, but is known to hold all that is here since
it was last met, counts as well, and the answer says since when. It names the devices
that are away and were not waited for.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			defer c.Close()
			return s.run(cmd.Context(), c) // the daemon keeps the time, so that its answer tells who is behind
		},
	}
	cmd.Flags().BoolVar(&s.wait, "wait", false, "return when the others have caught up")
	cmd.Flags().StringVar(&s.device, "device", "", "only this device, by its name, short id or id")
	return cmd
}

func (s *syncCommand) run(ctx context.Context, c *client.Client) error {
	doc, err := s.sync(ctx, c)
	if err != nil {
		return s.meant(ctx, c, s.device, err)
	}
	return s.out.result(doc, func() {
		switch {
		case len(doc.Devices) == 0:
			s.out.look("No device is connected.")
		case doc.CaughtUp && s.wait:
			s.tellHolders(doc.Devices)
			s.tellAbsent(ctx, c, doc.Devices)
		default:
			s.printDevices(doc.Devices)
		}
	})
}

func (s *syncCommand) sync(ctx context.Context, c *client.Client) (wire.Sync, error) {
	if s.wait {
		bound := requestTimeout
		if s.timeout > 0 {
			bound = s.timeout
		}
		return c.WaitSync(ctx, s.device, bound)
	}
	doc, err := c.WaitSync(ctx, s.device, syncGlance)
	if !errors.Is(err, node.ErrNotCaughtUp) {
		return doc, err
	}
	st, err := c.Status(ctx)
	return wire.Sync{Schema: wire.SchemaSync, Devices: connected(st.Devices)}, err
}

func connected(ds []wire.DeviceStatus) []wire.DeviceStatus {
	out := []wire.DeviceStatus{}
	for _, d := range ds {
		if d.Path != "" {
			out = append(out, d)
		}
	}
	return out
}

// tellHolders says who holds all that is here. Of a device that is away it says when that was known.
func (s *syncCommand) tellHolders(ds []wire.DeviceStatus) {
	if here := connected(ds); len(here) > 0 {
		s.out.done("%s all that is here.", hold(here))
	}
	for _, d := range ds {
		if d.Path == "" && d.State == string(node.StateOffline) {
			s.out.done("%s held all that is here when it was last seen, %s; it is away now.", shortName(d.Device), lastSeen(d.LastSeen))
		} else if d.Path == "" {
			s.out.done("%s all that is here.", hold([]wire.DeviceStatus{d}))
		}
	}
}

// tellAbsent names the members that were not waited for, so that nobody takes "all connected devices" for "all devices".
func (s *syncCommand) tellAbsent(ctx context.Context, c *client.Client, waited []wire.DeviceStatus) {
	st, err := c.Status(ctx)
	if s.device != "" || err != nil {
		return // the wait itself has succeeded
	}
	var absent []string
	for _, d := range st.Devices {
		if !slices.ContainsFunc(waited, func(w wire.DeviceStatus) bool { return w.ID == d.ID }) {
			absent = append(absent, shortName(d.Device))
		}
	}
	if len(absent) > 0 {
		s.out.look("Not connected, and so not waited for: %s.", strings.Join(absent, ", "))
	}
}

// lastSeen says when a device that is away was last seen.
func lastSeen(t time.Time) string {
	if t.IsZero() || time.Since(t) < 5*time.Second {
		return "just now"
	}
	return ago(t)
}

// hold begins a sentence about what devices hold.
func hold(ds []wire.DeviceStatus) string {
	if len(ds) == 1 {
		return shortName(ds[0].Device) + " holds"
	}
	return plural(len(ds), "device", "devices") + " hold"
}
