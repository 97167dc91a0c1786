//go:build linux

package netns

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A terminal is where one device's commands are typed, one at a time.
type terminal struct {
	d       *device
	command string
	cmd     *exec.Cmd
	main    *os.File
	done    chan struct{} // closed when the command has ended and all is read
	read    int           // lines that were expected or passed over

	mu    sync.Mutex // guards shown
	shown string
}

func newTerminal(d *device) *terminal { return &terminal{d: d} }

// start types a command, in a folder.
func (s *terminal) start(command, dir string) {
	s.d.t.Helper()
	main, tty, err := openTerminal()
	must(s.d.t, err)
	defer tty.Close()
	s.command, s.main, s.done, s.read, s.shown = command, main, make(chan struct{}), 0, ""
	s.cmd = s.d.Host.Command(s.d.within(2*commandMax), "sh", "-c", command)
	s.cmd.Env, s.cmd.Dir = append(s.d.Environment(), "TERM=xterm", "NO_COLOR=1"), dir
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = tty, tty, tty
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must(s.d.t, s.cmd.Start())
	go s.follow(main, s.done)
}

// follow reads what is shown until the last process has left the terminal.
func (s *terminal) follow(main io.Reader, done chan struct{}) {
	defer close(done)
	b := make([]byte, 4096)
	for {
		n, err := main.Read(b)
		s.mu.Lock()
		s.shown += string(b[:n])
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

var control = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")

// lines returns what a person sees, without empty lines: a line that was written over is what was written last.
func (s *terminal) lines() []string {
	s.mu.Lock()
	text := s.shown
	s.mu.Unlock()
	var out []string
	for line := range strings.SplitSeq(control.ReplaceAllString(text, ""), "\n") {
		line = strings.TrimRight(line, "\r ")
		line = line[strings.LastIndexByte(line, '\r')+1:]
		if strings.TrimSpace(line) != "" {
			out = append(out, line)
		}
	}
	return out
}

// expect waits for a line. A question ends with its answer, which is typed.
func (s *terminal) expect(want string, w *words) {
	s.d.t.Helper()
	question, answer, asks := cutAnswer(want)
	for deadline := time.Now().Add(readmeStepMax); ; time.Sleep(poll) {
		ended := s.ended() // before the look, so that nothing can come after it
		if s.pass(question, w) {
			break
		}
		if ended || time.Now().After(deadline) {
			s.d.t.Fatalf("%s$ %s\nshows %q\nand not %q", s.d.Name(), s.command, s.lines(), want)
		}
	}
	if asks {
		io.WriteString(s.main, answer+"\n")
	}
}

// pass looks for a line that was not expected before and passes over it.
func (s *terminal) pass(want string, w *words) bool {
	lines := s.lines()
	for i := s.read; i < len(lines); i++ {
		if w.match(want, lines[i]) {
			s.read = i + 1
			return true
		}
	}
	return false
}

// cutAnswer splits "… Let it in? [Y/n] y".
func cutAnswer(line string) (question, answer string, ok bool) {
	for _, choice := range []string{"[Y/n]", "[y/N]"} {
		if before, after, found := strings.Cut(line, choice); found {
			return before + choice, strings.TrimSpace(after), true
		}
	}
	return line, "", false
}

func (s *terminal) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// finish waits for the end of the last command, if there is one. It has succeeded and shown nothing after what was expected.
func (s *terminal) finish() {
	s.d.t.Helper()
	if s.cmd == nil {
		return
	}
	err := s.cmd.Wait()
	select {
	case <-s.done:
	case <-time.After(time.Second): // a daemon may keep the terminal open
	}
	s.main.Close()
	s.cmd = nil
	lines := s.lines()
	if err != nil {
		s.d.t.Fatalf("%s$ %s\n%v: %q", s.d.Name(), s.command, err, lines)
	}
	if rest := lines[min(s.read, len(lines)):]; len(rest) > 0 {
		s.d.t.Errorf("%s$ %s\nshows more than the document: %q", s.d.Name(), s.command, rest)
	}
}

// openTerminal returns both ends of a new pseudo-terminal of 100 columns.
func openTerminal() (main, tty *os.File, err error) {
	if main, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	fd := int(main.Fd())
	if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err == nil {
		var n int
		if n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN); err == nil {
			tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
		}
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 100})
	}
	if err != nil {
		main.Close()
	}
	return main, tty, err
}
