package mdns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// The groups of multicast DNS (RFC 6762, section 3).
var (
	group4 = netip.AddrPortFrom(netip.MustParseAddr("224.0.0.251"), mdnsPort)
	group6 = netip.AddrPortFrom(netip.MustParseAddr("ff02::fb"), mdnsPort)
)

const hopsMax = 255 // RFC 6762, section 11

// A udp is the socket of one address family.
type udp struct {
	socket *net.UDPConn
	group  netip.AddrPort
	option multicastOptions
	ifaces map[int]*net.Interface // on which the group is joined
	// read is socket.ReadFrom with the interface and the destination, as far as the system tells.
	read func(b []byte) (n, iface int, target net.IP, source net.Addr, err error)
}

// multicastOptions are those that *ipv4.PacketConn and *ipv6.PacketConn share.
type multicastOptions interface {
	JoinGroup(*net.Interface, net.Addr) error
	SetMulticastInterface(*net.Interface) error
	SetMulticastLoopback(bool) error
}

func openUDP4(ifaces []net.Interface) (*udp, error) {
	return openUDP("udp4", group4, ifaces, func(u *udp) error {
		c := ipv4.NewPacketConn(u.socket)
		u.option = c
		u.read = func(b []byte) (n, iface int, target net.IP, source net.Addr, err error) {
			n, cm, source, err := c.ReadFrom(b)
			if cm != nil {
				iface, target = cm.IfIndex, cm.Dst
			}
			return n, iface, target, source, err
		}
		_ = c.SetControlMessage(ipv4.FlagInterface|ipv4.FlagDst, true) // Windows has none, see Speaker.onLink
		return errors.Join(c.SetMulticastTTL(hopsMax), c.SetTTL(hopsMax))
	})
}

func openUDP6(ifaces []net.Interface) (*udp, error) {
	return openUDP("udp6", group6, ifaces, func(u *udp) error {
		c := ipv6.NewPacketConn(u.socket)
		u.option = c
		u.read = func(b []byte) (n, iface int, target net.IP, source net.Addr, err error) {
			n, cm, source, err := c.ReadFrom(b)
			if cm != nil {
				iface, target = cm.IfIndex, cm.Dst
			}
			return n, iface, target, source, err
		}
		_ = c.SetControlMessage(ipv6.FlagInterface|ipv6.FlagDst, true)
		return errors.Join(c.SetMulticastHopLimit(hopsMax), c.SetHopLimit(hopsMax))
	})
}

// openUDP joins the group on all interfaces that let it. Others may use the port as well: the net package lets sockets share the
// port of a multicast address.
func openUDP(network string, group netip.AddrPort, ifaces []net.Interface, prepare func(*udp) error) (*udp, error) {
	socket, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(group))
	if err != nil {
		return nil, err
	}
	u := &udp{socket: socket, group: group, ifaces: make(map[int]*net.Interface)}
	err = prepare(u)
	if err == nil {
		err = u.option.SetMulticastLoopback(true) // for other devices on this machine
	}
	if err == nil {
		err = u.join(ifaces)
	}
	if err != nil {
		_ = socket.Close()
		return nil, fmt.Errorf("multicast by %s: %w", network, err)
	}
	return u, nil
}

func (u *udp) join(ifaces []net.Interface) error {
	problem := errors.New("no interface")
	for _, i := range ifaces {
		if err := u.option.JoinGroup(&i, &net.UDPAddr{IP: u.group.Addr().AsSlice()}); err != nil {
			problem = fmt.Errorf("%s: %w", i.Name, err)
			continue
		}
		u.ifaces[i.Index] = &i
	}
	if len(u.ifaces) == 0 {
		return problem
	}
	return nil
}

func (u *udp) receive(b []byte) (n int, from arrival, err error) {
	n, iface, target, source, err := u.read(b)
	if err != nil {
		return 0, arrival{}, err
	}
	from.iface = iface
	if a, ok := netip.AddrFromSlice(target); ok {
		from.target = a.Unmap()
	}
	if a, ok := source.(*net.UDPAddr); ok {
		p := a.AddrPort()
		from.source = netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return n, from, nil
}

// send is for one goroutine at a time: the interface is a setting of the socket.
func (u *udp) send(b []byte, iface int, to netip.AddrPort) error {
	if !to.IsValid() {
		if err := u.option.SetMulticastInterface(u.ifaces[iface]); err != nil {
			return err
		}
		to = u.group
	}
	_, err := u.socket.WriteToUDPAddrPort(b, to)
	return err
}

func (u *udp) close() error { return u.socket.Close() }
