//go:build linux

package netns

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
)

// hostsMax is how many hosts have an address in the network 10.77.0.0/24.
const hostsMax = 200

// ErrNoSwitch says that the hosts of a lab are connected by bridges of the kernel, which have good weather only.
var ErrNoSwitch = errors.New("weather and stalls need a switch in user space, and " + tunDevice + " cannot be opened")

// A Lab is an Ethernet switch and the hosts that are plugged into it. It is safe for concurrent use.
type Lab struct {
	id   string // random, so that labs do not collide
	seed uint64

	mu     sync.Mutex // guards what follows
	fabric fabric
	hosts  []*Host
}

// New makes a lab without hosts, on a [Switch] in this process where the system lets us, else on bridges of the kernel. Close the Lab.
func New() (*Lab, error) { return newLab(0, false) }

// NewSeeded makes a lab whose switch draws the fates of frames from a seed.
func NewSeeded(seed uint64) (*Lab, error) { return newLab(seed, false) }

// NewBridged makes a lab on bridges of the kernel.
func NewBridged() (*Lab, error) { return newLab(0, true) }

func newLab(seed uint64, bridged bool) (*Lab, error) {
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, err
	}
	l := &Lab{id: "lan" + hex.EncodeToString(b[:]), seed: seed}
	if seed == 0 {
		l.seed = uint64(binary.BigEndian.Uint32(b[:]))
	}
	var err error
	l.fabric, err = newFabric(l, bridged)
	return l, err
}

// String says what connects the hosts.
func (l *Lab) String() string { return l.fabric.String() }

// Host adds a host and plugs it in.
func (l *Lab) Host(name string) (*Host, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.hosts) + 1
	if n > hostsMax {
		return nil, fmt.Errorf("more than %d hosts", hostsMax)
	}
	h := &Host{lab: l, name: name, namespace: l.id + "-" + name, addr: fmt.Sprintf("10.77.0.%d", n)}
	if err := ip("", "netns add "+h.namespace); err != nil {
		return nil, err
	}
	l.hosts = append(l.hosts, h)
	err := l.fabric.plug(h)
	if err == nil {
		err = ip(h.namespace, "link set lo up")
	}
	if err == nil {
		err = h.Arrive(h.addr)
	}
	return h, err
}

// Split sets groups of hosts apart: hosts of one group hear each other and nobody else. Hosts that are not named form a group
// of their own. Their interfaces stay up, as when a cable between two switches is cut. It takes the place of the Split before.
func (l *Lab) Split(groups ...[]*Host) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fabric.split(groups)
}

// Heal ends the Split.
func (l *Lab) Heal() error { return l.Split() }

// Cut sets groups of hosts apart as Split does, beside all other cuts, until end is called. With hold frames are kept and travel then.
// The error is ErrNoSwitch on bridges.
func (l *Lab) Cut(hold bool, groups ...[]*Host) (end func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t, ok := l.fabric.(*taps)
	if !ok {
		return nil, ErrNoSwitch
	}
	return t.cut(t.between(groups), hold), nil
}

// Sparse lets only the given pairs of hosts hear each other, until end is called. The error is ErrNoSwitch on bridges.
func (l *Lab) Sparse(pairs [][2]*Host) (end func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t, ok := l.fabric.(*taps)
	if !ok {
		return nil, ErrNoSwitch
	}
	linked := map[[2]int]bool{}
	for _, p := range pairs {
		a, b := t.ports[p[0]], t.ports[p[1]]
		linked[[2]int{a, b}], linked[[2]int{b, a}] = true, true
	}
	return t.cut(func(from, to int) bool { return !linked[[2]int{from, to}] }, false), nil
}

func (t *taps) cut(apart func(from, to int) bool, hold bool) (end func()) {
	c := t.Cut(apart, hold)
	return func() { t.Mend(c) }
}

// SetWeather sets the weather of the whole network. The error is ErrNoSwitch on bridges.
func (l *Lab) SetWeather(w Weather) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	t, ok := l.fabric.(*taps)
	if !ok {
		return ErrNoSwitch
	}
	t.SetWeather(w)
	return nil
}

// Close ends every process on the hosts and removes them and the switch.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, h := range l.hosts {
		errs = append(errs, h.kill())
	}
	errs = append(errs, l.fabric.close())
	for _, h := range l.hosts {
		errs = append(errs, ip("", "netns del "+h.namespace))
	}
	l.hosts = nil
	return errors.Join(errs...)
}
