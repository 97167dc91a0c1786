package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

func newStatus(a *app) *cobra.Command {
	var short bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show this device, the others, and what needs a look",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, requestTimeout, func(ctx context.Context, c *client.Client) error {
				st, err := c.Status(ctx)
				if err != nil {
					return err
				}
				return a.out.result(st, func() {
					if short {
						a.out.print("%s\n", shortStatus(st))
					} else {
						a.printStatus(st)
					}
				})
			})
		},
	}
	cmd.Flags().BoolVar(&short, "short", false, "one line")
	return cmd
}

// printStatus prints the page for people, or the devices for a pipe, this one first, with what is wrong on standard error.
func (a *app) printStatus(st wire.Status) {
	if a.out.tty {
		a.printHead(st)
	} else {
		for _, line := range health(st) {
			a.out.note("%s %s", a.out.errSign(signLook), line)
		}
	}
	switch {
	case !a.out.tty:
		self := wire.DeviceStatus{Device: st.Device, State: "this device"}
		a.printDevices(append([]wire.DeviceStatus{self}, st.Devices...))
	case len(st.Devices) > 0:
		a.printDevices(st.Devices)
	default:
		a.out.say("No other device yet. Connect one:  %s invite", a.self())
	}
}

func (a *app) printHead(st wire.Status) {
	a.out.print("%s · space %s · up %s · %s, %s\n", deviceName(st.Device), visible(st.Space.Name), span(time.Since(st.Started)),
		entries(st.Entries), size(st.Bytes))
	if st.Conflicts > 0 {
		a.out.look("%-18s see:  %s conflicts", plural(st.Conflicts, "conflict", "conflicts"), a.self())
	}
	if st.Invites > 0 {
		a.out.look("%-18s see:  %s invites", plural(st.Invites, "open invite", "open invites"), a.self())
	}
	if !st.Network {
		a.out.look("No network: this device is alone.")
	}
	for _, line := range health(st) {
		a.out.look("%s", line)
	}
	if a.verbose {
		a.out.print("data %s · api %s · pid %d · %s\n", home(st.Dir), home(st.API), st.PID, st.Version)
		for _, addr := range st.Addrs {
			a.out.print("listening on %s\n", addr)
		}
	}
	a.out.print("\n")
}

// health says what is not as it should be, and what to do about it.
func health(st wire.Status) []string {
	var lines []string
	if f := st.Filling; f != nil {
		lines = append(lines, fmt.Sprintf("Still receiving what others have: %s so far; not all are here from “%s” on.", entries(st.Entries), visible(f.From)))
	}
	for _, w := range st.Warnings {
		line := upperFirst(visible(w.Text))
		if w.Hint != "" {
			line += "\n  " + oneLine(w.Hint)
		}
		lines = append(lines, line)
	}
	return lines
}

// tellFilling says on standard error that a list is not complete.
func (a *app) tellFilling(err error) {
	if !a.json {
		a.out.note("%s %s  %s status", a.out.errSign(signLook), node.ProblemOf(err).Detail, a.self())
	}
}

// printDevices prints a table of devices.
func (a *app) printDevices(ds []wire.DeviceStatus) {
	t := a.out.table("DEVICE", "STATE", "PATH", "LAST SEEN")
	if !a.out.tty {
		t = a.out.table("ID", "NAME", "STATE", "MISSING ENTRIES", "MISSING BYTES", "PATH", "LAST SEEN")
	}
	twins := namesakes(ds)
	for _, d := range ds {
		if !a.out.tty {
			t.add(text(d.ID), text(d.Name), text(d.State), text(strconv.Itoa(d.Missing.Entries)), text(strconv.FormatInt(d.Missing.Bytes, 10)),
				text(orElse(d.Path, "-")), text(stamp(d.LastSeen)))
			continue
		}
		name := shortName(d.Device)
		if twins[d.Name] {
			name = deviceName(d.Device)
		}
		t.add(text(name), cell{text: state(d), color: stateColor(d)}, text(orElse(d.Path, "—")), text(seen(d)))
	}
	t.print()
}

// namesakes returns the names that more than one device has.
func namesakes(ds []wire.DeviceStatus) map[string]bool {
	count, twins := map[string]int{}, map[string]bool{}
	for _, d := range ds {
		if count[d.Name]++; count[d.Name] > 1 {
			twins[d.Name] = true
		}
	}
	return twins
}

// state says how a device stands to this one.
func state(d wire.DeviceStatus) string {
	lacks := fmt.Sprintf("%s (%s)", entries(d.Missing.Entries), size(d.Missing.Bytes))
	switch {
	case d.State == "behind" && d.Missing.Entries > 0:
		return "behind by " + lacks
	case d.State == "offline" && d.Missing.Entries > 0:
		return "offline, lacked " + entries(d.Missing.Entries) + " then"
	}
	return d.State
}

func stateColor(d wire.DeviceStatus) string {
	switch d.State {
	case "in sync":
		return green
	case "behind", "syncing":
		return yellow
	}
	return dim
}

func seen(d wire.DeviceStatus) string {
	switch {
	case d.State == "this device":
		return "—"
	case d.Path != "":
		return "now"
	}
	return ago(d.LastSeen)
}

// shortStatus is one line, as for a prompt or a status bar.
func shortStatus(st wire.Status) string {
	inSync := 0
	for _, d := range st.Devices {
		if d.State == "in sync" {
			inSync++
		}
	}
	parts := []string{shortName(st.Device), visible(st.Space.Name), entries(st.Entries)}
	if st.Filling != nil {
		parts = append(parts, "receiving")
	}
	if len(st.Devices) > 0 {
		parts = append(parts, fmt.Sprintf("%d of %s in sync", inSync, plural(len(st.Devices), "device", "devices")))
	}
	if st.Conflicts > 0 {
		parts = append(parts, plural(st.Conflicts, "conflict", "conflicts"))
	}
	return strings.Join(parts, " · ")
}
