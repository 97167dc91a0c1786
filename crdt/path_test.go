package crdt

import (
	"errors"
	"strings"
	"testing"
)

// The second column says whether a user may write there, the third whether a received operation may name it.
var pathRows = []struct {
	path           string
	user, received bool
}{
	{"a", true, true},
	{"notes/today.md", true, true},
	{".hidden", true, true},
	{"...", true, true},
	{"a b", true, true},
	{"a..b/c.", true, true},
	{"日本/ü", true, true},
	{"a\u00a0b", true, true},
	{`a\b`, true, true},
	{"", false, false},
	{"/", false, false},
	{".", false, false},
	{"..", false, false},
	{"a/..", false, false},
	{"../a", false, false},
	{"a/./b", false, false},
	{"a//b", false, false},
	{"a/", false, false},
	{"//a", false, false},
	{"/a/", false, false},
	{"/..", false, false},
	{"/members/1", false, true},
	{"a\x00b", false, false},
	{"a\nb", false, false},
	{"a\tb", false, false},
	{"a\x7f", false, false},
	{"a\u0085b", false, false},
	{"\xff", false, false},
	{"a\xc3", false, false},
	{"\xed\xa0\x80", false, false}, // half a surrogate pair
	{"\xc0\xaf", false, false},     // a slash in too many bytes
	{"u\u0308", false, true},       // ü, decomposed: refused here, but other versions of Unicode may differ
	{"\u00fc", true, true},
	{strings.Repeat("a", 1024), true, true},
	{strings.Repeat("a", 1025), false, false},
	{strings.Repeat("é", 512), true, true},
	{strings.Repeat("é", 512) + "a", false, false},
	{"/" + strings.Repeat("a", 1023), false, true},
	{"/" + strings.Repeat("a", 1024), false, false},
	{strings.Repeat("a/", 511) + "aa", true, true},
}

func TestPathsThatUsersMayWrite(t *testing.T) {
	for _, row := range pathRows {
		if err := CheckPath(row.path); (err == nil) != row.user || err != nil && !errors.Is(err, ErrPath) {
			t.Errorf("CheckPath(%.40q): got %v, want usable %v", row.path, err, row.user)
		}
	}
}

func TestPathsThatOperationsMayName(t *testing.T) {
	for _, row := range pathRows {
		op := Op{Dot: dot(1, 2), Entries: []OpEntry{{Path: row.path}}}
		var err error
		func() {
			// The encoder refuses to make text of what is not UTF-8.
			defer func() {
				if recover() != nil {
					err = ErrDecode
				}
			}()
			_, err = DecodeOp(op.Encode())
		}()
		if (err == nil) != row.received || err != nil && !errors.Is(err, ErrDecode) {
			t.Errorf("an operation at %.40q: got %v, want accepted %v", row.path, err, row.received)
		}
	}
}

// TestErrorsAboutPathsAreOneLine: what a stranger sends may end in a log.
func TestErrorsAboutPathsAreOneLine(t *testing.T) {
	for _, path := range []string{"a\nb", "a\x1b[2Jb", "\xff\n"} {
		if err := CheckPath(path); err == nil || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("CheckPath(%q): got %v", path, err)
		}
	}
}
