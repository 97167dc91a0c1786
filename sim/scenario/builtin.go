package scenario

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"
)

//go:embed builtin/*.toml
var builtin embed.FS

// Overrides change a built-in scenario; what is 0 stays as it is.
type Overrides struct {
	// Devices is their number, at least as many as the scenario names; those that are more have no names, and are dealt out to the
	// groups that the scenario sets apart.
	Devices int
	// Ops is how many writes are drawn from the seed, beside those that the scenario lists.
	Ops int
}

// Names lists the built-in scenarios, sorted.
func Names() []string {
	files, err := builtin.ReadDir("builtin")
	if err != nil {
		panic(err) // it is part of the program
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".toml"))
	}
	return names
}

// File returns the file of a built-in scenario, as people wrote it, or an error if there is none of that name.
func File(name string) ([]byte, error) { return builtin.ReadFile(path.Join("builtin", name+".toml")) }

// Builtin returns a built-in scenario with a seed: the luck of every message, and what the scenario leaves to chance. It returns an
// error if there is none of that name, or if the overrides do not fit.
func Builtin(name string, seed uint64, o Overrides) (*Scenario, error) {
	if !slices.Contains(Names(), name) {
		text := fmt.Sprintf("there is no scenario %q", abbreviate(name))
		if guess := meant(name, Names()); strings.HasPrefix(guess, "did") {
			text += "; " + guess
		}
		return nil, fmt.Errorf("%s; there are %s", text, strings.Join(Names(), ", "))
	}
	if o.Devices < 0 || o.Devices > DevicesMax || o.Ops < 0 || o.Ops > randomMax {
		return nil, fmt.Errorf("a scenario has up to %d devices and %d writes, not %d and %d", DevicesMax, randomMax, o.Devices, o.Ops)
	}
	file := path.Join("builtin", name+".toml")
	text, err := builtin.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parse(file, string(text), options{Overrides: o, seed: &seed})
}
