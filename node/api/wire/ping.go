package wire

// Schemas of the documents about reaching devices.
const (
	SchemaPing   = "peer.ping/v1"
	SchemaPings  = "peer.pings/v1"
	SchemaDoctor = "peer.doctor/v1"
)

// A Ping is one answer of a device: the way to it and the time that it took, in milliseconds.
type Ping struct {
	Schema string  `json:"schema"`
	Device Device  `json:"device"`
	Path   string  `json:"path"`
	Millis float64 `json:"rtt_ms"`
}

// Pings sums up a run of pings. The times are those of the answers, in milliseconds.
type Pings struct {
	Schema   string  `json:"schema"`
	Sent     int     `json:"sent"`
	Answered int     `json:"answered"`
	Min      float64 `json:"min_ms"`
	Median   float64 `json:"median_ms"`
	Max      float64 `json:"max_ms"`
}

// Doctor is what an examination of this device found.
type Doctor struct {
	Schema   string    `json:"schema"`
	Healthy  bool      `json:"healthy"`
	Findings []Finding `json:"findings"`
}

// A Finding is the outcome of one check. Level is "ok", "note" (it works, and could be better or could not be told) or "attention".
// Cause and Remedy are there unless it is ok.
type Finding struct {
	Check  string `json:"check"`
	Level  string `json:"level"`
	Text   string `json:"text"`
	Cause  string `json:"cause,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}
