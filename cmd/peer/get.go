package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

// A getCommand is peer get with its flags.
type getCommand struct {
	*app
	raw, all, strict bool
	version          string
	def              string
	hasDefault       bool
}

func newGet(a *app) *cobra.Command {
	g := &getCommand{app: a}
	cmd := &cobra.Command{
		Use:   "get PATH",
		Short: "Print the value of a path",
		Long: `Print the value of a path: on a terminal with a line feed after it, into a pipe exactly
the bytes. If there is no such entry here nothing is printed and the exit code is 3.

If the entry is in conflict this is the newest value, or what the policy of the path
shows; --all prints every one, and which of them that is.`,
		Args: arguments("PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if g.version == "" && cmd.Flags().Changed("version") { // the variable of a script that is not set
				return usage("The version is empty", "--version is given without a version.").
					Next("See which there are:  " + a.self() + " history " + pathWord(args[0]))
			}
			g.hasDefault = cmd.Flags().Changed("default")
			return a.withClient(cmd, requestTimeout, func(ctx context.Context, c *client.Client) error {
				return g.run(ctx, c, args[0])
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&g.raw, "raw", false, "exactly the bytes, on a terminal, too")
	f.BoolVar(&g.all, "all", false, "every value, with device and time")
	f.StringVar(&g.version, "version", "", "a past value: its version in peer history, or the beginning of it")
	f.StringVar(&g.def, "default", "", "print this if there is no such entry")
	f.BoolVar(&g.strict, "strict", false, "exit with 5 if the entry is in conflict")
	return cmd
}

func (g *getCommand) run(ctx context.Context, c *client.Client, path string) error {
	if g.version != "" {
		return g.past(ctx, c, path)
	}
	if g.json || g.all {
		return g.entry(ctx, c, path)
	}
	v, err := c.Get(ctx, path)
	if g.hasDefault && errors.Is(err, node.ErrNotFound) {
		return g.value(path, node.Text(g.def))
	}
	if err != nil {
		return g.below(ctx, c, path, err)
	}
	if err := g.value(path, v.Content); err != nil {
		return err
	}
	if v.Settled != "" && g.out.errTTY {
		g.out.note("%s %s values compete; the policy %s shows this. See:  %s get %s --all", g.out.errSign(signLook), v.Settled, v.Policy, g.self(), pathWord(path))
	}
	return g.conflict(v.Conflict != "", v.Conflict, path)
}

// below makes the problem of a path that does not exist say that entries lie below it, if so.
func (a *app) below(ctx context.Context, c *client.Client, path string, err error) error {
	if !errors.Is(err, node.ErrNotFound) {
		return err
	}
	for e, lost := range c.List(ctx, strings.TrimSuffix(path, "/")+"/", false) {
		if lost == nil && e.Path != "" {
			return node.ProblemOf(err).Next(fmt.Sprintf("Entries lie below it:  %s ls %s", a.self(), pathWord(path+"/")))
		}
		break
	}
	return err
}

// past prints a past value.
func (g *getCommand) past(ctx context.Context, c *client.Client, path string) error {
	if g.json || g.all {
		return usage("These flags exclude each other", "--version prints one value as it was; --json and --all print the current ones.").
			Next("See all versions as JSON:  " + g.self() + " history " + pathWord(path) + " --json")
	}
	v, err := c.Past(ctx, path, g.version)
	if g.hasDefault && (errors.Is(err, node.ErrNotFound) || errors.Is(err, node.ErrHistoryExpired)) {
		return g.value(path, node.Text(g.def))
	}
	if err != nil {
		return err
	}
	return g.value(path, v)
}

// value prints a value of path: bytes into a pipe, a whole line on a terminal.
func (g *getCommand) value(path string, v node.Content) error {
	if g.raw || !g.out.tty {
		g.out.w.Write(v.Data)
		return g.out.flush()
	}
	if !v.IsText() {
		command := g.self() + " get " + pathWord(path)
		if g.version != "" {
			command += " --version " + quoteWord(g.version)
		}
		g.out.look("%s of %s, not text. Save it:  %s > FILE", size(int64(len(v.Data))), orElse(visible(v.Type), "bytes"), command)
		return nil
	}
	g.out.print("%s\n", visibleText(string(v.Data)))
	return nil
}

// conflict says that other values exist, and ends with the code for that if asked to.
func (g *getCommand) conflict(open bool, n, path string) error {
	if !open {
		return nil
	}
	if g.out.errTTY && !g.json {
		g.out.note("%s %s values compete; this is the newest. See:  %s conflicts show %s", g.out.errSign(signLook), n, g.self(), pathWord(path))
	}
	if g.strict {
		return quietExit(exitConflicts)
	}
	return nil
}

// entry prints the document of the entry, or a table of its values.
func (g *getCommand) entry(ctx context.Context, c *client.Client, path string) error {
	e, err := c.Entry(ctx, path)
	if g.hasDefault && errors.Is(err, node.ErrNotFound) {
		e, err = defaultEntry(path, g.def), nil
	}
	if err != nil {
		return err
	}
	err = g.out.result(e, func() { g.out.printEntry(e) })
	if err != nil {
		return err
	}
	return g.conflict(e.Conflict > 0, strconv.Itoa(e.Conflict), path)
}

// defaultEntry stands for an entry that does not exist: it has a value and no version.
func defaultEntry(path, value string) wire.Entry {
	return wire.Entry{
		Schema: wire.SchemaEntry, Path: path, Type: "multi", Content: wire.ContentOf(node.Text(value)),
		Values: []wire.Value{}, Pending: []string{},
	}
}

// printEntry prints the values of an entry as a table. What is shown comes last if a policy made it of them.
func (o *printer) printEntry(e wire.Entry) {
	t := o.valueTable(e.Values)
	if e.Settled > 0 && !slices.ContainsFunc(e.Values, func(v wire.Value) bool { return v.Shown }) {
		t.add(both("", "-"), both("by "+e.Policy, "-"), both("", "-"), both(preview(e.Content), machineValue(e.Content)), text("shown"))
	}
	t.print()
	if o.tty && e.Settled > 0 {
		o.say("%d values compete; the policy %s says which is shown. A write replaces them all.", e.Settled, visible(e.Policy))
	}
}

// valueTable returns values as a table.
func (o *printer) valueTable(values []wire.Value) *table {
	t := o.table("#", "DEVICE", "WRITTEN", "VALUE", "")
	for i, v := range values {
		mark := both("", "-")
		if v.Shown {
			mark = text("shown")
		}
		t.add(both(strconv.Itoa(i+1), v.Version), both(shortName(v.Device), orElse(v.Device.ID, "-")),
			both(when(v.Time), stamp(v.Time)), both(preview(v.Content), machineValue(v.Content)), mark)
	}
	return t
}

// machineValue writes a value in one field of a line: JSON, in which text is a string.
func machineValue(c wire.Content) string {
	if len(c.Value) > 0 {
		return string(c.Value)
	}
	b, _ := wire.Encode(map[string][]byte{"value_base64": c.ValueBase64})
	return string(b)
}
