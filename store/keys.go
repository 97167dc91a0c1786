package store

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"syncline/crdt"
)

// The keys; doc.go says what lies under each.
const (
	keyFormat      = "/m"
	keyHead        = "/h"
	keyIncarnation = "/n"
	keySweep       = "/w"

	spaceReplica  = "/v/"
	spaceOpen     = "/o/"
	spaceUser     = "/d/"
	spaceSystem   = "/s/"
	spaceDeletes  = "/r"
	spaceLive     = "/i/"
	spaceLog      = "/x/"
	spaceConflict = "/c/"
	spaceMeta     = "/p/"
	spacePast     = "/y/"
	spacePart     = "/b/"
)

// pathMark stands between a counter and a path. With a slash in its place, a system path would make an empty segment, which
// datastores clean away.
const pathMark = ':'

// An ordinal stands for a replica id in the keys of one store. It has a meaning on this device only.
type ordinal uint32

const hexDigits = "0123456789abcdef"

// appendHex appends x in lower-case hexadecimal with the number of its digits, itself one digit, before it. The texts order as
// the numbers do, and none is the beginning of another.
func appendHex(b []byte, x uint64) []byte {
	n := max(1, (bits.Len64(x)+3)/4)
	return strconv.AppendUint(append(b, hexDigits[n]), x, 16)
}

// cutHex takes such a number off the front of s.
func cutHex[T string | []byte](s T) (x uint64, rest T, ok bool) {
	if len(s) == 0 {
		return 0, rest, false
	}
	n := hexValue(s[0])
	if n < 1 || len(s) < 1+n || n > 1 && s[1] == '0' {
		return 0, rest, false
	}
	for i := 1; i <= n; i++ {
		d := hexValue(s[i])
		if d < 0 {
			return 0, rest, false
		}
		x = x<<4 | uint64(d)
	}
	return x, s[1+n:], true
}

// hexValue returns the value of a digit, -1 if it is none.
func hexValue(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// appendPath appends the key of the live values at path: a system path brings its own slash.
func appendPath(b []byte, path string) []byte {
	if crdt.IsSystemPath(path) {
		return append(append(b, spaceSystem[:2]...), path...)
	}
	return append(append(b, spaceUser...), path...)
}

// cutPath is the inverse of appendPath.
func cutPath(key string) (path string, ok bool) {
	if path, ok := strings.CutPrefix(key, spaceUser); ok {
		return path, path != "" && !crdt.IsSystemPath(path)
	}
	if rest, ok := strings.CutPrefix(key, spaceSystem); ok {
		return key[2:], rest != ""
	}
	return "", false
}

func appendDeletesKey(b []byte, path string) []byte {
	return appendPath(append(b, spaceDeletes...), path)
}

func appendOrdinalKey(b []byte, space string, o ordinal) []byte {
	return appendHex(append(b, space...), uint64(o))
}

// appendCounterKey appends the part of a name's key that all paths of one dot share, up to the mark.
func appendCounterKey(b []byte, space string, o ordinal, counter uint64) []byte {
	return appendHex(append(appendOrdinalKey(b, space, o), '/'), counter)
}

func appendNameKey(b []byte, space string, o ordinal, counter uint64, path string) []byte {
	return append(append(appendCounterKey(b, space, o, counter), pathMark), path...)
}

// cutOrdinal takes the key of a replica or a binding apart.
func cutOrdinal(key, space string) (ordinal, error) {
	rest, ok := strings.CutPrefix(key, space)
	x, rest, ok2 := cutHex(rest)
	if !ok || !ok2 || rest != "" || x > 1<<32-1 {
		return 0, fmt.Errorf("%w: no ordinal", crdt.ErrDecode)
	}
	return ordinal(x), nil
}

// cutName takes the key of a name in one of the two indexes apart.
func cutName(key, space string) (o ordinal, counter uint64, path string, err error) {
	rest, ok := strings.CutPrefix(key, space)
	x, rest, ok1 := cutHex(rest)
	if ok && ok1 && x < 1<<32 && rest != "" && rest[0] == '/' {
		counter, rest, ok := cutHex(rest[1:])
		if ok && 0 < counter && counter <= crdt.CounterMax && len(rest) > 1 && rest[0] == pathMark {
			return ordinal(x), counter, rest[1:], nil
		}
	}
	return 0, 0, "", fmt.Errorf("%w: no name", crdt.ErrDecode)
}

// after returns the smallest key greater than every key that begins with prefix.
func after(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			hi := append([]byte(nil), prefix[:i+1]...)
			hi[i]++
			return hi
		}
	}
	return nil
}

// checkMetaKey says whether key can name a local record.
func checkMetaKey(key string) error {
	if key == "" || len(key) > metaKeyBytesMax {
		return fmt.Errorf("meta key %q: want 1 to %d bytes", key, metaKeyBytesMax)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("meta key %q has an unusable segment %q", key, segment)
		}
	}
	return nil
}

// metaKeyBytesMax bounds the key of a local record.
const metaKeyBytesMax = 512
