package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"syncline/node"
	"syncline/node/api/wire"
)

// devMax bounds the devices of peer dev: each is a whole one, with a store and connections to all others.
const devMax = 9

// A devCommand is peer dev with its flags, and the devices while it runs.
type devCommand struct {
	*app
	count int
	demo  bool
	bench bool
	*fleet
}

func newDev(a *app) *cobra.Command {
	d := &devCommand{app: a}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Try peer with throw-away devices on this machine",
		Long: `Start a few devices in this process, joined to one space and connected over real
libp2p on loopback, and play with them:

  put DEVICE PATH VALUE     del DEVICE PATH     show [PREFIX]
  cut DEVICE                heal                conflicts
  resolve DEVICE PATH VALUE                     help, quit

Their data lie in a temporary folder and are gone at the end, also after Ctrl-C. Your
own devices are not touched. Commands may come from a pipe; the exit code is then 1 if
one of them failed.

--demo tells the story by itself: replication, a cut, a conflict and its end. --bench
measures this machine for about a minute and prints figures beside their targets.`,
		Example: "  peer dev --demo\n  peer dev --devices 4",
		Args:    arguments(),
		RunE:    func(cmd *cobra.Command, args []string) error { return d.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.IntVar(&d.count, "devices", 3, fmt.Sprintf("how many, from 2 to %d", devMax))
	f.BoolVar(&d.demo, "demo", false, "tell the story without asking, and end")
	f.BoolVar(&d.bench, "bench", false, "measure speed and size, and end")
	return cmd
}

func (d *devCommand) run(ctx context.Context) error {
	switch {
	case d.count < 2 || d.count > devMax:
		return usage("Not a number of devices", "%d is not from 2 to %d.", d.count, devMax).Next("As:  peer dev --devices 3")
	case d.demo && d.bench:
		return usage("Two ways to go on", "--demo and --bench exclude each other.").Next("Give one of them.")
	case d.json && !d.demo && !d.bench:
		return usage("A tour has no documents", "peer dev talks to a person.").Next("Take one with a result:  peer dev --demo --json")
	}
	ctx, stop := signal.NotifyContext(ctx, append(stopSignals, syscall.SIGHUP)...)
	defer stop()
	dir, err := os.MkdirTemp("", "peer-dev-*")
	if err != nil {
		return fileError(err)
	}
	defer os.RemoveAll(dir)
	if d.bench {
		return d.measure(ctx, dir)
	}
	if d.fleet, err = startFleet(ctx, dir, d.count); err != nil {
		return err
	}
	defer d.fleet.close()
	if d.demo {
		return d.story(ctx)
	}
	return d.tour(ctx, dir, os.Stdin)
}

// tour carries out commands until the input ends.
func (d *devCommand) tour(ctx context.Context, dir string, in io.Reader) error {
	d.out.say("%s are running and joined: %s. Their data are in %s until you quit.", plural(d.count, "device", "devices"), d.names(), dir)
	d.out.say("Try:  put laptop hello world      cut phone      heal      show      help")
	lines := make(chan string)
	go func() { // ends with the input, or with the process
		defer close(lines)
		for s := bufio.NewScanner(in); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	var ended error // of a script whose commands did not all succeed
	for {
		if d.interactive() {
			d.out.print("dev> ")
		}
		d.out.flush()
		select {
		case <-ctx.Done():
			d.out.say("")
			return ctx.Err()
		case line, more := <-lines:
			if !more {
				return ended
			}
			done, err := d.command(ctx, line)
			if err != nil && ctx.Err() == nil {
				d.out.problem(node.ProblemOf(err))
				if !d.interactive() {
					ended = quietExit(exitFailed)
				}
			}
			if done {
				return ended
			}
		}
	}
}

const devHelp = `put DEVICE PATH VALUE       write on one device, and see it arrive on the others
del DEVICE PATH             delete there
show [PREFIX]               every entry as every device has it
cut DEVICE                  take a device off the network; it goes on reading and writing
heal                        bring all back
conflicts                   what was written apart
resolve DEVICE PATH VALUE   decide, there, for all
quit                        end; everything is removed`

// command carries out one line, and reports whether it was the last.
func (d *devCommand) command(ctx context.Context, line string) (done bool, err error) {
	words, err := splitWords(strings.TrimSpace(line))
	if err != nil {
		return false, node.ErrBadRequest.With("%v", err).Next("Close the quote.")
	}
	if len(words) == 0 || strings.HasPrefix(words[0], "#") {
		return false, nil
	}
	verbs := map[string]struct {
		least, most int
		takes       string
		run         func(context.Context, []string) error
	}{
		"put": {3, 3, "DEVICE PATH VALUE", d.put}, "del": {2, 2, "DEVICE PATH", d.del}, "show": {0, 1, "[PREFIX]", d.show},
		"cut": {1, 1, "DEVICE", d.cut}, "heal": {0, 0, "nothing", d.heal}, "conflicts": {0, 0, "nothing", d.conflicts},
		"resolve": {3, 3, "DEVICE PATH VALUE", d.resolve},
	}
	switch words[0] {
	case "quit", "exit":
		return true, nil
	case "help":
		d.out.say("%s", devHelp)
		return false, nil
	}
	v, ok := verbs[words[0]]
	switch n := len(words) - 1; {
	case !ok:
		return false, usage("That is no command here", "“%s” is none.", words[0]).Next("help lists them")
	case n < v.least:
		return false, usage("A word is missing", "%s takes %s.", words[0], v.takes).Next("help lists the commands")
	case n > v.most:
		return false, usage("Too many words", "%s takes %s.", words[0], v.takes).Next("Quote what holds spaces; help lists the commands")
	}
	return false, v.run(ctx, words[1:])
}

func (d *devCommand) put(ctx context.Context, args []string) error {
	m, err := d.fleet.find(args[0])
	if err != nil {
		return err
	}
	seen, err := d.fleet.put(ctx, m, args[1], args[2])
	if err != nil {
		return err
	}
	d.out.done("%s: %s = %q%s", m.name, visible(args[1]), args[2], seen)
	return nil
}

func (d *devCommand) del(ctx context.Context, args []string) error {
	m, err := d.fleet.find(args[0])
	if err != nil {
		return err
	}
	if _, err = m.space.Delete(ctx, args[1], node.All()); err == nil {
		d.out.done("%s: %s is deleted", m.name, visible(args[1]))
	}
	return err
}

// show prints a line for each entry, with what each device shows.
func (d *devCommand) show(ctx context.Context, args []string) error {
	header := []string{"PATH"}
	rows, paths, err := d.fleet.entries(ctx, strings.Join(args, ""))
	if err != nil {
		return err
	}
	for _, m := range d.members {
		name := strings.ToUpper(m.name)
		if m.net.isCut() {
			name += " (CUT)"
		}
		header = append(header, name)
	}
	t := d.out.table(header...)
	for _, p := range paths {
		row := []cell{text(p)}
		for _, m := range d.members {
			row = append(row, text(orElse(rows[p][m.name], "—")))
		}
		t.add(row...)
	}
	t.print()
	if len(paths) == 0 {
		d.out.say("Nothing yet. Try:  put %s hello world", d.members[0].name)
	}
	return nil
}

func (d *devCommand) cut(_ context.Context, args []string) error {
	m, err := d.fleet.find(args[0])
	if err != nil {
		return err
	}
	m.net.cut()
	d.out.done("%s is off the network. It goes on reading and writing.", m.name)
	return nil
}

func (d *devCommand) heal(ctx context.Context, _ []string) error {
	took, err := d.fleet.heal(ctx)
	if err == nil {
		d.out.done("All are connected and equal again, after %v.", took.Round(time.Millisecond))
	}
	return err
}

func (d *devCommand) conflicts(ctx context.Context, _ []string) error {
	found := 0
	for _, m := range d.members {
		for c, err := range m.space.Conflicts(ctx, "") {
			if err != nil {
				return err
			}
			found++
			d.out.look("%s sees a conflict at %s: %s", m.name, visible(c.Path), values(c))
		}
	}
	if found == 0 {
		d.out.done("No conflicts. Make one:  cut phone, put the same path on phone and laptop, heal")
	}
	return nil
}

// values writes the competing values of a conflict, each with its device.
func values(c node.Conflict) string {
	var parts []string
	for _, v := range c.Values {
		parts = append(parts, fmt.Sprintf("%s wrote %s", visible(v.Device.Name), preview(wire.ContentOf(v.Content))))
	}
	return strings.Join(parts, ", ")
}

func (d *devCommand) resolve(ctx context.Context, args []string) error {
	m, err := d.fleet.find(args[0])
	if err != nil {
		return err
	}
	value, start := node.Text(args[2]), time.Now()
	e, err := m.space.Resolve(ctx, args[1], node.Resolution{Value: &value})
	if err != nil {
		return err
	}
	seen, err := d.fleet.arrival(ctx, m, e.Entry, start)
	if err != nil {
		return err
	}
	d.out.done("%s: %s is resolved: %q%s", m.name, visible(args[1]), args[2], seen)
	return nil
}

// story tells, with the devices themselves, what peer does.
func (d *devCommand) story(ctx context.Context) error {
	one, two, last := d.members[0], d.members[1], d.members[len(d.members)-1]
	doc := wire.Dev{Schema: wire.SchemaDev, Devices: d.count}
	step := func(format string, args ...any) {
		d.out.say("")
		d.out.say(format, args...)
		d.out.flush()
	}
	d.out.say("%s on this machine, each with its own disk and keys, connected over libp2p: %s.", plural(d.count, "device", "devices"), d.names())

	step("1. What one writes, all have. Nobody asked for it and there is no server.")
	seen, err := d.fleet.put(ctx, one, "shopping", "milk")
	if err != nil {
		return err
	}
	d.out.done("%s: shopping = %q%s", one.name, "milk", seen)
	doc.VisibleMillis = seen.millis()

	step("2. %s leaves the network. Both sides go on, and do not know of each other.", two.name)
	two.net.cut()
	for m, v := range map[*member]string{one: "oat milk", two: "soy milk"} {
		if _, err := m.space.Put(ctx, "shopping", node.Text(v)); err != nil {
			return err
		}
	}
	if _, err := two.space.Put(ctx, "notes/train", node.Text("leaves at 9")); err != nil {
		return err
	}
	if err := d.show(ctx, nil); err != nil {
		return err
	}

	step("3. %s comes back. What was written apart travels; nothing is lost.", two.name)
	took, err := d.fleet.heal(ctx)
	if err != nil {
		return err
	}
	doc.HealMillis = float64(took.Microseconds()) / 1000
	d.out.done("All are connected and equal again, after %v.", took.Round(time.Millisecond))

	step("4. Two values for one path: every device reports the same conflict, and decides nothing by itself.")
	for _, m := range d.members {
		c, err := m.space.Conflict(ctx, "shopping")
		if err != nil {
			return err
		}
		doc.Conflicts++
		d.out.look("%s sees a conflict at shopping: %s", m.name, values(c))
	}

	step("5. Somebody decides, anywhere, and it is decided everywhere.")
	if err := d.resolve(ctx, []string{last.name, "shopping", "oat and soy milk"}); err != nil {
		return err
	}
	if err := d.show(ctx, nil); err != nil {
		return err
	}
	rows, paths, err := d.fleet.entries(ctx, "")
	if err != nil {
		return err
	}
	doc.Equal = true
	for _, p := range paths {
		for _, m := range d.members {
			doc.Equal = doc.Equal && rows[p][m.name] == rows[p][one.name]
		}
	}
	if !doc.Equal {
		return node.ErrInternal.With("the devices ended with different entries")
	}
	step("The same with your own devices:  peer up -d, peer invite here, peer join there. All of this is removed now.")
	return d.out.result(doc, func() {})
}
