package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"rsc.io/qr"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

// inviteExpiresMax is the longest life of an invite.
const inviteExpiresMax = 7 * 24 * time.Hour

// An inviteCommand is peer invite with its flags.
type inviteCommand struct {
	*app
	expires    time.Duration
	autoAccept bool
	noQR       bool
}

func newInvite(a *app) *cobra.Command {
	i := &inviteCommand{app: a}
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Connect another device",
		Long: `Print a ticket that lets one other device join the space ("peer join" there). It can
be used once, expires, and a device that brings it is let in only after you say yes: here
while the command waits, or later with "peer invites accept". --auto-accept does without
the question. "peer invites close" makes the ticket good for nothing before its time.

Into a pipe the ticket alone is printed and the command returns; the invite stays open.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if i.expires <= 0 || i.expires > inviteExpiresMax {
				return usage("Not a time for an invite", "--expires is %v; an invite is valid for 168h (7 days) at most.", i.expires).
					Next("As:  " + a.self() + " invite --expires 24h")
			}
			return a.withClient(cmd, 0, i.run)
		},
	}
	cmd.Flags().DurationVar(&i.expires, "expires", 10*time.Minute, "how long the ticket is valid, at most 168h")
	cmd.Flags().BoolVar(&i.autoAccept, "auto-accept", false, "let in whoever brings the ticket, without a question")
	cmd.Flags().BoolVar(&i.noQR, "no-qr", false, "print no QR code")
	return cmd
}

func (i *inviteCommand) run(ctx context.Context, c *client.Client) error {
	inv, err := c.Invite(ctx, i.expires, i.autoAccept)
	if err != nil {
		return err
	}
	if i.json {
		return i.out.document(inv)
	}
	if !i.out.tty || !i.interactive() {
		i.out.print("%s\n", inv.Ticket)
		if i.out.errTTY {
			i.out.note("Invite %s to space %s, valid %s. Let the device in:  %s invites accept %s",
				inv.ID, visible(inv.Space.Name), span(time.Until(inv.Expires)+time.Second), i.self(), inv.ID)
		}
		return nil
	}
	i.show(inv)
	return i.attend(ctx, c, inv)
}

// show prints the ticket for a person.
func (i *inviteCommand) show(inv wire.Invite) {
	i.out.print("Invite to space %s, valid %s, 1 use (id %s):\n\n  %s\n\n",
		visible(inv.Space.Name), span(time.Until(inv.Expires)+time.Second), inv.ID, inv.Ticket)
	if code := qrCode(inv.Ticket); code != "" && !i.noQR && qrWidth(code) <= i.out.width {
		i.out.print("%s\n", code)
	}
	i.out.print("On the other device:  peer join\n")
	i.out.print("Waiting… (Ctrl-C leaves the invite open)\n")
	i.out.flush()
}

// attend waits for a device to bring the ticket and asks whether to let it in.
func (i *inviteCommand) attend(ctx context.Context, c *client.Client, inv wire.Invite) error {
	for {
		var err error
		switch inv.State {
		case wire.InviteJoined:
			return i.follow(ctx, c, *inv.Joined)
		case wire.InviteExpired:
			return node.ErrTicketExpired.With("Nobody used %s in time.", inv.ID).Next("Make a new one:  " + i.self() + " invite")
		case wire.InviteWaiting:
			asked := inv.Request.Device.ID
			if inv, err = i.decide(ctx, c, inv); err != nil {
				return err
			}
			if inv.State == wire.InviteJoined || inv.Request != nil && inv.Request.Device.ID != asked {
				continue
			}
		}
		if inv, err = c.AwaitInvite(ctx, inv.ID, inv.State); err != nil {
			return err
		}
	}
}

// decide asks whether to let the waiting device in, unless the invite says so itself.
func (i *inviteCommand) decide(ctx context.Context, c *client.Client, inv wire.Invite) (wire.Invite, error) {
	if inv.AutoAccept {
		return inv, nil
	}
	from := ""
	if inv.Request.Addr != "" {
		from = " from " + visible(inv.Request.Addr)
	}
	admit := i.yes
	if !admit {
		var err error
		if admit, err = i.ask(ctx, fmt.Sprintf("%s%s wants to join. Let it in?", deviceName(inv.Request.Device), from), true); err != nil {
			return inv, err
		}
	}
	// The answer is for the device in the question: if another one asks by now, it is asked about anew.
	next, err := c.AnswerInvite(ctx, inv.ID, inv.Request.Device.ID, admit)
	if errors.Is(err, node.ErrVersionMismatch) {
		return c.AwaitInvite(ctx, inv.ID, wire.InviteOpen)
	}
	if err == nil && !admit {
		i.out.say("%s was turned away. The invite stays open. To close it:  %s invites close %s", deviceName(inv.Request.Device), i.self(), inv.ID)
		return next, quietExit(exitDone)
	}
	return next, err
}

// follow says that the device joined and shows how it catches up.
func (i *inviteCommand) follow(ctx context.Context, c *client.Client, d wire.Device) error {
	st, err := c.Status(ctx)
	if err != nil {
		return err
	}
	i.out.done("%s joined. Sending %s.", deviceName(d), entries(st.Entries))
	return i.watchSync(ctx, c, d.ID, "sending")
}

// qrCode draws a ticket with half blocks, dark on light, or returns "" if it does not fit.
func qrCode(ticket string) string {
	code, err := qr.Encode(strings.ToUpper(ticket), qr.L) // capitals take fewer modules, and mean the same
	if err != nil {
		return ""
	}
	const quiet = 2
	var b strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		for x := -quiet; x < code.Size+quiet; x++ {
			// On a dark terminal the blocks are light: they draw the light modules.
			switch upper, lower := !code.Black(x, y), !code.Black(x, y+1); {
			case upper && lower:
				b.WriteRune('█')
			case upper:
				b.WriteRune('▀')
			case lower:
				b.WriteRune('▄')
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func qrWidth(code string) int {
	line, _, _ := strings.Cut(code, "\n")
	return columns(line)
}
