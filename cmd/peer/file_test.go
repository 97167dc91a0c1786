package main

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
)

// Ctrl-C ends a command that waits for standard input, without a line being typed first.
func TestStdinEndsWithTheContext(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	was := os.Stdin
	os.Stdin = r
	defer func() { os.Stdin = was; w.Close(); r.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	in := stdin(ctx)
	if _, err := w.WriteString("begun"); err != nil {
		t.Fatal(err)
	}
	begun := make([]byte, 5)
	if _, err := io.ReadFull(in, begun); err != nil || string(begun) != "begun" {
		t.Fatalf("read %q, %v", begun, err)
	}
	cancel()
	if _, err := in.Read(begun); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v, want %v", err, context.Canceled)
	}
	if _, err := readLine(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a question after the end: %v, want %v", err, context.Canceled)
	}
}
