package gossip

import (
	"context"
	"crypto/ed25519"
	"errors"
	"time"
)

// ErrJoinRefused says that the inviter was reached but has no open invite.
var ErrJoinRefused = errors.New("the other device has no open invite")

// A Network finds the other devices of the spaces it was told about and carries bytes to them: frames to everybody, messages
// over streams to one. It decides nothing about what the bytes mean. Package p2p implements it on libp2p; package nodetest
// implements it in memory.
//
// All methods are safe for concurrent use. Start is called once, before anything else.
type Network interface {
	// Start takes the device's identity and the receiver of everything that arrives. It returns once the local sockets are
	// open, or says why they cannot be; having no network at all is not an error, the implementation goes on trying. The
	// Handler may be called from any goroutine from now on until Close has returned.
	Start(ctx context.Context, key ed25519.PrivateKey, h Handler) error

	// SetSpaces replaces the spaces, their keys and their members. Connections of devices that are members of none are closed.
	SetSpaces(spaces []Access)

	// Publish sends one encoded operation of this device to all members that can be reached now. It never blocks on the
	// network: operations are packed, sealed and signed in batches, and what cannot be sent is lost (anti-entropy repairs
	// it; the Handler hears of it by Lost).
	Publish(space SpaceID, op []byte) error

	// Open starts a session stream to a peer that PeerUp has named.
	Open(ctx context.Context, space SpaceID, peer DeviceID) (Stream, error)

	// OpenJoin dials the inviter at the given addresses, or wherever discovery finds it, and opens a join stream. The
	// channel is encrypted and authenticated: the other end holds the key of inviter. It returns [ErrJoinRefused] if the inviter
	// answers but lets nobody in now.
	OpenJoin(ctx context.Context, inviter DeviceID, addrs []string) (Stream, error)

	// SetJoinable lets devices that are no members open a join stream, and nothing else, while on.
	SetJoinable(on bool)

	// AddAddr adds an address (a multiaddr, with or without /p2p/…) by hand and dials it at once. It is remembered.
	AddAddr(peer DeviceID, addr string) error

	// Addrs returns the addresses under which this device listens, without loopback unless nothing else exists.
	Addrs() []string

	// Peers reports every member and what is known about reaching it, ordered by device.
	Peers() []PeerInfo

	// Ping asks a connected member for an answer and returns how long it took. It gives up after a few seconds.
	Ping(peer DeviceID) (time.Duration, error)

	// Redial forgets every back-off and tries all members now.
	Redial()

	// Close stops everything and returns when no goroutine is left.
	Close() error
}

// Access is what a Network needs to know of a space: who may connect, and the key that proves membership and seals frames.
type Access struct {
	Space   SpaceID
	Key     [32]byte
	Members []DeviceID
	// NoGossip keeps the space out of gossip: nothing is published or subscribed, and sessions carry everything.
	NoGossip bool
}

// A Handler receives what arrives. Calls for one peer come in order; no call blocks longer than it takes to queue the event.
type Handler interface {
	// PeerUp says that the peer is connected and has proved that it holds the key of the space.
	PeerUp(space SpaceID, peer DeviceID)
	// PeerDown says that the last connection to the peer is gone.
	PeerDown(space SpaceID, peer DeviceID)
	// Frame delivers the operations of one verified gossip frame, in the order in which their author published them.
	Frame(Frame)
	// Lost says that something published, forwarded or received was dropped: everything may be missing at or from the peer.
	// A zero peer means all of them.
	Lost(space SpaceID, peer DeviceID)
	// Session is called in a goroutine of its own with a stream that the peer opened. The stream is closed when it returns.
	Session(space SpaceID, peer DeviceID, s Stream)
	// Join is called in a goroutine of its own with a join stream that a device which may not be a member opened. The stream
	// is closed when it returns, after three seconds at the latest unless the handler asked for more with SetDeadline. Until then it
	// may be broken to make room for another, so a handler sets no deadline before it knows the invite that the device names.
	Join(peer DeviceID, s Stream)
	// Twin says that another live process uses this device's key. Both stop syncing until a person decides.
	Twin(where string)
}

// A Frame is what one gossip message carried, after it was opened and its signature verified.
type Frame struct {
	Space SpaceID
	// Author is the device that signed the frame; From is the neighbour that handed it on.
	Author, From DeviceID
	Ops          [][]byte
}

// JoinAnswerBytesMax bounds a message of the inviting device on a join stream.
const JoinAnswerBytesMax = 64 << 10

// A Stream carries whole messages in order between two devices. One goroutine may send while another receives.
type Stream interface {
	Send(msg []byte) error
	// Recv returns the next message, owned by the caller, or io.EOF after the other end closed in an orderly way.
	Recv() ([]byte, error)
	SetDeadline(t time.Time) error
	// Close ends the stream in an orderly way, Reset breaks it at once. Both may be called more than once.
	Close() error
	Reset() error
	// RemoteAddr is the address of the other end, for people.
	RemoteAddr() string
}

// PeerInfo describes how a member can be reached.
type PeerInfo struct {
	Device    DeviceID
	Connected bool
	// Path says how: "lan tcp", "lan quic", "direct tcp", "direct quic"; empty while not connected.
	Path string
	// Addrs are the known addresses, best first.
	Addrs []string
	// LastSeen is when the last connection was alive; zero if never.
	LastSeen time.Time
	// BytesIn and BytesOut count what crossed the transport since the process started.
	BytesIn, BytesOut uint64
}
