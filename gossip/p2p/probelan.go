package p2p

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"

	"syncline/gossip"
	"syncline/gossip/p2p/mdns"
)

// A LANProbe is what a look at the local network found.
type LANProbe struct {
	// Interfaces are those on which multicast was tried.
	Interfaces []string
	// HeardSelf says that an advert of this machine came back to it.
	HeardSelf bool
	// Devices are those whose adverts were heard, in the order of hearing, at most 256.
	Devices []gossip.DeviceID
}

// ProbeLAN sends an mDNS advert that names no device, and listens until ctx ends for it and for those of others. It needs no
// Network, and disturbs none: whoever hears the advert ignores it.
func ProbeLAN(ctx context.Context) (LANProbe, error) {
	var probe LANProbe
	ifaces, addrs, err := multicastInterfaces()
	if err != nil {
		return probe, err
	}
	for _, i := range ifaces {
		probe.Interfaces = append(probe.Interfaces, i.Name)
	}
	var b [8]byte
	rand.Read(b[:])
	name := "probe-" + hex.EncodeToString(b[:])
	speaker, err := mdns.Start(mdns.Config{
		Service: mdnsService, Name: name, Port: mdnsPort, Addrs: addrs, Interfaces: ifaces,
		Heard: func(i mdns.Instance) {
			probe.HeardSelf = probe.HeardSelf || i.Name == name
			device, _, ok := parseRecords(i.Text)
			if ok && !slices.Contains(probe.Devices, device) && len(probe.Devices) < bookDevicesMax {
				probe.Devices = append(probe.Devices, device)
			}
		},
	})
	if err != nil {
		return probe, err
	}
	<-ctx.Done()
	speaker.Close()
	return probe, nil
}
