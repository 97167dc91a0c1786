package node

import (
	"slices"
	"time"

	"syncline/crdt"
	"syncline/gossip"
)

// Time is what a Replica is told of time.
type Time struct {
	// Wall is the device's clock, in milliseconds since 1970; it may jump and be wrong.
	Wall int64
	// Mono never goes back; it counts from any fixed moment.
	Mono time.Duration
}

// An Input is something that happened to a replica: a Write, Ops that gossip brought, or news of a peer or a session.
type Input interface{ input() }

// A Write asks for one operation. Tag comes back in its Reply.
type Write struct {
	Tag uint64
	Ops []WriteOp
	// Meta is kept in the same batch: local records that are not replicated. A nil value removes one.
	Meta map[string][]byte

	results []WriteResult
}

// mixed reports whether a Write deletes and puts.
func (w Write) mixed() bool {
	deletes := func(op WriteOp) bool { return op.Delete }
	puts := func(op WriteOp) bool { return !op.Delete }
	return slices.ContainsFunc(w.Ops, deletes) && slices.ContainsFunc(w.Ops, puts)
}

// A WriteOp is what a Write does at one path.
type WriteOp struct {
	Path   string
	Delete bool
	Content
	Kind *crdt.Kind
	// IfVersion and IfAbsent make the whole Write fail unless they hold.
	IfVersion Version
	IfAbsent  bool
	// All supersedes every value, not only the shown one. Resolve does too, and settles the conflict; with Keep it writes the
	// content of that value.
	All     bool
	Resolve bool
	Keep    string
	// Idempotent makes a Delete of what is not there do nothing; without it, it fails the Write.
	Idempotent bool
	// Sibling supersedes nothing: an import brings back the values of a conflict one by one.
	Sibling bool
	// Over supersedes the one live value with this ID and nothing else.
	Over string
}

// Ops are the operations of one verified gossip frame.
type Ops struct {
	Author, From gossip.DeviceID
	Ops          [][]byte
}

// PeerUp and PeerDown say that a member is connected and proven, or gone.
type (
	PeerUp   struct{ Peer gossip.DeviceID }
	PeerDown struct{ Peer gossip.DeviceID }
)

// Lost says that gossip with a peer, or with all if it is zero, was dropped somewhere.
type Lost struct{ Peer gossip.DeviceID }

// SyncNow asks for a session with a connected peer, or with all if it is zero, at once: within seconds, if the last one had to leave something
// out.
type SyncNow struct{ Peer gossip.DeviceID }

// A SessionID names a session of one replica, inbound or outbound.
type SessionID uint64

// SessionIn says that a peer opened a session; the ID was drawn by the loop, from the upper half of the range.
type SessionIn struct {
	ID   SessionID
	Peer gossip.DeviceID
}

// SessionMsg brings a message of a session, SessionEnd its end, in order (Err nil) or not. SessionReady says that everything
// that was handed out to send has been sent.
type (
	SessionMsg struct {
		ID  SessionID
		Msg []byte
	}
	SessionEnd struct {
		ID  SessionID
		Err error
	}
	SessionReady struct{ ID SessionID }
)

// Repair asks for whole records in the place of damaged ones. Tag comes back in its Reply, after [RepairMax] at the latest. What was lost is
// fetched from Peer, if it is connected and has it; with GiveUp, nobody is asked, and what was lost counts as deleted. With Bindings those of
// replicas that cannot be read are fetched, too.
type Repair struct {
	Tag      uint64
	Paths    []string
	Bindings bool
	Peer     gossip.DeviceID
	GiveUp   bool
}

// MergeNames says which merge functions this device has, whenever that changes.
type MergeNames struct{ Names []string }

// Merged answers a [Merge]: with the result, or with the reason why there is none.
type Merged struct {
	Merge
	Content
	Reason string
}

// Tick says that time has passed.
type Tick struct{}

func (Write) input()        {}
func (Ops) input()          {}
func (PeerUp) input()       {}
func (PeerDown) input()     {}
func (Lost) input()         {}
func (SyncNow) input()      {}
func (SessionIn) input()    {}
func (SessionMsg) input()   {}
func (SessionEnd) input()   {}
func (SessionReady) input() {}
func (Repair) input()       {}
func (Tick) input()         {}
func (MergeNames) input()   {}
func (Merged) input()       {}

// An Output is something that must happen next. Outputs are carried out in order.
type Output interface{ output() }

// Reply answers a Write or a Repair. It may be told only after the store is synced, unless the node is relaxed or the write failed.
type Reply struct {
	Tag     uint64
	Results []WriteResult // one per WriteOp
	// Mended are the paths that a Repair mended, Unread those that the peer cannot read either, and Left those of which it has more values
	// than can be exchanged. Busy says that the same Repair may do more soon.
	Mended, Unread, Left []string
	// Unbound is the number of bindings that cannot be read after a Repair that was to look after them.
	Unbound int
	Busy    bool
	Err     *Problem
}

// Publish gives an operation to gossip. It need not wait for the sync: if it is lost in a crash, so is the incarnation.
type Publish struct{ Op []byte }

// OpenSession opens a stream to a peer for an outbound session.
type OpenSession struct {
	ID   SessionID
	Peer gossip.DeviceID
}

// Send sends messages of a session, after the store is synced: what a session says of this replica is on disk. When all are
// sent, SessionReady is due.
type Send struct {
	ID   SessionID
	Msgs [][]byte
}

// CloseSession ends a stream after what was sent before; Reset breaks it at once.
type CloseSession struct {
	ID    SessionID
	Reset bool
}

// Changed says that paths have new states. Conflicts holds those among them where a conflict came to light.
type Changed struct {
	Paths     []string
	Conflicts []crdt.Conflict
	Remote    bool
}

// Synced says that a session with a peer came to its end.
type Synced struct {
	Peer   gossip.DeviceID
	Result gossip.Result
}

// Merge asks for the function of a policy to be called with what competes at a path, if the entry still is at a version. The answer is
// one Merged, in any case.
type Merge struct {
	Path    string
	Version Version
	Policy  Policy
}

// MergeFailed says why what competes at a path stays open until it changes.
type MergeFailed struct {
	Path    string
	Version Version
	Reason  string
}

// An Alarm is something that must not be overlooked; Code is stable. Path is set where a damaged record of one path is meant, Replica where the
// damaged binding of one is.
type Alarm struct {
	Code    string
	Peer    gossip.DeviceID
	Text    string
	Path    string
	Replica crdt.ReplicaID
}

// The codes of an Alarm.
const (
	AlarmBadFrame   = "bad_frame"       // a member sent something that does not decode
	AlarmUnbound    = "unbound"         // an operation of a replica that does not belong to the device that sent it
	AlarmFork       = "fork"            // one dot with two contents
	AlarmRolledBack = "rolled_back"     // this replica was set back; it goes on under a new replica id
	AlarmDiverged   = "diverged"        // equal vectors, different values
	AlarmClock      = "clock_suspect"   // a device's clock is far ahead
	AlarmCorrupt    = "corrupt_record"  // a record of our own store does not decode
	AlarmVersion    = "version_differ"  // a peer speaks another version
	AlarmValues     = "too_many_values" // a path has more values than can be exchanged
	AlarmUnkept     = "unkept"          // values are not in the history: the disk was full, or too many were replaced at once
)

func (Reply) output()        {}
func (Publish) output()      {}
func (OpenSession) output()  {}
func (Send) output()         {}
func (CloseSession) output() {}
func (Changed) output()      {}
func (Synced) output()       {}
func (Alarm) output()        {}
func (Merge) output()        {}
func (MergeFailed) output()  {}
