package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"

	"syncline/node"
	"syncline/node/api/wire"
)

// childVariable tells a process that it is the daemon which "peer up -d" started. It is no flag: people do not set it.
const childVariable = "SYNCLINE_PEER_CHILD"

// A childReport is the one line that the daemon writes to its parent: that it is up, or why not.
type childReport struct {
	Up      *wire.Up      `json:"up,omitempty"`
	Problem *wire.Problem `json:"problem,omitempty"`
}

// startChild starts this command line again in the background and returns when the daemon's API answers.
func startChild(ctx context.Context, inst instance) (wire.Up, error) {
	if lockStays(inst.data, lockPatiently) {
		return wire.Up{}, dirInUse(inst.data)
	}
	self, err := os.Executable()
	if err != nil {
		return wire.Up{}, node.ErrInternal.Because(err)
	}
	stderr, err := os.OpenFile(logName(inst), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return wire.Up{}, node.ErrStore.Because(err)
	}
	defer stderr.Close()
	cmd := exec.Command(self)
	cmd.Args = os.Args
	cmd.Env = append(os.Environ(), childVariable+"=1")
	cmd.Stderr = stderr // what the Go runtime has to say if it must
	detached(cmd)
	report, err := cmd.StdoutPipe()
	if err != nil {
		return wire.Up{}, node.ErrInternal.Because(err)
	}
	if err := cmd.Start(); err != nil {
		return wire.Up{}, node.ErrInternal.Because(err)
	}
	up, err := awaitReport(ctx, report, inst)
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return up, err
	}
	up.Log = logName(inst)
	return up, cmd.Process.Release()
}

// awaitReport reads what the daemon says of its start.
func awaitReport(ctx context.Context, r io.ReadCloser, inst instance) (wire.Up, error) {
	type outcome struct {
		report childReport
		err    error
	}
	read := make(chan outcome, 1)
	go func() {
		var o outcome
		o.err = json.NewDecoder(r).Decode(&o.report)
		read <- o
	}()
	select {
	case <-ctx.Done():
		return wire.Up{}, ctx.Err()
	case o := <-read:
		switch {
		case o.report.Problem != nil:
			return wire.Up{}, o.report.Problem.Err()
		case o.report.Up != nil:
			return *o.report.Up, nil
		}
		p := node.ErrInternal.With("The daemon ended before it was up: %s", lastWords(logName(inst)))
		p.Title = "Cannot start"
		return wire.Up{}, p.Next("Read the log:  " + home(logName(inst)))
	}
}

// runChild is the daemon in the background: it logs to a file and reports to its parent.
func (u *upCommand) runChild(inst instance) error {
	log, err := openLog(logName(inst), u.logLevel())
	if err == nil {
		defer log.close()
		os.Chdir("/") // hold no folder that somebody may want to unmount
		err = u.serve(inst, log.Logger, func(up wire.Up) error { return reportUp(childReport{Up: &up}) })
	}
	if err == nil {
		return nil
	}
	if log != nil {
		log.Error("ended", "err", err)
	}
	doc := wire.ProblemOf(err)
	reportUp(childReport{Problem: &doc})
	return quietExit(exitFailed)
}

func reportUp(r childReport) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(b, '\n'))
	return err
}

// lastWords returns what the end of a log says of the reason, for people: the first line of the last panic, or the last line.
func lastWords(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return "no log was written"
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	for i := len(lines) - 1; i >= 0 && !strings.HasPrefix(lines[i], "{"); i-- { // what stands behind the last record is the Go runtime's
		if strings.HasPrefix(lines[i], "panic: ") || strings.HasPrefix(lines[i], "fatal error: ") {
			return lines[i]
		}
	}
	return lines[len(lines)-1]
}
