package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

// A resolveCommand is peer resolve with its flags.
type resolveCommand struct {
	*app
	keep     string
	value    string
	hasValue bool
	merge    string // "here" stands for the policy of the path
	edit     bool
	read     valueFlags

	all, newest, dryRun bool
	device              string
}

func newResolve(a *app) *cobra.Command {
	r := &resolveCommand{app: a}
	cmd := &cobra.Command{
		Use:   "resolve PATH --keep 1|2|DEVICE|all | --value VALUE|-|@FILE | --merge[=POLICY] | --edit",
		Short: "Decide a conflict, or many",
		Long: `Decide a conflict: keep one of the values, by its number in "peer conflicts show", its
device or the beginning of its version (h.51ab or 51ab); or write another one. The decision replaces all
values that were seen when it was made. "peer undo" takes it back.

  --keep all   keeps the shown value at PATH and each other one beside it, at a path
               with the name of its device: notes/todo (phone).md
  --merge      writes what the policy of the path makes of the values; --merge=text,
               json, union, newest, max, min, or the name of a merge function chooses
               another one: text and json put together what each value changed of the
               one that they were made from, by lines or by fields
  --edit       opens the values in $EDITOR, with marks around the parts in which they
               differ: if the value that they were made from is known, only around
               those that were changed in different ways. Remove the marks, save, and
               leave the editor

On a terminal it shows what it will do and asks. With -y it does not ask and replaces
whatever is there when it runs. With --dry-run it only says what it would do; merges are
made, and not written.

"peer resolve --all [PREFIX]" decides every conflict under PREFIX, one by one, with
--newest, --device DEVICE (the values of that device; conflicts without one stay open) or
--merge. It lists what it cannot decide, and then exits with 5.`,
		Example: `  peer resolve notes/todo.md --keep 1
  peer resolve notes/todo.md --edit
  peer resolve notes/todo.md --merge=text --dry-run
  peer resolve --all notes/ --newest --dry-run`,
		Args: func(cmd *cobra.Command, args []string) error {
			if r.all {
				return arguments("[PREFIX]")(cmd, args)
			}
			if len(args) == 2 && r.merge == string(node.PolicyHere) && r.isPolicy(args[1]) {
				return usage("Too many arguments", "--merge takes a policy after “=”; “%s” stands alone.", args[1]).
					Next(r.self() + " resolve " + pathWord(args[0]) + " --merge=" + args[1])
			}
			return arguments("PATH")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			r.hasValue = cmd.Flags().Changed("value")
			if err := r.check(); err != nil {
				return err
			}
			timeout := a.patience()
			if r.edit || r.all {
				timeout = 0 // a person writes, or each conflict takes its time
			}
			return a.withClient(cmd, timeout, func(ctx context.Context, c *client.Client) error {
				if r.all {
					return r.runAll(ctx, c, first(args))
				}
				return r.run(ctx, c, args[0])
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.keep, "keep", "", "the value to keep: its number, its device or its version; or all")
	f.StringVar(&r.value, "value", "", "the value to write instead: text, - for standard input, @FILE")
	f.StringVar(&r.merge, "merge", "", "combine the values: by the policy of the path, or by the one given")
	f.Lookup("merge").NoOptDefVal = string(node.PolicyHere)
	f.BoolVar(&r.edit, "edit", false, "write the value in $EDITOR")
	f.BoolVar(&r.all, "all", false, "every conflict under the prefix")
	f.BoolVar(&r.newest, "newest", false, "with --all: keep the newest value")
	f.StringVar(&r.device, "device", "", "with --all: keep the value of this device")
	f.BoolVar(&r.dryRun, "dry-run", false, "only say what would be done")
	r.read.add(f)
	return cmd
}

// check refuses flags that exclude each other.
func (r *resolveCommand) check() error {
	var given []string
	for _, way := range []struct {
		name string
		on   bool
	}{{"--keep", r.keep != ""}, {"--value", r.hasValue}, {"--merge", r.merge != ""}, {"--edit", r.edit}, {"--newest", r.newest}, {"--device", r.device != ""}} {
		if way.on {
			given = append(given, way.name)
		}
	}
	if len(given) > 1 {
		return usage("Two answers exclude each other", "%s and %s cannot both hold.", given[0], given[1]).Next("Give one of them.")
	}
	switch {
	case r.all && (len(given) == 0 || r.keep != "" || r.hasValue || r.edit):
		return usage("Say how to decide", "--all takes one of --newest, --device and --merge.").
			Next(r.self() + " resolve --all --newest --dry-run")
	case !r.all && (r.newest || r.device != ""):
		return usage("Not for one path", "--newest and --device go with --all.").
			Next("For one path:  --keep 1, --keep DEVICE, --value, --merge or --edit")
	case r.dryRun && r.edit:
		return usage("Two answers exclude each other", "--edit and --dry-run cannot both hold: a person decides in the editor.").
			Next("Leave out one of them. An editor that is left without a change decides nothing.")
	}
	return nil
}

// viewPolicies are the policies that are named without “merge:”.
var viewPolicies = []node.Policy{node.PolicyManual, node.PolicyNewest, node.PolicyMax, node.PolicyMin, node.PolicyUnion}

// policy returns the policy that --merge names; a name that is none stands for a merge function.
func (r *resolveCommand) policy() string {
	p := node.Policy(r.merge)
	if _, merge := p.Merge(); merge || slices.Contains(viewPolicies, p) {
		return r.merge
	}
	if p == node.PolicyHere {
		return ""
	}
	return string(node.PolicyMerge(r.merge))
}

// isPolicy reports whether a word names a policy that every device has.
func (r *resolveCommand) isPolicy(word string) bool {
	_, merge := node.Policy(word).Merge()
	return merge || word == "text" || word == "json" || slices.Contains(viewPolicies, node.Policy(word))
}

func (r *resolveCommand) run(ctx context.Context, c *client.Client, path string) error {
	if r.hasValue && r.yes {
		return r.write(ctx, c, wire.Resolve{Path: path})
	}
	conflict, err := c.Conflict(ctx, path)
	if err != nil {
		return err
	}
	ask := wire.Resolve{Path: conflict.Path, IfMatch: &conflict.Version}
	what := ""
	switch {
	case r.hasValue:
		if err := r.agree(ctx, conflict, "Replace them by the value given?"); err != nil {
			return err
		}
		return r.write(ctx, c, ask)
	case r.edit:
		return r.editValues(ctx, c, conflict)
	case r.merge != "":
		ask.Merge, ask.Policy = true, r.policy()
		by := orElse(ask.Policy, conflict.Policy)
		what = "combined by " + by
		err = r.agreeToMerge(ctx, c, conflict, ask, by)
	case strings.EqualFold(r.keep, "all"):
		ask.KeepAll, what = true, "kept all values"
		err = r.agree(ctx, conflict, "Keep the others beside it?")
	default:
		v, n, choice := r.choose(conflict)
		if choice != nil {
			return choice
		}
		ask.Keep, what = []string{v.Version}, "kept the value from "+writer(v)
		err = r.agree(ctx, conflict, fmt.Sprintf("Keep [%d], from %s?", n, writer(v)))
	}
	if err != nil {
		return err
	}
	if r.yes {
		ask.IfMatch = nil
	}
	return r.send(ctx, c, ask, what)
}

// asks reports whether a person is to be asked.
func (r *resolveCommand) asks() bool {
	return !r.yes && !r.dryRun && r.interactive() && r.value != "-"
}

// agree shows the conflict and asks, if a person is there to answer.
func (r *resolveCommand) agree(ctx context.Context, c wire.Conflict, question string) error {
	if !r.asks() {
		return nil
	}
	r.showConflict(c)
	return r.confirm(ctx, question, true)
}

// agreeToMerge is agree for a merge, whose result it shows, too.
func (r *resolveCommand) agreeToMerge(ctx context.Context, c *client.Client, conflict wire.Conflict, ask wire.Resolve, by string) error {
	if !r.asks() {
		return nil
	}
	p, err := c.PreviewResolve(ctx, ask)
	if err != nil {
		return r.unmerged(err, ask.Path)
	}
	r.showConflict(conflict)
	r.out.print("    %s\n%s", r.out.dim("combined by "+visible(by)), indented(p.Content))
	return r.confirm(ctx, "Write that?", true)
}

func (r *resolveCommand) write(ctx context.Context, c *client.Client, ask wire.Resolve) error {
	value, err := r.read.read(ctx, r.value)
	if err != nil {
		return err
	}
	ask.Body = wire.BodyOf(value)
	return r.send(ctx, c, ask, preview(wire.ContentOf(value)))
}

func (r *resolveCommand) send(ctx context.Context, c *client.Client, ask wire.Resolve, what string) error {
	if r.dryRun {
		return r.preview(ctx, c, ask, what)
	}
	e, err := c.Resolve(ctx, ask)
	if err != nil {
		return r.unmerged(err, ask.Path)
	}
	return r.out.result(e, func() {
		undo := ""
		if e.Undo != "" && r.out.tty {
			undo = "   Undo:  " + r.self() + " undo"
		}
		r.out.done("%s resolved: %s.%s", visible(e.Path), what, undo)
		for _, path := range e.Copies {
			r.out.say("Kept beside it:  %s", visible(path))
		}
	})
}

// unmerged makes the hint of a merge that failed one about its path.
func (r *resolveCommand) unmerged(err error, path string) error {
	if p := node.ProblemOf(err); p.Hint == node.ErrMergeFailed.Hint {
		return p.Next(fmt.Sprintf("Decide by hand:  %[1]s resolve %[2]s --edit      or --keep 1, --value TEXT", r.self(), pathWord(path)))
	}
	return err
}

// preview says what would be done: on a terminal with the first lines of the value, elsewhere the line that --all has for it.
func (r *resolveCommand) preview(ctx context.Context, c *client.Client, ask wire.Resolve, what string) error {
	p, err := c.PreviewResolve(ctx, ask)
	if err != nil {
		return r.unmerged(err, ask.Path)
	}
	return r.out.result(p, func() {
		if !r.out.tty {
			r.out.print("%s\t%s\t%s\n", visible(p.Path), what, briefValue(p.Content))
			return
		}
		r.out.print("%s would be (%s):\n%s", visible(p.Path), what, indented(p.Content))
		for _, path := range p.Copies {
			r.out.say("Kept beside it:  %s", visible(path))
		}
		r.out.say("Nothing was done: --dry-run.")
	})
}

// choose finds the value that --keep names, and its number: by that number, by who wrote it, or by its version.
func (r *resolveCommand) choose(c wire.Conflict) (wire.Value, int, error) {
	values := rivals(c.Values)
	if n, err := strconv.Atoi(r.keep); err == nil && n >= 1 && n <= len(values) {
		return values[n-1], n, nil
	}
	var found []int
	for _, fits := range []func(wire.Value) bool{
		func(v wire.Value) bool { return isFrom(v, r.keep) },
		func(v wire.Value) bool {
			return begins(v.Version, r.keep) || v.Origin != nil && begins(v.Origin.Version, r.keep)
		},
	} {
		for i := 0; i < len(values) && len(found) < 2; i++ {
			if fits(values[i]) {
				found = append(found, i)
			}
		}
		if len(found) > 0 {
			break // the name of a device may look like a version
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

// isFrom reports whether a device, as a person names it, wrote a value; one that was brought back is from who wrote it first.
func isFrom(v wire.Value, device string) bool {
	d, _ := v.Writer()
	return device != "" && (device == d.ID || device == d.Short || strings.EqualFold(device, d.Name))
}

// writer returns the name of the device that a value is from.
func writer(v wire.Value) string {
	d, _ := v.Writer()
	return shortName(d)
}

// beginsMin is the least number of characters that name a version without its “h.”: fewer look like a number.
const beginsMin = 4

// begins reports whether a text that was typed is the beginning of a version, with or without the “h.” that all have.
func begins(version, typed string) bool {
	rest, whole := strings.CutPrefix(typed, "h.")
	return (whole && rest != "" || len(rest) >= beginsMin) && strings.HasPrefix(strings.TrimPrefix(version, "h."), rest)
}

// explain says what there is to choose from.
func (r *resolveCommand) explain(title, start string, c wire.Conflict, values []wire.Value) error {
	var parts []string
	for i, v := range values {
		device, at := v.Writer()
		parts = append(parts, fmt.Sprintf("[%d] %s, %s, %s", i+1, shortName(device), when(at), preview(v.Content)))
	}
	p := usage(title, "%s%s: %s", start, c.Path, strings.Join(parts, " · "))
	return p.Next(fmt.Sprintf("%[1]s resolve %[2]s --keep 1\nor --keep DEVICE\nor --value TEXT\nor --edit\nor --merge=text", r.self(), pathWord(c.Path)))
}
