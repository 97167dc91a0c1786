package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/term"

	"syncline/node"
	"syncline/node/api/wire"
)

// A sign opens a line that tells how something went. Colour is never the only sign.
type sign struct{ text, color string }

var (
	signDone   = sign{"✓", green}
	signLook   = sign{"!", yellow}
	signFailed = sign{"✗", red}
	signAsk    = sign{"?", blue}
)

// Colours of the terminal.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	blue   = "34"
	dim    = "2"
)

// A printer is the only writer of standard output. With json it prints documents and nothing else there; prose then goes
// nowhere, and errors are documents on standard error.
type printer struct {
	w   *bufio.Writer
	out *os.File // what w writes to
	err io.Writer
	// tty and errTTY say that a person reads; color and errColor that the terminal shows colours.
	tty, errTTY, color, errColor bool
	json, quiet                  bool
	// width is the number of columns of the terminal.
	width int
}

func newPrinter(out, err *os.File) *printer {
	o := &printer{
		w: bufio.NewWriterSize(outputWriter{out}, 64<<10), out: out, err: err,
		tty: term.IsTerminal(int(out.Fd())), errTTY: term.IsTerminal(int(err.Fd())), width: 80,
	}
	o.color, o.errColor = o.tty, o.errTTY
	if w, _, e := term.GetSize(int(out.Fd())); e == nil && w > 0 {
		o.width = w
	}
	return o
}

// errOutput is the problem of a standard output that takes no more.
var errOutput = &node.Problem{Code: "output_failed", Status: 500, Title: "The output could not be written", Hint: "Look at where it goes: a disk may be full."}

// An outputWriter is standard output with errors for people. The end of a pipe stays what it is, see report.
type outputWriter struct{ f *os.File }

func (o outputWriter) Write(b []byte) (int, error) {
	n, err := o.f.Write(b)
	if err != nil {
		p := errOutput.With("%s", fileFault(err))
		p.Cause = err
		err = p
	}
	return n, err
}

// document prints v as one line of JSON.
func (o *printer) document(v any) error {
	b, err := wire.Encode(v)
	if err != nil {
		return err
	}
	o.w.Write(b)
	return o.w.WriteByte('\n')
}

// result prints v with --json, and otherwise what say says.
func (o *printer) result(v any, say func()) error {
	if o.json {
		return o.document(v)
	}
	say()
	return nil
}

// print prints data for people or pipes.
func (o *printer) print(format string, args ...any) { fmt.Fprintf(o.w, format, args...) }

// done says that something is done.
func (o *printer) done(format string, args ...any) { o.signed(signDone, format, args...) }

// look says what a person should look at.
func (o *printer) look(format string, args ...any) { o.signed(signLook, format, args...) }

func (o *printer) signed(s sign, format string, args ...any) {
	if !o.quiet && !o.json {
		fmt.Fprintf(o.w, "%s %s\n", paint(o.color, s.color, s.text), fmt.Sprintf(format, args...))
	}
}

// say prints a line of prose.
func (o *printer) say(format string, args ...any) {
	if !o.quiet && !o.json {
		fmt.Fprintf(o.w, format+"\n", args...)
	}
}

// note prints a line of prose on standard error, for commands whose standard output is data.
func (o *printer) note(format string, args ...any) {
	if !o.quiet {
		o.flush()
		fmt.Fprintf(o.err, format+"\n", args...)
	}
}

// whileRead returns a context that ends with ctx, or with the cause [syscall.EPIPE] when what reads standard output goes away: for
// commands that have nothing to write for long, and so would not notice. The caller calls stop.
func (o *printer) whileRead(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if readerLeaves(ctx, o.out) {
			cancel(syscall.EPIPE)
		}
	}()
	return ctx, func() { cancel(nil); <-done }
}

// flush hands everything to the operating system.
func (o *printer) flush() error { return o.w.Flush() }

func (o *printer) errSign(s sign) string { return paint(o.errColor, s.color, s.text) }

// dim returns s in a quieter colour.
func (o *printer) dim(s string) string { return paint(o.color, dim, s) }

func paint(on bool, color, s string) string {
	if !on || color == "" || s == "" {
		return s
	}
	return "\x1b[" + color + "m" + s + "\x1b[0m"
}
