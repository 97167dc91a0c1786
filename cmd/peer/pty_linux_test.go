package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// pty [-in FILE] [-pipe] CODE CMD… runs a command on a terminal, with FILE typed in, and checks its exit code. What the
// terminal shows goes to the file tty; with -pipe only questions and errors go there and standard output to the file out.
func ptyCommand(ts *testscript.TestScript, neg bool, args []string) {
	var typed string
	pipe := false
	for strings.HasPrefix(args[0], "-") {
		if args[0] == "-pipe" {
			pipe, args = true, args[1:]
			continue
		}
		typed, args = ts.ReadFile(args[1]), args[2:]
	}
	main, terminal, err := openTerminal()
	ts.Check(err)
	name, err := exec.LookPath(args[1])
	ts.Check(err)
	cmd := exec.Command(name, args[2:]...)
	cmd.Args[0] = args[1]
	cmd.Dir, cmd.Env = ts.MkAbs("."), environ(ts)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	var out bytes.Buffer
	if pipe {
		cmd.Stdout = &out
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	ts.Check(cmd.Start())
	terminal.Close()
	io.WriteString(main, typed)
	shown, _ := io.ReadAll(main) // ends with EIO when the last process has left the terminal
	cmd.Wait()
	main.Close()
	text := strings.ReplaceAll(string(shown), "\r\n", "\n")
	ts.Logf("[tty]\n%s", text)
	ts.Check(os.WriteFile(ts.MkAbs("tty"), []byte(text), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("out"), out.Bytes(), 0o600))
	if got := fmt.Sprint(cmd.ProcessState.ExitCode()); got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// environ is the environment of a script, as far as commands need it.
func environ(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "XDG_RUNTIME_DIR", "PEER_NO_LAN", "NO_COLOR", "WORK"} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return append(env, "TERM=xterm")
}

// openTerminal returns both ends of a new pseudo-terminal of 100 columns.
func openTerminal() (main, terminal *os.File, err error) {
	if main, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	fd := int(main.Fd())
	if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err == nil {
		var n int
		if n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN); err == nil {
			terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
		}
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 100})
	}
	if err != nil {
		main.Close()
	}
	return main, terminal, err
}
