package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"syncline/node/api/client"
)

func newImport(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "import [FILE|-]",
		Short: "Store entries from lines of JSON",
		Long: `Store entries from a file or standard input, one JSON object a line:

  {"path":"notes/todo.md","value":"buy milk"}      a string is text
  {"path":"settings","value":{"theme":"dark"}}     any other JSON stays JSON
  {"path":"logo","value_base64":"iVBORw0KGgo…"}    bytes

content_type and type may be given, too. What "peer export" wrote is taken as it is;
importing it twice changes nothing. Lines apply in order. The first line that is wrong
ends the import and is named; the lines before it are stored.`,
		Args: arguments("[FILE]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, 0, func(ctx context.Context, c *client.Client) error {
				return a.importFile(ctx, c, orElse(first(args), "-"))
			})
		},
	}
}

func (a *app) importFile(ctx context.Context, c *client.Client, name string) error {
	in, total, err := openInput(ctx, name)
	if err != nil {
		return err
	}
	defer in.Close()
	if name == "-" && a.interactive() {
		a.out.note("Reading lines from the terminal; Ctrl-D ends.")
	}
	bar := a.progress(total, "importing", true)
	doc, err := c.Import(ctx, io.TeeReader(in, bar))
	bar.Finish()
	if err != nil {
		return err
	}
	return a.out.result(doc, func() {
		a.out.done("%s read, %s changed.", plural(doc.Lines, "line", "lines"), entries(doc.Changed))
	})
}
