package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"syncline/node"
	"syncline/node/api/client"
)

// fileError is the problem of a file that was named on the command line.
func fileError(err error) error {
	p := usage("The file cannot be used", "%s", fileFault(err)).Next("Look at its name and who may use it.")
	p.Cause = err
	return p
}

// fileFault says what is wrong with a file, without the name of the system call.
func fileFault(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		return fmt.Sprintf("%s: %v", home(at.Path), at.Err)
	}
	return err.Error()
}

// faultOf is an error about a temporary file or a link as one about the file that it stands for.
func faultOf(name string, err error) error {
	var at *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &at):
		err = at.Err
	case errors.As(err, &link):
		err = link.Err
	}
	return fileError(&fs.PathError{Op: "write", Path: name, Err: err})
}

// stdin returns standard input as a reader that ends with ctx: a person who presses Ctrl-C need not type a line first. What reads is
// left behind then; the process ends soon.
func stdin(ctx context.Context) io.ReadCloser {
	r, w := io.Pipe()
	in := os.Stdin
	go func() {
		_, err := io.Copy(w, in)
		w.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
	return r
}

// openInput opens a file to be read, or standard input if the name is -, and returns its size, or -1 if that is not known. The caller
// closes it.
func openInput(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	if name == "-" {
		return stdin(ctx), -1, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, fileError(err)
	}
	info, err := f.Stat()
	switch {
	case err != nil || !info.Mode().IsRegular() && !info.IsDir():
		return f, -1, nil
	case info.IsDir():
		f.Close()
		return nil, 0, fileError(&fs.PathError{Op: "read", Path: name, Err: syscall.EISDIR})
	}
	return f, info.Size(), nil
}

// mayWrite refuses the name of a file that exists, before the work that would be lost with it. A pipe or a device may be written to.
func mayWrite(name, replace string) error {
	info, err := os.Lstat(name)
	if err != nil || !info.Mode().IsRegular() && info.Mode()&fs.ModeSymlink == 0 {
		return nil // whoever writes there says what is wrong
	}
	p := node.ErrExists.With("%s is there, from %s.", home(name), when(info.ModTime()))
	p.Title = "The file exists already"
	return p.Next("Name another one, or replace it:  " + replace)
}

// writeWhole writes a file that appears under its name only when all of it is there and on disk, but for entries that cannot be read:
// then it returns that error, too. What is no file, as a pipe, is written to as it comes.
func writeWhole(name string, r io.Reader) error {
	info, err := os.Stat(name)
	switch {
	case name == "":
		return usage("The file has no name", "Its name is empty.").Next("Give one.")
	case err == nil && info.IsDir():
		return faultOf(name, syscall.EISDIR)
	case err == nil && !info.Mode().IsRegular():
		return writeInto(name, r)
	case err == nil:
		if real, err := filepath.EvalSymlinks(name); err == nil {
			name = real
		}
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return faultOf(name, err)
	}
	defer os.Remove(tmp.Name())
	damaged, err := copyTo(tmp, name, r)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), name); err != nil {
		return faultOf(name, err)
	}
	return damaged
}

// writeInto is writeWhole for what is no file.
func writeInto(name string, r io.Reader) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return fileError(err)
	}
	damaged, err := copyTo(f, name, r)
	return cmp.Or(err, damaged)
}

// copyTo writes all of r to f, which stands for the file of that name, and closes it. An error of r is returned as it is; damaged is
// one after which everything else has come.
func copyTo(f *os.File, name string, r io.Reader) (damaged, err error) {
	if _, err = io.Copy(fileWriter{f, name}, r); errors.Is(err, client.ErrDamaged) {
		damaged, err = err, nil
	}
	if info, statErr := f.Stat(); err == nil && statErr == nil && info.Mode().IsRegular() {
		if syncErr := f.Sync(); syncErr != nil {
			err = faultOf(name, syncErr)
		}
	}
	if closeErr := f.Close(); err == nil && closeErr != nil {
		err = faultOf(name, closeErr)
	}
	return damaged, err
}

// A fileWriter names the file in the errors of writing it.
type fileWriter struct {
	f    *os.File
	name string
}

func (w fileWriter) Write(b []byte) (int, error) {
	n, err := w.f.Write(b)
	if err != nil {
		err = faultOf(w.name, err)
	}
	return n, err
}
