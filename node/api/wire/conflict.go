package wire

import (
	"cmp"
	"time"

	"syncline/node"
)

// Schemas of the documents about conflicts.
const (
	SchemaConflict  = "peer.conflict/v1"
	SchemaConflicts = "peer.conflicts/v1"
	SchemaResolve   = "peer.resolve/v1"
	SchemaUndo      = "peer.undo/v1"
	// SchemaPreview is of what a resolution would do.
	SchemaPreview = "peer.resolve_preview/v1"
	// SchemaResolveAll is of what the command line says of many conflicts.
	SchemaResolveAll = "peer.resolve_all/v1"
)

// Conflict is an entry whose values compete. Values holds all current values, the shown one first.
type Conflict struct {
	Schema   string    `json:"schema,omitempty"`
	Path     string    `json:"path"`
	Version  string    `json:"version"`
	Type     string    `json:"type"`
	Reason   string    `json:"reason"`
	Since    time.Time `json:"since"`
	Conflict int       `json:"conflict"`
	Values   []Value   `json:"values"`
	// Policy is the policy at the path; PolicyReason says why it could not decide, if it tried.
	Policy       string `json:"policy"`
	PolicyReason string `json:"policy_reason,omitempty"`
	// Base is what all values were made from, if that is certain on this device; else BaseReason says why it is not. Diffs holds for each
	// of Values what it changed of the base, as a unified diff, empty where one of them is not text. Lists leave them out.
	Base       *Base    `json:"base,omitempty"`
	BaseReason string   `json:"base_reason,omitempty"`
	Diffs      []string `json:"diffs,omitempty"`
}

// Base is the value that those of a Conflict were made from. With Nothing there was none, and no other field is there.
type Base struct {
	Nothing bool `json:"nothing,omitempty"`
	*Value
}

// ConflictOf returns the document for c.
func ConflictOf(c node.Conflict) Conflict {
	w := Conflict{
		Path: c.Path, Version: string(c.Version), Type: c.Kind.String(), Reason: string(c.Reason),
		Since: c.Since.UTC(), Conflict: c.Entry.Conflict, Values: valuesOf(c.Values),
		Policy: string(c.Policy), PolicyReason: c.PolicyReason, BaseReason: c.BaseReason,
	}
	if c.Base == nil {
		return w
	}
	w.Base = &Base{Nothing: c.Base.ID == ""}
	if !w.Base.Nothing {
		v := ValueOf(*c.Base)
		w.Base.Value = &v
	}
	for _, v := range c.Values {
		w.Diffs = append(w.Diffs, c.Diff(v))
	}
	return w
}

// Conflicts lists what is open, in the order of paths. Incomplete says that the device still receives what others have.
type Conflicts struct {
	Schema     string     `json:"schema"`
	Conflicts  []Conflict `json:"conflicts"`
	Incomplete bool       `json:"incomplete,omitempty"`
}

// Resolve asks to close a Conflict: by keeping one value (Keep has one element, the version of a value), or all (KeepAll: the others
// beside the entry), by a new one in one of the forms of a Body, or by what a policy makes of the values (Merge: the policy at the path, or
// Policy if it is named). Without IfMatch it acts on what is current when it is carried out. With DryRun nothing is done, and the answer is
// a Preview.
type Resolve struct {
	Path    string   `json:"path"`
	IfMatch *string  `json:"if_match,omitempty"`
	Keep    []string `json:"keep,omitempty"`
	KeepAll bool     `json:"keep_all,omitempty"`
	Merge   bool     `json:"merge,omitempty"`
	Policy  string   `json:"policy,omitempty"`
	DryRun  bool     `json:"dry_run,omitempty"`
	Body
}

// Preview is what a resolution would do: Content would stand at Path in the place of the values that Version names, and others at Copies.
type Preview struct {
	Schema  string `json:"schema"`
	Path    string `json:"path"`
	Version string `json:"version"`
	Content
	Copies []string `json:"copies,omitempty"`
}

// PreviewOf returns the document for p.
func PreviewOf(path string, p node.Preview) Preview {
	return Preview{Schema: SchemaPreview, Path: path, Version: string(p.Version), Content: ContentOf(p.Content), Copies: p.Copies}
}

// Resolved is the entry after a resolution. Undo names the resolution for /v1/undo; Copies are the paths of values that were kept beside
// the entry.
type Resolved struct {
	Entry
	Undo   string   `json:"undo,omitempty"`
	Copies []string `json:"copies,omitempty"`
}

// Resolution returns what r asks for.
func (r Resolve) Resolution() (node.Resolution, error) {
	var res node.Resolution
	if r.IfMatch != nil {
		if res.IfVersion = node.Version(*r.IfMatch); res.IfVersion == "" {
			return res, node.ErrBadRequest.With("if_match names an empty version.").Next("Give the version that was read, or leave it out.")
		}
	}
	given := r.Body.forms() > 0 || r.ContentType != nil
	if r.Policy != "" && !r.Merge {
		return res, node.ErrBadRequest.With("policy says how to merge, and merge is not asked for.").Next(`Add "merge":true.`)
	}
	switch {
	case len(r.Keep) == 1 && !given && !r.KeepAll && !r.Merge:
		res.Keep = r.Keep[0]
		return res, nil
	case len(r.Keep) == 0 && !given && r.KeepAll && !r.Merge:
		res.KeepAll = true
		return res, nil
	case len(r.Keep) == 0 && !given && !r.KeepAll && r.Merge:
		res.Policy = node.Policy(cmp.Or(r.Policy, string(node.PolicyHere)))
		return res, nil
	case len(r.Keep) == 0 && given && !r.KeepAll && !r.Merge:
		c, err := r.Body.content()
		if err != nil {
			return res, node.ErrBadRequest.With("%v", err)
		}
		res.Value = &c
		return res, nil
	}
	return res, node.ErrBadRequest.With("Give one of keep, with the version of one value, keep_all, merge, and a value.")
}

// ResolveAll says what became of many conflicts. With DryRun, Resolved lists what would be decided.
type ResolveAll struct {
	Schema   string       `json:"schema"`
	DryRun   bool         `json:"dry_run,omitempty"`
	Resolved []ResolveOne `json:"resolved"`
	Left     []ResolveOne `json:"left"`
}

// ResolveOne is one conflict of many: how it was decided and the value that it came to, or why it stays open.
type ResolveOne struct {
	Path string `json:"path"`
	How  string `json:"how,omitempty"`
	*Content
	Undo   string `json:"undo,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// BodyOf returns the form in which a request carries c.
func BodyOf(c node.Content) Body { return bodyOf(c) }
