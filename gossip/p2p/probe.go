package p2p

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/security/noise/pb"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	multistream "github.com/multiformats/go-multistream"
)

// processPrefix begins the name of a process among the muxers that it offers in a Noise handshake. No such muxer exists, so
// it is never chosen, unless somebody else asks for it, whose connection then fails.
const processPrefix = "/syncline/process/"

// processName names a run of a process without showing its instance id.
func processName(i instance) protocol.ID {
	sum := sha256.Sum256(append([]byte("syncline/process/1"), i[:]...))
	return processPrefix + protocol.ID(hex.EncodeToString(sum[:8]))
}

// newNoise is libp2p's Noise transport, which in addition says in every handshake which process answers. That message is
// encrypted for the caller and bound to the device key, so that nobody else can make it, and nobody can replay it: see probe.
func (n *Network) newNoise(id protocol.ID, key crypto.PrivKey, muxers []upgrader.StreamMuxer) (*noise.Transport, error) {
	return noise.New(id, key, append(slices.Clone(muxers), upgrader.StreamMuxer{ID: processName(n.instance)}))
}

// A prober finds out whether an advert with our own id comes from another process with our key. An advert proves nothing,
// as anybody on the network can forge one.
type prober struct {
	mu   sync.Mutex // guards what follows
	busy bool
	last time.Time // when the last probe began
}

// begin reports whether a probe may start now: one at a time, and few, because everybody can ask for one.
func (p *prober) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy || time.Since(p.last) < advertPause {
		return false
	}
	p.busy, p.last = true, time.Now()
	return true
}

func (p *prober) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = false
}

// probe reports whether another process that holds our key listens at a TCP address. It dials under a key made for this one
// call, because libp2p refuses to dial itself, and ends after the handshake: the other end's gate would not let it in. An
// attacker who passes the handshake on to this very process gets an answer that names this process; one who recorded an
// answer earlier cannot use it, because it is encrypted for another caller.
func (n *Network) probe(ctx context.Context, addr ma.Multiaddr) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var dialer manet.Dialer
	conn, err := dialer.DialContext(ctx, addr)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(probeTimeout))
	if err := multistream.SelectProtoOrFail(protocol.ID(noise.ID), conn); err != nil {
		return false, err
	}
	name, err := n.handshake(ctx, conn)
	return err == nil && name != processName(n.instance), err
}

// handshake returns the name of the process at the other end, which has proved that it holds our key.
func (n *Network) handshake(ctx context.Context, conn net.Conn) (protocol.ID, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return "", err
	}
	transport, err := noise.New(noise.ID, key, nil)
	if err != nil {
		return "", err
	}
	heard := new(processListener)
	session, err := transport.WithSessionOptions(noise.EarlyData(heard, nil))
	if err != nil {
		return "", err
	}
	secured, err := session.SecureOutbound(ctx, conn, n.host.ID())
	if err != nil {
		return "", err
	}
	_ = secured.Close()
	if heard.name == "" {
		return "", errors.New("the other end does not name its process")
	}
	return heard.name, nil
}

// A processListener takes the name of the process from the answer to a handshake.
type processListener struct{ name protocol.ID }

var _ noise.EarlyDataHandler = (*processListener)(nil)

func (*processListener) Send(context.Context, net.Conn, peer.ID) *pb.NoiseExtensions { return nil }

func (p *processListener) Received(_ context.Context, _ net.Conn, e *pb.NoiseExtensions) error {
	for _, m := range e.GetStreamMuxers() {
		if strings.HasPrefix(m, processPrefix) {
			p.name = protocol.ID(m)
		}
	}
	return nil
}
