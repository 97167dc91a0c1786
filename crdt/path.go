package crdt

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// PathBytesMax bounds a path, in bytes.
const PathBytesMax = 1024

// BoundaryBytesMax bounds where a range of paths begins or ends, in bytes: at a path, or right behind one, which is the path and a NUL.
const BoundaryBytesMax = PathBytesMax + 1

// ErrPath is in the chain of every error about an unusable path.
var ErrPath = errors.New("unusable path")

// CheckPath says whether a user may write to path: 1 to 1,024 bytes of UTF-8 in normalisation form C, segments joined by single
// slashes, none of them empty, "." or "..", and no control characters. It does not normalise; callers near people do.
func CheckPath(path string) error {
	if err := checkPathShape(path); err != nil {
		return err
	}
	if IsSystemPath(path) {
		return fmt.Errorf("%w: it begins with a slash", ErrPath)
	}
	if !norm.NFC.IsNormalString(path) {
		return fmt.Errorf("%w: %q is not in Unicode normalisation form C", ErrPath, path)
	}
	return nil
}

// IsSystemPath reports whether path lies in the reserved map that Syncline keeps for itself (members, policies). Such a path
// begins with a slash, as no user's can.
func IsSystemPath(path string) bool { return strings.HasPrefix(path, "/") }

// checkPathShape is the part of the check that received operations must pass too. Normalisation is left out there: it depends on
// the version of Unicode, and refusing an operation of a newer device would stop all that follow it.
func checkPathShape(path string) error {
	switch body := strings.TrimPrefix(path, "/"); {
	case body == "":
		return fmt.Errorf("%w: it is empty", ErrPath)
	case len(path) > PathBytesMax:
		return fmt.Errorf("%w: it has %d bytes, more than %d", ErrPath, len(path), PathBytesMax)
	case !utf8.ValidString(path):
		return fmt.Errorf("%w: %q is not UTF-8", ErrPath, path)
	case strings.IndexFunc(path, unicode.IsControl) >= 0:
		return fmt.Errorf("%w: %q has a control character", ErrPath, path)
	default:
		for segment := range strings.SplitSeq(body, "/") {
			switch segment {
			case "":
				return fmt.Errorf("%w: %q has an empty segment", ErrPath, path)
			case ".", "..":
				return fmt.Errorf("%w: %q has a segment %q", ErrPath, path, segment)
			}
		}
	}
	return nil
}

// CheckStoredPath says whether path may occur in something that another replica sent or that lies on disk: like [CheckPath], but
// system paths are allowed and the normalisation form is not looked at.
func CheckStoredPath(path string) error { return checkPathShape(path) }
