package p2p

import (
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"

	"syncline/gossip"
)

// Errors that callers branch on.
var (
	// ErrPortInUse says that another process listens on a configured port; a person should stop it or choose another port.
	ErrPortInUse = errors.New("port in use")
	// ErrClosed says that the Network is closed, or was never started.
	ErrClosed = errors.New("network closed")
	// ErrUnknownSpace says that SetSpaces has not named the space.
	ErrUnknownSpace = errors.New("unknown space")
	// ErrNotConnected says that no connection to the peer has proved the space's key.
	ErrNotConnected = errors.New("peer not connected")
	// ErrTooLarge says that a message or operation exceeds what one message may carry.
	ErrTooLarge = errors.New("message too large")
	// ErrJoinRefused says that the inviter was reached but accepts no join stream now.
	ErrJoinRefused = gossip.ErrJoinRefused
)

// Config holds the knobs of a Network. The zero value is usable: every field has the default its comment names.
type Config struct {
	// Listen are the multiaddrs to listen on. Default: TCP and QUIC on all IPv4 and IPv6 addresses, at a port that follows from
	// the device's key, so that addresses that others keep stay good, or at a free one if that is taken.
	Listen []string
	// Announce are addresses to advertise before the local ones, such as a forwarded port.
	Announce []string
	// NoLAN turns mDNS off: only the address book and hand-added addresses are dialled.
	NoLAN bool
	// BookFile is where the address book persists; empty keeps it in memory.
	BookFile string
	// Logger receives what happens; third-party records arrive demoted to debug level. Default: discard.
	Logger *slog.Logger
	// Clock tells wall time, for last-seen stamps and to notice that the machine slept. Default: time.Now. It must keep the
	// monotonic reading, without which sleep cannot be told from a clock that was set.
	Clock func() time.Time
	// Rand is the source of nonces, padding and jitter. Default: crypto/rand. It need not be safe for concurrent use.
	Rand io.Reader

	// PingEvery is how often a connection is probed (default 4 s, sensible 1 s to 10 s). Lower finds dead links sooner and
	// costs about 230 bytes a probe on the wire.
	PingEvery time.Duration
	// PingTimeout is how long after a missed probe the connection is closed (default 4 s).
	PingTimeout time.Duration
	// HelloTimeout is how long a connection may live without proving a space or joining one (default 10 s).
	HelloTimeout time.Duration
	// RedialMin and RedialMax bound the exponential back-off for members with LAN addresses (defaults 0.5 s and 5 s);
	// RedialFarMax applies to members that have only public addresses (default 30 s).
	RedialMin, RedialMax, RedialFarMax time.Duration
	// DiscoverEvery is how often mDNS is restarted while a member is missing (default 60 s): some programs hear of an instance name only
	// once, and what was lost is said again.
	DiscoverEvery time.Duration
	// WatchEvery is how often the interfaces are compared (default 2 s).
	WatchEvery time.Duration
	// FlushEvery is how often a changed address book is written (default 30 s). Hand-added addresses are written at once.
	FlushEvery time.Duration
	// PeerQueue is how many frames of gossip may wait for one peer, and how many that came may wait to be taken (default 256, of
	// 48 KiB under load and 256 KiB at most). What finds no place is reported as lost.
	PeerQueue int

	// ExtraOptions are appended to the libp2p options, for tests.
	ExtraOptions []libp2p.Option
}

// Bounds of what the package queues, reads and remembers. Sizes are in bytes.
const (
	sessionMessageMax = 2<<20 + 64<<10            // inbound message of a session stream: 2 MiB and slack
	joinRequestMax    = 4 << 10                   // message from a device that joins
	joinReplyMax      = gossip.JoinAnswerBytesMax // message from the inviter
	helloMessageMax   = 8 << 10                   // message of the hello stream
	twinTextMax       = 256                       // address inside a twin notice

	pubsubMessageMax = 1 << 20                  // one gossipsub RPC
	frameMax         = pubsubMessageMax - 4<<10 // one sealed frame, leaving room for the RPC around it
	framePack        = 256 << 10                // operations packed into one frame, unless one alone is larger
	frameFlush       = 48 << 10                 // pending bytes that end the wait of a flush
	frameOpsMax      = 1 << 13                  // operations in one frame: more than framePack holds of real ones
	pendingMax       = 4 << 20                  // bytes that wait to be sealed, per space
	deliverMax       = 16 << 20                 // memory of received frames that wait for the handler

	joinStreamsMax  = 48  // join streams served at a time, in their first joinLifetime
	joinWaitersMax  = 64  // older join streams, which wait for a person
	strangersMax    = 48  // connections of devices that are no members and do not wait for a person, at a time
	strangersNetMax = 24  // connections of devices that are no members, per address, at a time: ten by two transports, and half of all
	strangerBurst   = 24  // connections per address before one per second applies
	placeConnsMax   = 64  // connections per IPv4 address or IPv6 /56 at a time, members' too
	silentConnsMax  = 256 // inbound connections that have not said who they are, at least: one address may have a quarter of them
	strangerIPsMax  = 256 // addresses that the rate limit remembers
	tagsMax         = 256 // spaces proved in one hello
	bookAddrsMax    = 16  // addresses per device
	bookDevicesMax  = 256 // devices in the address book
	foundDevicesMax = 64  // non-members that discovery remembers
	advertAddrsMax  = 8   // addresses in one mDNS advert
	foundAddrsMax   = 16  // addresses of a non-member that adverts named
	joinAddrsMax    = 8   // addresses of one attempt to join: libp2p dials so many of a peer at a time
	joinFoundMin    = 4   // of these, those from adverts, however many are given
	dialsMax        = 16  // dials at a time
)

// Fixed times.
const (
	joinFirstMax   = 3 * time.Second        // of a join stream whose handler asked for no more
	joinLifetime   = 10 * time.Second       // of a join stream, until it counts as one that waits for a person
	joinTurnWait   = 2 * time.Second        // for the last join stream of the same device to end
	strangerLife   = 3 * time.Second        // of a stranger's connection without a join stream
	advertPause    = 3 * time.Second        // between redials, or probes, that adverts of one device cause
	probeTimeout   = 2 * time.Second        // to find out who listens at one address
	joinDialMax    = 30 * time.Second       // of OpenJoin without a deadline of its own
	dialTimeout    = 4 * time.Second        // of one attempt
	openTimeout    = 5 * time.Second        // to negotiate a stream
	admitWait      = 5 * time.Second        // a stream may overtake the hello that admits it by at most this
	flushGapMin    = 500 * time.Microsecond // between frames while each carries one operation
	flushGapMax    = 8 * time.Millisecond   // between frames under load
	sleepJump      = 10 * time.Second       // wall minus monotonic time that means the machine slept
	discoverRetry  = 2 * time.Second        // after mDNS could not start
	strangerRefill = time.Second            // one more connection per address

	placeConnsPerSecond = 4 // new connections per IPv4 address or IPv6 /56, after placeConnsMax at once
)

// withDefaults returns c with every unset field set.
func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	c.Rand = &lockedReader{r: c.Rand}
	setDefault(&c.PingEvery, 4*time.Second)
	setDefault(&c.PingTimeout, 4*time.Second)
	setDefault(&c.HelloTimeout, 10*time.Second)
	setDefault(&c.RedialMin, 500*time.Millisecond)
	setDefault(&c.RedialMax, 5*time.Second)
	setDefault(&c.RedialFarMax, 30*time.Second)
	setDefault(&c.DiscoverEvery, time.Minute)
	setDefault(&c.WatchEvery, 2*time.Second)
	setDefault(&c.FlushEvery, 30*time.Second)
	if c.PeerQueue <= 0 {
		c.PeerQueue = 256
	}
	return c
}

func setDefault(d *time.Duration, to time.Duration) {
	if *d <= 0 {
		*d = to
	}
}

// A lockedReader lets several goroutines share a source of randomness.
type lockedReader struct {
	mu sync.Mutex // guards r
	r  io.Reader
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return io.ReadFull(l.r, p)
}
