package wire

import "syncline/node"

// SchemaRepair is the schema of [Repaired].
const SchemaRepair = "peer.repair/v1"

// A Repair asks for whole records in the place of damaged ones.
type Repair struct {
	Prefix string `json:"prefix,omitempty"`
	GiveUp bool   `json:"give_up,omitempty"`
}

// Repaired says what became of every damaged path.
type Repaired struct {
	Schema string   `json:"schema"`
	Paths  []Mended `json:"paths"`
	// Damaged is the number of paths that still are.
	Damaged int `json:"damaged"`
}

// Mended is one path. From is the device that had what was lost; Problem says why the path is still damaged.
type Mended struct {
	Path    string   `json:"path"`
	Damage  string   `json:"damage"`
	From    *Device  `json:"from,omitempty"`
	GivenUp bool     `json:"given_up,omitempty"`
	Problem *Problem `json:"problem,omitempty"`
}

// RepairedOf returns the document for what became of damaged paths.
func RepairedOf(all []node.Repaired) Repaired {
	doc := Repaired{Schema: SchemaRepair, Paths: []Mended{}}
	for _, r := range all {
		m := Mended{Path: r.Path, Damage: r.Damage, GivenUp: r.GivenUp}
		if !r.From.ID.IsZero() {
			d := DeviceOf(r.From)
			m.From = &d
		}
		if r.Err != nil {
			p := ProblemOf(r.Err)
			m.Problem = &p
			doc.Damaged++
		}
		doc.Paths = append(doc.Paths, m)
	}
	return doc
}
