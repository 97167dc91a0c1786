package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-datastore"
	"github.com/rogpeppe/go-internal/testscript"

	"syncline/crdt"
	"syncline/node/api/wire"
	"syncline/store"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"peer": main})
}

// The scripts run the program as people do. Each has a home of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               setupScript,
		RequireExplicitExec: true,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"documents": documentsCommand,
			"until":     untilCommand,
			"signal":    signalCommand,
			"pty":       ptyCommand,
			"exits":     exitsCommand,
			"value":     valueCommand,
			"past":      pastCommand,
			"fill":      fillCommand,
			"port":      portCommand,
			"damage":    damageCommand,
			"halve":     halveCommand,
			"spoil":     spoilCommand,
			"aside":     asideCommand,
			"smalldisk": smalldiskCommand,
			"fulldisk":  fulldiskCommand,
			"entries":   entriesCommand,
		},
		Condition: func(cond string) (bool, error) {
			if cond == "no-network" {
				return exec.Command("unshare", "-rn", "true").Run() == nil, nil
			}
			if cond == "mounts" {
				return canMount(), nil
			}
			return false, fmt.Errorf("unknown condition %s", cond)
		},
	})
}

func setupScript(env *testscript.Env) error {
	for _, dir := range []string{"home", "run", "tmp"} {
		if err := os.Mkdir(filepath.Join(env.WorkDir, dir), 0o700); err != nil {
			return err
		}
	}
	env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
	env.Setenv("XDG_RUNTIME_DIR", filepath.Join(env.WorkDir, "run"))
	env.Setenv("TMPDIR", filepath.Join(env.WorkDir, "tmp"))
	env.Setenv("PEER_NO_LAN", "1")
	env.Defer(func() { killDaemons(env.WorkDir) })
	return nil
}

// killDaemons ends what a script left running: the holders of locks under its folder.
func killDaemons(dir string) {
	filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "peer.lock" && lockHeld(filepath.Dir(name)) {
			if info, err := readLock(filepath.Dir(name)); err == nil {
				kill(info.PID)
			}
		}
		return nil
	})
}

// kill ends a process at once.
func kill(pid int) error {
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	return err
}

// documents FILE SCHEMA… checks that FILE (or stdout, stderr) holds one JSON document a line, with these schemas.
func documentsCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: documents FILE SCHEMA…")
	}
	got, err := schemas(ts.ReadFile(args[0]))
	ts.Check(err)
	if want := strings.Join(args[1:], " "); strings.Join(got, " ") != want {
		ts.Fatalf("schemas %q, want %q", strings.Join(got, " "), want)
	}
}

// schemas reads lines of JSON and returns the schema of each; that of a problem is "problem".
func schemas(s string) ([]string, error) {
	var out []string
	for line := range strings.Lines(s) {
		var doc struct{ Schema, Code string }
		if err := json.Unmarshal([]byte(line), &doc); err != nil {
			return nil, fmt.Errorf("%v in %q", err, line)
		}
		switch {
		case doc.Schema != "":
			out = append(out, doc.Schema)
		case doc.Code != "":
			out = append(out, "problem")
		default:
			return nil, fmt.Errorf("a document without schema: %s", line)
		}
	}
	return out, nil
}

// value FILE KEY sets the variable KEY to that field of the JSON document in FILE.
func valueCommand(ts *testscript.TestScript, neg bool, args []string) {
	var doc map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &doc))
	v, ok := doc[args[1]]
	if !ok {
		ts.Fatalf("no %s in %v", args[1], doc)
	}
	ts.Setenv(args[1], fmt.Sprint(v))
}

// past FILE TEXT sets the variable TEXT, in capitals, to as much as a person types of the version in FILE that holds it.
func pastCommand(ts *testscript.TestScript, neg bool, args []string) {
	var doc wire.History
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &doc))
	for _, r := range doc.Versions {
		if text, ok := r.Text(); ok && text == args[1] {
			ts.Setenv(strings.ToUpper(args[1]), strings.TrimPrefix(r.Version, "h.")[:8])
			return
		}
	}
	ts.Fatalf("no version holds %q", args[1])
}

// until CMD… runs a command until it succeeds, for a minute at most.
func untilCommand(ts *testscript.TestScript, neg bool, args []string) {
	deadline := time.Now().Add(time.Minute)
	for {
		err := ts.Exec(args[0], args[1:]...)
		if (err == nil) != neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s: still %v after a minute", strings.Join(args, " "), err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// signal KILL|TERM DATA sends a signal to the daemon of a data folder and waits until it has ended.
func signalCommand(ts *testscript.TestScript, neg bool, args []string) {
	data := ts.MkAbs(args[1])
	info, err := readLock(data)
	ts.Check(err)
	ts.Check(map[string]func(int) error{"KILL": kill, "TERM": terminate}[args[0]](info.PID))
	for lockHeld(data) {
		time.Sleep(time.Millisecond)
	}
}

// exits CODE CMD… runs a command and checks its exit code; what it prints can be looked at as after exec.
func exitsCommand(ts *testscript.TestScript, neg bool, args []string) {
	code := 0
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// fill FILE N writes a file of N bytes.
func fillCommand(ts *testscript.TestScript, neg bool, args []string) {
	var n int
	if _, err := fmt.Sscan(args[1], &n); err != nil {
		ts.Fatalf("%v", err)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Repeat("x", n)), 0o600))
}

// damage DATA PATH spoils the record of an entry in the store of a daemon that has ended.
func damageCommand(ts *testscript.TestScript, neg bool, args []string) {
	ds := openStopped(ts, args[0])
	ts.Check(ds.Put(context.Background(), datastore.RawKey("/d/"+args[1]), []byte{9}))
	ts.Check(ds.Close())
}

// spoil DATA PART changes 40 bytes of the largest table in the store of a daemon that has ended, at so many hundredths of it.
func spoilCommand(ts *testscript.TestScript, neg bool, args []string) {
	tables, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "spaces", "*", "db", "*.sst"))
	ts.Check(err)
	name, largest := "", int64(0)
	for _, table := range tables {
		if info, err := os.Stat(table); err == nil && info.Size() > largest {
			name, largest = table, info.Size()
		}
	}
	var part int
	_, err = fmt.Sscan(args[1], &part)
	ts.Check(err)
	b, err := os.ReadFile(name)
	ts.Check(err)
	for i := range 40 {
		b[len(b)*part/100+i] ^= 0xa5
	}
	ts.Check(os.WriteFile(name, b, 0o600))
	ts.Setenv("table", filepath.Base(name))
}

// aside DATA moves the store of a daemon that has ended away.
func asideCommand(ts *testscript.TestScript, neg bool, args []string) {
	found, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "spaces", "*", "db"))
	ts.Check(err)
	for _, db := range found {
		ts.Check(os.Rename(db, db+".aside"))
	}
}

// entries FILE N writes lines to import: N entries with values that differ.
func entriesCommand(ts *testscript.TestScript, neg bool, args []string) {
	var n int
	_, err := fmt.Sscan(args[1], &n)
	ts.Check(err)
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"path":"e/%05d","value":"value %d of some words, %x"}`+"\n", i, i, uint32(i)*2654435761)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o600))
}

// halve DATA PATH makes a stopped device one that is taking over a large state, and has come as far as PATH.
func halveCommand(ts *testscript.TestScript, neg bool, args []string) {
	ds := openStopped(ts, args[0])
	st, err := store.Open(context.Background(), ds, store.Options{})
	ts.Check(err)
	tx := st.Begin()
	tx.Cut(args[1])
	tx.AdvancePart(0, crdt.Dot{Replica: crdt.ReplicaID{9}, Counter: 1})
	ts.Check(tx.Commit())
	ts.Check(st.Close(context.Background(), false))
	ts.Check(ds.Close())
}

// openStopped opens the store of a device that does not run.
func openStopped(ts *testscript.TestScript, data string) datastore.Batching {
	found, err := filepath.Glob(filepath.Join(ts.MkAbs(data), "spaces", "*", "db"))
	ts.Check(err)
	if len(found) != 1 {
		ts.Fatalf("stores: %q", found)
	}
	ds, err := store.OpenBackend("pebble:", found[0])
	ts.Check(err)
	return ds
}

// port NAME sets the variable NAME to a TCP port that is free on loopback, for a device that must be found again.
func portCommand(ts *testscript.TestScript, neg bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer l.Close()
	ts.Setenv(args[0], fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
}
