package p2p

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"syncline/gossip"
)

// CheckAddr says of a text why “it” is no address at which a device can listen or be reached, as /ip4/192.168.1.5/tcp/4001 is.
func CheckAddr(text string) error {
	_, _, err := splitAddr(text)
	return err
}

// parseAddr reads a multiaddr typed by a person, with or without /p2p/…, which must name the device if it is there.
func parseAddr(device gossip.DeviceID, text string) (ma.Multiaddr, error) {
	transport, id, err := splitAddr(text)
	if err != nil {
		return nil, err
	}
	if id != "" {
		if named, err := DeviceOf(id); err != nil || named != device {
			return nil, fmt.Errorf("it is of another device than %s", device.Short())
		}
	}
	return transport, nil
}

// splitAddr reads a multiaddr typed by a person, and the peer that it names, if it does.
func splitAddr(text string) (ma.Multiaddr, peer.ID, error) {
	text = strings.TrimSpace(text)
	addr, err := ma.NewMultiaddr(text)
	if err != nil {
		why := strings.TrimPrefix(err.Error(), fmt.Sprintf("failed to parse multiaddr %q: ", text))
		why, _, _ = strings.Cut(why, ": ") // the rest is about a parser of numbers or of addresses
		return nil, "", errors.New("it is no multiaddr: " + why)
	}
	transport, id := peer.SplitAddr(addr)
	if !dialable(transport) {
		return nil, "", errors.New("it is no address of TCP or QUIC")
	}
	return transport, id, nil
}

// dialable reports whether addr ends in a transport that this package speaks: TCP or QUIC, nothing on top.
func dialable(addr ma.Multiaddr) bool {
	if len(addr) == 0 {
		return false
	}
	switch addr[len(addr)-1].Protocol().Code {
	case ma.P_TCP, ma.P_QUIC_V1:
	default:
		return false
	}
	switch addr[0].Protocol().Code {
	case ma.P_IP4, ma.P_IP6, ma.P_IP6ZONE, ma.P_DNS, ma.P_DNS4, ma.P_DNS6:
		return true
	}
	return false
}

// isLAN reports whether addr is on this machine or a local network: by its range, or because one of our interfaces is in the
// same subnet, as is common with IPv6.
func isLAN(addr ma.Multiaddr) bool {
	ip, err := manet.ToIP(addr)
	return err == nil && (ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || onLink(ip))
}

func onLink(ip net.IP) bool {
	addrs, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(addrs, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.Contains(ip)
	})
}

func isQUIC(addr ma.Multiaddr) bool {
	_, err := addr.ValueForProtocol(ma.P_QUIC_V1)
	return err == nil
}

// path says for people how a connection runs: "lan tcp", "lan quic", "direct tcp" or "direct quic".
func path(addr ma.Multiaddr) string {
	where, how := "direct", "tcp"
	if isLAN(addr) {
		where = "lan"
	}
	if isQUIC(addr) {
		how = "quic"
	}
	return where + " " + how
}

// An iface is a network interface that is up, with its addresses.
type iface struct {
	net.Interface
	addrs []net.IP
}

// interfaces returns the interfaces that carry addresses others may reach: without loopback and without the bridges of
// containers and virtual machines, unless nothing else is there. The operating system is asked afresh every time, because
// libp2p's own view is up to a minute old.
func interfaces() ([]iface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	byRank := make([][]iface, 3)
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		if ips := addrsOf(i); len(ips) > 0 {
			rank := rankOf(i)
			byRank[rank] = append(byRank[rank], iface{i, ips})
		}
	}
	for _, found := range byRank {
		if len(found) > 0 {
			return found, nil
		}
	}
	return nil, nil
}

func addrsOf(i net.Interface) []net.IP {
	addrs, err := i.Addrs()
	if err != nil {
		return nil
	}
	var ips []net.IP
	for _, a := range addrs {
		// A link-local IPv6 address means nothing without its zone, which another device cannot know.
		if n, ok := a.(*net.IPNet); ok && (n.IP.To4() != nil || !n.IP.IsLinkLocalUnicast()) {
			ips = append(ips, n.IP)
		}
	}
	return ips
}

// rankOf orders interfaces: 0 real ones, 1 virtual bridges, 2 loopback.
func rankOf(i net.Interface) int {
	if i.Flags&net.FlagLoopback != 0 {
		return 2
	}
	for _, prefix := range []string{"docker", "br-", "veth", "virbr", "vmnet", "vboxnet", "cni", "flannel", "podman", "lxc", "lxd"} {
		if strings.HasPrefix(i.Name, prefix) {
			return 1
		}
	}
	return 0
}

// reachable expands the listening addresses over the interfaces: 0.0.0.0 becomes every address of the best interfaces.
// Loopback is left out unless nothing else remains.
func reachable(listening []ma.Multiaddr, ifaces []iface) []ma.Multiaddr {
	var ifaceAddrs []ma.Multiaddr
	for _, i := range ifaces {
		for _, ip := range i.addrs {
			if a, err := manet.FromIP(ip); err == nil {
				ifaceAddrs = append(ifaceAddrs, a)
			}
		}
	}
	var out, loopback []ma.Multiaddr
	for _, l := range listening {
		resolved := []ma.Multiaddr{l}
		if manet.IsIPUnspecified(l) {
			resolved, _ = manet.ResolveUnspecifiedAddress(l, ifaceAddrs)
		}
		for _, a := range resolved {
			if manet.IsIPLoopback(a) {
				loopback = append(loopback, a)
			} else {
				out = append(out, a)
			}
		}
	}
	if len(out) == 0 {
		return loopback
	}
	return out
}

func addrStrings(addrs []ma.Multiaddr) []string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return out
}

// parseAddrs reads addresses that were valid once or come from another device; bad ones are skipped, duplicates dropped.
func parseAddrs(texts []string) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, text := range texts {
		addr, err := ma.NewMultiaddr(text)
		if err != nil {
			continue
		}
		if addr, _ = peer.SplitAddr(addr); dialable(addr) && !slices.ContainsFunc(out, addr.Equal) {
			out = append(out, addr)
		}
	}
	return out
}

func isLoopback(addr ma.Multiaddr) bool { return manet.IsIPLoopback(addr) }
