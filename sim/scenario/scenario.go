package scenario

import (
	"cmp"
	"slices"
	"time"
)

// A Scenario is everything that happens in one run: the devices, the network between them, and a list of timed operations. With
// its Seed it decides every detail, so a run can be repeated, edited and cut down.
type Scenario struct {
	// Name is short and without spaces, About tells people in a sentence what happens; both may be empty.
	Name  string `json:"name,omitempty"`
	About string `json:"about,omitempty"`

	Seed    uint64   `json:"seed"`
	Devices []Device `json:"devices"`
	// Paths holds every path that an operation names, and may hold more.
	Paths   []string `json:"paths"`
	Network Network  `json:"network"`
	// AntiEntropy is the mean period between sessions with one peer; DeleteLog is how many deletes a replica remembers.
	AntiEntropy time.Duration `json:"antiEntropy"`
	DeleteLog   int           `json:"deleteLog"`
	// NoGossip lets operations travel by sessions only: no device gossips.
	NoGossip bool `json:"noGossip,omitempty"`
	// AnswerRows, if it is not 0, bounds the rows of an answer in a session: a larger one comes in several, each about a range of paths.
	AnswerRows int `json:"answerRows,omitempty"`
	// AnswerMemory, if it is not 0, bounds what the rows of an answer take in memory beside their data, in bytes. A path that takes more by itself
	// is left out until somebody decides there; drivers let somebody do that once all else is the same everywhere.
	AnswerMemory int `json:"answerMemory,omitempty"`
	// Ops are sorted by time, and none lasts longer than End.
	Ops []Op `json:"ops"`
	// End is when all faults are over; ConvergeMax is how long the devices may take from then until they agree.
	End         time.Duration `json:"end"`
	ConvergeMax time.Duration `json:"convergeMax"`
	// MergesMax bounds the writes by which programs on the devices settle conflicts; more of them is a failure.
	MergesMax int `json:"mergesMax,omitempty"`
}

// What holds if nothing else is said.
const (
	convergeDefault    = 2 * time.Minute
	antiEntropyDefault = 10 * time.Second
	deleteLogDefault   = 1 << 16
	restDefault        = time.Second // from the end of the last operation to the end
)

var networkDefault = Network{LatencyMin: 2 * time.Millisecond, LatencyMax: 40 * time.Millisecond,
	SyncMin: 500 * time.Microsecond, SyncMax: 4 * time.Millisecond}

// A Device is one participant. It runs from the start, unless an Op with DoJoin or DoClone says when it does.
type Device struct {
	// Name is what people call it: letters, digits and the signs - _ . with a letter among them. If it is empty, the device goes by its
	// number.
	Name string `json:"name,omitempty"`
	// Skew is the error of its clock at the start, in milliseconds.
	Skew int64 `json:"skew,omitempty"`
	// Poll, if it is not 0, is the mean period between its sessions with one peer, in place of AntiEntropy. The device does not gossip.
	Poll time.Duration `json:"poll,omitempty"`
}

// Gossips reports whether a device publishes what is written on it, and hears what others publish.
func (s *Scenario) Gossips(device int) bool { return !s.NoGossip && s.Devices[device].Poll == 0 }

// Period returns the mean period between a device's sessions with one peer.
func (s *Scenario) Period(device int) time.Duration {
	return cmp.Or(s.Devices[device].Poll, s.AntiEntropy)
}

// A Network says how the links behave.
type Network struct {
	// Links names the pairs that can connect; nil means all.
	Links [][2]int `json:"links,omitempty"`
	// LatencyMin and LatencyMax bound the way of one message.
	LatencyMin time.Duration `json:"latencyMin"`
	LatencyMax time.Duration `json:"latencyMax"`
	// Loss and Duplicate are shares of gossip frames, Break is the share of session messages at which the stream breaks.
	Loss      float64 `json:"loss,omitempty"`
	Duplicate float64 `json:"duplicate,omitempty"`
	Break     float64 `json:"break,omitempty"`
	// SyncMin and SyncMax bound the time that a disk takes to make data durable.
	SyncMin time.Duration `json:"syncMin"`
	SyncMax time.Duration `json:"syncMax"`
}

// An Action says what an Op does.
type Action string

// The actions.
const (
	DoWrite      Action = "write"      // Device writes Parts as one transaction
	DoRead       Action = "read"       // Device reads Path
	DoPolicy     Action = "policy"     // Device puts the paths that match the pattern Path under Policy, on all devices
	DoSync       Action = "sync"       // Device starts a session with every peer
	DoJoin       Action = "join"       // Device starts for the first time, empty
	DoClone      Action = "clone"      // Device starts for the first time, with a copy of the data of Of
	DoPartition  Action = "partition"  // Groups lose all connections to each other for For, and what was on the way
	DoDisconnect Action = "disconnect" // Device loses all its connections for For, and what was on the way
	DoStall      Action = "stall"      // nothing passes between Groups for For; then everything does, late
	DoHeal       Action = "heal"       // all that holds ends: partitions, disconnections, stalls, full disks, and what makes the network worse
	DoLoss       Action = "loss"       // the share Amount/1000 of gossip is lost for For
	DoDuplicate  Action = "duplicate"  // the share Amount/1000 of gossip arrives twice for For
	DoReorder    Action = "reorder"    // each gossip message takes up to Amount milliseconds longer for For
	DoSlow       Action = "slow"       // every message takes Amount milliseconds longer for For
	DoReset      Action = "reset"      // all streams of Device break
	DoCrash      Action = "crash"      // Device loses power for For; Amount/1000 of what was not durable survives
	DoRestart    Action = "restart"    // Device closes in order and is away for For
	DoBackup     Action = "backup"     // the data of Device are copied
	DoRestore    Action = "restore"    // Device gets the data of its last backup and is away for For
	DoDiskFull   Action = "diskfull"   // the disk of Device is full for For
	DoSyncFail   Action = "syncfail"   // the disk of Device confirms no sync for For; then Device loses power, Amount/1000 of what was not durable survives, and starts
	DoDamage     Action = "damage"     // the record of Path on Device cannot be read any more
	DoRepair     Action = "repair"     // Device asks the others for what it cannot read
	DoClock      Action = "clock"      // the clock of Device jumps by Amount milliseconds
)

// An Op is one timed operation or fault.
type Op struct {
	At     time.Duration `json:"at"`
	Do     Action        `json:"do"`
	Device int           `json:"device"`
	// Of is the device whose data are copied.
	Of     int     `json:"of,omitempty"`
	Parts  []Part  `json:"parts,omitempty"`
	Path   string  `json:"path,omitempty"`
	Policy string  `json:"policy,omitempty"`
	Groups [][]int `json:"groups,omitempty"`
	// For is how long it lasts. With 0 a device that went away starts again at once; everything else lasts until an operation with
	// DoHeal, or the end.
	For    time.Duration `json:"for,omitempty"`
	Amount int64         `json:"amount,omitempty"`
}

// A Verb says what a write does at one path.
type Verb string

// The verbs.
const (
	Put       Verb = "put"       // write, as somebody who was shown the newest value
	Delete    Verb = "delete"    // the same, without a value after it
	PutAll    Verb = "putall"    // write over every value
	Sibling   Verb = "sibling"   // write over none
	Resolve   Verb = "resolve"   // settle the conflict with a new value
	Keep      Verb = "keep"      // settle the conflict with the content of one of its values
	PutIf     Verb = "putif"     // write if nothing has changed since the device's last write there
	DeleteAll Verb = "deleteall" // delete every value
	Merge     Verb = "merge"     // settle the conflict with Value, which a program made of its values; drivers do that, scenarios do not hold it
)

// A Part is what a write does at one path.
type Part struct {
	Path string `json:"path"`
	Verb Verb   `json:"verb"`
	// LWW says that the value is of the kind that is settled by time.
	LWW bool `json:"lww,omitempty"`
	// Value is the content; if it is empty, the driver makes one that no other write has.
	Value string `json:"value,omitempty"`
	// Size is the number of bytes of a content that the driver makes; a short one if it is 0.
	Size int `json:"size,omitempty"`
}

// String tells the operation in one line, with numbers for devices.
func (o Op) String() string { return (&Scenario{}).Tell(&o) }

// Writes returns the number of writes in the scenario.
func (s *Scenario) Writes() int {
	n := 0
	for i := range s.Ops {
		if s.Ops[i].Do == DoWrite {
			n++
		}
	}
	return n
}

// Parts returns the number of paths that all writes of the scenario name together; a policy is one.
func (s *Scenario) Parts() int {
	n := 0
	for i := range s.Ops {
		if n += len(s.Ops[i].Parts); s.Ops[i].Do == DoPolicy {
			n++
		}
	}
	return n
}

// CutsAnswers reports whether an answer in a session can be too large for one.
func (s *Scenario) CutsAnswers() bool { return s.AnswerRows > 0 || s.AnswerMemory > 0 }

// sortOps puts the operations into the order of their times.
func (s *Scenario) sortOps() {
	slices.SortStableFunc(s.Ops, func(a, b Op) int { return cmp.Compare(a.At, b.At) })
}

// OnDevice reports whether the action happens on one device.
func (a Action) OnDevice() bool {
	switch a {
	case DoPartition, DoStall, DoHeal, DoLoss, DoDuplicate, DoReorder, DoSlow:
		return false
	}
	return true
}

// Start returns the operation by which a device starts for the first time, nil if it runs from the beginning.
func (s *Scenario) Start(device int) *Op {
	for i := range s.Ops {
		if o := &s.Ops[i]; o.Device == device && (o.Do == DoJoin || o.Do == DoClone) {
			return o
		}
	}
	return nil
}
