package main

import (
	"context"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"syncline/node"
	"syncline/node/api/wire"
)

// valueFlags say how a value given on the command line is to be read.
type valueFlags struct {
	json        bool
	contentType string
}

func (v *valueFlags) add(f *pflag.FlagSet) {
	f.BoolVar(&v.json, "json-value", false, "the value is JSON; refuse it if it is not")
	f.StringVar(&v.contentType, "content-type", "", "media type to store with the value (default: text, or bytes if it is none)")
}

// read returns the value that arg stands for: itself, "-" for standard input, "@FILE" for a file; "@@" begins a text with "@".
func (v valueFlags) read(ctx context.Context, arg string) (node.Content, error) {
	c, err := readContent(ctx, arg)
	if err != nil {
		return c, err
	}
	if len(c.Data) > node.ValueBytesMax {
		p := node.ErrTooLarge.With("The value has more than 1,048,576 bytes (1 MiB).").
			Next("Split it into several entries, or keep it in a file and store its place.")
		p.Limit = node.ValueBytesMax
		return c, p
	}
	if v.json {
		if err := wire.CheckJSON(c.Data); err != nil {
			return c, usage("Not JSON", "The value is not valid JSON: %v.", err).
				Next("Correct it, or leave out --json-value to store it as text.")
		}
		c.Type = node.MediaTypeJSON
	}
	if v.contentType != "" {
		if strings.ContainsFunc(v.contentType, func(r rune) bool { return r < ' ' || r > '~' }) {
			return c, usage("Not a media type", "--content-type %q has a character that is not printable ASCII.", v.contentType).
				Next("A media type looks like text/markdown or image/png.")
		}
		c.Type = v.contentType
	}
	return c, nil
}

func readContent(ctx context.Context, arg string) (node.Content, error) {
	switch {
	case arg == "-":
		return readAll(stdin(ctx))
	case strings.HasPrefix(arg, "@@"):
		return node.Text(arg[1:]), nil
	case strings.HasPrefix(arg, "@"):
		const hint = "Look at its name and who may use it. A text that begins with @ is written @@…"
		if arg == "@" {
			return node.Content{}, usage("The file has no name", "Nothing follows the @.").Next(hint)
		}
		f, err := os.Open(arg[1:])
		if err != nil {
			return node.Content{}, node.ProblemOf(fileError(err)).Next(hint)
		}
		defer f.Close()
		return readAll(f)
	}
	return node.Text(arg), nil
}

// readAll reads a value and no more than shows that it is too large.
func readAll(r io.Reader) (node.Content, error) {
	b, err := io.ReadAll(io.LimitReader(r, node.ValueBytesMax+1))
	if err != nil {
		return node.Content{}, fileError(err)
	}
	if c := node.Text(string(b)); c.IsText() {
		return c, nil
	}
	return node.Bytes(b), nil
}
