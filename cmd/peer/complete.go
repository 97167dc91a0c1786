package main

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"syncline/node/api/client"
	"syncline/sim/scenario"
)

// Bounds of what a shell is offered: completeWithin is how long the daemon may take, completeMax how many words there are.
const (
	completeWithin = time.Second
	completeMax    = 500
)

// A completer returns the words that an argument or a flag may be, of which begun is typed, after the arguments args. A tab divides a word
// from what a shell may say of it. It asks c, which may be unreachable.
type completer func(ctx context.Context, c *client.Client, args []string, begun string) []string

// completers are those of arguments, by their names in the usage of a command, and of flags, by their names. An argument of another
// name is completed by nothing, except for files and folders.
var completers = map[string]completer{
	"PATH": completePath, "PREFIX": completePath, "DEVICE": completeDevice, "INVITE": completeInvite, "KEY": completeSetting, "POLICY": fixed(policyNames...),
	"V1": completeVersion, "V2": completeVersion, "--version": completeVersion, "--keep": completeKeep,
	"--device": completeDevice, "--type": fixed("multi", "lww"), "--scenario": fixed(scenario.Names()...), "--store": fixed("pebble:", "leveldb:", "mem:"),
}

// policyNames are those that need no function of a program.
var policyNames = []string{"manual", "newest", "max", "min", "union", "merge:text", "merge:json"}

// completeAll lets shells complete the arguments and flags of every command as its usage line names them.
func (a *app) completeAll(c *cobra.Command) {
	for _, sub := range c.Commands() {
		a.completeAll(sub)
	}
	if c.ValidArgs == nil && c.Runnable() {
		names := argumentNames(c.Use)
		c.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			if len(args) >= len(names) {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return a.complete(cmd, names[len(args)], args, begun)
		}
	}
	for name := range completers {
		if flag, ok := strings.CutPrefix(name, "--"); ok && c.Flags().Lookup(flag) != nil {
			c.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
				return a.complete(cmd, name, args, begun)
			})
		}
	}
}

// argumentNames reads the names of arguments off a usage line, as PATH and VALUE of "put PATH VALUE|-".
func argumentNames(use string) []string {
	var names []string
	for _, word := range strings.Fields(use)[1:] {
		if word == "|" || strings.HasPrefix(word, "--") {
			break
		}
		name, _, _ := strings.Cut(strings.Trim(word, "[]…"), "|")
		names = append(names, name)
	}
	return names
}

// complete offers the words for a named argument or flag.
func (a *app) complete(cmd *cobra.Command, name string, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	words, ok := completers[name]
	if !ok {
		if name == "FILE" || name == "DIR" {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if fromEnvironment(cmd) != nil || a.fromConfig(cmd) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c, err := a.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), completeWithin)
	defer cancel()
	offered := slices.DeleteFunc(words(ctx, c, args, begun), func(w string) bool {
		w, _, _ = strings.Cut(w, "\t")
		return !strings.HasPrefix(w, begun) || visible(w) != w
	})
	if len(offered) == 0 && name == "--scenario" { // it may be a file as well
		return nil, cobra.ShellCompDirectiveDefault
	}
	directive := cobra.ShellCompDirectiveNoFileComp
	if slices.ContainsFunc(offered, func(w string) bool { return strings.HasSuffix(w, "/") || strings.HasSuffix(w, ":") }) {
		directive |= cobra.ShellCompDirectiveNoSpace
	}
	return offered, directive
}

// completePath offers the paths of entries up to their next slash.
func completePath(ctx context.Context, c *client.Client, _ []string, begun string) []string {
	var out []string
	for e, err := range c.List(ctx, begun, false) {
		if err != nil {
			break
		}
		word := e.Path
		if folder := folderOf(e.Path, begun); folder != "" {
			word = folder
		}
		if len(out) == 0 || out[len(out)-1] != word {
			out = append(out, word)
		}
		if len(out) == completeMax {
			break
		}
	}
	return out
}

// completeDevice offers the names of the devices of the space.
func completeDevice(ctx context.Context, c *client.Client, _ []string, _ string) []string {
	ds, err := c.Devices(ctx)
	if err != nil {
		return nil
	}
	var out []string
	for _, d := range ds.Devices {
		out = append(out, d.Name)
	}
	return out
}

// completeInvite offers the ids of the open invites.
func completeInvite(ctx context.Context, c *client.Client, _ []string, _ string) []string {
	all, err := c.Invites(ctx)
	if err != nil {
		return nil
	}
	var out []string
	for _, inv := range all.Invites {
		out = append(out, inv.ID)
	}
	return out
}

// completeVersion offers the versions that the history of the path in args holds.
func completeVersion(ctx context.Context, c *client.Client, args []string, _ string) []string {
	if len(args) == 0 {
		return nil
	}
	h, err := c.History(ctx, args[0], completeMax)
	if err != nil {
		return nil
	}
	var out []string
	for _, r := range h.Versions {
		if r.Version != "" && !r.Deleted {
			out = append(out, about(shortVersion(r.Version), shortName(r.Device)+", "+when(r.Time)+", "+preview(r.Content)))
		}
	}
	return out
}

// completeKeep offers the numbers of the values that compete at the path in args.
func completeKeep(ctx context.Context, c *client.Client, args []string, _ string) []string {
	if len(args) == 0 {
		return nil
	}
	conflict, err := c.Conflict(ctx, args[0])
	if err != nil {
		return nil
	}
	out := []string{about("all", "the others stay beside it")}
	for i, v := range conflict.Values {
		device, at := v.Writer()
		out = append(out, about(strconv.Itoa(i+1), shortName(device)+", "+when(at)+", "+preview(v.Content)))
	}
	return out
}

// about joins a word and what a shell may say of it.
func about(word, description string) string { return word + "\t" + visible(description) }

func completeSetting(context.Context, *client.Client, []string, string) []string {
	var out []string
	for _, s := range settings {
		out = append(out, s.key)
	}
	return out
}

// fixed offers the same words always.
func fixed(words ...string) completer {
	return func(context.Context, *client.Client, []string, string) []string { return slices.Clone(words) }
}
