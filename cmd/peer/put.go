package main

import (
	"context"

	"github.com/spf13/cobra"

	"syncline/node/api/client"
	"syncline/node/api/wire"
)

func newPut(a *app) *cobra.Command {
	var v valueFlags
	var o client.PutOptions
	cmd := &cobra.Command{
		Use:   "put PATH VALUE|-|@FILE",
		Short: "Store a value under a path",
		Long: `Store a value under a path. VALUE is text; - reads standard input, @FILE a file. Write
-- before a VALUE that begins with -, and @@ for a text that begins with @.

If the entry is in conflict this replaces the value that is shown; the others stay
(peer resolve replaces all).`,
		Example: `  peer put notes/todo.md "buy milk"
  peer put photo.png @photo.png --content-type image/png
  date | peer put last/backup -`,
		Args: arguments("PATH", "VALUE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Type != "" {
				if _, err := wire.ParseKind(o.Type); err != nil {
					return usage("Unknown type", "There is no type “%s”.", o.Type).Next("Use --type multi (default) or --type lww")
				}
			}
			if o.IfVersion == "" && cmd.Flags().Changed("if-version") {
				return usage("The version is empty", "--if-version is given without a version.").
					Next("Give the version that was read, or use --if-absent for an entry that must not exist.")
			}
			if o.IfAbsent && o.IfVersion != "" {
				return usage("Two conditions exclude each other", "--if-absent and --if-version cannot both hold.").Next("Give one of them.")
			}
			value, err := v.read(cmd.Context(), args[1])
			if err != nil {
				return err
			}
			return a.withClient(cmd, requestTimeout, func(ctx context.Context, c *client.Client) error {
				res, err := c.Put(ctx, args[0], value, o)
				if err != nil {
					return err
				}
				return a.out.result(res, func() { a.tellPut(res, wire.ContentOf(value)) })
			})
		},
	}
	v.add(cmd.Flags())
	cmd.Flags().StringVar(&o.Type, "type", "", "multi: keep concurrent values until resolved; lww: the newest wins")
	cmd.Flags().StringVar(&o.IfVersion, "if-version", "", "write only if the entry is at this version here")
	cmd.Flags().BoolVar(&o.IfAbsent, "if-absent", false, "write only if the entry does not exist here")
	return cmd
}

func (a *app) tellPut(res wire.Put, value wire.Content) {
	if a.verbose {
		a.out.done("%s = %s  (%s)", visible(res.Path), preview(value), res.Version)
	} else {
		a.out.done("%s = %s", visible(res.Path), preview(value))
	}
	if res.Remaining > 0 {
		a.out.look("%s; the entry is still in conflict. See:  %s conflicts show %s", remain(res.Remaining), a.self(), pathWord(res.Path))
	}
}

// remain says how many values are left.
func remain(n int) string {
	if n == 1 {
		return "1 other value remains"
	}
	return count(n) + " other values remain"
}
