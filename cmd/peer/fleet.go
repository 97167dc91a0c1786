package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"syncline/gossip"
	"syncline/gossip/p2p"
	"syncline/node"
	"syncline/node/api/wire"
)

// fleetNames are what the devices of a fleet are called.
var fleetNames = []string{"laptop", "phone", "tablet", "nas", "desktop", "watch", "camera", "radio", "kitchen"}

// arrivalMax bounds how long a fleet waits for something to travel over loopback.
const arrivalMax = 30 * time.Second

// A fleet is a few whole devices in this process, members of one space and connected over libp2p on loopback.
type fleet struct {
	members []*member
}

// A member is one device of a fleet.
type member struct {
	name  string
	node  *node.Node
	space *node.Space
	net   *leash
}

// A leash is a network that can be taken away from its device: while it is cut, the device shares no space with anybody, so that
// libp2p closes all connections and lets nobody in.
type leash struct {
	gossip.Network

	mu     sync.Mutex // guards what follows, and the order of calls of SetSpaces
	spaces []gossip.Access
	off    bool
}

// SetSpaces implements gossip.Network.
func (l *leash) SetSpaces(spaces []gossip.Access) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spaces = spaces
	if !l.off {
		l.Network.SetSpaces(spaces)
	}
}

func (l *leash) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.off = true
	l.Network.SetSpaces(nil)
}

func (l *leash) join() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.off = false
	l.Network.SetSpaces(l.spaces)
	l.Network.Redial()
}

func (l *leash) isCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.off
}

// startMember opens a device that keeps everything under dir.
func startMember(ctx context.Context, dir, name string, cfg node.Config) (*member, error) {
	m := &member{name: name, net: &leash{Network: p2p.New(p2p.Config{
		Listen: []string{"/ip4/127.0.0.1/tcp/0"}, NoLAN: true, RedialMin: 50 * time.Millisecond, RedialMax: 500 * time.Millisecond,
		BookFile: filepath.Join(dir, name, "data", "addresses.json"),
	})}}
	cfg.Dir, cfg.Name, cfg.Network, cfg.RuntimeDir = filepath.Join(dir, name, "data"), name, m.net, filepath.Join(dir, "run")
	var err error
	if m.node, err = node.Open(ctx, cfg); err != nil {
		return nil, err
	}
	if m.space, err = m.node.Space(""); err != nil {
		m.node.Close()
		return nil, err
	}
	return m, nil
}

// joinThrough makes m a member of the space of another device.
func (m *member) joinThrough(ctx context.Context, inviter *member) error {
	inv, err := inviter.node.Invite(ctx, inviter.space, node.InviteOptions{AutoAccept: true})
	if err != nil {
		return err
	}
	if _, err = m.node.Join(ctx, inv.Ticket); err != nil {
		return err
	}
	m.space, err = m.node.Space("")
	return err
}

// startFleet starts devices and joins them. Close the fleet.
func startFleet(ctx context.Context, dir string, count int) (*fleet, error) {
	f := &fleet{}
	for _, name := range fleetNames[:count] {
		m, err := startMember(ctx, dir, name, node.Config{})
		if err == nil {
			f.members = append(f.members, m)
			if m != f.members[0] {
				err = m.joinThrough(ctx, f.members[0])
			}
		}
		if err != nil {
			f.close()
			return nil, err
		}
	}
	for _, m := range f.members {
		for _, o := range f.members {
			for _, addr := range o.net.Addrs() {
				if o != m {
					m.net.AddAddr(o.node.ID(), addr) // where there is no LAN to find them on
				}
			}
		}
	}
	if _, err := f.heal(ctx); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *fleet) close() {
	for _, m := range f.members {
		m.node.Close()
	}
}

// names lists the devices for people.
func (f *fleet) names() string {
	var names []string
	for _, m := range f.members {
		names = append(names, m.name)
	}
	return strings.Join(names, ", ")
}

func (f *fleet) find(name string) (*member, error) {
	for _, m := range f.members {
		if strings.EqualFold(m.name, name) {
			return m, nil
		}
	}
	return nil, node.ErrNoDevice.With("There is no device “%s” here.", name).Next("There are " + f.names() + ".")
}

// heal brings all devices back and returns once each of them holds what every other one has, with the time that took.
func (f *fleet) heal(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, arrivalMax)
	defer cancel()
	start := time.Now()
	for _, m := range f.members {
		if m.net.isCut() {
			m.net.join()
		}
	}
	for _, m := range f.members {
		for _, o := range f.members {
			if o == m {
				continue
			}
			if err := m.space.WaitFor(ctx, o.node.ID().String()); err != nil {
				return 0, err
			}
		}
	}
	return time.Since(start), nil
}

// An arrivals says when each device showed something that was written on one.
type arrivals []arrived

type arrived struct {
	name string
	took time.Duration
	cut  bool
}

// String continues a sentence about what was written.
func (a arrivals) String() string {
	var parts []string
	for _, x := range a {
		if x.cut {
			parts = append(parts, x.name+" is cut off")
		} else {
			parts = append(parts, fmt.Sprintf("%s after %.1f ms", x.name, float64(x.took.Microseconds())/1000))
		}
	}
	return "   → " + strings.Join(parts, " · ")
}

func (a arrivals) millis() []float64 {
	out := []float64{}
	for _, x := range a {
		if !x.cut {
			out = append(out, float64(x.took.Microseconds())/1000)
		}
	}
	return out
}

// put writes on one device and waits until all that are connected show it.
func (f *fleet) put(ctx context.Context, m *member, path, value string) (arrivals, error) {
	start := time.Now()
	if _, err := m.space.Put(ctx, path, node.Text(value)); err != nil {
		return nil, err
	}
	e, err := m.space.Get(ctx, path)
	if err != nil {
		return nil, err
	}
	return f.arrival(ctx, m, e, start)
}

// arrival waits until all devices that are connected hold the version of e that m has.
func (f *fleet) arrival(ctx context.Context, m *member, e node.Entry, start time.Time) (arrivals, error) {
	ctx, cancel := context.WithTimeout(ctx, arrivalMax)
	defer cancel()
	var out arrivals
	for _, o := range f.members {
		if o == m {
			continue
		}
		a := arrived{name: o.name, cut: o.net.isCut() || m.net.isCut()}
		if !a.cut {
			if err := o.shows(ctx, e); err != nil {
				return nil, err
			}
			a.took = time.Since(start)
		}
		out = append(out, a)
	}
	return out, nil
}

// shows waits until a device has a version of an entry, or a later one.
func (m *member) shows(ctx context.Context, e node.Entry) error {
	for ev, err := range m.space.Watch(ctx, e.Path, "") {
		if err != nil {
			return err
		}
		if have := ev.Change.Entry; have != nil && have.Path == e.Path && have.Version == e.Version {
			return nil
		}
	}
	return ctx.Err()
}

// entries returns what every device shows under a prefix, by path and device, and the paths in order.
func (f *fleet) entries(ctx context.Context, prefix string) (map[string]map[string]string, []string, error) {
	rows := map[string]map[string]string{}
	for _, m := range f.members {
		for e, err := range m.space.List(ctx, prefix, node.ListOptions{}) {
			if err != nil {
				return nil, nil, err
			}
			if rows[e.Path] == nil {
				rows[e.Path] = map[string]string{}
			}
			shown := preview(wire.ContentOf(e.Shown().Content))
			if e.Conflict > 0 {
				shown += " !"
			}
			rows[e.Path][m.name] = shown
		}
	}
	return rows, slices.Sorted(maps.Keys(rows)), nil
}
