package main

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"syncline/node/api/client"
)

// requestTimeout is how long a command waits for an answer unless --timeout says otherwise.
const requestTimeout = 30 * time.Second

// An app is one run of the command line: its flags, its output, its way to the daemon.
type app struct {
	out   *printer
	space string
	dir   string
	api   string
	// apiNamed says that --api or its variable names the socket: then no other is meant, wherever the daemon of this instance listens.
	apiNamed bool

	json, noColor, quiet, verbose, yes bool

	timeout time.Duration

	// refused is why no help was given to what was asked with --help; cobra takes no error for that.
	refused error

	// config holds the words of each setting in the configuration file; given names the flags of the command line.
	config map[string][]string
	given  map[string]bool
}

// newApp looks for --json before the flags are parsed, so that an error in the flags has the right form, too.
func newApp(args []string) *app {
	a := &app{}
	a.json, _ = strconv.ParseBool(os.Getenv(variable("json")))
	for _, arg := range args {
		if arg == "--" {
			break
		}
		if arg == "--json" || arg == "--json=true" {
			a.json = true
		}
	}
	a.out = newPrinter(os.Stdout, os.Stderr)
	a.configure()
	return a
}

// configure hands the flags about output to the printer.
func (a *app) configure() {
	a.out.json, a.out.quiet = a.json, a.quiet
	if a.noColor || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		a.out.color, a.out.errColor = false, false
	}
}

// globalFlags adds the flags that every command takes.
func (a *app) globalFlags(f *pflag.FlagSet) {
	f.StringVarP(&a.space, "space", "s", "", "name or id of the space (default: the device's default space)")
	f.StringVar(&a.dir, "dir", "", "keep everything of this instance under one folder")
	f.StringVar(&a.api, "api", "", "socket of the daemon")
	f.BoolVar(&a.json, "json", a.json, "print JSON documents, one a line")
	f.BoolVar(&a.noColor, "no-color", false, "print without colour (also: NO_COLOR)")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "print data and errors only")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "print more")
	f.DurationVar(&a.timeout, "timeout", 0, "give up after this time, as 10s")
	f.BoolVarP(&a.yes, "yes", "y", false, "answer yes to every question")
}

// variable names the environment variable of a flag.
func variable(flag string) string {
	return "PEER_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromEnvironment sets every flag that was not given from its PEER_ variable.
func fromEnvironment(cmd *cobra.Command) error {
	var bad error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		v, ok := os.LookupEnv(variable(f.Name))
		if !ok || v == "" || f.Changed || slices.Contains([]string{"help", "version"}, f.Name) || bad != nil {
			return
		}
		if err := cmd.Flags().Set(f.Name, v); err != nil {
			_, fault := flagFault(err)
			bad = usage("A variable of the environment cannot be used", "%s=%s does not fit %s.", variable(f.Name), v, fault).
				Next("Correct it, or unset it:  unset " + variable(f.Name))
		}
	})
	return bad
}

// client returns a client of the daemon of this instance.
func (a *app) client() (*client.Client, error) {
	inst, err := a.instance()
	if err != nil {
		return nil, err
	}
	if err := inst.checkSocketFolder(); err != nil {
		return nil, err
	}
	return client.New(inst.liveSocket(), a.space), nil
}

// within bounds ctx by --timeout, or else by def; zero means no bound.
func (a *app) within(ctx context.Context, def time.Duration) (context.Context, context.CancelFunc) {
	d := a.timeout
	if d <= 0 {
		d = def
	}
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}

// patience returns how long a command that may ask a person waits for its answers by default: without end where it asks, since the person
// counts, too.
func (a *app) patience() time.Duration {
	if !a.yes && a.interactive() {
		return 0
	}
	return requestTimeout
}

// withClient runs f with a client and a context that is bounded by --timeout, or else by def.
func (a *app) withClient(cmd *cobra.Command, def time.Duration, f func(context.Context, *client.Client) error) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := a.within(cmd.Context(), def)
	defer cancel()
	return f(ctx, c)
}

// self is how to call this program about the same instance, for hints.
func (a *app) self() string {
	if a.dir == "" {
		return "peer"
	}
	return "peer --dir " + quoteWord(a.dir)
}

// interactive reports whether a person can be asked.
func (a *app) interactive() bool {
	return !a.json && term.IsTerminal(int(os.Stdin.Fd()))
}
