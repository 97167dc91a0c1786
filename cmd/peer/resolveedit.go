package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/aymanbagabas/go-udiff"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
	"syncline/node/merge"
)

// editValues opens the values in the person's editor and writes what comes back.
func (r *resolveCommand) editValues(ctx context.Context, c *client.Client, conflict wire.Conflict) error {
	values := rivals(conflict.Values)
	var texts, names []string
	for i, v := range values {
		s, ok := v.Text()
		if !ok {
			return usage("Not text", "The value [%d] of %s cannot be edited as text.", i+1, conflict.Path).
				Next(fmt.Sprintf("%s resolve %s --keep 1      or --value @FILE", r.self(), pathWord(conflict.Path)))
		}
		texts = append(texts, s)
		device, at := v.Writer()
		names = append(names, fmt.Sprintf("[%d] %s, %s", i+1, shortName(device), when(at)))
	}
	m, err := marked(ctx, texts, names, baseText(conflict))
	if err != nil {
		return err
	}
	edited, file, err := r.editText(ctx, conflict.Path, m.text)
	if err != nil {
		return err
	}
	if err := r.checkEdit(ctx, m, edited, conflict.Path); err != nil {
		os.RemoveAll(filepath.Dir(file)) // nobody wrote anything
		return err
	}
	if left := m.left(edited); left != "" {
		return usage("Not decided yet", "The line “%s” is still there.", left).
			Next("Your text is in " + file + ". Choose between the marked parts, remove the marks, then:  " +
				r.self() + " resolve " + pathWord(conflict.Path) + " --value @" + quoteWord(file))
	}
	if m.unended {
		edited = strings.TrimSuffix(edited, "\n")
	}
	// An edit is the answer to what was shown: it replaces nothing else, even with -y.
	ask := wire.Resolve{Path: conflict.Path, IfMatch: &conflict.Version}
	content := node.Content{Data: []byte(edited), Type: cmp.Or(r.read.contentType, values[0].ContentType)}
	ask.Body = wire.BodyOf(content)
	if err := r.send(ctx, c, ask, "edited"); err != nil {
		p := *node.ProblemOf(err)
		p.Hint = strings.TrimSpace(p.Hint + "\nYour text is in " + file + ".")
		return &p
	}
	return os.RemoveAll(filepath.Dir(file))
}

// checkEdit refuses what people leave behind who give up: the text as it was, with its marks, and no text at all. A text that was put together
// without marks may be what is wanted; if somebody can be asked, they are.
func (r *resolveCommand) checkEdit(ctx context.Context, m markedText, edited, path string) error {
	switch {
	case strings.TrimSpace(edited) == "":
		return usage("The text is empty", "Nothing was decided.").Next("To store an empty value:  " + r.self() + " resolve " + path + " --value ''")
	case edited != m.text:
		return nil
	case m.left(edited) != "":
		return usage("The text was not changed", "The marks are still in it. Nothing was decided.").
			Next("Choose between the marked parts, remove the marks and save. The editor must stay until then (as code --wait).")
	case r.asks():
		return r.confirm(ctx, "The text was not changed; it holds what all sides changed. Write it?", true)
	}
	return nil
}

// A markedText is the values of a conflict as one text, with marks where they differ.
type markedText struct {
	text  string
	marks []string // the lines that begin and end a marked part
	// unended says that no value ends with a line feed, which the text does.
	unended bool
}

// baseText returns the text that the values of a conflict were made from, nil if it is not known or not text.
func baseText(c wire.Conflict) *string {
	if c.Base == nil || c.Base.Nothing {
		return nil
	}
	if s, ok := c.Base.Text(); ok {
		return &s
	}
	return nil
}

// marked puts values together. If it is known what they were made from, only the parts that were changed in different ways are marked,
// and the marked parts show it, too. Otherwise, of two values only the parts that differ are marked; of more, all of them as a whole.
func marked(ctx context.Context, values, names []string, base *string) (markedText, error) {
	m := markedText{unended: true}
	for i, v := range values {
		if strings.HasSuffix(v, "\n") {
			m.unended = false
		} else {
			values[i] += "\n"
		}
	}
	m.marks = []string{"<<<<<<< " + names[0], ">>>>>>> " + names[len(names)-1], "||||||| what they were made from"}
	var b strings.Builder
	switch {
	case base != nil:
		chunks, err := merge.Chunks(ctx, strings.TrimSuffix(*base, "\n")+"\n", values)
		if err != nil {
			return m, err
		}
		for _, c := range chunks {
			if c.Sides == nil {
				b.WriteString(c.Text)
			} else {
				b.WriteString(m.part(c.Sides, names, &c.Base))
			}
		}
		m.text = strings.TrimSuffix(b.String(), "\n")
		return m, nil
	case len(values) != 2:
		m.text = m.part(values, names, nil)
		return m, nil
	}
	at := 0
	for _, e := range udiff.Lines(values[0], values[1]) {
		b.WriteString(values[0][at:e.Start])
		b.WriteString(m.part([]string{values[0][e.Start:e.End], e.New}, names, nil))
		at = e.End
	}
	b.WriteString(values[0][at:])
	m.text = b.String()
	return m, nil
}

// part returns one marked part.
func (m markedText) part(sides, names []string, base *string) string {
	var b strings.Builder
	b.WriteString(m.marks[0] + "\n")
	for i, side := range sides {
		if i == 1 && base != nil {
			b.WriteString(m.marks[2] + "\n" + *base)
		}
		if i == 1 && len(sides) == 2 {
			b.WriteString("=======\n")
		} else if i > 0 {
			b.WriteString("======= " + names[i] + "\n")
		}
		b.WriteString(side)
	}
	b.WriteString(m.marks[1] + "\n")
	return b.String()
}

// left returns a mark that an edited text still has, or "".
func (m markedText) left(edited string) string {
	for line := range strings.Lines(edited) {
		if line = strings.TrimRight(line, "\r\n"); slices.Contains(m.marks, line) {
			return line
		}
	}
	return ""
}

// editText lets a person edit a text in a file of their own, and returns what they saved, and where. The caller removes the file's folder.
func (r *resolveCommand) editText(ctx context.Context, path, text string) (edited, file string, err error) {
	editor := cmp.Or(os.Getenv("VISUAL"), os.Getenv("EDITOR"))
	if editor == "" && !r.interactive() {
		return "", "", usage("No editor is known", "Neither VISUAL nor EDITOR names one.").Next("EDITOR=vi " + r.self() + " resolve " + path + " --edit")
	}
	dir, err := os.MkdirTemp("", "peer-edit")
	if err != nil {
		return "", "", fileError(err)
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	file = filepath.Join(dir, filepath.Base(filepath.FromSlash(path)))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return "", "", fileError(err)
	}
	cmd := editorCommand(ctx, cmp.Or(editor, "vi"), file)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stderr, os.Stderr // standard output is for documents
	if err := cmd.Run(); err != nil {
		p := usage("The editor failed", "“%s” %s. Nothing was decided.", cmp.Or(editor, "vi"), howItEnded(err))
		p.Cause = err
		return "", "", p.Next("VISUAL or EDITOR names the editor; it must stay until the text is saved (as code --wait).")
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", "", fileError(err)
	}
	return string(b), file, nil
}

// editorCommand returns the command that opens a file in an editor, which is named as a shell reads it: a program and its arguments.
func editorCommand(ctx context.Context, editor, file string) *exec.Cmd {
	if runtime.GOOS == "windows" {
		words := strings.Fields(editor)
		return exec.CommandContext(ctx, words[0], append(words[1:], file)...)
	}
	return exec.CommandContext(ctx, "sh", "-c", editor+` "$@"`, editor, file)
}

// shellNotFound is what a shell ends with if there is no such program.
const shellNotFound = 127

// howItEnded says how a program ended that did not succeed, to go on a sentence.
func howItEnded(err error) string {
	exit := new(exec.ExitError)
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == shellNotFound, errors.Is(err, exec.ErrNotFound):
		return "was not found"
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return fmt.Sprintf("ended with code %d", exit.ExitCode())
	case errors.As(err, &exit):
		return "was ended by a signal"
	}
	return "could not be started"
}
