package wire

import (
	"time"

	"syncline/node"
)

// Schemas of the documents about conflicts.
const (
	SchemaConflict  = "peer.conflict/v1"
	SchemaConflicts = "peer.conflicts/v1"
	SchemaResolve   = "peer.resolve/v1"
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
}

// ConflictOf returns the document for c.
func ConflictOf(c node.Conflict) Conflict {
	return Conflict{
		Path: c.Path, Version: string(c.Version), Type: c.Kind.String(), Reason: string(c.Reason),
		Since: c.Since.UTC(), Conflict: c.Entry.Conflict, Values: valuesOf(c.Values),
		Policy: string(c.Policy), PolicyReason: c.PolicyReason,
	}
}

// Conflicts lists what is open, in the order of paths.
type Conflicts struct {
	Schema    string     `json:"schema"`
	Conflicts []Conflict `json:"conflicts"`
}

// Resolve asks to close a Conflict: by keeping one value (Keep has one element, the version of a value), or by a new one in
// one of the forms of a Body. Without IfMatch it acts on what is current when it is carried out.
type Resolve struct {
	Path    string   `json:"path"`
	IfMatch *string  `json:"if_match,omitempty"`
	Keep    []string `json:"keep,omitempty"`
	Body
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
	switch {
	case len(r.Keep) == 1 && !given:
		res.Keep = r.Keep[0]
		return res, nil
	case len(r.Keep) == 0 && given:
		c, err := r.Body.content()
		if err != nil {
			return res, node.ErrBadRequest.With("%v", err)
		}
		res.Value = &c
		return res, nil
	}
	return res, node.ErrBadRequest.With("Give either keep, with the version of one value, or a value.")
}

// BodyOf returns the form in which a request carries c.
func BodyOf(c node.Content) Body { return bodyOf(c) }
