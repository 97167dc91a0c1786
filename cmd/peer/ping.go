package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

// A pingCommand is peer ping with its flags.
type pingCommand struct {
	*app
	count int
	every time.Duration
}

func newPing(a *app) *cobra.Command {
	p := &pingCommand{app: a}
	cmd := &cobra.Command{
		Use:   "ping DEVICE",
		Short: "Measure how quickly a device answers",
		Long: `Ask a connected device for an answer, over the connection that carries the entries,
and say how long it took and which way it went. It goes on until Ctrl-C or -c, and
then sums up. With code 1 if nothing was answered.`,
		Example: "  peer ping nas -c 3",
		Args:    arguments("DEVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if p.every <= 0 || p.count < 0 || p.count == 0 && cmd.Flags().Changed("count") {
				return usage("Not a number of pings", "-c counts from 1 and --every is a length of time.").Next("As:  peer ping nas -c 3 --every 1s")
			}
			return a.withClient(cmd, 0, func(ctx context.Context, c *client.Client) error { return p.run(ctx, c, args[0]) })
		},
	}
	cmd.Flags().IntVarP(&p.count, "count", "c", 0, "stop after this many (default: go on until Ctrl-C)")
	cmd.Flags().DurationVar(&p.every, "every", time.Second, "the time between two")
	return cmd
}

func (p *pingCommand) run(ctx context.Context, c *client.Client, device string) error {
	d, err := c.Device(ctx, device)
	if err != nil {
		return p.meant(ctx, c, device, err)
	}
	sum := wire.Pings{Schema: wire.SchemaPings}
	var times []float64
	var last error
	for ctx.Err() == nil && (p.count == 0 || sum.Sent < p.count) {
		if sum.Sent > 0 && !pause(ctx, p.every) {
			break
		}
		doc, err := c.Ping(ctx, d.ID)
		if ctx.Err() != nil {
			break
		}
		if sum.Sent++; err != nil {
			if node.ProblemOf(err).Code != node.ErrUnreachable.Code {
				return err
			}
			last = err
			p.out.note("%s: no answer", shortName(d.Device))
			continue
		}
		times = append(times, doc.Millis)
		if err := p.tell(doc); err != nil {
			return err
		}
	}
	return p.sumUp(sum, times, last)
}

// pause waits, and reports false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *pingCommand) tell(doc wire.Ping) error {
	if err := p.out.result(doc, func() { p.out.print("%s  %.2f ms  %s\n", deviceName(doc.Device), doc.Millis, doc.Path) }); err != nil {
		return err
	}
	return p.out.flush()
}

// sumUp ends the run. last is why the last ping without an answer had none.
func (p *pingCommand) sumUp(sum wire.Pings, times []float64, last error) error {
	if len(times) == 0 {
		if last == nil { // Ctrl-C came first
			return nil
		}
		return node.ProblemOf(last).Next(fmt.Sprintf("%[1]s devices shows when it was last seen, %[1]s doctor what may be in the way.", p.self()))
	}
	slices.Sort(times)
	sum.Answered, sum.Min, sum.Median, sum.Max = len(times), times[0], times[len(times)/2], times[len(times)-1]
	return p.out.result(sum, func() {
		p.out.say("%d of %d answered; fastest %.2f, median %.2f, slowest %.2f ms", sum.Answered, sum.Sent, sum.Min, sum.Median, sum.Max)
	})
}
