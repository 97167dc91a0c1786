package node_test

import (
	"testing"

	"syncline/node"
)

// TestAnErrorNamesItsPath: a program that logs an error, and nothing else, can tell which entry it is about.
func TestAnErrorNamesItsPath(t *testing.T) {
	_, tooLarge := space(t, open(t, node.Config{})).Put(within(t), "notes/a", node.Bytes(make([]byte, node.ValueBytesMax+1)))
	for want, err := range map[string]error{
		"Too large: notes/a: the value has 1048577 bytes; the limit is 1048576 bytes (1 MiB)": tooLarge,
		"Not found here: notes/a does not exist here":                                         node.ErrNotFound.With("notes/a does not exist here").On("notes/a"),
		"Not found here: notes/a":                                                             node.ErrNotFound.On("notes/a"),
		"Not found here":                                                                      node.ErrNotFound,
	} {
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
