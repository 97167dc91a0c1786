package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"syncline/node/api/client"
	"syncline/node/api/wire"
)

// A resolveCommand is peer resolve with its flags.
type resolveCommand struct {
	*app
	keep     string
	value    string
	hasValue bool
	read     valueFlags
}

func newResolve(a *app) *cobra.Command {
	r := &resolveCommand{app: a}
	cmd := &cobra.Command{
		Use:   "resolve PATH --keep 1|2|DEVICE | --value VALUE|-|@FILE",
		Short: "Decide a conflict",
		Long: `Decide a conflict: keep one of the values, by its number in "peer conflicts show", its
device or its id, or write another one. The decision replaces all values that were seen
when it was made.

On a terminal it shows what it will do and asks. With -y it does not ask and replaces
whatever is there when it runs.`,
		Args: arguments("PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.hasValue = cmd.Flags().Changed("value")
			return a.withClient(cmd, requestTimeout, func(ctx context.Context, c *client.Client) error {
				return r.run(ctx, c, args[0])
			})
		},
	}
	cmd.Flags().StringVar(&r.keep, "keep", "", "the value to keep: its number, its device or its id")
	cmd.Flags().StringVar(&r.value, "value", "", "the value to write instead: text, - for standard input, @FILE")
	r.read.add(cmd.Flags())
	return cmd
}

func (r *resolveCommand) run(ctx context.Context, c *client.Client, path string) error {
	if r.keep != "" && r.hasValue {
		return usage("Two answers exclude each other", "--keep and --value cannot both hold.").Next("Give one of them.")
	}
	if r.hasValue && r.yes {
		return r.write(ctx, c, wire.Resolve{Path: path})
	}
	conflict, err := c.Conflict(ctx, path)
	if err != nil {
		return err
	}
	ask := wire.Resolve{Path: conflict.Path, IfMatch: &conflict.Version}
	if r.hasValue {
		if err := r.agree(conflict, "Replace them by the value given?"); err != nil {
			return err
		}
		return r.write(ctx, c, ask)
	}
	v, n, err := r.choose(conflict)
	if err != nil {
		return err
	}
	if err := r.agree(conflict, fmt.Sprintf("Keep [%d], from %s?", n, shortName(v.Device))); err != nil {
		return err
	}
	ask.Keep = []string{v.Version}
	if r.yes {
		ask.IfMatch = nil
	}
	return r.send(ctx, c, ask, fmt.Sprintf("kept the value from %s", shortName(v.Device)))
}

// agree shows the conflict and asks, if a person is there to answer.
func (r *resolveCommand) agree(c wire.Conflict, question string) error {
	if r.yes || !r.interactive() || r.value == "-" {
		return nil
	}
	r.showConflict(c)
	return r.confirm(question, true)
}

func (r *resolveCommand) write(ctx context.Context, c *client.Client, ask wire.Resolve) error {
	value, err := r.read.read(r.value)
	if err != nil {
		return err
	}
	ask.Body = wire.BodyOf(value)
	return r.send(ctx, c, ask, preview(wire.ContentOf(value)))
}

func (r *resolveCommand) send(ctx context.Context, c *client.Client, ask wire.Resolve, what string) error {
	e, err := c.Resolve(ctx, ask)
	if err != nil {
		return err
	}
	return r.out.result(e, func() { r.out.done("%s resolved: %s.", visible(e.Path), what) })
}

// choose finds the value that --keep names, and its number.
func (r *resolveCommand) choose(c wire.Conflict) (wire.Value, int, error) {
	values := rivals(c.Values)
	if n, err := strconv.Atoi(r.keep); err == nil && n >= 1 && n <= len(values) {
		return values[n-1], n, nil
	}
	var found []int
	for i, v := range values {
		d := v.Device
		if r.keep != "" && (r.keep == v.Version || r.keep == d.ID || r.keep == d.Short || strings.EqualFold(r.keep, d.Name)) {
			found = append(found, i)
		}
	}
	switch {
	case len(found) == 1:
		return values[found[0]], found[0] + 1, nil
	case r.keep == "":
		return wire.Value{}, 0, r.explain("Say which value to keep", "", c, values)
	case len(found) == 0:
		return wire.Value{}, 0, r.explain("No such value", "“"+r.keep+"” is none of them. ", c, values)
	}
	return wire.Value{}, 0, r.explain("Not clear which value", "“"+r.keep+"” fits more than one. ", c, values)
}

// explain says what there is to choose from.
func (r *resolveCommand) explain(title, start string, c wire.Conflict, values []wire.Value) error {
	var parts []string
	for i, v := range values {
		parts = append(parts, fmt.Sprintf("[%d] %s, %s, %s", i+1, shortName(v.Device), when(v.Time), preview(v.Content)))
	}
	p := usage(title, "%s%s: %s", start, c.Path, strings.Join(parts, " · "))
	return p.Next(fmt.Sprintf("%[1]s resolve %[2]s --keep 1\nor --keep DEVICE\nor --value TEXT", r.self(), c.Path))
}
