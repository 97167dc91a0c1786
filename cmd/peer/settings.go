package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"syncline/gossip/p2p"
	"syncline/node"
)

// A setting is one key of the configuration file. It has the name of the flag whose value it gives where neither the command line
// nor the environment does.
type setting struct {
	key   string
	kind  settingKind
	about string
	// check refuses values that the kind alone lets pass; nil refuses none.
	check func(string) error
}

// A settingKind says how a value is written in TOML.
type settingKind string

const (
	kindText settingKind = "text"
	kindBool settingKind = "true or false"
	kindTime settingKind = "a length of time as 30s"
	kindList settingKind = "a list of texts"
)

// settings are all keys, in the order in which they are shown. There are at most twenty: what one person in a hundred needs is a
// flag only.
var settings = []setting{
	{"name", kindText, "what people call this device", nil},
	{"listen", kindList, "multiaddrs to listen on, as /ip4/0.0.0.0/tcp/4001", checkAddr},
	{"announce", kindList, "multiaddrs to tell others, as /ip4/203.0.113.5/tcp/4001", checkAddr},
	{"no-lan", kindBool, "do not look for devices on the local network", nil},
	{"poll", kindTime, "ask each connected device for news this often", checkPoll},
	{"no-gossip", kindBool, "let writes wait for the next poll", nil},
	{"store", kindText, "where entries are kept: pebble:, leveldb: or mem:", checkStore},
	{"relaxed", kindBool, "answer a write before it is on disk", nil},
	{"log", kindText, "how much the daemon logs: debug, info, warn or error", checkLog},
	{"api", kindText, "socket of the daemon", nil},
	{"space", kindText, "name or id of the space that commands mean", nil},
	{"timeout", kindTime, "how long commands wait for an answer", checkTime},
	{"no-color", kindBool, "print without colour", nil},
}

func checkPoll(s string) error {
	if d, _ := time.ParseDuration(s); d < node.PollMin {
		return fmt.Errorf("the shortest time is %v", node.PollMin)
	}
	return nil
}

func checkStore(s string) error {
	if !slices.Contains([]string{"pebble:", "leveldb:", "mem:"}, strings.TrimSuffix(s, ":")+":") {
		return errors.New("it is one of pebble:, leveldb:, mem: and nothing else")
	}
	return nil
}

func checkLog(s string) error {
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, strings.ToLower(s)) {
		return errors.New("it is one of debug, info, warn, error and nothing else")
	}
	return nil
}

func checkAddr(s string) error { return p2p.CheckAddr(s) }

// findSetting returns the setting with a key, or says which one was probably meant.
func findSetting(key, where string) (setting, error) {
	var keys []string
	for _, s := range settings {
		if s.key == key {
			return s, nil
		}
		keys = append(keys, s.key)
	}
	hint := "All keys:  peer config show"
	if near := nearest(key, keys); near != "" {
		hint = fmt.Sprintf("Did you mean %s?      %s", near, hint)
	}
	return setting{}, usage("Unknown setting", "%s has “%s”, which is no setting.", where, key).Next(hint)
}

// parse checks a value that was written as words and returns what stands for it in TOML.
func (s setting) parse(words []string) (string, error) {
	if s.kind == kindList {
		for _, word := range words {
			if s.check == nil {
				break
			}
			if err := s.check(word); err != nil {
				return "", s.refuse(word, err)
			}
		}
		return s.toml(words), nil
	}
	if len(words) != 1 {
		return "", s.refuse(strings.Join(words, " "), errors.New("it takes one value"))
	}
	word := words[0]
	var err error
	switch s.kind {
	case kindBool:
		on, bad := strconv.ParseBool(word)
		if bad != nil {
			return "", s.refuse(word, errors.New("it is neither true nor false"))
		}
		word = strconv.FormatBool(on)
	case kindTime:
		if d, bad := time.ParseDuration(word); bad != nil || d < 0 {
			err = errors.New("it is no length of time")
		}
	}
	if err == nil && s.check != nil {
		err = s.check(word)
	}
	if err != nil {
		return "", s.refuse(word, err)
	}
	return s.toml([]string{word}), nil
}

func (s setting) refuse(value string, err error) error {
	return usage("Not a value of this setting", "%s = %s: %v.", s.key, value, err).Next(fmt.Sprintf("%s takes %s: %s.", s.key, s.kind, s.about))
}

// toml writes a value that has been checked.
func (s setting) toml(words []string) string {
	switch s.kind {
	case kindBool:
		return words[0]
	case kindList:
		var quoted []string
		for _, w := range words {
			quoted = append(quoted, tomlQuote(w))
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	}
	return tomlQuote(words[0])
}

// tomlQuote writes a basic string; what JSON escapes TOML reads.
func tomlQuote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// words returns what a value in the file is as words of a flag.
func (s setting) words(value any) ([]string, error) {
	switch v := value.(type) {
	case string:
		if s.kind == kindText || s.kind == kindTime {
			return []string{v}, nil
		}
	case bool:
		if s.kind == kindBool {
			return []string{strconv.FormatBool(v)}, nil
		}
	case []any:
		var words []string
		for _, x := range v {
			text, ok := x.(string)
			if !ok {
				return nil, s.refuse(fmt.Sprint(value), errors.New("it holds something else than texts"))
			}
			words = append(words, text)
		}
		if s.kind == kindList {
			return words, nil
		}
	}
	return nil, s.refuse(fmt.Sprint(value), fmt.Errorf("it is not %s", s.kind))
}

// inFile returns the value that a configuration file has, in TOML; nothing if it has none.
func (s setting) inFile(config map[string][]string) string {
	if words, ok := config[s.key]; ok {
		return s.toml(words)
	}
	return ""
}

// configFile names the configuration file of this instance.
func (a *app) configFile() (string, error) {
	if a.dir != "" {
		dir, err := filepath.Abs(a.dir)
		return filepath.Join(dir, "config.toml"), err
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", usage("There is no home folder", "%v", err).Next("Say where everything is kept:  --dir DIR")
	}
	return filepath.Join(dir, "peer", "config.toml"), nil
}

// readConfig reads a configuration file: the words of each key that it has. A file that does not exist has none.
func readConfig(name string) (map[string][]string, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) { // whoever needs the folder says what is wrong with it
		return nil, nil
	}
	if err != nil {
		return nil, fileError(err)
	}
	return parseConfig(string(text), home(name))
}

// parseConfig reads the text of a configuration file.
func parseConfig(text, name string) (map[string][]string, error) {
	raw := map[string]any{}
	if _, err := toml.Decode(text, &raw); err != nil {
		detail := err.Error()
		if bad := new(toml.ParseError); errors.As(err, bad) {
			detail = fmt.Sprintf("line %d: %s", bad.Position.Line, bad.Message)
		}
		return nil, usage("The configuration cannot be read", "%s, %s", name, detail).Next("Correct it:  peer config edit")
	}
	out := map[string][]string{}
	for _, key := range sortedKeys(raw) {
		s, err := findSetting(key, name)
		if err != nil {
			return nil, err
		}
		words, err := s.words(raw[key])
		if err == nil {
			_, err = s.parse(words)
		}
		if err != nil {
			p := *node.ProblemOf(err)
			p.Detail = name + ": " + p.Detail
			return nil, &p
		}
		out[key] = words
	}
	return out, nil
}

func sortedKeys(m map[string]any) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// fromConfig sets every flag that neither the command line nor the environment gave from the configuration file.
func (a *app) fromConfig(cmd *cobra.Command) error {
	name, err := a.configFile()
	if err != nil {
		return nil // who needs the folder will say so
	}
	if a.config, err = readConfig(name); err != nil {
		return err
	}
	for key, words := range a.config {
		f := cmd.Flags().Lookup(key)
		if f == nil || f.Changed {
			continue
		}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			err = list.Replace(words)
		} else {
			err = f.Value.Set(words[0])
		}
		if err != nil {
			return usage("Not a value of this setting", "%s: %s = %s does not fit %s.", home(name), key, strings.Join(words, " "), cmd.CommandPath()).
				Next("Correct it:  peer config edit")
		}
	}
	return nil
}
