//go:build linux

package netns

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// hostDevice is the name of the one interface of a host.
const hostDevice = "eth0"

// A Host is a machine on the LAN: a network namespace.
type Host struct {
	lab       *Lab
	name      string
	namespace string

	mu   sync.Mutex // guards addr
	addr string
}

// Name returns the name that the host was given.
func (h *Host) Name() string { return h.name }

// Addr returns the IPv4 address that the host has or had last.
func (h *Host) Addr() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.addr
}

// Command returns a command that runs on the host. It is not started.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", h.namespace, name}, args...)...)
}

// Leave takes the host off the network: no address, and the interface is down.
func (h *Host) Leave() error {
	return ip(h.namespace, "addr flush dev "+hostDevice, "link set "+hostDevice+" down")
}

// Arrive brings the host onto the network with an IPv4 address of 10.77.0.0/24, in the place of the one it had.
func (h *Host) Arrive(addr string) error {
	h.mu.Lock()
	h.addr = addr
	h.mu.Unlock()
	return ip(h.namespace,
		"link set "+hostDevice+" up",
		"addr flush dev "+hostDevice+" scope global",
		"addr add "+addr+"/24 dev "+hostDevice,
		"route replace default dev "+hostDevice,
		"route replace 224.0.0.0/4 dev "+hostDevice)
}

// Unplug pulls the cable: the interface keeps its addresses and has no carrier.
func (h *Host) Unplug() error { return h.cable(false) }

// Plug puts the cable back.
func (h *Host) Plug() error { return h.cable(true) }

func (h *Host) cable(in bool) error {
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	return h.lab.fabric.carrier(h, in)
}

// SetWeather sets the weather of what the host sends and receives, besides that of the whole network. The error is ErrNoSwitch on
// bridges.
func (h *Host) SetWeather(w Weather) error {
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	t, ok := h.lab.fabric.(*taps)
	if !ok {
		return ErrNoSwitch
	}
	t.SetWeatherAt(t.ports[h], w)
	return nil
}

// Traffic returns what the host's interface received and sent until now.
func (h *Host) Traffic() (Traffic, error) { return traffic(h.namespace, hostDevice) }

// processes returns the ids of all processes on the host.
func (h *Host) processes() []int {
	out, err := exec.Command("ip", "netns", "pids", h.namespace).Output()
	if err != nil {
		return nil
	}
	var pids []int
	for _, field := range strings.Fields(string(out)) {
		if pid, err := strconv.Atoi(field); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// kill ends all processes on the host, each by its id.
func (h *Host) kill() error {
	for _, pid := range h.processes() {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			return err
		}
	}
	return nil
}
