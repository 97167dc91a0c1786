package node

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"syncline/crdt"
)

// What the names of versions and of single values begin with.
const (
	versionPrefix = "v1."
	valueIDPrefix = "h."
)

// versionOf returns the version of a register: a hash over the dots of its live values, empty if there are none.
func versionOf(reg crdt.Register) Version {
	if len(reg.Live) == 0 {
		return ""
	}
	buf := make([]byte, 0, 16*len(reg.Live))
	for _, v := range reg.Live {
		buf = appendDot(buf, v.Dot)
	}
	sum := sha256.Sum256(buf)
	return Version(versionPrefix + hex.EncodeToString(sum[:8]))
}

// ValueID returns the name of the value that the operation d wrote: a hash of the dot. It is what [WriteOp].Keep takes.
func ValueID(d crdt.Dot) string {
	sum := sha256.Sum256(appendDot(nil, d))
	return valueIDPrefix + hex.EncodeToString(sum[:8])
}

func appendDot(b []byte, d crdt.Dot) []byte {
	return binary.BigEndian.AppendUint64(append(b, d.Replica[:]...), d.Counter)
}

// valueByID returns the live value with the given name.
func valueByID(reg crdt.Register, id string) (crdt.Value, bool) {
	for _, v := range reg.Live {
		if ValueID(v.Dot) == id {
			return v, true
		}
	}
	return crdt.Value{}, false
}
