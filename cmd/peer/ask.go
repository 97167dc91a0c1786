package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"syncline/node"
)

// errDeclined ends a command that a person said no to.
var errDeclined = &node.Problem{Code: "declined", Status: 409, Title: "Nothing was done", Detail: "The answer was no.", Hint: "Run it again to be asked again, or with -y."}

// confirm asks whether to go on. With -y the answer is yes; where nobody can be asked, it is a wrong usage that names the flag.
func (a *app) confirm(ctx context.Context, question string, def bool) error {
	if a.yes {
		return nil
	}
	if !a.interactive() {
		return usage("A question cannot be asked here", "%s There is no terminal to answer on.", question).Next("Answer it beforehand:  -y (--yes)")
	}
	ok, err := a.ask(ctx, question, def)
	if err == nil && !ok {
		return errDeclined
	}
	return err
}

// ask puts a question on standard error and reads the answer.
func (a *app) ask(ctx context.Context, question string, def bool) (bool, error) {
	choice := "[y/N]"
	if def {
		choice = "[Y/n]"
	}
	a.out.flush()
	fmt.Fprintf(a.out.err, "%s %s %s ", a.out.errSign(signAsk), question, choice)
	line, err := readLine(ctx)
	if err != nil {
		return false, err
	}
	switch strings.ToLower(line) {
	case "":
		return def, nil
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

// readLine reads a line of standard input, or gives up when ctx ends. The reader is left behind then; the process ends soon.
func readLine(ctx context.Context) (string, error) {
	type result struct {
		line string
		err  error
	}
	read, in := make(chan result, 1), os.Stdin
	go func() {
		line, err := bufio.NewReader(in).ReadString('\n')
		if line != "" {
			err = nil
		}
		read <- result{strings.TrimSpace(line), err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case r := <-read:
		if r.err != nil {
			return "", usage("The question was not answered", "Standard input ended.").Next("Answer it beforehand:  -y (--yes)")
		}
		return r.line, nil
	}
}
