package main

import (
	"cmp"
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"syncline/node"
	"syncline/node/api/wire"
)

// An upCommand is peer up with its flags.
type upCommand struct {
	*app
	detach      bool
	name        string
	listen      []string
	announce    []string
	noLAN       bool
	store       string
	relaxed     bool
	poll        time.Duration
	noGossip    bool
	newIdentity bool
}

func newUp(a *app) *cobra.Command {
	u := &upCommand{app: a}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start this device",
		Long: `Start this device: serve its entries to the other commands and share them with
the other devices. It runs until Ctrl-C, or with -d in the background until
"peer down". Nothing has to be set up before.

Writes are told to all connected devices at once, by gossip, and every 30 seconds
each pair compares what it has, in case something was lost. --poll 5s compares more
often. --no-gossip leaves the first part out: what is new waits for the next
comparison, here and on the others. Both together are plain polling.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, args []string) error { return u.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.BoolVarP(&u.detach, "detach", "d", false, "run in the background; return when the API answers")
	f.StringVar(&u.name, "name", "", "what people call this device (default: the host's name)")
	f.StringSliceVar(&u.listen, "listen", nil, "multiaddr to listen on, as /ip4/0.0.0.0/udp/4001/quic-v1; may be repeated")
	f.StringSliceVar(&u.announce, "announce", nil, "multiaddr to tell others instead of the one that is seen; may be repeated")
	f.BoolVar(&u.noLAN, "no-lan", false, "do not look for devices on the local network")
	f.StringVar(&u.store, "store", "", "where entries are kept: pebble: or leveldb: (on disk), or mem: (lost at the end); default: as the folder was begun, or pebble:")
	f.BoolVar(&u.relaxed, "relaxed", false, "answer a write before it is on disk; a power cut may lose the last ones")
	f.DurationVar(&u.poll, "poll", 0, "ask each connected device for news this often, as 5s (default 30s)")
	f.BoolVar(&u.noGossip, "no-gossip", false, "do not tell others of writes at once; they travel with the next poll")
	f.BoolVar(&u.newIdentity, "new-identity", false, "take a new device key first: for a copied data folder; invite it anew")
	return cmd
}

func (u *upCommand) run(ctx context.Context) error {
	if v := os.Getenv("PEER_LOG"); v != "" && checkLog(v) != nil {
		return usage("A variable of the environment cannot be used", "PEER_LOG=%s: %v.", v, checkLog(v)).Next("Correct it, or unset it:  unset PEER_LOG")
	}
	inst, err := u.instance()
	if err != nil {
		return err
	}
	if err := inst.makeFolders(); err != nil {
		return err
	}
	switch {
	case os.Getenv(childVariable) != "":
		return u.runChild(inst)
	case u.detach:
		ctx, cancel := u.within(ctx, time.Minute)
		defer cancel()
		up, err := startChild(ctx, inst)
		if err != nil {
			return err
		}
		return u.tell(up)
	}
	return u.runForeground(inst)
}

// runForeground runs the daemon in this process until a signal comes.
func (u *upCommand) runForeground(inst instance) error {
	log := terminalLogger(u.out.errTTY, u.out.errColor, u.logLevel())
	return u.serve(inst, log, func(up wire.Up) error {
		if err := u.tell(up); err != nil {
			return err
		}
		return u.out.flush()
	})
}

// tell says that the device is up, and what to do next.
func (u *upCommand) tell(up wire.Up) error {
	return u.out.result(up, func() {
		u.out.done("This is %s. Data: %s", deviceName(up.Device), home(up.Dir))
		if u.noLAN {
			u.out.done("Not looking for devices on this network (--no-lan).")
		} else {
			u.out.done("Looking for devices on this network.")
		}
		if u.noGossip {
			u.out.done("Polling every %v, without gossip.", cmp.Or(u.poll, node.AntiEntropyDefault))
		} else if u.poll > 0 {
			u.out.done("Polling every %v, beside gossip.", u.poll)
		}
		if strings.TrimSuffix(u.store, ":") == "mem" {
			u.out.look("Entries are kept in memory (--store mem:) and are gone when this ends.")
		}
		if u.given["listen"] && !slices.Equal(u.listen, u.config["listen"]) && slices.ContainsFunc(u.listen, fixedPort) {
			u.out.look("--listen holds until the next start; others may look for this device there. To keep it:\n  %s config set listen %s",
				u.self(), strings.Join(u.listen, " "))
		}
		u.out.say("Next:  %s invite       connect another device", u.self())
		u.out.say("       %s put hello world", u.self())
	})
}

// fixedPort reports whether an address is the same at every start.
func fixedPort(addr string) bool { return !strings.Contains(addr+"/", "/0/") }
