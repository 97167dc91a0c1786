package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

// An exportCommand is peer export with its flags.
type exportCommand struct {
	*app
	file    string
	toFile  bool
	partial bool
}

func newExport(a *app) *cobra.Command {
	e := &exportCommand{app: a}
	cmd := &cobra.Command{
		Use:   "export [PREFIX]",
		Short: "Print entries as lines of JSON that import takes",
		Long: `Print every entry under a prefix as one line of JSON, in the order of paths, with every
value of a conflict and nothing that belongs to one device only: devices that hold the
same print the same, byte for byte. "peer import" takes it back.

"value" is what "peer get" prints. Where several values compete, "values" has them all and
is what an import stores, and "policy" names the policy that shows "value", if one does.
Policies are no entries and are not exported.

An entry that cannot be read is left out; the command says so and ends with code 1.
A device that still receives what others have refuses; --partial prints what is here.`,
		Example: `  peer export > all.ndjson
  peer export notes/ -o notes.ndjson`,
		Args: arguments("[PREFIX]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			e.toFile = cmd.Flags().Changed("output")
			return a.withClient(cmd, 0, func(ctx context.Context, c *client.Client) error {
				return e.run(ctx, c, first(args))
			})
		},
	}
	cmd.Flags().StringVarP(&e.file, "output", "o", "", "write to this file, in place of what is there; it appears when it is whole")
	cmd.Flags().BoolVar(&e.partial, "partial", false, "also while entries are missing that this device still receives")
	return cmd
}

func (e *exportCommand) run(ctx context.Context, c *client.Client, prefix string) error {
	lines, err := c.Export(ctx, prefix, e.partial)
	if errors.Is(err, node.ErrFilling) {
		return node.ProblemOf(err).Next("Wait until it has come:  " + e.self() + " status      Or take what is here:  " + e.self() + " export --partial")
	}
	if err != nil {
		return err
	}
	defer lines.Close()
	bar := e.progress(e.total(ctx, c, prefix), "exporting", false)
	defer bar.Finish()
	counted := &lineCounter{bar: bar}
	if !e.toFile {
		_, err := io.Copy(io.MultiWriter(e.out.w, counted), lines)
		return err
	}
	err = writeWhole(e.file, io.TeeReader(lines, counted))
	if err != nil && !errors.Is(err, client.ErrDamaged) {
		return err
	}
	bar.Finish()
	doc := wire.Exported{Schema: wire.SchemaExport, Entries: counted.n, File: e.file}
	return cmp.Or(e.out.result(doc, func() { e.out.done("%s written to %s.", entries(doc.Entries), visible(e.file)) }), err)
}

// total is the number of lines to expect, or -1 if only counting would tell.
func (e *exportCommand) total(ctx context.Context, c *client.Client, prefix string) int64 {
	if prefix != "" || !e.out.errTTY {
		return -1
	}
	st, err := c.Status(ctx)
	if err != nil {
		return -1
	}
	return int64(st.Entries)
}

// A lineCounter moves a bar with every line.
type lineCounter struct {
	n   int
	bar *progressbar.ProgressBar
}

func (l *lineCounter) Write(b []byte) (int, error) {
	n := bytes.Count(b, []byte("\n"))
	l.n += n
	l.bar.Add(n)
	return len(b), nil
}
