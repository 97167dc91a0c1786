package wire

import (
	"time"

	"syncline/node"
)

// Schemas of the feed: a page, and one line of a stream.
const (
	SchemaChanges = "peer.changes/v1"
	SchemaChange  = "peer.change/v1"
)

// Types of the lines of a stream that are no changes.
const (
	LineHello     = "hello"      // the first line; carries the device and the space
	LineUpToDate  = "up_to_date" // once: everything that was there has been sent
	LineHeartbeat = "heartbeat"  // each 15 seconds without another line
	LineReset     = "reset"      // the last line: the cursor has expired, list again
)

// Change is one record of the feed: the state of an entry after something happened to it. Version is empty after a delete.
type Change struct {
	Schema   string    `json:"schema,omitempty"`
	Type     string    `json:"type"`
	Path     string    `json:"path"`
	Version  string    `json:"version,omitempty"`
	Device   Device    `json:"device"`
	Time     time.Time `json:"time"`
	Origin   string    `json:"origin"`
	Conflict int       `json:"conflict"`
	// Overruled counts the values that the newest won over in an entry of type lww: a concurrency that was settled at once.
	Overruled int `json:"overruled,omitempty"`
	// Settled counts the values that compete where a policy shows what they come to; Policy is then its name.
	Settled int    `json:"settled,omitempty"`
	Policy  string `json:"policy,omitempty"`
	Cursor  string `json:"cursor"`
	*Content
}

// ChangeOf returns the document for c, with the shown value if values is set.
func ChangeOf(c node.Change, values bool) Change {
	w := Change{
		Type: string(c.Type), Path: c.Path, Device: DeviceOf(c.Device), Time: c.Time.UTC(),
		Origin: "local", Cursor: string(c.Cursor), Policy: string(c.Policy),
	}
	if c.Remote {
		w.Origin = "remote"
	}
	if c.Entry != nil {
		w.Version, w.Conflict, w.Overruled = string(c.Entry.Version), c.Entry.Conflict, c.Entry.Overruled
		w.Settled = c.Entry.Settled
		if values {
			content := ContentOf(c.Entry.Shown().Content)
			w.Content = &content
		}
	}
	return w
}

// Signal is a line of a stream that is no change.
type Signal struct {
	Schema string  `json:"schema"`
	Type   string  `json:"type"`
	Device *Device `json:"device,omitempty"`
	Space  *Space  `json:"space,omitempty"`
	Cursor string  `json:"cursor,omitempty"`
}

// Changes is one page of the feed.
type Changes struct {
	Schema   string   `json:"schema"`
	Changes  []Change `json:"changes"`
	Cursor   string   `json:"cursor"`
	UpToDate bool     `json:"up_to_date"`
}

// ChangesOf returns the document for p.
func ChangesOf(p node.Changes, values bool) Changes {
	w := Changes{Schema: SchemaChanges, Changes: []Change{}, Cursor: string(p.Cursor), UpToDate: p.UpToDate}
	for _, c := range p.Changes {
		w.Changes = append(w.Changes, ChangeOf(c, values))
	}
	return w
}
