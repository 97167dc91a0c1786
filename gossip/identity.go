package gossip

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
)

// A DeviceID is the Ed25519 public key of a device: what a person owns, with one key for its whole life.
// It is not a replica id: a device has many incarnations over time.
type DeviceID [32]byte

// A SpaceID names one shared state and its members: the SHA-256 of the record that founded it.
type SpaceID [32]byte

// lower32 writes ids the way people read them aloud: lower case, no padding, no characters that look alike in upper case.
var lower32 = base32.StdEncoding.WithPadding(base32.NoPadding)

// String returns the whole id as 64 hexadecimal digits, the form that machine output carries.
func (d DeviceID) String() string { return hex.EncodeToString(d[:]) }

// Short returns the eight characters that people compare, as "k7f3-q2ma". It names a device in prose; it does not identify
// one against an adversary, who can search for a collision.
func (d DeviceID) Short() string {
	h := sha256.Sum256(d[:])
	s := toLower(lower32.EncodeToString(h[:5]))
	return s[:4] + "-" + s[4:8]
}

// IsZero reports whether d is the zero id, which names no device.
func (d DeviceID) IsZero() bool { return d == DeviceID{} }

// ParseDeviceID reads the form that [DeviceID.String] writes.
func ParseDeviceID(s string) (DeviceID, error) {
	var d DeviceID
	if len(s) != hex.EncodedLen(len(d)) {
		return d, fmt.Errorf("a device id has %d hexadecimal digits, not %d characters", hex.EncodedLen(len(d)), len(s))
	}
	_, err := hex.Decode(d[:], []byte(s))
	return d, err
}

// String returns the whole id as 64 hexadecimal digits.
func (s SpaceID) String() string { return hex.EncodeToString(s[:]) }

// IsZero reports whether s is the zero id, which names no space.
func (s SpaceID) IsZero() bool { return s == SpaceID{} }

func toLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
