package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagError turns an error of the flag parser into one of usage, with the nearest flag.
func flagError(cmd *cobra.Command, err error) error {
	title, detail := flagFault(err)
	hint := "All flags:  " + cmd.CommandPath() + " --help"
	var missing *pflag.NotExistError
	if errors.As(err, &missing) {
		if short := missing.GetSpecifiedShortnames(); short != "" {
			if len(argumentNames(cmd.Use)) > 0 {
				hint = "Write -- before words that begin with -.      " + hint
			}
		} else if near := nearestFlag(cmd, missing.GetSpecifiedName()); near != "" {
			hint = "Did you mean --" + near + "?      " + hint
		}
	}
	return usage(title, "%s: %s.", cmd.CommandPath(), detail).Next(hint)
}

// flagFault says in our words what the flag parser found wrong.
func flagFault(err error) (title, detail string) {
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
		syntax  *pflag.InvalidSyntaxError
	)
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		detail := fmt.Sprintf("there is no flag -%.1s", unknown.GetSpecifiedName())
		if all := unknown.GetSpecifiedShortnames(); len(all) > 1 {
			detail += ", as in -" + all
		}
		return "Unknown flag", detail
	case errors.As(err, &unknown):
		return "Unknown flag", "there is no flag --" + unknown.GetSpecifiedName()
	case errors.As(err, &missing):
		return "A value is missing", fmt.Sprintf("--%s needs a value: %s", missing.GetFlag().Name, missing.GetFlag().Usage)
	case errors.As(err, &invalid):
		return "Not a value of this flag", fmt.Sprintf("--%s: %s", invalid.GetFlag().Name, valueFault(invalid))
	case errors.As(err, &syntax):
		return "Not a flag", fmt.Sprintf("“%s” is none", syntax.GetSpecifiedFlag())
	}
	return "Wrong flags", err.Error()
}

// valueFault says why a flag does not take a value.
func valueFault(err *pflag.InvalidValueError) string {
	value := err.GetValue()
	switch kind := err.GetFlag().Value.Type(); {
	case kind == "bool":
		return fmt.Sprintf("“%s” is neither true nor false", value)
	case kind == "duration":
		return fmt.Sprintf("“%s” is no length of time, as 30s or 10m", value)
	case strings.HasPrefix(value, "-") && strings.HasPrefix(kind, "uint"):
		return fmt.Sprintf("“%s” is less than 0", value)
	case errors.Is(err, strconv.ErrRange):
		return fmt.Sprintf("“%s” is too large a number", value)
	case strings.HasPrefix(kind, "int") || strings.HasPrefix(kind, "uint"):
		return fmt.Sprintf("“%s” is no whole number", value)
	}
	return fmt.Sprintf("“%s” cannot be used", value)
}

func nearestFlag(cmd *cobra.Command, name string) string {
	var names []string
	collect := func(f *pflag.Flag) { names = append(names, f.Name) }
	cmd.LocalFlags().VisitAll(collect)
	cmd.InheritedFlags().VisitAll(collect)
	return nearest(name, names)
}

// checkFlags refuses values of flags and variables that the configuration file could not hold either. Those of the file were checked
// when it was read.
func checkFlags(cmd *cobra.Command) error {
	for _, s := range settings {
		f := cmd.Flags().Lookup(s.key)
		if f == nil || !f.Changed || s.check == nil {
			continue
		}
		words := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			words = list.GetSlice()
		}
		for _, word := range words {
			if err := s.check(word); err != nil {
				return usage("Not a value of this flag", "--%s “%s”: %v.", s.key, word, err).
					Next(fmt.Sprintf("It takes %s: %s.", s.kind, s.about))
			}
		}
	}
	return nil
}

func checkTime(s string) error {
	if d, _ := time.ParseDuration(s); d < 0 {
		return errors.New("it is less than nothing")
	}
	return nil
}
