package wire

import (
	"time"

	"syncline/node"
)

// Schemas of the documents about the past.
const (
	SchemaHistory = "peer.history/v1"
	SchemaDiff    = "peer.diff/v1"
	SchemaRestore = "peer.restore/v1"
)

// Replacement says what came in the place of a past value. How is put, delete, resolve, automatic or unseen; Policy names the policy of
// the fourth. Version, Device and Time are those of what came, absent for the last; Seen is when this device learned of it.
type Replacement struct {
	How     string     `json:"how"`
	Policy  string     `json:"policy,omitempty"`
	Version string     `json:"version,omitempty"`
	Device  *Device    `json:"device,omitempty"`
	Time    *time.Time `json:"time,omitempty"`
	Seen    time.Time  `json:"seen"`
}

// Revision is one thing that was written at a path: a value, or a delete, which has no content. MergedBy is the policy that wrote the value
// in the place of what competed. SettledBy is the policy that shows the value, or passes over it, or takes it up in what it shows; what it
// makes of several values has no version.
type Revision struct {
	Value
	MergedBy  string       `json:"merged_by,omitempty"`
	SettledBy string       `json:"settled_by,omitempty"`
	Type      string       `json:"type,omitempty"`
	Current   bool         `json:"current"`
	Deleted   bool         `json:"deleted,omitempty"`
	Replaced  *Replacement `json:"replaced,omitempty"`
}

// RevisionOf returns the document for r.
func RevisionOf(r node.Revision) Revision {
	w := Revision{Value: ValueOf(r.Value), Current: r.Current, Deleted: r.Deleted}
	if r.Deleted {
		w.Content = Content{}
		return w
	}
	w.Type, w.MergedBy, w.SettledBy = r.Kind.String(), string(r.MergedBy), string(r.SettledBy)
	if p := r.Replaced; p != nil {
		w.Replaced = &Replacement{How: string(p.How), Policy: p.Policy, Version: p.By, Seen: p.Seen.UTC()}
		if p.By != "" {
			device, at := DeviceOf(p.Device), p.Time.UTC()
			w.Replaced.Device, w.Replaced.Time = &device, &at
		}
	}
	return w
}

// History is what one device knows of the past of a path, newest first. Damaged counts the versions that cannot be read.
type History struct {
	Schema   string     `json:"schema"`
	Path     string     `json:"path"`
	Versions []Revision `json:"versions"`
	Damaged  int        `json:"damaged,omitempty"`
}

// Diff compares versions of a path.
type Diff struct {
	Schema string     `json:"schema"`
	Path   string     `json:"path"`
	Diffs  []DiffPair `json:"diffs"`
}

// DiffPair compares two versions: by a unified diff of lines if both are text. From or To is absent for nothing: before an entry
// existed, or after it was deleted.
type DiffPair struct {
	From  *Revision `json:"from,omitempty"`
	To    *Revision `json:"to,omitempty"`
	Text  bool      `json:"text"`
	Equal bool      `json:"equal"`
	Diff  string    `json:"diff,omitempty"`
}

// Restore asks to write a past value again. Version names it, as far as it takes to tell it from others.
type Restore struct {
	Path    string `json:"path"`
	Version string `json:"version"`
}

// Restored says what that did: Restored is the whole name of the past value, the rest is as in Put.
type Restored struct {
	Put
	Restored string `json:"restored"`
}
