// Package wire holds the documents of the local API: what the daemon sends and receives as JSON, and what the command line
// prints with --json. Both sides of the socket share these types, so a field has one name everywhere.
//
// Every document that stands alone has a schema, as "peer.entry/v1". Within one version fields are only ever added.
package wire

import (
	"bytes"
	"encoding/json"
)

// Encode returns v as one compact line of JSON, without a line feed and without escaping <, > and &, so that text stays
// readable and equal values have equal bytes.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
