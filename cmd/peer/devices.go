package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

func newDevices(a *app) *cobra.Command {
	list := func(cmd *cobra.Command, args []string) error {
		return a.withClient(cmd, requestTimeout, func(ctx context.Context, c *client.Client) error {
			doc, err := c.Devices(ctx)
			if err != nil {
				return err
			}
			return a.out.result(doc, func() { a.printDevices(doc.Devices) })
		})
	}
	cmd := &cobra.Command{Use: "devices", Short: "List the devices of the space", Args: commandsOnly, RunE: list}
	cmd.AddCommand(
		&cobra.Command{Use: "list", Short: "List the devices of the space", Args: arguments(), RunE: list},
		&cobra.Command{
			Use: "show DEVICE", Short: "Show one device, by its name, short id or id", Args: arguments("DEVICE"),
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.withClient(cmd, requestTimeout, func(ctx context.Context, c *client.Client) error {
					d, err := c.Device(ctx, args[0])
					if err != nil {
						return a.meant(ctx, c, args[0], err)
					}
					return a.out.result(d, func() { a.printDevice(d) })
				})
			},
		},
		&cobra.Command{
			Use:   "add-address DEVICE MULTIADDR",
			Short: "Say where a device can be reached",
			Long: `Say where a device can be reached, for networks on which devices do not find each
other. The address is tried at once and remembered.`,
			Example: "  peer devices add-address nas /ip4/192.168.1.20/udp/4001/quic-v1",
			Args:    arguments("DEVICE", "MULTIADDR"),
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.withClient(cmd, requestTimeout, func(ctx context.Context, c *client.Client) error {
					doc, err := c.AddAddress(ctx, args[0], args[1])
					if err != nil {
						return a.meant(ctx, c, args[0], err)
					}
					return a.out.result(doc, func() { a.out.done("%s is tried at %s.", visible(args[0]), visible(doc.Address)) })
				})
			},
		},
	)
	return cmd
}

// meant adds to the problem of a device that is not there which one was probably meant.
func (a *app) meant(ctx context.Context, c *client.Client, device string, err error) error {
	if device == "" || !errors.Is(err, node.ErrNoDevice) {
		return err
	}
	doc, failed := c.Devices(ctx)
	if failed != nil {
		return err
	}
	var names []string
	for _, d := range doc.Devices {
		if strings.EqualFold(d.Name, device) {
			return err // several have the name
		}
		names = append(names, d.Name)
	}
	if near := nearest(device, names); near != "" {
		return node.ProblemOf(err).Next(fmt.Sprintf("Did you mean %s?      All of them:  %s devices", near, a.self()))
	}
	return err
}

// printDevice prints all that is known of one device: a name and a value on each line.
func (a *app) printDevice(d wire.DeviceStatus) {
	t := a.out.table("", "")
	row := func(name, human, machine string) { t.add(text(name), both(human, machine)) }
	row("device", deviceName(d.Device), d.Name)
	row("id", d.ID, "")
	row("state", state(d), d.State)
	row("path", orElse(d.Path, "—"), orElse(d.Path, "-"))
	row("last seen", seen(d), stamp(d.LastSeen))
	row("missing", fmt.Sprintf("%s (%s)", entries(d.Missing.Entries), size(d.Missing.Bytes)), fmt.Sprintf("%d %d", d.Missing.Entries, d.Missing.Bytes))
	added := when(d.Added)
	if d.AddedBy != nil {
		added += " by " + shortName(*d.AddedBy)
	}
	row("added", added, stamp(d.Added))
	if d.ClockSkew != 0 {
		row("clock", fmt.Sprintf("%+.1f s", d.ClockSkew), "")
	}
	row("addresses", orElse(strings.Join(d.Addrs, " "), "—"), orElse(strings.Join(d.Addrs, " "), "-"))
	t.headless().print()
}
