package node

import (
	"time"

	"syncline/crdt"
	"syncline/gossip"
)

// writeOptions collects what the WriteOptions of one call say.
type writeOptions struct {
	ifVersion Version
	ifAbsent  bool
	kind      *crdt.Kind
	all       bool
	err       *Problem // of the first option that cannot be
}

func (o *writeOptions) refuse(p *Problem) {
	if o.err == nil {
		o.err = p
	}
}

// A WriteOption changes how one write is done.
type WriteOption func(*writeOptions)

// IfVersion makes a write fail with [ErrVersionMismatch] unless the entry is at version v; it then replaces every value that
// v names. It guards against changes on this device, it is not a lock over the network. An empty v is refused with [ErrBadRequest]:
// to write what does not exist yet, use [IfAbsent].
func IfVersion(v Version) WriteOption {
	return func(o *writeOptions) {
		if o.ifVersion = v; v == "" {
			o.refuse(ErrBadRequest.With("IfVersion names an empty version").Next("Give the version that was read. For an entry that does not exist yet, use IfAbsent."))
		}
	}
}

// IfAbsent makes a write fail with [ErrExists] if the entry exists here.
func IfAbsent() WriteOption { return func(o *writeOptions) { o.ifAbsent = true } }

// As sets the kind of the written value, crdt.Multi or crdt.LWW; without it a value keeps the kind of the entry, or is crdt.Multi.
func As(k crdt.Kind) WriteOption {
	return func(o *writeOptions) {
		if o.kind = &k; k != crdt.Multi && k != crdt.LWW {
			o.refuse(ErrBadRequest.With("there is no %v", k).Next("Use crdt.Multi or crdt.LWW."))
		}
	}
}

// All makes a delete remove, or a put replace, every value of an entry in Conflict, not only the shown one.
func All() WriteOption { return func(o *writeOptions) { o.all = true } }

// A WriteResult says what a write did.
type WriteResult struct {
	Version Version // of the entry after the write; empty if it is gone
	Created bool    // the entry did not exist here before
	// Remaining is the number of values that the write left in place because its writer was not shown them.
	Remaining int
	// Undo names the resolution for [Space.Undo]; empty if the write was none, or what it replaced is too large to keep.
	Undo string
	// Unkept says that what the write deleted is not in this device's history, and cannot be brought back here: the disk is full.
	Unkept bool
}

// A Cursor marks a point in what this device has seen. It is opaque; it looks like "c2.…".
type Cursor string

// CursorNow stands for the present: only later changes follow.
const CursorNow Cursor = "now"

// ChangeType says what happened to an entry.
type ChangeType string

// The types of a Change.
const (
	// ChangePut: the entry has a value, and nothing competes with it.
	ChangePut ChangeType = "put"
	// ChangeDelete: the entry is gone; Entry is nil.
	ChangeDelete ChangeType = "delete"
	// ChangeConflict: values compete until somebody resolves them.
	ChangeConflict ChangeType = "conflict"
	// ChangeResolved: somebody, or a policy, decided what competed.
	ChangeResolved ChangeType = "resolved"
)

// A Change is the state of one entry after something happened to it. Quick changes of one path may arrive as one; the last
// state always arrives.
type Change struct {
	Type ChangeType
	Path string
	// Policy is set on a ChangeResolved that no person made: the policy that settles the entry.
	Policy Policy
	// Entry is the state now; nil if the entry is gone, as after a ChangeDelete.
	Entry *Entry
	// Device made the latest of the changes that this record stands for, at Time by its own clock.
	Device DeviceRef
	Time   time.Time
	// Remote says that the change came from another device.
	Remote bool
	// Cursor continues after this change.
	Cursor Cursor
}

// Changes is one page of the feed.
type Changes struct {
	Changes []Change
	Cursor  Cursor
	// UpToDate says that nothing more was there when the page was made.
	UpToDate bool
}

// ChangesOptions says which page of the feed to return.
type ChangesOptions struct {
	Since  Cursor        // empty: from the beginning, that is the current state
	Prefix string        // only paths that begin with it
	Limit  int           // the page ends with the transaction that reaches so many changes; default 500, at most 10,000
	Wait   time.Duration // wait so long for the first change, at most 5 minutes
}

// An Event is what [Space.Watch] yields: a Change, or the news that everything there was has been yielded. A program that keeps the
// Cursor of the last event that it dealt with goes on behind it, also in another run.
type Event struct {
	// UpToDate is set on the one event that follows the last change that was there when the watch began.
	UpToDate bool
	Change   Change
	Cursor   Cursor
}

// ListOptions bounds a listing.
type ListOptions struct {
	After string // only paths after this one
	Limit int    // 0: no bound
}

// DeviceState says how a device stands to this one.
type DeviceState string

// The states of a device, as shown to people.
const (
	StateSelf     DeviceState = "this device"
	StateInSync   DeviceState = "in sync"
	StateBehind   DeviceState = "behind"  // it is connected and lacks entries that are here
	StateSyncing  DeviceState = "syncing" // connected; what it holds is being found out
	StateOffline  DeviceState = "offline" // it was met before
	StateNeverMet DeviceState = "never met"
)

// Missing counts what a device is not known to hold.
type Missing struct {
	Entries int
	Bytes   int64
}

// DeviceStatus is a member device as this one sees it.
type DeviceStatus struct {
	DeviceRef
	State   DeviceState
	Missing Missing
	// Path says how it is connected: "lan quic", "direct tcp", …; empty while it is not.
	Path     string
	Addrs    []string
	LastSeen time.Time // zero: never
	Added    time.Time
	AddedBy  DeviceRef
	// ClockSkew is its clock minus ours, as its last message told; 0 if unknown.
	ClockSkew time.Duration
}

// Warning is a thing that a person should look at.
type Warning struct {
	Code string // stable
	Text string
	Hint string
}

// SpaceInfo names a space of this device.
type SpaceInfo struct {
	ID      gossip.SpaceID
	Name    string
	Default bool
}

// Status is one page about this device and one of its spaces.
type Status struct {
	Device  DeviceRef
	Space   SpaceInfo
	Started time.Time
	Entries int
	Bytes   int64 // sum of path and value bytes that are live
	// Filling says what is known not to be here yet.
	Filling   Filling
	Conflicts int
	Devices   []DeviceStatus // the other members, by name
	Warnings  []Warning
	// Alarms counts, by code, what went wrong with what others sent since this device started; see the codes of [Alarm].
	Alarms  map[string]int
	Addrs   []string // where this device listens
	Dir     string
	Network bool // false: local only
	// Invites is the number of invites that are open.
	Invites int
}

// SyncOptions says whom [Space.WaitSync] waits for.
type SyncOptions struct {
	// Device is the name, short id or id of one device; empty: every device that is connected.
	Device string
}

// SyncResult says who holds all that this device held when the wait began. A device whose Path is empty is away: it is known to have
// held it when it was last met (LastSeen), and no more is known of it.
type SyncResult struct {
	CaughtUp bool
	Devices  []DeviceStatus
}

// InviteOptions says what an invite is worth.
type InviteOptions struct {
	Expires    time.Duration // default 10 min, at most 7 days
	AutoAccept bool          // admit whoever brings the ticket, without asking a person
}

// Invite is an open invite of this device.
type Invite struct {
	ID         string // as "inv_3f9a"
	Ticket     string // "peer:…"; it is a secret until it is spent
	Space      SpaceInfo
	Expires    time.Time
	AutoAccept bool
	// Request is the device that brought the ticket and waits to be let in; nil while none has.
	Request *JoinRequest
	// Joined is the device that was let in; the invite is spent.
	Joined *DeviceRef
}

// JoinRequest is a device that asks to be let in.
type JoinRequest struct {
	Device DeviceRef
	Addr   string
}

// JoinResult says what was joined.
type JoinResult struct {
	Space   SpaceInfo
	Inviter DeviceRef
	// Kept names the space that was this device's default before, if it held something and was therefore kept.
	Kept *SpaceInfo
}
