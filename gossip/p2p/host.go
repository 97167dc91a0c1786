package p2p

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/x/rate"
	ma "github.com/multiformats/go-multiaddr"

	"syncline/gossip"
)

// Connections that libp2p keeps before it trims those that are not protected; members are.
const (
	connsLow  = 160
	connsHigh = 192
)

// newHost creates a libp2p host that speaks TCP and QUIC and does not listen yet. Everything else that libp2p starts by
// default is left out: relays, hole punching, NAT tests, browsers' transports, ping, metrics.
func newHost(n *Network) (host.Host, metrics.Reporter, error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(n.key)
	if err != nil {
		return nil, nil, fmt.Errorf("device key: %w", err)
	}
	conns, err := connmgr.NewConnManager(connsLow, connsHigh)
	if err != nil {
		return nil, nil, err
	}
	resources, err := newResources((*rcmgr.ScalingLimitConfig).AutoScale)
	if err != nil {
		return nil, nil, err
	}
	bandwidth := &traffic{metrics.NewBandwidthCounter(), n.gate}
	var h host.Host
	created := make(chan struct{})
	advertise := func([]ma.Multiaddr) []ma.Multiaddr {
		select {
		case <-created:
			return n.addrsOf(h)
		default:
			return nil // nothing listens yet
		}
	}
	options := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.NoListenAddrs,
		// Without this two processes could share a TCP port and each get half of the connections.
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.Transport(quic.NewTransport),
		libp2p.Security(noise.ID, n.newNoise),
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ConnectionGater(n.gate),
		libp2p.ConnectionManager(conns),
		libp2p.ResourceManager(resources),
		libp2p.BandwidthReporter(bandwidth),
		libp2p.AddrsFactory(advertise),
		libp2p.UserAgent("syncline"),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.Ping(false),
	}
	h, err = libp2p.New(append(options, n.cfg.ExtraOptions...)...)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("libp2p: %w", err), resources.Close())
	}
	close(created)
	return h, bandwidth, nil
}

// A traffic counts what crosses the transport for each device that the gate expects. libp2p's counter, which it is, forgets nobody.
type traffic struct {
	*metrics.BandwidthCounter
	gate *gate
}

func (t *traffic) LogSentMessageStream(size int64, name protocol.ID, p peer.ID) {
	if t.gate.expected(p) {
		t.BandwidthCounter.LogSentMessageStream(size, name, p)
	}
}

func (t *traffic) LogRecvMessageStream(size int64, name protocol.ID, p peer.ID) {
	if t.gate.expected(p) {
		t.BandwidthCounter.LogRecvMessageStream(size, name, p)
	}
}

// newResources bounds what connections may cost before anybody knows who is at the other end. It is as libp2p has it, scaled to the machine,
// but for two things. From one address libp2p takes eight connections, and then one more in five seconds, which is less than a household behind
// one router needs whose devices all come back at once. And in all it takes 32 on a small machine that have not said who they are, so that
// one address, from where nobody says anything, could keep all others out.
func newResources(scale func(*rcmgr.ScalingLimitConfig) rcmgr.ConcreteLimitConfig) (network.ResourceManager, error) {
	limits := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&limits)
	limits.TransientBaseLimit = atLeast(limits.TransientBaseLimit, silentConnsMax)
	limits.SystemBaseLimit = atLeast(limits.SystemBaseLimit, silentConnsMax+connsHigh)
	few := rate.Limit{RPS: placeConnsPerSecond, Burst: placeConnsMax}
	many := rate.Limit{RPS: 4 * placeConnsPerSecond, Burst: 4 * placeConnsMax}
	local := []rate.PrefixLimit{{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, {Prefix: netip.MustParsePrefix("::1/128")}} // no limit
	resources, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(scale(&limits)),
		rcmgr.WithLimitPerSubnet([]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: placeConnsMax}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: placeConnsMax}, {PrefixLength: 48, ConnCount: 4 * placeConnsMax}}),
		rcmgr.WithConnRateLimiters(&rate.Limiter{NetworkPrefixLimits: local, SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: few}},
			IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: few}, {PrefixLength: 48, Limit: many}},
			GracePeriod:      time.Minute,
		}}))
	if err != nil {
		return nil, fmt.Errorf("libp2p resources: %w", err)
	}
	return resources, nil
}

// atLeast returns a limit that admits so many inbound connections, and as many outbound ones beside them as before.
func atLeast(l rcmgr.BaseLimit, inbound int) rcmgr.BaseLimit {
	if more := inbound - l.ConnsInbound; more > 0 {
		l.ConnsInbound, l.Conns, l.FD = inbound, l.Conns+more, l.FD+more
	}
	return l
}

// usualPort returns the port that a device listens on unless told otherwise. It lies below the range from which systems draw
// ports by themselves.
func usualPort(d gossip.DeviceID) uint16 {
	const first, count = 20_000, 12_000
	sum := sha256.Sum256(append([]byte("syncline/port/1"), d[:]...))
	return first + binary.BigEndian.Uint16(sum[:])%count
}

// listenUsual listens for TCP and QUIC on all addresses, at port or, where that is taken, at a free one.
func listenUsual(h host.Host, port uint16, log *slog.Logger) error {
	opened := 0
	var last error
	for _, pattern := range []string{"/ip4/0.0.0.0/tcp/%d", "/ip4/0.0.0.0/udp/%d/quic-v1", "/ip6/::/tcp/%d", "/ip6/::/udp/%d/quic-v1"} {
		err := listen(h, []string{fmt.Sprintf(pattern, port)}, log)
		if errors.Is(err, ErrPortInUse) {
			err = listen(h, []string{fmt.Sprintf(pattern, 0)}, log)
		}
		if err == nil {
			opened++
		} else {
			last = err
		}
	}
	if opened == 0 {
		return last
	}
	return nil
}

// listen opens the sockets. A port in use is fatal; IPv6 that cannot be bound otherwise is not, as long as something can.
func listen(h host.Host, texts []string, log *slog.Logger) error {
	opened := 0
	for _, text := range texts {
		addr, err := ma.NewMultiaddr(text)
		if err != nil {
			return fmt.Errorf("listen address %q: %w", text, err)
		}
		err = h.Network().Listen(addr)
		switch {
		case err == nil:
			opened++
		case isInUse(err):
			return fmt.Errorf("listen on %s: %w", text, ErrPortInUse)
		case isIPv6(addr):
			log.Info("IPv6 not available", "addr", text, "err", err)
		default:
			return fmt.Errorf("listen on %s: %w", text, err)
		}
	}
	if opened == 0 {
		return fmt.Errorf("listen on %s: no address is available", strings.Join(texts, ", "))
	}
	return nil
}

// isInUse also looks at the text, because the swarm flattens the errors of its transports into one string.
func isInUse(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || strings.Contains(err.Error(), syscall.EADDRINUSE.Error()) ||
		strings.Contains(err.Error(), "Only one usage of each socket address") // Windows
}

func isIPv6(addr ma.Multiaddr) bool {
	return len(addr) > 0 && (addr[0].Protocol().Code == ma.P_IP6 || addr[0].Protocol().Code == ma.P_IP6ZONE)
}
