package wire

// SchemaConfig is the schema of [Config].
const SchemaConfig = "peer.config/v1"

// Config holds settings of the command line and the daemon, and the file in which they can be written.
type Config struct {
	Schema   string    `json:"schema"`
	File     string    `json:"file"`
	Settings []Setting `json:"settings"`
}

// A Setting is one key with its values; most have one, none if it is not set. Origin says where they come from: flag, environment,
// file, device (the name that it took at an earlier start) or default.
type Setting struct {
	Key    string   `json:"key"`
	Values []string `json:"values"`
	Origin string   `json:"origin"`
	About  string   `json:"about,omitempty"`
}
