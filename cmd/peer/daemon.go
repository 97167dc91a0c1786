package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"syncline/node"
	"syncline/node/api"
	"syncline/node/api/wire"
)

// closeTimeout bounds how long the end of the daemon waits for requests that are under way.
const closeTimeout = 10 * time.Second

// serve runs the daemon until a signal or POST /v1/down. It calls ready once the API answers.
func (u *upCommand) serve(inst instance, log *slog.Logger, ready func(wire.Up) error) error {
	surviveClosedPipes()
	ctx, stop := signal.NotifyContext(context.Background(), stopSignals...)
	defer stop()
	held, err := takeLock(inst.data, inst.socket)
	if err != nil {
		return explainOpen(err, inst)
	}
	defer held.release()
	if err := clearSocket(inst.socket); err != nil {
		return err
	}
	n, err := node.Open(ctx, u.nodeConfig(inst, log))
	if err != nil {
		return explainOpen(err, inst)
	}
	err = u.serveNode(ctx, stop, n, inst, log, ready)
	return cmp.Or(err, n.Close())
}

// serveNode serves the API of an open node.
func (u *upCommand) serveNode(ctx context.Context, stop func(), n *node.Node, inst instance, log *slog.Logger, ready func(wire.Up) error) error {
	listener, err := api.Listen(inst.socket)
	if err != nil {
		p := node.ErrInternal.Because(err)
		p.Title = "Cannot start: the socket cannot be opened"
		return p.Next("Name another one:  peer up --api FILE")
	}
	srv := api.New(api.Config{Node: n, Version: versionInfo(), Address: inst.socket, Shutdown: stop, Logger: log})
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(listener) }()

	up, err := describe(ctx, n, inst)
	if err == nil {
		err = ready(up)
	}
	if err == nil {
		log.Info("up", "device", up.Device.Short, "name", up.Device.Name, "dir", up.Dir, "api", up.API, "version", versionInfo().Version)
		daemon.SdNotify(false, daemon.SdNotifyReady)
		select {
		case <-ctx.Done():
		case err = <-ended:
		}
	}
	log.Info("closing")
	daemon.SdNotify(false, daemon.SdNotifyStopping)
	bounded, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if e := srv.Close(bounded); e != nil {
		log.Warn("requests cut off", "err", e)
	}
	return err
}

// describe says what is up.
func describe(ctx context.Context, n *node.Node, inst instance) (wire.Up, error) {
	sp, err := n.Space("")
	if err != nil {
		return wire.Up{}, err
	}
	st, err := sp.Status(ctx)
	if err != nil {
		return wire.Up{}, err
	}
	return wire.Up{
		Schema: wire.SchemaUp, Device: wire.DeviceOf(st.Device), Space: wire.SpaceOf(st.Space),
		Dir: inst.data, API: inst.socket, PID: os.Getpid(),
	}, nil
}

func (u *upCommand) nodeConfig(inst instance, log *slog.Logger) node.Config {
	return node.Config{
		Dir: inst.data, Store: u.store, Name: u.name, Relaxed: u.relaxed, NewIdentity: u.newIdentity, Logger: log,
		Poll: u.poll, NoGossip: u.noGossip,
		Network: u.network(filepath.Join(inst.data, "addresses.json"), log),
	}
}

// clearSocket removes what a killed daemon left behind, and nothing else. The lock of the data folder is held, so only a
// daemon of another data folder can be alive there.
func clearSocket(socket string) error {
	info, err := os.Lstat(socket)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Mode().Type() == fs.ModeSocket {
		conn, dialErr := net.DialTimeout("unix", socket, time.Second)
		if dialErr != nil {
			return os.Remove(socket)
		}
		conn.Close()
		return node.ErrDirInUse.With("Another peer, with another data folder, answers at %s", socket).
			Next("Use it:  peer status\nStop it:  peer down\nSecond instance:  peer up --dir DIR")
	}
	p := node.ErrInternal.With("%s is in the way; it is not a socket.", socket)
	p.Title = "Cannot start: the socket cannot be opened"
	return p.Next("Remove it, or name another socket:  peer up --api FILE")
}

// explainOpen says of a problem that it kept the daemon from starting.
func explainOpen(err error, inst instance) error {
	p := *node.ProblemOf(err)
	if !strings.HasPrefix(p.Title, "Cannot start") {
		p.Title = "Cannot start: " + lowerFirst(p.Title)
	}
	if p.Hint == "" {
		p.Hint = "The log may tell more:  " + home(logName(inst))
	}
	return &p
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
