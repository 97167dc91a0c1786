package p2p

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"slices"

	"github.com/libp2p/zeroconf/v2"

	"syncline/gossip"
)

// A LANProbe is what a look at the local network found.
type LANProbe struct {
	// Interfaces are those on which multicast was tried.
	Interfaces []string
	// HeardSelf says that an advert of this machine came back to it.
	HeardSelf bool
	// Devices are those whose adverts were heard, in the order of hearing.
	Devices []gossip.DeviceID
}

// ProbeLAN sends an mDNS advert that names no device, and listens until ctx ends for it and for those of others. It needs no
// Network, and disturbs none: whoever hears the advert ignores it.
func ProbeLAN(ctx context.Context) (LANProbe, error) {
	var probe LANProbe
	found, err := interfaces()
	if err != nil {
		return probe, err
	}
	var ifaces []net.Interface
	var ips []string
	for _, i := range found {
		if i.Flags&net.FlagMulticast == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		ifaces = append(ifaces, i.Interface)
		probe.Interfaces = append(probe.Interfaces, i.Name)
		for _, ip := range i.addrs {
			ips = append(ips, ip.String())
		}
	}
	if len(ifaces) == 0 {
		return probe, errors.New("no interface for multicast")
	}
	var b [8]byte
	rand.Read(b[:])
	name := "probe-" + hex.EncodeToString(b[:])
	server, err := zeroconf.RegisterProxy(name, mdnsService, mdnsDomain, mdnsPort, name, ips, nil, ifaces)
	if err != nil {
		return probe, err
	}
	defer server.Shutdown()
	entries := make(chan *zeroconf.ServiceEntry, 16)
	done := make(chan error, 1)
	go func() { done <- zeroconf.Browse(ctx, mdnsService, mdnsDomain, entries, zeroconf.SelectIfaces(ifaces)) }()
	for {
		select {
		case e, ok := <-entries:
			if !ok {
				return probe, <-done
			}
			device, _, ok := parseRecords(e.Text)
			probe.HeardSelf = probe.HeardSelf || e.Instance == name
			if ok && !slices.Contains(probe.Devices, device) {
				probe.Devices = append(probe.Devices, device)
			}
		case err := <-done:
			return probe, err
		}
	}
}
