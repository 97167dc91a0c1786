package crdt

import "fmt"

// A Kind says how the siblings of a register are shown, and whether a concurrency is an open Conflict or settled at once. It
// never changes what is stored or how states join.
type Kind uint8

const (
	// Multi keeps concurrent values open until somebody resolves them. It is the default.
	Multi Kind = iota
	// LWW settles concurrent values at once: the newest is shown, the others wait below it until the next write.
	LWW
)

// String returns "multi" or "lww".
func (k Kind) String() string {
	switch k {
	case Multi:
		return "multi"
	case LWW:
		return "lww"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}
