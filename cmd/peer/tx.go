package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

// txLineMax bounds one line of a script: a value of the largest size, every byte of it escaped.
const txLineMax = 8 << 20

func newTx(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "tx [FILE|-]",
		Short: "Write several entries together",
		Long: `Carry out the lines of a file or of standard input as one transaction: all of them
or none, here and on every other device. A line is one of

  put PATH VALUE|@FILE [--if-version V | --if-absent] [--type multi|lww]
                       [--json-value] [--content-type TYPE]
  del PATH [--if-version V] [--all]
  {"op":"put","path":"a","value":"text","if_match":"v1.…"}

with the flags of peer put and peer del. Words are separated by spaces; a word in
'single quotes' is taken as it stands, in "double quotes" \n, \t, \" and \\ have their
usual meaning. Empty lines and those that begin with # are passed over. JSON has the
values of peer import, and if_match, if_absent and all.

If a line cannot be carried out nothing is written, and the line is named. A
transaction has at most 10,000 lines and 16 MiB, and a path occurs once.`,
		Example: `  peer tx <<END
  put account/a 70 --if-version v1.9c2e41d0a7b35512
  put account/b 30 --if-absent
  del "transfers/to do"
  END`,
		Args: arguments("[FILE]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.openScript(cmd.Context(), orElse(first(args), "-"))
			if err != nil {
				return err
			}
			return a.withClient(cmd, requestTimeout, func(ctx context.Context, c *client.Client) error {
				doc, err := c.Tx(ctx, s.ops)
				if err != nil {
					return s.name(err)
				}
				return a.out.result(doc, func() { a.tellTx(doc) })
			})
		},
	}
}

// openScript reads the script of a file, or of standard input if the name is -.
func (a *app) openScript(ctx context.Context, name string) (*script, error) {
	in, _, err := openInput(ctx, name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if name == "-" && a.interactive() {
		a.out.note("Reading lines from the terminal; Ctrl-D ends and carries them out.")
	}
	return readScript(in)
}

func (a *app) tellTx(doc wire.TxDone) {
	puts, dels, remaining := 0, 0, 0
	for _, r := range doc.Results {
		if r.Op == "put" {
			puts++
		} else {
			dels++
		}
		remaining += r.Remaining
	}
	a.out.done("%s written, %s deleted, together.", entries(puts), count(dels))
	if remaining > 0 {
		a.out.look("%s. See:  %s conflicts", remain(remaining), a.self())
	}
}

// A script is a transaction as it was written, with the line of each operation.
type script struct {
	ops   []wire.TxOp
	lines []int
}

// readScript reads all lines. The first one that is wrong ends it.
func readScript(r io.Reader) (*script, error) {
	s := &script{}
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 64<<10), txLineMax)
	for n := 1; in.Scan(); n++ {
		text := strings.TrimSpace(in.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		op, err := parseTxLine(text)
		s.ops, s.lines = append(s.ops, op), append(s.lines, n)
		if err == nil && len(s.ops) > node.TxEntriesMax {
			err = node.ErrTooLarge.With("a transaction has at most %s lines", count(node.TxEntriesMax))
		}
		if err != nil {
			p := *node.ProblemOf(err)
			p.Index = len(s.ops)
			return nil, s.name(&p)
		}
	}
	if err := in.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, node.ErrTooLarge.With("A line has more than %s.", size(txLineMax)).Next("Keep the value in a file and write @FILE.")
	} else if err != nil {
		return nil, fileError(err)
	}
	if len(s.ops) == 0 {
		return nil, usage("The transaction is empty", "No line says what to do.").Next("Write lines as  put PATH VALUE  or  del PATH")
	}
	return s, nil
}

// name makes the problem of an operation name its line.
func (s *script) name(err error) error {
	p := *node.ProblemOf(err)
	if p.Index < 1 || p.Index > len(s.lines) {
		return err
	}
	p.Index = s.lines[p.Index-1]
	p.Detail = fmt.Sprintf("Line %d: %s", p.Index, p.Detail)
	if p.Status < 500 {
		p.Hint = strings.TrimSpace("Nothing was written. " + p.Hint)
	}
	return &p
}

// parseTxLine reads one line that is not empty.
func parseTxLine(text string) (wire.TxOp, error) {
	if text[0] == '{' {
		op, err := wire.ParseTxOp([]byte(text))
		if err != nil {
			return op, node.ErrBadRequest.With("%v", err).On(op.Path)
		}
		return op, nil
	}
	words, err := splitWords(text)
	if err != nil {
		return wire.TxOp{}, node.ErrBadRequest.With("%v", err)
	}
	if words[0] != "put" && words[0] != "del" {
		return wire.TxOp{}, node.ErrBadRequest.With("a line begins with put, del or {, not with “%s”", words[0])
	}
	return parseTxWords(words[0], words[1:])
}

// parseTxWords reads the arguments and flags of one put or del.
func parseTxWords(verb string, words []string) (wire.TxOp, error) {
	var v valueFlags
	var ifVersion, kind string
	var ifAbsent, all bool
	f := pflag.NewFlagSet(verb, pflag.ContinueOnError)
	f.Usage = func() {}
	f.StringVar(&ifVersion, "if-version", "", "")
	want := []string{"PATH"}
	if verb == "put" {
		want = append(want, "VALUE")
		v.add(f)
		f.StringVar(&kind, "type", "", "")
		f.BoolVar(&ifAbsent, "if-absent", false, "")
	} else {
		f.BoolVar(&all, "all", false, "")
	}
	if err := f.Parse(words); err != nil {
		_, fault := flagFault(err)
		return wire.TxOp{}, node.ErrBadRequest.With("%s: %s", verb, fault)
	}
	args := f.Args()
	if len(args) != len(want) {
		return wire.TxOp{}, node.ErrBadRequest.With("%s takes %s, not %s", verb, strings.Join(want, " and "), plural(len(args), "word", "words")).
			Next("Quote a value that holds spaces.")
	}
	op := wire.TxOp{Op: verb, Path: args[0]}
	if verb == "put" {
		if args[1] == "-" {
			return op, node.ErrBadRequest.With("the value cannot be read from standard input inside a script").Next(`Name a file as @FILE, or write the text as JSON:  {"op":"put","path":"a","value":"-"}`)
		}
		c, err := v.read(context.Background(), args[1]) // a file: standard input was refused
		if err != nil {
			return op, err
		}
		op = wire.PutOp(args[0], c)
	}
	op.Type, op.IfAbsent, op.All = kind, ifAbsent, all
	if f.Changed("if-version") {
		op.IfMatch = &ifVersion
	}
	if _, _, _, err := op.Parse(); err != nil {
		return op, node.ErrBadRequest.With("%v", err).On(op.Path)
	}
	return op, nil
}

// splitWords splits a line at spaces that are not quoted, as a shell does.
func splitWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote rune
	open, escaped := false, false
	for _, r := range line {
		switch {
		case escaped:
			escaped = false
			if at := strings.IndexRune("nt", r); at >= 0 && quote == '"' {
				r = rune("\n\t"[at])
			}
			word.WriteRune(r)
		case r == '\\' && quote != '\'':
			escaped, open = true, true
		case r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, open = r, true
		case r == ' ' || r == '\t':
			if open {
				words = append(words, word.String())
			}
			word.Reset()
			open = false
		default:
			word.WriteRune(r)
			open = true
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("the line ends inside a quoted word")
	}
	if open {
		words = append(words, word.String())
	}
	return words, nil
}
