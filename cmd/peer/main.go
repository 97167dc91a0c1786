// Command peer runs a device of Syncline and talks to it.
//
// It is a client of the local API that "peer up" serves on a Unix socket: whatever it can do, curl can do. One printer owns
// standard output; errors are three lines on standard error, or one problem document with --json. docs/reference/cli.md
// lists the commands and docs/reference/exit-codes.md what they return.
package main

import (
	"context"
	"os"
	"os/signal"
)

func main() { os.Exit(run(os.Args[1:])) }

// run carries out one command line and returns its exit code.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once

	a := newApp(args)
	root := newRoot(a)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = a.refused
	}
	if flushed := a.out.flush(); err == nil {
		err = flushed
	}
	return a.report(ctx, err)
}
