package wire

// SchemaMan is the schema of [Man].
const SchemaMan = "peer.man/v1"

// Man names the manual pages that were written, and their folder.
type Man struct {
	Schema string   `json:"schema"`
	Folder string   `json:"folder"`
	Pages  []string `json:"pages"`
}
