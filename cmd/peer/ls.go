package main

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

// An lsCommand is peer ls with its flags.
type lsCommand struct {
	*app
	long, recursive bool
}

func newLs(a *app) *cobra.Command {
	l := &lsCommand{app: a}
	cmd := &cobra.Command{
		Use:   "ls [PREFIX]",
		Short: "List the entries whose paths begin with a prefix",
		Long: `List the entries whose paths begin with PREFIX; notes/ lists what lies below it.

On a terminal one level is shown: what lies deeper is counted, as "notes/  12 entries".
-R shows everything. "peer ls notes" lists notes/ if nothing else begins so. In a pipe
and with --json the list is always complete.`,
		Args: arguments("[PREFIX]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, requestTimeout, func(ctx context.Context, c *client.Client) error {
				return l.run(ctx, c, first(args))
			})
		},
	}
	cmd.Flags().BoolVarP(&l.long, "long", "l", false, "with device, time, size, type and version")
	cmd.Flags().BoolVarP(&l.recursive, "recursive", "R", false, "every level (always so in a pipe and with --json)")
	return cmd
}

// first returns the first argument, or "".
func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func (l *lsCommand) run(ctx context.Context, c *client.Client, prefix string) error {
	doc := wire.Entries{Schema: wire.SchemaEntries, Entries: []wire.Entry{}}
	t := l.out.table("PATH", "SIZE", "TYPE", "DEVICE", "WRITTEN", "VERSION", "CONFLICT")
	if !l.long {
		t = l.out.table("")
	}
	var open folder
	level := l.out.tty && !l.recursive && !l.json
	var damaged error
	for e, err := range c.List(ctx, prefix, false) {
		if errors.Is(err, client.ErrDamaged) { // everything else has come
			damaged = err
			break
		}
		if errors.Is(err, node.ErrFilling) {
			doc.Incomplete = true
			l.tellFilling(err)
			break
		}
		if err != nil {
			return err
		}
		if l.json {
			e.Schema = ""
			doc.Entries = append(doc.Entries, e)
			continue
		}
		if name := folderOf(e.Path, prefix); level && name != "" {
			if name != open.name {
				l.addFolder(t, open)
				open = folder{name: name}
			}
			open.entries++
			continue
		}
		l.addFolder(t, open)
		open = folder{}
		l.addEntry(t, e)
	}
	if level && len(t.rows) == 0 && open.name == prefix+"/" && damaged == nil { // who lists notes means what lies below it
		return l.run(ctx, c, open.name)
	}
	l.addFolder(t, open)
	return cmp.Or(l.out.result(doc, func() { l.printTable(t, prefix) }), damaged)
}

// A folder is what several paths begin with.
type folder struct {
	name    string
	entries int
}

// folderOf returns the folder that hides a path when one level below prefix is shown, or "".
func folderOf(path, prefix string) string {
	rest := path[min(len(prefix), len(path)):]
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return path[:len(path)-len(rest)+i+1]
	}
	return ""
}

func (l *lsCommand) addFolder(t *table, f folder) {
	if f.name == "" {
		return
	}
	if l.long {
		t.add(text(f.name), text(entries(f.entries)), text(""), text(""), text(""), text(""), text(""))
		return
	}
	t.add(cell{text: visible(f.name) + "  " + l.out.dim(entries(f.entries))})
}

func (l *lsCommand) addEntry(t *table, e wire.Entry) {
	if !l.long {
		t.add(text(e.Path))
		return
	}
	conflict := "-"
	if e.Conflict > 0 {
		conflict = strconv.Itoa(e.Conflict)
	}
	t.add(text(e.Path), both(size(int64(e.Size)), strconv.Itoa(e.Size)), text(e.Type), both(shortName(e.Device), orElse(e.Device.ID, "-")),
		both(when(e.Time), stamp(e.Time)), text(e.Version), text(conflict))
}

func (l *lsCommand) printTable(t *table, prefix string) {
	if len(t.rows) == 0 && l.out.tty {
		l.out.say("No entries%s. Store one:  %s put hello world", under(prefix), l.self())
		return
	}
	if !l.long && l.out.tty {
		for _, row := range t.rows {
			l.out.print("%s\n", row[0].text)
		}
		return
	}
	t.print()
}

// under names a prefix in a sentence.
func under(prefix string) string {
	if prefix == "" {
		return ""
	}
	return " under " + visible(prefix)
}
