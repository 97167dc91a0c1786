package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

// Exit codes; docs/reference/exit-codes.md explains them. Codes may be added: an unknown one is a failure.
const (
	exitDone         = 0
	exitFailed       = 1
	exitUsage        = 2
	exitNotFound     = 3
	exitPrecondition = 4
	exitConflicts    = 5
	exitNotRunning   = 6
	exitNotAllowed   = 7
	exitTimeout      = 8
	exitBroken       = 9  // sim: a claim is broken
	exitUndecided    = 10 // sim: a run did not come to its end
	exitInterrupted  = 130
	exitPipe         = 141
	exitTerminated   = 143 // sim: SIGTERM; elsewhere the signal itself ends the process
)

// exitCodes gives the code of the problems that are more than a failure.
var exitCodes = map[string]int{
	errUsage.Code:                exitUsage,
	node.ErrBadPath.Code:         exitUsage,
	node.ErrBadRequest.Code:      exitUsage,
	node.ErrTicketBad.Code:       exitUsage,
	node.ErrNotFound.Code:        exitNotFound,
	node.ErrNoConflict.Code:      exitNotFound,
	node.ErrHistoryExpired.Code:  exitNotFound,
	node.ErrNoSpace.Code:         exitNotFound,
	node.ErrNoDevice.Code:        exitNotFound,
	node.ErrTicketUnknown.Code:   exitNotFound,
	node.ErrVersionMismatch.Code: exitPrecondition,
	node.ErrExists.Code:          exitPrecondition,
	node.ErrChangedSince.Code:    exitPrecondition,
	client.ErrNotRunning.Code:    exitNotRunning,
	node.ErrClosed.Code:          exitNotRunning,
	node.ErrForbidden.Code:       exitNotAllowed,
	node.ErrJoinDenied.Code:      exitNotAllowed,
	node.ErrNotCaughtUp.Code:     exitTimeout,
	client.ErrTimeout.Code:       exitTimeout,
}

// errUsage is the problem of a command line that cannot be carried out as it stands.
var errUsage = &node.Problem{Code: "usage", Status: 400, Title: "Wrong usage", Hint: "peer help lists the commands."}

// errInterrupted is the problem of a command that was ended by Ctrl-C.
var errInterrupted = &node.Problem{Code: "interrupted", Status: 499, Title: "Interrupted", Detail: "The command was ended before it was done.", Hint: "Run it again.", Retryable: true}

// usage returns a problem of the command line with its own title.
func usage(title, detail string, args ...any) *node.Problem {
	p := errUsage.With(detail, args...)
	p.Title = title
	return p
}

// A quietExit ends the command with a code and without a message: everything has been said.
type quietExit int

func (q quietExit) Error() string { return fmt.Sprintf("exit %d", int(q)) }

// report prints err, if it is one, and returns the exit code.
func (a *app) report(ctx context.Context, err error) int {
	var quiet quietExit
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &quiet):
		return int(quiet)
	case errors.Is(err, syscall.EPIPE):
		return exitPipe
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		if a.json {
			a.out.problem(errInterrupted)
		}
		return exitInterrupted
	case errors.Is(err, context.DeadlineExceeded):
		err = client.ErrTimeout.With("It was not done in time.")
	}
	p := node.ProblemOf(err)
	if inst, err := a.instance(); err == nil && errors.Is(p, client.ErrCutOff) {
		p = p.Next(p.Hint + "\nThe log:  " + home(logName(inst)))
	}
	a.out.problem(a.address(p))
	return exitCode(p)
}

// address makes the commands in the hint of a problem such that they can be typed as they stand: about the path of the problem, where it
// has one, and about this instance, where they mean it: other hints are about other devices.
func (a *app) address(p *node.Problem) *node.Problem {
	hint := p.Hint
	if p.Path != "" {
		hint = pathInHint.ReplaceAllLiteralString(hint, pathWord(p.Path))
	}
	if a.dir != "" && slices.ContainsFunc(ownProblems, func(own *node.Problem) bool { return errors.Is(p, own) }) {
		hint = ownCommands.ReplaceAllStringFunc(orElse(hint, hintNone), func(command string) string { return a.self() + strings.TrimPrefix(command, "peer") })
	}
	if hint == p.Hint {
		return p
	}
	return p.Next(hint)
}

// hintNone is what to do about a problem that does not say.
const hintNone = "See how things are:  peer status"

// ownProblems are those whose hints are about the instance that has them, ownCommands the commands there.
var (
	ownProblems = []*node.Problem{node.ErrDirInUse, node.ErrNotFound, node.ErrNoConflict, node.ErrFilling, node.ErrHistoryExpired, client.ErrNotRunning, client.ErrDamaged, client.ErrCutOff, node.ErrFileDamaged,
		node.ErrNoDevice, node.ErrChangedSince, node.ErrBadRequest, node.ErrNotCaughtUp, node.ErrMember, node.ErrTicketSpent, node.ErrTicketUnknown, node.ErrNoSpace, node.ErrMergeFailed,
		node.ErrStore, node.ErrNowhere, node.ErrLost, errUsage}
	ownCommands = regexp.MustCompile(`\bpeer (status|down|up -d|ls|del|conflicts|history|restore|repair|devices|invites|undo|config|policy|doctor)\b`)
	pathInHint  = regexp.MustCompile(`\bPATH\b`)
)

func exitCode(p *node.Problem) int {
	code, ok := exitCodes[p.Code]
	if p.Index > 0 && code == exitUsage {
		return exitFailed // a line of an import or a transaction, not the command line
	}
	if ok {
		return code
	}
	return exitFailed
}

// problem prints p on standard error: one document, or what happened, why, and what to do.
func (o *printer) problem(p *node.Problem) {
	o.flush()
	if o.json {
		b, _ := wire.Encode(wire.ProblemOf(p))
		fmt.Fprintf(o.err, "%s\n", b)
		return
	}
	detail, hint := p.Detail, p.Hint
	if detail == "" {
		detail = strings.TrimSpace("No more is known. " + p.Path)
	}
	if hint == "" {
		hint = hintNone
	}
	fmt.Fprintf(o.err, "%s %s\n", o.errSign(signFailed), sentence(p.Title))
	for line := range strings.Lines(detail) { // most have one; a file may have a line for each mistake
		if line = oneLine(line); line != "" {
			fmt.Fprintf(o.err, "  %s\n", line)
		}
	}
	fmt.Fprintf(o.err, "  %s\n", oneLine(hint))
}

// oneLine puts the lines of s side by side, without characters that could play tricks on a terminal.
func oneLine(s string) string {
	var parts []string
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			parts = append(parts, line)
		}
	}
	return visible(strings.Join(parts, "      "))
}

// sentence ends s with a full stop.
func sentence(s string) string {
	if strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}
