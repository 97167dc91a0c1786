//go:build !linux

package main

import "github.com/rogpeppe/go-internal/testscript"

func canMount() bool { return false }

func smalldiskCommand(ts *testscript.TestScript, neg bool, args []string) {
	ts.Fatalf("no small disks here")
}

func fulldiskCommand(ts *testscript.TestScript, neg bool, args []string) {
	ts.Fatalf("no small disks here")
}
