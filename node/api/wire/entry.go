package wire

import (
	"encoding/json"
	"mime"
	"time"

	"syncline/crdt"
	"syncline/gossip"
	"syncline/node"
)

// Schemas of the documents about entries.
const (
	SchemaEntry   = "peer.entry/v1"
	SchemaEntries = "peer.entries/v1"
	SchemaPut     = "peer.put/v1"
	SchemaDel     = "peer.del/v1"
)

// Device names a device. ID is the whole id, Short the eight characters that people compare.
type Device struct {
	ID    string `json:"id"`
	Short string `json:"short"`
	Name  string `json:"name"`
}

// DeviceOf returns the document for d. All fields are empty if the device is not known.
func DeviceOf(d node.DeviceRef) Device {
	if d.ID.IsZero() {
		return Device{Name: d.Name}
	}
	return Device{ID: d.ID.String(), Short: d.ID.Short(), Name: d.Name}
}

// Ref is the inverse of DeviceOf.
func (d Device) Ref() node.DeviceRef {
	id, err := gossip.ParseDeviceID(d.ID)
	if err != nil {
		return node.DeviceRef{Name: d.Name}
	}
	return node.DeviceRef{ID: id, Name: d.Name}
}

// Content is a value as JSON carries it: as a JSON value if it is stored as application/json, as a string if it is text, and
// in Base64 if it is neither.
type Content struct {
	Value       json.RawMessage `json:"value,omitempty"`
	ValueBase64 []byte          `json:"value_base64,omitempty"`
	ContentType string          `json:"content_type"`
	Size        int             `json:"size"`
}

// ContentOf returns the document for c.
func ContentOf(c node.Content) Content {
	w := Content{ContentType: c.Type, Size: len(c.Data)}
	switch {
	case !c.IsText():
		w.ValueBase64 = c.Data
	case isJSON(c.Type) && json.Valid(c.Data):
		w.Value = c.Data
	default:
		w.Value = mustEncode(string(c.Data))
	}
	return w
}

// IsJSON reports whether the value is one of JSON, which stands in Value as it is.
func (c Content) IsJSON() bool {
	return len(c.Value) > 0 && isJSON(c.ContentType) && json.Valid(c.Value)
}

// Text returns the value as text for people: a string without its quotes, any other JSON as it stands.
func (c Content) Text() (text string, ok bool) {
	if len(c.Value) == 0 {
		return "", false
	}
	if !isJSON(c.ContentType) {
		var s string
		if json.Unmarshal(c.Value, &s) == nil {
			return s, true
		}
	}
	return string(c.Value), true
}

// Value is one current value of an entry. Version names it, equally on all devices; /v1/resolve takes it under keep.
type Value struct {
	Version string `json:"version"`
	Content
	Device        Device    `json:"device"`
	Time          time.Time `json:"time"`
	Shown         bool      `json:"shown"`
	WonOverDelete bool      `json:"won_over_delete,omitempty"`
	// Origin names the value that this one brings back, if it does and history tells. Conflicts have it.
	Origin *Origin `json:"origin,omitempty"`
}

// Origin says who wrote the value of which another one is a copy, and when.
type Origin struct {
	Version string    `json:"version"`
	Device  Device    `json:"device"`
	Time    time.Time `json:"time"`
}

// Writer returns who wrote the content of the value first, and when.
func (v Value) Writer() (Device, time.Time) {
	if v.Origin != nil {
		return v.Origin.Device, v.Origin.Time
	}
	return v.Device, v.Time
}

// ValueOf returns the document for v.
func ValueOf(v node.Value) Value {
	w := Value{
		Version: v.ID, Content: ContentOf(v.Content), Device: DeviceOf(v.Device), Time: v.Time.UTC(),
		Shown: v.Shown, WonOverDelete: v.WonOverDelete,
	}
	if o := v.Origin; o != nil {
		w.Origin = &Origin{Version: o.ID, Device: DeviceOf(o.Device), Time: o.Time.UTC()}
	}
	return w
}

// Entry is a path with its current values. The fields of the shown value stand at the top; Values holds all of them, newest first: the
// first is the shown one, unless a policy shows another or one made of them. In a listing that was not asked for values, Value, ValueBase64 and Values are absent.
type Entry struct {
	Schema  string `json:"schema,omitempty"`
	Path    string `json:"path"`
	Version string `json:"version"`
	Type    string `json:"type"`
	Content
	Device   Device    `json:"device"`
	Time     time.Time `json:"time"`
	Conflict int       `json:"conflict"`
	// Overruled counts the values that the newest won over in an entry of type lww.
	Overruled int `json:"overruled,omitempty"`
	// Settled counts the values that compete where a policy shows what they come to, and nobody is asked. Policy is its name, or that
	// of the policy that could not decide for PolicyReason, or waits.
	Settled      int    `json:"settled,omitempty"`
	Policy       string `json:"policy,omitempty"`
	PolicyReason string `json:"policy_reason,omitempty"`

	Values  []Value  `json:"values,omitempty"`
	Pending []string `json:"pending"`
}

// EntryOf returns the whole document for e.
func EntryOf(e node.Entry) Entry {
	w := SummaryOf(e)
	w.Content = ContentOf(e.Shown().Content)
	w.Values = valuesOf(e.Values)
	return w
}

// SummaryOf returns the document for e without its values.
func SummaryOf(e node.Entry) Entry {
	v := e.Shown()
	w := Entry{
		Path: e.Path, Version: string(e.Version), Type: e.Kind.String(),
		Content: Content{ContentType: v.Type, Size: len(v.Data)},
		Device:  DeviceOf(v.Device), Time: v.Time.UTC(), Conflict: e.Conflict, Overruled: e.Overruled, Pending: []string{},
		Settled: e.Settled, Policy: string(e.Policy), PolicyReason: e.PolicyReason,
	}
	for _, d := range e.Pending {
		w.Pending = append(w.Pending, d.Name)
	}
	return w
}

// WithSchema returns e as a document that stands alone.
func (e Entry) WithSchema(schema string) Entry {
	e.Schema = schema
	return e
}

func valuesOf(vs []node.Value) []Value {
	out := make([]Value, len(vs))
	for i, v := range vs {
		out[i] = ValueOf(v)
	}
	return out
}

// Entries is a listing in the order of paths. Next is set if a limit ended it: the path to give as after. Incomplete says that the
// device still receives what others have.
type Entries struct {
	Schema     string  `json:"schema"`
	Entries    []Entry `json:"entries"`
	Next       string  `json:"next,omitempty"`
	Incomplete bool    `json:"incomplete,omitempty"`
}

// Put says what a write did. Remaining is the number of other values that stay because the writer was not shown them.
type Put struct {
	Schema    string `json:"schema"`
	Path      string `json:"path"`
	Version   string `json:"version"`
	Created   bool   `json:"created"`
	Remaining int    `json:"remaining"`
}

// Del says what a delete did. Of one path: Version is that of the values that remain, if any do. Of a prefix: Deleted counts
// entries.
type Del struct {
	Schema    string `json:"schema"`
	Path      string `json:"path,omitempty"`
	Prefix    string `json:"prefix,omitempty"`
	Deleted   int    `json:"deleted"`
	Remaining int    `json:"remaining"`
	Version   string `json:"version,omitempty"`
	DryRun    bool   `json:"dry_run,omitempty"`
	// Unkept says that what was deleted is not in the history, because the disk is full.
	Unkept bool     `json:"unkept,omitempty"`
	Paths  []string `json:"paths,omitempty"`
}

// ParseKind reads "multi" or "lww".
func ParseKind(s string) (crdt.Kind, error) {
	for _, k := range []crdt.Kind{crdt.Multi, crdt.LWW} {
		if k.String() == s {
			return k, nil
		}
	}
	return 0, node.ErrBadRequest.With("The type of an entry is multi or lww, not “%s”.", s)
}

// isJSON reports whether a content type says that the bytes are JSON.
func isJSON(contentType string) bool {
	if contentType == node.MediaTypeJSON {
		return true
	}
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && t == node.MediaTypeJSON
}

// mustEncode encodes a value that cannot fail to encode.
func mustEncode(v any) json.RawMessage {
	b, err := Encode(v)
	if err != nil {
		panic("wire: " + err.Error())
	}
	return b
}
