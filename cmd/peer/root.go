package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Groups of commands in the help.
const (
	groupStart     = "start"
	groupConnect   = "connect"
	groupData      = "data"
	groupConflicts = "conflicts"
	groupSimulate  = "simulate"
	groupTools     = "tools"
)

// newRoot returns the whole tree of commands.
func newRoot(a *app) *cobra.Command {
	version := false
	root := &cobra.Command{
		Use:   "peer",
		Short: "Share values between your devices, with and without a network",
		Long: `peer keeps entries (a path and a value) on this device and shares them with your
other devices, directly and without a server. Every read and write is answered by
this device alone, at once; the others catch up when they can be reached.

First steps:   peer up -d            start
               peer put hello world  store a value
               peer invite           connect another device`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			if version {
				return a.tellVersion()
			}
			return cmd.Help()
		},
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			a.given = map[string]bool{}
			cmd.Flags().Visit(func(f *pflag.Flag) { a.given[f.Name] = true })
			if err := fromEnvironment(cmd); err != nil {
				return err
			}
			if err := checkFlags(cmd); err != nil {
				return err
			}
			a.apiNamed = a.api != ""
			a.configure()                                                        // an error of the file is printed as the command line asks
			if !slices.Contains([]string{"edit", "path", "unset"}, cmd.Name()) { // those with which a broken file is mended
				if err := a.fromConfig(cmd); err != nil {
					return err
				}
			}
			a.configure()
			return nil
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	a.globalFlags(root.PersistentFlags())
	root.Flags().BoolVar(&version, "version", false, "say which version this is, as peer version does")
	root.SetFlagErrorFunc(flagError)
	tellHelp := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if words := cmd.Flags().Args(); cmd.HasSubCommands() && len(words) > 0 { // as in “peer sttus --help”
			a.refused = unknownCommand(cmd, words[0])
			return
		}
		tellHelp(cmd, args)
	})
	root.SetOut(a.out.w)
	root.SetErr(a.out.err)
	for _, g := range []cobra.Group{
		{ID: groupStart, Title: "Start:"}, {ID: groupConnect, Title: "Connect:"}, {ID: groupData, Title: "Data:"},
		{ID: groupConflicts, Title: "Conflicts:"}, {ID: groupSimulate, Title: "Simulate:"},
		{ID: groupTools, Title: "Tools:"},
	} {
		root.AddGroup(&g)
	}
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupStart,
		newUp(a),
		newDown(a),
		newStatus(a),
	)
	add(groupConnect,
		newInvite(a),
		newInvites(a),
		newJoin(a),
		newDevices(a),
		newSync(a),
		newPing(a),
		newRepair(a),
	)
	add(groupData,
		newPut(a),
		newGet(a),
		newLs(a),
		newDel(a),
		newWatch(a),
		newTx(a),
		newHistory(a),
		newDiff(a),
		newRestore(a),
		newImport(a),
		newExport(a),
		newBackup(a),
	)
	add(groupConflicts,
		newConflicts(a),
		newResolve(a),
		newUndo(a),
		newPolicy(a),
	)
	add(groupSimulate, newSim(a))
	add(groupTools,
		newDev(a),
		newDoctor(a),
		newConfig(a),
		newVersion(a),
		newCompletion(a),
		newMan(a),
	)
	root.AddCommand(newTopics()...)
	help := newHelp()
	help.GroupID = groupTools
	root.SetHelpCommand(help)
	a.completeAll(root)
	return root
}

// unknownCommand says which command was probably meant.
func unknownCommand(parent *cobra.Command, name string) error {
	hint := "All commands:  " + parent.CommandPath() + " --help"
	if near := nearest(name, commandNames(parent)); near != "" {
		path := parent.CommandPath() + " "
		if slices.ContainsFunc(topics, func(t topic) bool { return t.name == near }) {
			path += "help "
		}
		hint = fmt.Sprintf("Did you mean  %s%s?      %s", path, near, hint)
	}
	return usage("Unknown command", "%s has no command “%s”.", parent.CommandPath(), name).Next(hint)
}

func commandNames(parent *cobra.Command) []string {
	var names []string
	for _, c := range parent.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	return names
}

// nearest returns the one of names that is written most like name, or "" if none is close.
func nearest(name string, names []string) string {
	best, least := "", max(2, len(name)/3)+1
	for _, n := range names {
		d := distance(strings.ToLower(name), strings.ToLower(n))
		if len(name) > 1 && (strings.HasPrefix(strings.ToLower(n), strings.ToLower(name)) || strings.EqualFold(n, "no-"+name)) {
			d = min(d, 1)
		}
		if d < min(least, max(len(name), len(n))) { // something of it must be right
			best, least = n, d
		}
	}
	return best
}

// distance counts the letters to insert, delete, change or swap with their neighbour to turn a into b (optimal string
// alignment).
func distance(a, b string) int {
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}

// arguments returns a check for the number of arguments: each name stands for one, those in brackets may be left out.
func arguments(names ...string) cobra.PositionalArgs {
	needed := 0
	for _, n := range names {
		if !strings.HasPrefix(n, "[") {
			needed++
		}
	}
	return func(cmd *cobra.Command, args []string) error {
		hint := "Usage:  " + cmd.UseLine()
		if len(args) < needed {
			return usage("An argument is missing", "%s needs %s.", cmd.CommandPath(), strings.Join(names[len(args):needed], " and ")).Next(hint)
		}
		if len(args) > len(names) {
			return usage("Too many arguments", "%s does not take “%s”.", cmd.CommandPath(), args[len(names)]).
				Next(hint + "      (quote a value that holds spaces)")
		}
		return nil
	}
}

// commandsOnly makes a command with subcommands refuse an unknown one.
func commandsOnly(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownCommand(cmd, args[0])
	}
	return nil
}
