//go:build linux

package netns

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
)

// hostsMax is how many hosts have an address in the network 10.77.0.0/24.
const hostsMax = 200

// A Lab is an Ethernet switch and the hosts that are plugged into it. It is safe for concurrent use.
type Lab struct {
	id string // random, so that labs do not collide

	mu      sync.Mutex // guards what follows
	bridges int        // on the switch; the first connects all hosts that no Split set apart
	hosts   []*Host
}

// New makes a switch without hosts. Close the Lab.
func New() (*Lab, error) {
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, err
	}
	l := &Lab{id: "lan" + hex.EncodeToString(b[:])}
	if err := ip("", "netns add "+l.switchName()); err != nil {
		return nil, err
	}
	if err := l.needBridges(1); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lab) switchName() string { return l.id + "-switch" }

// needBridges makes bridges until there are n. Without a querier, snooping would stop multicast after some minutes.
func (l *Lab) needBridges(n int) error {
	for ; l.bridges < n; l.bridges++ {
		name := bridgeName(l.bridges)
		if err := ip(l.switchName(), "link add "+name+" type bridge mcast_snooping 0", "link set "+name+" up"); err != nil {
			return err
		}
	}
	return nil
}

func bridgeName(i int) string { return fmt.Sprintf("br%d", i) }

// Host adds a host and plugs it in.
func (l *Lab) Host(name string) (*Host, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.hosts) + 1
	if n > hostsMax {
		return nil, fmt.Errorf("more than %d hosts", hostsMax)
	}
	h := &Host{lab: l, name: name, namespace: l.id + "-" + name, port: fmt.Sprintf("port%d", n), addr: fmt.Sprintf("10.77.0.%d", n)}
	if err := ip("", "netns add "+h.namespace); err != nil {
		return nil, err
	}
	l.hosts = append(l.hosts, h)
	err := ip(l.switchName(),
		fmt.Sprintf("link add %s type veth peer name %s netns %s", h.port, hostDevice, h.namespace),
		fmt.Sprintf("link set %s master %s up", h.port, bridgeName(0)))
	if err == nil {
		err = ip(h.namespace, "link set lo up")
	}
	if err == nil {
		err = h.Arrive(h.addr)
	}
	return h, err
}

// Split sets groups of hosts apart: hosts of one group hear each other and nobody else. Hosts that are not named form a group
// of their own. Their interfaces stay up, as when a cable between two switches is cut.
func (l *Lab) Split(groups ...[]*Host) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.needBridges(len(groups) + 1); err != nil {
		return err
	}
	var moves []string
	for i, group := range groups {
		for _, h := range group {
			moves = append(moves, fmt.Sprintf("link set %s master %s", h.port, bridgeName(i+1)))
		}
	}
	return ip(l.switchName(), moves...)
}

// Heal lets all hosts hear each other again.
func (l *Lab) Heal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var moves []string
	for _, h := range l.hosts {
		moves = append(moves, fmt.Sprintf("link set %s master %s", h.port, bridgeName(0)))
	}
	return ip(l.switchName(), moves...)
}

// Close ends every process on the hosts and removes them and the switch.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, h := range l.hosts {
		errs = append(errs, h.kill(), ip("", "netns del "+h.namespace))
	}
	l.hosts = nil
	return errors.Join(append(errs, ip("", "netns del "+l.switchName()))...)
}
