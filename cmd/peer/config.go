package main

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"

	"syncline/node"
	"syncline/node/api/wire"
)

// Where the value of a setting comes from, the strongest first.
const (
	originFlag        = "flag"
	originEnvironment = "environment"
	originFile        = "file"
	originDevice      = "device" // what the device remembers of an earlier start: its name
	originDefault     = "default"
)

// configTemplate begins a new configuration file.
const configTemplate = "# Settings of peer; all of them:  peer config show\n"

func newConfig(a *app) *cobra.Command {
	var origin bool
	show := func(cmd *cobra.Command, args []string) error {
		doc, err := a.configOf(cmd)
		if err != nil {
			return err
		}
		return a.out.result(doc, func() { a.printConfig(doc, origin) })
	}
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show and change settings",
		Long: `Show the settings of this device and where each comes from. A flag on the command
line comes first, then its variable (PEER_NAME for --name), then the file, then what
peer does by itself; a device keeps the name of its last start. "peer config path"
names the file; it is TOML, with the flags' names as keys:

  name = "laptop"
  listen = ["/ip4/0.0.0.0/udp/4001/quic-v1"]
  poll = "5s"

"peer up" reads it when it starts, other commands each time. An unknown key is an
error: a setting that is silently ignored is worse than none.`,
		Args: commandsOnly, RunE: show,
	}
	shown := &cobra.Command{Use: "show", Short: "Show all settings", Args: arguments(), RunE: show}
	shown.Flags().BoolVar(&origin, "origin", false, "also say where each value comes from")
	cmd.AddCommand(
		shown,
		&cobra.Command{Use: "get KEY", Short: "Print the value of a setting", Args: arguments("KEY"), RunE: a.getConfig},
		&cobra.Command{
			Use: "set KEY VALUE…", Short: "Write a setting into the file; a list takes several values",
			Example: "  peer config set poll 5s\n  peer config set listen /ip4/0.0.0.0/tcp/4001 /ip4/0.0.0.0/udp/4001/quic-v1",
			Args:    atLeast("KEY", "VALUE"), RunE: a.setConfig,
		},
		&cobra.Command{Use: "unset KEY", Short: "Take a setting out of the file, or a key that is none", Args: arguments("KEY"), RunE: a.unsetConfig},
		&cobra.Command{
			Use: "edit", Short: "Open the file in an editor and check it afterwards",
			Long: "Open the file with the program that the variable VISUAL or EDITOR names, or else vi, and check it\nafterwards.",
			Args: arguments(), RunE: a.editConfig,
		},
		&cobra.Command{Use: "path", Short: "Say where the file is", Args: arguments(), RunE: func(cmd *cobra.Command, args []string) error {
			name, err := a.configFile()
			if err != nil {
				return err
			}
			return a.out.result(wire.Config{Schema: wire.SchemaConfig, File: name, Settings: []wire.Setting{}}, func() { a.out.print("%s\n", name) })
		}},
	)
	return cmd
}

// atLeast returns a check for at least the named arguments.
func atLeast(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return arguments(names...)(cmd, args)
		}
		return nil
	}
}

// configOf returns every setting as a command of this instance would have it.
func (a *app) configOf(cmd *cobra.Command) (wire.Config, error) {
	name, err := a.configFile()
	doc := wire.Config{Schema: wire.SchemaConfig, File: name}
	if err != nil {
		return doc, err
	}
	defaults := newUp(&app{}).Flags()
	for _, s := range settings {
		words, origin := a.config[s.key], originFile
		env, inEnv := os.LookupEnv(variable(s.key))
		switch {
		case a.given[s.key]:
			words, origin = []string{cmd.Flag(s.key).Value.String()}, originFlag
		case inEnv && env != "" && s.kind == kindList:
			words, origin = strings.Split(env, ","), originEnvironment
		case inEnv && env != "":
			words, origin = []string{env}, originEnvironment
			if on, err := strconv.ParseBool(env); s.kind == kindBool && err == nil {
				words = []string{strconv.FormatBool(on)}
			}
		case words == nil && s.key == "name" && a.deviceName() != "":
			words, origin = []string{a.deviceName()}, originDevice
		case words == nil:
			origin = originDefault
			if f := defaults.Lookup(s.key); f != nil && f.DefValue != "[]" && f.DefValue != "0s" && f.DefValue != "" {
				words = []string{f.DefValue}
			}
		}
		doc.Settings = append(doc.Settings, wire.Setting{Key: s.key, Values: nonNilWords(words), Origin: origin, About: s.about})
	}
	return doc, nil
}

// deviceName returns the name that the device of this instance goes by, nothing if it was never started.
func (a *app) deviceName() string {
	inst, err := a.instance()
	if err != nil {
		return ""
	}
	return node.DeviceName(inst.data)
}

func nonNilWords(words []string) []string {
	if words == nil {
		return []string{}
	}
	return words
}

func (a *app) printConfig(doc wire.Config, origin bool) {
	t := a.out.table("SETTING", "VALUE", "")
	if origin {
		t = a.out.table("SETTING", "VALUE", "FROM", "")
	}
	for _, s := range doc.Settings {
		value := strings.Join(s.Values, " ")
		row := []cell{text(s.Key), both(orElse(value, "—"), orElse(value, "-"))}
		if origin {
			row = append(row, text(s.Origin))
		}
		if a.out.tty {
			row = append(row, cell{text: s.About, color: dim})
		}
		t.add(row...)
	}
	t.print()
}

func (a *app) getConfig(cmd *cobra.Command, args []string) error {
	if _, err := findSetting(args[0], "The command line"); err != nil {
		return err
	}
	doc, err := a.configOf(cmd)
	if err != nil {
		return err
	}
	doc.Settings = slices.DeleteFunc(doc.Settings, func(s wire.Setting) bool { return s.Key != args[0] })
	if len(doc.Settings[0].Values) == 0 {
		p := node.ErrNotFound.With("%s has no value.", args[0])
		p.Title = "Not set"
		return p.Next("Set it:  peer config set " + args[0] + " VALUE")
	}
	return a.out.result(doc, func() {
		for _, v := range doc.Settings[0].Values {
			a.out.print("%s\n", v)
		}
	})
}

func (a *app) setConfig(cmd *cobra.Command, args []string) error {
	s, err := findSetting(args[0], "The command line")
	if err != nil {
		return err
	}
	value, err := s.parse(args[1:])
	if err != nil {
		return err
	}
	return a.changeConfig(cmd, s, value)
}

// unsetConfig also takes out a key that is no setting, which would keep every other command from starting.
func (a *app) unsetConfig(cmd *cobra.Command, args []string) error {
	s, unknown := findSetting(args[0], "The command line")
	if unknown == nil {
		if err := a.fromConfig(cmd); err != nil {
			return err
		}
		return a.changeConfig(cmd, s, "")
	}
	name, err := a.configFile()
	if err != nil {
		return err
	}
	old, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		return fileError(err)
	}
	var before, after map[string]any
	if _, err := toml.Decode(string(old), &before); err != nil || before[args[0]] == nil {
		return unknown
	}
	text := replaceLine(string(old), args[0], "")
	_, err = toml.Decode(text, &after)
	if delete(before, args[0]); err != nil || !maps.EqualFunc(before, after, func(v, w any) bool { return reflect.DeepEqual(v, w) }) {
		return writtenOtherwise(args[0], name)
	}
	if err := writeWhole(name, strings.NewReader(text)); err != nil {
		return err
	}
	doc := wire.Config{Schema: wire.SchemaConfig, File: name, Settings: []wire.Setting{}}
	return a.out.result(doc, func() { a.out.done("%s, which was no setting, is gone.", visible(args[0])) })
}

func writtenOtherwise(key, name string) error {
	return usage("The file is written in another way", "%s is not on a line of its own in %s.", key, home(name)).Next("Change it yourself:  peer config edit")
}

// changeConfig writes the value of a setting, in TOML, in the place of the line that has it; an empty value takes the line out.
// Everything else in the file stays as it is, comments too; where that cannot be done, nothing is written.
func (a *app) changeConfig(cmd *cobra.Command, s setting, value string) error {
	key, line := s.key, ""
	if value != "" {
		line = s.key + " = " + value
	}
	name, err := a.configFile()
	if err != nil {
		return err
	}
	old, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		return fileError(err)
	}
	if old == nil {
		old = []byte(configTemplate)
	}
	text := replaceLine(string(old), key, line)
	config, err := parseConfig(text, home(name))
	if err != nil || !sameExcept(config, a.config, key) || s.inFile(config) != value {
		return writtenOtherwise(key, name)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fileError(err)
	}
	if err := writeWhole(name, strings.NewReader(text)); err != nil {
		return err
	}
	a.config = config
	doc, err := a.configOf(cmd)
	if err != nil {
		return err
	}
	doc.Settings = slices.DeleteFunc(doc.Settings, func(s wire.Setting) bool { return s.Key != key })
	return a.out.result(doc, func() {
		a.out.done("%s = %s  (%s)", key, orElse(visible(strings.Join(doc.Settings[0].Values, " ")), "—"), doc.Settings[0].Origin)
		if inst, err := a.instance(); err == nil && newUp(&app{}).Flags().Lookup(key) != nil && lockHeld(inst.data) {
			a.out.look("The running daemon takes it up at its next start:  %s down && %s up -d", a.self(), a.self())
		}
	})
}

// replaceLine returns text with the line that sets key replaced; a line that is not there is added at the end.
func replaceLine(text, key, line string) string {
	at := regexp.MustCompile(`(?m)^[ \t]*"?` + regexp.QuoteMeta(key) + `"?[ \t]*=.*(\n|$)`)
	if line != "" {
		line += "\n"
	}
	if loc := at.FindStringIndex(text); loc != nil {
		return text[:loc[0]] + line + text[loc[1]:]
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text + line
}

// sameExcept reports whether two configurations are equal in all keys but one.
func sameExcept(x, y map[string][]string, key string) bool {
	for _, s := range settings {
		if s.key != key && !slices.Equal(x[s.key], y[s.key]) {
			return false
		}
	}
	return true
}

func (a *app) editConfig(cmd *cobra.Command, args []string) error {
	name, err := a.configFile()
	if err != nil {
		return err
	}
	if !a.interactive() {
		return usage("There is no terminal", "An editor needs one.").Next("Change settings one by one:  peer config set KEY VALUE")
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fileError(err)
	}
	if _, err := os.Stat(name); os.IsNotExist(err) {
		if err := os.WriteFile(name, []byte(configTemplate), 0o600); err != nil {
			return fileError(err)
		}
	}
	words := orElse(os.Getenv("VISUAL"), orElse(os.Getenv("EDITOR"), "vi"))
	editor := editorCommand(cmd.Context(), words, name)
	editor.Stdin, editor.Stdout, editor.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := editor.Run(); err != nil {
		p := usage("The editor failed", "“%s” %s.", words, howItEnded(err)).Next("Name another one:  EDITOR=nano peer config edit")
		p.Cause = err
		return p
	}
	if a.config, err = readConfig(name); err != nil {
		return err
	}
	a.out.done("%s holds %s.", home(name), plural(len(a.config), "setting", "settings"))
	return nil
}
