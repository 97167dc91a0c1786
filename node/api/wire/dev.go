package wire

// Schemas of the documents about throw-away devices.
const (
	SchemaDev   = "peer.dev/v1"
	SchemaBench = "peer.bench/v1"
)

// Dev says how the story of "peer dev --demo" went. Conflicts counts the devices that reported the conflict.
type Dev struct {
	Schema        string    `json:"schema"`
	Devices       int       `json:"devices"`
	VisibleMillis []float64 `json:"visible_ms"`
	HealMillis    float64   `json:"heal_ms"`
	Conflicts     int       `json:"conflicts"`
	Equal         bool      `json:"equal"`
}

// Bench holds the figures of "peer dev --bench".
type Bench struct {
	Schema  string   `json:"schema"`
	CPUs    int      `json:"cpus"`
	Figures []Figure `json:"figures"`
}

// A Figure is one measurement beside its target; Target is 0 where there is none. AtMost says that less is better.
type Figure struct {
	What   string  `json:"what"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Target float64 `json:"target,omitempty"`
	AtMost bool    `json:"at_most,omitempty"`
	Met    bool    `json:"met"`
	Note   string  `json:"note,omitempty"`
}
