//go:build !linux

package main

import "github.com/rogpeppe/go-internal/testscript"

// ptyCommand is there on Linux only; a script that uses it asks for Linux first.
func ptyCommand(ts *testscript.TestScript, neg bool, args []string) {
	ts.Fatalf("pty: pseudo-terminals are opened the Linux way; begin the line with [linux]")
}
