//go:build linux

package netns

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"syncline/node/api/client"
)

// A Peer is a device: a home folder on a host, and the binary that its owner runs there.
type Peer struct {
	Host   *Host
	Binary string
	Home   string
}

// NewPeer makes a device with a fresh home under dir, called like its host.
func NewPeer(h *Host, binary, dir string) (*Peer, error) {
	p := &Peer{Host: h, Binary: binary, Home: filepath.Join(dir, h.Name())}
	for _, d := range []string{p.Home, p.runtime(), p.bin(), filepath.Join(p.Home, "tmp")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return nil, err
		}
	}
	return p, os.Symlink(binary, filepath.Join(p.bin(), "peer"))
}

// Name returns what the device is called.
func (p *Peer) Name() string { return p.Host.Name() }

// Data returns the folder that holds the device's key and entries.
func (p *Peer) Data() string { return filepath.Join(p.Home, ".local/share/peer") }

// Log returns the file that the daemon in the background logs to.
func (p *Peer) Log() string { return filepath.Join(p.Home, ".local/state/peer/peer.log") }

// Socket returns where the daemon's API answers.
func (p *Peer) Socket() string { return filepath.Join(p.runtime(), "peer/peer.sock") }

func (p *Peer) runtime() string { return filepath.Join(p.Home, "run") }

// bin is the folder in which a shell finds the binary under the name peer.
func (p *Peer) bin() string { return filepath.Join(p.Home, "bin") }

// Client returns a client of the device's API.
func (p *Peer) Client() *client.Client { return client.New(p.Socket(), "") }

// Environment is what a process of the device's owner sees.
func (p *Peer) Environment() []string {
	return []string{
		"HOME=" + p.Home, "XDG_RUNTIME_DIR=" + p.runtime(), "TMPDIR=" + filepath.Join(p.Home, "tmp"), "PEER_NAME=" + p.Name(),
		"PATH=" + p.bin() + string(os.PathListSeparator) + os.Getenv("PATH"), "TERM=dumb",
	}
}

// Command returns a command line of the device, as "put", "hello", "world". It is not started.
func (p *Peer) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := p.Host.Command(ctx, p.Binary, args...)
	cmd.Env, cmd.Dir = p.Environment(), p.Home
	return cmd
}

// A Result is what a command line printed and returned.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Run carries out a command line with an empty standard input. The error says that it could not be run, not that it failed.
func (p *Peer) Run(ctx context.Context, args ...string) (Result, error) {
	return p.RunWith(ctx, "", args...)
}

// RunWith carries out a command line with a standard input.
func (p *Peer) RunWith(ctx context.Context, stdin string, args ...string) (Result, error) {
	var stdout, stderr bytes.Buffer
	cmd := p.Command(ctx, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	r := Result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		err = nil
	}
	return r, err
}

// PID returns the process of the daemon that holds the data folder, or held it last.
func (p *Peer) PID() (int, error) {
	b, err := os.ReadFile(filepath.Join(p.Data(), "peer.lock"))
	if err != nil {
		return 0, err
	}
	var lock struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal(b, &lock); err != nil || lock.PID <= 1 {
		return 0, fmt.Errorf("no daemon is noted in %q: %w", b, err)
	}
	return lock.PID, nil
}

// Signal sends a signal to the daemon.
func (p *Peer) Signal(sig syscall.Signal) error {
	pid, err := p.PID()
	if err != nil {
		return err
	}
	return syscall.Kill(pid, sig)
}

// Kill ends the daemon without notice and returns when it is gone.
func (p *Peer) Kill() error {
	pid, err := p.PID()
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return err
	}
	for deadline := time.Now().Add(10 * time.Second); running(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d survives SIGKILL", pid)
		}
	}
	return nil
}

// running reports whether a process exists that has not ended.
func running(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, ok := strings.Cut(string(b), ") ") // the name before it may hold anything
	return ok && !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}
