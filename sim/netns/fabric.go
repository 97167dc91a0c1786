//go:build linux

package netns

import (
	"errors"
	"fmt"
	"os"
)

// A fabric connects the hosts of a lab. A Lab calls it with its lock held.
type fabric interface {
	// plug gives a host its interface, hostDevice in its namespace, and connects it.
	plug(h *Host) error
	// carrier puts the cable of a host in, or takes it out.
	carrier(h *Host, on bool) error
	// split sets groups of hosts apart, and all other hosts from them. No groups: nobody is apart.
	split(groups [][]*Host) error
	close() error
	// String names it for a log.
	String() string
}

// newFabric returns a switch in this process, or bridges of the kernel where no interface can be had that ends in a process.
func newFabric(l *Lab, bridged bool) (fabric, error) {
	if !bridged {
		f, err := os.OpenFile(tunDevice, os.O_RDWR, 0)
		if err == nil {
			return &taps{Switch: NewSwitch(l.seed), files: map[*Host]*os.File{}, ports: map[*Host]int{}}, f.Close()
		}
	}
	b := &bridges{namespace: l.id + "-switch", ports: map[*Host]string{}}
	if err := ip("", "netns add "+b.namespace); err != nil {
		return nil, err
	}
	if err := b.need(1); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// taps is a Switch in this process with a TAP interface for each host.
type taps struct {
	*Switch
	files map[*Host]*os.File
	ports map[*Host]int
	apart *Cut
}

func (t *taps) String() string { return "a switch in user space" }

func (t *taps) plug(h *Host) error {
	file, err := tap(h.namespace, hostDevice)
	if err != nil {
		return err
	}
	port, err := t.Plug(file)
	t.files[h], t.ports[h] = file, port
	return err
}

func (t *taps) carrier(h *Host, on bool) error { return setCarrier(t.files[h], on) }

func (t *taps) split(groups [][]*Host) error {
	old := t.apart
	t.apart = nil
	if len(groups) > 0 {
		t.apart = t.Cut(t.between(groups), false)
	}
	if old != nil {
		t.Mend(old)
	}
	return nil
}

// between tells which ports belong to different groups; hosts that are not named form a group of their own.
func (t *taps) between(groups [][]*Host) func(from, to int) bool {
	group := map[int]int{}
	for i, g := range groups {
		for _, h := range g {
			group[t.ports[h]] = i + 1
		}
	}
	return func(from, to int) bool { return group[from] != group[to] }
}

func (t *taps) close() error { return t.Close() }

// bridges are bridges of the kernel in a namespace of their own; the first connects all hosts that no split set apart.
type bridges struct {
	namespace string
	count     int
	ports     map[*Host]string
}

func (b *bridges) String() string { return "bridges of the kernel" }

// need makes bridges until there are n. Without a querier, snooping would stop multicast after some minutes.
func (b *bridges) need(n int) error {
	for ; b.count < n; b.count++ {
		name := bridgeName(b.count)
		if err := ip(b.namespace, "link add "+name+" type bridge mcast_snooping 0", "link set "+name+" up"); err != nil {
			return err
		}
	}
	return nil
}

func bridgeName(i int) string { return fmt.Sprintf("br%d", i) }

func (b *bridges) plug(h *Host) error {
	port := fmt.Sprintf("port%d", len(b.ports)+1)
	b.ports[h] = port
	return ip(b.namespace,
		fmt.Sprintf("link add %s type veth peer name %s netns %s", port, hostDevice, h.namespace),
		fmt.Sprintf("link set %s master %s up", port, bridgeName(0)))
}

func (b *bridges) carrier(h *Host, on bool) error {
	state := "down"
	if on {
		state = "up"
	}
	return ip(b.namespace, "link set "+b.ports[h]+" "+state)
}

func (b *bridges) split(groups [][]*Host) error {
	if err := b.need(len(groups) + 1); err != nil {
		return err
	}
	bridge := map[*Host]int{}
	for i, group := range groups {
		for _, h := range group {
			bridge[h] = i + 1
		}
	}
	var moves []string
	for h, port := range b.ports {
		moves = append(moves, "link set "+port+" master "+bridgeName(bridge[h]))
	}
	return ip(b.namespace, moves...)
}

func (b *bridges) close() error { return ip("", "netns del "+b.namespace) }
