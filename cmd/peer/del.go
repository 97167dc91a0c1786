package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

// A delCommand is peer del with its flags.
type delCommand struct {
	*app
	all, recursive, dryRun bool
}

func newDel(a *app) *cobra.Command {
	d := &delCommand{app: a}
	cmd := &cobra.Command{
		Use:     "del PATH | del -r PREFIX/",
		Aliases: []string{"rm"},
		Short:   "Delete an entry, or with -r all that lies below a prefix",
		Long: `Delete an entry, without a question. If it is in conflict this deletes the value that
is shown and says how many remain; --all deletes every one.

del -r notes deletes the entry notes and everything below notes/. It asks first; without
a terminal it needs -y.`,
		Args: arguments("PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, a.patience(), func(ctx context.Context, c *client.Client) error {
				if d.recursive {
					return d.tree(ctx, c, args[0])
				}
				return d.one(ctx, c, args[0])
			})
		},
	}
	cmd.Flags().BoolVar(&d.all, "all", false, "every value, if the entry is in conflict")
	cmd.Flags().BoolVarP(&d.recursive, "recursive", "r", false, "everything below the prefix")
	cmd.Flags().BoolVar(&d.dryRun, "dry-run", false, "only say what would be deleted")
	return cmd
}

func (d *delCommand) one(ctx context.Context, c *client.Client, path string) error {
	if strings.HasSuffix(path, "/") {
		return usage("Not a path of one entry", "%s ends with a slash.", visible(path)).
			Next("Delete everything below it:  " + d.self() + " del -r " + pathWord(path))
	}
	if d.dryRun {
		return d.dryOne(ctx, c, path)
	}
	doc, err := c.Delete(ctx, path, d.all)
	if err != nil {
		return d.below(ctx, c, path, err)
	}
	return d.out.result(doc, func() {
		defer d.tellUnkept(doc)
		if doc.Remaining == 0 {
			d.out.done("%s deleted.", visible(doc.Path))
			return
		}
		d.out.done("%s: the value that was shown is deleted.", visible(doc.Path))
		d.out.look("%s, written elsewhere at the same time. Delete every one:  %s del --all %s",
			remain(doc.Remaining), d.self(), pathWord(doc.Path))
	})
}

func (d *delCommand) dryOne(ctx context.Context, c *client.Client, path string) error {
	e, err := c.Entry(ctx, path)
	if err != nil {
		return err
	}
	doc := wire.Del{Schema: wire.SchemaDel, Path: e.Path, Deleted: 1, DryRun: true, Paths: []string{e.Path}}
	return d.out.result(doc, func() { d.out.print("%s\n", visible(e.Path)) })
}

// tree deletes the entry with the name of a prefix and everything below.
func (d *delCommand) tree(ctx context.Context, c *client.Client, prefix string) error {
	name := strings.TrimSuffix(prefix, "/")
	if name == "" {
		return usage("A prefix is needed", "del -r does not delete everything at once.").Next("Name what to delete:  " + d.self() + " del -r notes/")
	}
	plan, err := c.DeletePrefix(ctx, name+"/", true)
	if err != nil {
		return err
	}
	self := name == prefix && d.exists(ctx, c, name)
	if self {
		plan.Paths = append([]string{name}, plan.Paths...)
		plan.Deleted++
	}
	if plan.Deleted == 0 {
		return node.ErrNotFound.With("No entry lies below %s/.", name).Next("See what is here:  " + d.self() + " ls")
	}
	if d.dryRun {
		return d.out.result(plan, func() { d.printPaths(plan.Paths) })
	}
	if err := d.confirm(ctx, "Delete "+entries(plan.Deleted)+" below "+visible(name)+"/?", false); err != nil {
		return err
	}
	return d.carryOut(ctx, c, name, self)
}

func (d *delCommand) exists(ctx context.Context, c *client.Client, path string) bool {
	_, err := c.Entry(ctx, path)
	return err == nil
}

func (d *delCommand) carryOut(ctx context.Context, c *client.Client, name string, self bool) error {
	doc, err := c.DeletePrefix(ctx, name+"/", false)
	if err != nil {
		return err
	}
	if self {
		if one, err := c.Delete(ctx, name, true); err == nil {
			doc.Deleted++
			doc.Unkept = doc.Unkept || one.Unkept
		} else if !errors.Is(err, node.ErrNotFound) {
			return err
		}
	}
	return d.out.result(doc, func() {
		d.out.done("%s deleted.", entries(doc.Deleted))
		d.tellUnkept(doc)
	})
}

// tellUnkept says if history lacks what was deleted.
func (d *delCommand) tellUnkept(doc wire.Del) {
	if doc.Unkept {
		d.out.look("The disk is full: what was deleted is not in the history of this device.")
	}
}

func (d *delCommand) printPaths(paths []string) {
	for _, p := range paths {
		d.out.print("%s\n", visible(p))
	}
	if d.out.tty {
		d.out.say("%s would be deleted.", entries(len(paths)))
	}
}
