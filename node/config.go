package node

import (
	"cmp"
	"crypto/rand"
	"io"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ipfs/go-datastore"

	"syncline/crdt"
	"syncline/gossip"
	"syncline/store"
)

// Bounds that users meet. Exceeding one is answered with a [Problem] that names it.
const (
	// PathBytesMax bounds a path, in bytes of UTF-8.
	PathBytesMax = 1024
	// ValueBytesMax bounds a value, in bytes.
	ValueBytesMax = 1 << 20
	// NameBytesMax bounds the name of a device, in bytes of UTF-8.
	NameBytesMax = 64
	// ContentTypeBytesMax bounds a content type, in bytes.
	ContentTypeBytesMax = 255
	// TxEntriesMax bounds the number of paths in one transaction, TxBytesMax the sum of its paths and values.
	TxEntriesMax = 10_000
	TxBytesMax   = 16 << 20
	// PollMin is the shortest time between two polls of one device, PeriodMax the longest Poll or AntiEntropy.
	PollMin   = 100 * time.Millisecond
	PeriodMax = 365 * 24 * time.Hour
)

// Defaults of [Config].
const (
	AntiEntropyDefault = 30 * time.Second
	DeleteLogDefault   = 1 << 16
)

// Config says how a node runs. The zero value of every field is a usable default; an empty Config is a node in memory
// without a network. [Open] refuses negative numbers, but for those of the history.
type Config struct {
	// Dir is the data directory: keys, spaces, address book. It is made with mode 0700 if absent. Empty: nothing is written
	// to disk and all is lost at Close. A relative one is taken from the working directory at Open.
	Dir string
	// Store chooses the backend of the spaces: "pebble:", "leveldb:", or "mem:" (the only one without a Dir). A space stays with the
	// backend that it began with; with another one, Open fails and says so. Default: what Dir holds already, "pebble:" if it holds nothing.
	Store string
	// Backend opens the datastore of the space whose folder is place, instead of Store, and says where its boot token is kept; no
	// token means that each start that writes takes a fresh incarnation. The node closes the datastore. It is for simulations,
	// whose disks lose what was not synced. It is asked again when a store that has failed is opened anew. Default: what Store says.
	// Without a Dir it is not asked.
	Backend func(place string) (datastore.Batching, store.BootToken, error)
	// Name is what people call this device; default: the host's name.
	Name string
	// Network connects this device to others; nil means local only. Open starts it and Close closes it.
	Network gossip.Network
	// Relaxed lets writes return before they are on disk. A crash may then lose the last writes that no other device holds yet.
	// Default false: a write returns after the fsync of its batch.
	Relaxed bool
	// AntiEntropy is the mean period between sessions with one connected peer, varied by ± 20 %. Default 30 s, at most PeriodMax. Shorter finds
	// lost gossip sooner and costs about 150 bytes a period and peer; longer leaves a lost frame unrepaired for longer.
	AntiEntropy time.Duration
	// Poll, if it is not zero, takes the place of AntiEntropy: every Poll this device asks each connected one what is new, takes it and
	// gives what the other lacks. From PollMin to PeriodMax. Beside gossip it only repairs sooner; with NoGossip it is the way by which
	// writes travel, and how late they arrive.
	Poll time.Duration
	// NoGossip keeps writes out of gossip: this device neither publishes nor subscribes, and everything travels in sessions, one
	// with each connected device every Poll. It comes to the same in the end, only later. A device that does gossip begins a session
	// after each burst of its writes with one that does not.
	NoGossip bool
	// DeleteLog is the number of deletes that are remembered one by one; default 65,536. A peer that missed more is
	// brought up to date by comparing what is live, which costs about ten bytes an entry.
	DeleteLog int
	// HistoryVersions is the number of past values that are kept for each entry, default 10, and HistoryAge how long they are, default
	// 30 days; a negative one switches history off. More costs disk: what was overwritten, up to 8 MiB an entry and 256 MiB a space.
	// Less leaves fewer values to restore, and fewer common bases for merges.
	HistoryVersions int
	HistoryAge      time.Duration
	// MergeDeadline is how long one call of a merge function may take, see [Node.RegisterMerge]. Default 1 s. A longer one lets slow
	// functions through and keeps a [Space.Resolve] that asks for one waiting. The built-in ones may take 10 s, or this if it is longer.
	MergeDeadline time.Duration
	// NewIdentity gives the data directory a new device key before anything starts: for a copy of a device that is live
	// elsewhere. The new device must be invited.
	NewIdentity bool
	// RuntimeDir holds the same-boot tokens of rule R5 (docs/decisions/0003); it must lie on a file system that a reboot
	// empties, and never inside Dir. Default: peer-UID in $XDG_RUNTIME_DIR, or else in /run/user/UID, or /dev/shm. Where there
	// is none, each start that writes takes a fresh incarnation.
	RuntimeDir string
	// Clock tells the wall time; default time.Now.
	Clock func() time.Time
	// Rand is the source of keys and ids; default crypto/rand.
	Rand io.Reader
	// Observe sees every step of the replicas; for simulations. A store that has failed is then not opened anew. Default: nobody.
	Observe StepObserver
	// Limits bound the answers of sessions; for simulations. Default: those of package gossip.
	Limits crdt.Limits
	// RowsMemory bounds what the rows of one answer take in memory, in bytes; for simulations. Default: that of package gossip.
	RowsMemory int
	// Logger receives what the node has to say; default: nothing.
	Logger *slog.Logger
}

// check returns why a node cannot run so.
func (c Config) check() error {
	if strings.ContainsFunc(c.Name, unicode.IsControl) || len(c.Name) > NameBytesMax || !utf8.ValidString(c.Name) {
		return ErrBadRequest.With("a device name has at most %d bytes of UTF-8 and no control characters, not %.80q", NameBytesMax, c.Name)
	}
	const length = "Give a length of time as 5s."
	switch {
	case c.Poll != 0 && c.Poll < PollMin:
		return ErrBadRequest.With("it cannot poll every %v; the shortest time is %v", c.Poll, PollMin).Next(length)
	case c.Poll > PeriodMax:
		return ErrBadRequest.With("it cannot poll every %v; the longest time is %v", c.Poll, PeriodMax).Next(length)
	case c.AntiEntropy < 0 || c.AntiEntropy > PeriodMax:
		return ErrBadRequest.With("AntiEntropy is from 0, which stands for %v, to %v, not %v", AntiEntropyDefault, PeriodMax, c.AntiEntropy).Next(length)
	case c.MergeDeadline < 0:
		return ErrBadRequest.With("MergeDeadline is from 0, which stands for %v, not %v", MergeDeadlineDefault, c.MergeDeadline).Next(length)
	case c.DeleteLog < 0:
		return ErrBadRequest.With("DeleteLog is from 0, which stands for %d, not %d", DeleteLogDefault, c.DeleteLog).Next("1 remembers hardly any.")
	}
	return nil
}

// withDefaults returns c with what zero values stand for, but for those of the history, which are the store's.
func (c Config) withDefaults() Config {
	c.AntiEntropy = cmp.Or(c.Poll, c.AntiEntropy, AntiEntropyDefault)
	c.MergeDeadline = cmp.Or(c.MergeDeadline, MergeDeadlineDefault)
	c.DeleteLog = cmp.Or(c.DeleteLog, DeleteLogDefault)
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
