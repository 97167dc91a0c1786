package des

import (
	"github.com/ipfs/go-datastore"

	"syncline/crdt"
	"syncline/node"
	"syncline/store"
	"syncline/store/mem"
)

// Taps stand between the parts of a simulated group: tests plant mistakes there, to show that the oracle notices. A nil tap
// changes nothing.
type Taps struct {
	// Datastore and Token are what a store is opened with.
	Datastore func(device int, d Disk) datastore.Batching
	Token     func(device int, ds *mem.Datastore, t store.BootToken) store.BootToken
	// Early says whether an output is carried out without waiting for the sync.
	Early func(device int, out node.Output) bool
	// Input and Output change what a replica is told and what it wants done; Input may return nil.
	Input  func(device int, in node.Input) node.Input
	Output func(device int, how Phase, out []node.Output) []node.Output
	// Gossip and Session change what is on the way; a stream is the same for all messages of one session in one direction.
	Gossip  func(from, to int, op []byte) []byte
	Session func(from, to int, stream uint64, msg []byte) [][]byte
	// Wall changes the time that a replica is told, in milliseconds since 1970.
	Wall func(device int, wall int64) int64
	// Read changes the values that a reader gets, Shown the one that a reader is shown and whether a policy settles what competes.
	Read  func(device int, path string, live []crdt.Value) []crdt.Value
	Shown func(device int, path string, live []crdt.Value, shown crdt.Value, settled bool) (crdt.Value, bool)
	// Crash says what happens to the data at a loss of power, instead of losing the batches after the first keep.
	Crash func(device int, ds *mem.Datastore, keep int)
}

// A Disk is what a store is opened on.
type Disk interface {
	datastore.Batching
	store.Ranger
	store.ByteReader
}

// A Phase says what a step was about.
type Phase int

// The phases.
const (
	PhaseStart   Phase = iota // the first step after a start
	PhaseWrite                // a write
	PhaseGossip               // operations from gossip
	PhaseSession              // a message of a session
	PhaseOther
)
