package node

import (
	"encoding/json"
	"time"
	"unicode/utf8"

	"syncline/crdt"
	"syncline/gossip"
)

// MediaTypeText, MediaTypeJSON and MediaTypeBytes are the content types that [Text], [JSON] and [Bytes] set.
const (
	MediaTypeText  = "text/plain; charset=utf-8"
	MediaTypeJSON  = "application/json"
	MediaTypeBytes = "application/octet-stream"
)

// Content is what an entry holds: bytes and their media type. The type is stored and handed back, never interpreted.
type Content struct {
	Data []byte
	// Type is a media type; empty means that the writer named none.
	Type string
}

// Text returns s as plain text.
func Text(s string) Content { return Content{Data: []byte(s), Type: MediaTypeText} }

// Bytes returns b as binary content. The bytes are not copied; do not change them afterwards.
func Bytes(b []byte) Content { return Content{Data: b, Type: MediaTypeBytes} }

// JSON returns the JSON encoding of v. It panics if v cannot be encoded, as a channel or a cycle cannot.
func JSON(v any) Content {
	b, err := json.Marshal(v)
	if err != nil {
		panic("node.JSON: " + err.Error())
	}
	return Content{Data: b, Type: MediaTypeJSON}
}

// IsText reports whether the bytes are valid UTF-8 without a NUL, so that they can be shown as text.
func (c Content) IsText() bool {
	for _, b := range c.Data {
		if b == 0 {
			return false
		}
	}
	return utf8.Valid(c.Data)
}

// A Version names the whole set of an entry's current values. It is equal on all devices that hold the same set, and serves
// as a strong ETag. It looks like "v1.9c2e41d0a7b35512".
type Version string

// A DeviceRef names a device to people and programs.
type DeviceRef struct {
	// ID is zero while it is not known which device a value came from.
	ID gossip.DeviceID
	// Name is what its owner called it; two devices may share a name.
	Name string
}

// A Value is one of the current values of an entry.
type Value struct {
	// ID names this one value, equal on all devices; it looks like "h.51ab09e2c4d81f30".
	ID string
	Content
	// Device wrote the value, at Time by its own clock.
	Device DeviceRef
	Time   time.Time
	// Shown marks the value that a plain read returns: the newest.
	Shown bool
	// WonOverDelete marks a value that survived a delete made at the same time on another device.
	WonOverDelete bool
	// Origin names the value that this one brings back, where [Space.Undo] or the like did so and the history of this device still tells.
	// Only the values of a [Conflict] have it.
	Origin *Origin
}

// An Entry is a path with its current values.
type Entry struct {
	Path    string
	Version Version
	Kind    crdt.Kind
	// Values holds every current value, newest first. It is never empty. The first is shown, unless View is set.
	Values []Value
	// View is what a plain read returns where a policy settles what competes without a write. It has no ID if it is none of Values,
	// but made of them, as a union is; Device and Time are then those of the newest.
	View *Value
	// Policy is the one that holds here, set only while values compete. PolicyReason says why it could not decide, if it tried.
	Policy       Policy
	PolicyReason string
	// Conflict is the number of values that compete while a Conflict is open (1 if a value won over a concurrent delete),
	// and 0 otherwise. Equal values do not compete.
	Conflict int
	// Settled is what Conflict would be if View did not settle it.
	Settled int
	// Overruled is the number of different values that the shown one won over, in an entry of kind LWW, where nobody is asked.
	Overruled int
	// Pending names the member devices that are not known to hold this version yet.
	Pending []DeviceRef
}

// Shown returns the value that a plain read returns, the zero Value if the Entry is zero.
func (e Entry) Shown() Value {
	switch {
	case e.View != nil:
		return *e.View
	case len(e.Values) == 0:
		return Value{}
	}
	return e.Values[0]
}

// A ConflictKind says what competes in a Conflict.
type ConflictKind string

const (
	// UpdateUpdate: two or more different values were written without knowledge of each other.
	UpdateUpdate ConflictKind = "update/update"
	// DeleteUpdate: the entry was deleted on one device and written on another without knowledge of each other. The value won.
	DeleteUpdate ConflictKind = "delete/update"
)

// A Conflict is an entry whose values compete until somebody resolves it. It is the same on every device that holds the same values, except
// that one which learned of a delete late may miss that a value won over it: a [DeleteUpdate] may be open on some devices only, and is closed on
// all by whoever resolves it.
type Conflict struct {
	Entry
	Reason ConflictKind
	// Since is when the youngest of the competing values was written, by its writer's clock.
	Since time.Time
	// Base is the value that all current values were made from, where [Space.Conflict] finds it for certain in the history of this
	// device; it has no ID, and no data, if they were begun where there was nothing. If it is nil, BaseReason says why; lists leave
	// both out. Another device may find a Base where this one does not, never another Base. Of values that were brought back it is that of
	// their origins; merge policies are not given it, or they would do again at once what was taken back.
	Base       *Value
	BaseReason string
}

// A Resolution says how to close a Conflict. Exactly one of Keep, KeepAll, Value, Policy and Merge is set.
type Resolution struct {
	// IfVersion is the version that the person saw; empty means whatever is current when the resolution is carried out.
	IfVersion Version
	// Keep holds the ID of the one value to keep, or that of its Origin, or the beginning of one, with or without "h.", if that fits no other.
	Keep string
	// KeepAll keeps the shown value, and each other one beside the entry, at a path with the name of its device: notes/todo.md
	// becomes also notes/todo (phone).md.
	KeepAll bool
	// Value replaces all competing values.
	Value *Content
	// Policy writes what a policy makes of the values, once; [PolicyHere] stands for the one that holds at the path.
	Policy Policy
	// Merge combines the competing values, of which it gets a copy. It must be deterministic.
	Merge func(Conflict) (Content, error)
}
