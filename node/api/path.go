package api

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"syncline/node"
)

// checkURL refuses URLs whose path names something else than it seems to: before the mux, because that would answer “//” and
// “..” with a redirect and hand out “%2F” as if it were a separator.
func checkURL(u *url.URL) error {
	rest := strings.TrimPrefix(u.EscapedPath(), "/")
	under := strings.HasPrefix(rest, "v1/kv/") || strings.HasPrefix(rest, "v1/entries/") || strings.HasPrefix(rest, "v1/conflicts/") ||
		strings.HasPrefix(rest, "v1/history/")
	for i, escaped := range strings.Split(rest, "/") {
		segment, err := url.PathUnescape(escaped)
		switch {
		case err != nil:
			return node.ErrBadPath.With("“%s” is not well escaped.", escaped)
		case segment == "." || segment == "..":
			return node.ErrBadPath.With("A segment is “%s”.", segment)
		case strings.Contains(segment, "/"):
			return node.ErrBadPath.With("A segment holds an escaped slash (%%2F).")
		case segment == "" && (under || i > 0):
			return node.ErrBadPath.With("A segment is empty: the path begins or ends with a slash, or has two in a row.")
		}
	}
	return nil
}

// checkParameters refuses a parameter that the route does not read, and one that is given twice: a mistyped one must not make another
// request of this, as a delete of ?dryrun=1.
func checkParameters(r *http.Request, reads []string) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return node.ErrBadRequest.With("The parameters after “?” are not well escaped.").Because(err).Next("Escape % as %25, and other signs likewise.")
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case !slices.Contains(reads, name):
			return node.ErrBadRequest.With("%s has no parameter “%s”.", r.Pattern, name).Next("It has: " + strings.Join(reads, ", ") + ".")
		case len(query[name]) > 1:
			return node.ErrBadRequest.With("The parameter “%s” is given %d times.", name, len(query[name])).Next("Give it once.")
		}
	}
	return nil
}

// checkHeaders refuses what would make a body mean something else than its bytes.
func checkHeaders(r *http.Request) error {
	if code := r.Header.Get("Content-Encoding"); code != "" && !strings.EqualFold(code, "identity") {
		return node.ErrBadRequest.With("The body is encoded as %s; bodies are taken as they are.", code).Next("Send it without Content-Encoding.")
	}
	if part := r.Header.Get("Content-Range"); part != "" {
		return node.ErrBadRequest.With("The body is a part, %s; a value is written whole.", part).Next("Send all of it, without Content-Range.")
	}
	return nil
}

// entryPath returns the path that the request names, in NFC.
func entryPath(r *http.Request) (string, error) { return cleanPath(r.PathValue("path")) }

// cleanPath returns p in NFC, or says why it cannot name an entry.
func cleanPath(p string) (string, error) {
	p, err := cleanPrefix(p)
	if err != nil {
		return "", err
	}
	if p == "" || strings.HasSuffix(p, "/") {
		return "", node.ErrBadPath.With("A segment is empty: the path is empty or ends with a slash.")
	}
	for segment := range strings.SplitSeq(p, "/") {
		if segment == "." || segment == ".." {
			return "", node.ErrBadPath.With("A segment is “%s”.", segment)
		}
	}
	return p, nil
}

// cleanPrefix returns p in NFC, or says why no path can begin with it.
func cleanPrefix(p string) (string, error) {
	if !utf8.ValidString(p) {
		return "", node.ErrBadPath.With("It is not valid UTF-8.")
	}
	p = norm.NFC.String(p)
	switch {
	case len(p) > node.PathBytesMax:
		bad := node.ErrBadPath.With("It has %s bytes; %s is the most.", grouped(len(p)), grouped(node.PathBytesMax))
		bad.Limit = node.PathBytesMax
		return "", bad
	case strings.HasPrefix(p, "/"):
		return "", node.ErrBadPath.With("It begins with a slash.")
	case strings.Contains(p, "//"):
		return "", node.ErrBadPath.With("It has two slashes in a row.")
	case strings.ContainsFunc(p, isControl):
		return "", node.ErrBadPath.With("It holds a control character.")
	}
	return p, nil
}

func isControl(r rune) bool { return r < 0x20 || 0x7f <= r && r < 0xa0 }
