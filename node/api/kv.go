package api

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"syncline/node"
	"syncline/node/api/wire"
)

// drainMax bounds what is read and thrown away of a body that is refused, so that the client finishes sending and sees why.
const drainMax = 64 << 20

// getValue answers with the bytes of the shown value. net/http takes care of HEAD, Range and If-None-Match.
func (s *Server) getValue(w http.ResponseWriter, r *http.Request) error {
	sp, path, err := s.target(r)
	if err != nil {
		return err
	}
	e, err := sp.Get(r.Context(), path)
	if err != nil {
		return err
	}
	v, h := e.Shown(), w.Header()
	h.Set("ETag", etag(e.Version))
	h.Set("Content-Type", cmp.Or(v.Type, node.MediaTypeBytes))
	h.Set("Peer-Type", e.Kind.String())
	h.Set("Peer-Time", v.Time.UTC().Format(time.RFC3339Nano))
	if !v.Device.ID.IsZero() {
		h.Set("Peer-Device", v.Device.ID.String())
	}
	if e.Conflict > 0 {
		h.Set("Peer-Conflict", strconv.Itoa(e.Conflict))
	}
	if e.Settled > 0 {
		h.Set("Peer-Settled", strconv.Itoa(e.Settled))
		h.Set("Peer-Policy", string(e.Policy))
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(v.Data))
	return nil
}

// putValue stores the body under a path.
func (s *Server) putValue(w http.ResponseWriter, r *http.Request) error {
	sp, path, err := s.target(r)
	if err != nil {
		return err
	}
	opts, err := conditions(r, sp, path)
	if err != nil {
		return err
	}
	if t := r.URL.Query().Get("type"); t != "" {
		kind, err := wire.ParseKind(t)
		if err != nil {
			return err
		}
		opts = append(opts, node.As(kind))
	}
	data, err := readValue(r)
	if err != nil {
		return err
	}
	res, err := sp.Put(r.Context(), path, node.Content{Data: data, Type: contentType(r)}, opts...)
	if err != nil {
		return err
	}
	return answerPut(w, r, path, res)
}

// contentType is the media type that the client named. That of forms is none: curl -d says it of whatever it sends, if nobody says
// anything.
func contentType(r *http.Request) string {
	named := r.Header.Get("Content-Type")
	media, _, _ := strings.Cut(named, ";")
	if strings.EqualFold(strings.TrimSpace(media), "application/x-www-form-urlencoded") {
		return ""
	}
	return named
}

func answerPut(w http.ResponseWriter, r *http.Request, path string, res node.WriteResult) error {
	w.Header().Set("ETag", etag(res.Version))
	status := http.StatusOK
	if res.Created {
		status = http.StatusCreated
		w.Header().Set("Location", r.URL.EscapedPath())
	}
	if prefers(r, "return=minimal") {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return answer(w, status, wire.Put{
		Schema: wire.SchemaPut, Path: path, Version: string(res.Version), Created: res.Created, Remaining: res.Remaining,
	})
}

// deleteValue deletes the shown value, or with ?all=1 every value, of a path.
func (s *Server) deleteValue(w http.ResponseWriter, r *http.Request) error {
	sp, path, err := s.target(r)
	if err != nil {
		return err
	}
	opts, err := conditions(r, sp, path)
	if err != nil {
		return err
	}
	all, err := flag(r, "all")
	if err != nil {
		return err
	}
	if all {
		opts = append(opts, node.All())
	}
	res, err := sp.Delete(r.Context(), path, opts...)
	if err != nil {
		return err
	}
	if res.Version != "" {
		w.Header().Set("ETag", etag(res.Version))
	}
	if !prefers(r, "return=representation") {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return answer(w, http.StatusOK, wire.Del{
		Schema: wire.SchemaDel, Path: path, Deleted: 1, Remaining: res.Remaining, Version: string(res.Version), Unkept: res.Unkept,
	})
}

// target returns the space and the path that a request names.
func (s *Server) target(r *http.Request) (*node.Space, string, error) {
	path, err := entryPath(r)
	if err != nil {
		return nil, "", err
	}
	sp, err := s.space(r)
	return sp, path, err
}

// readValue reads a body of at most the size of a value.
func readValue(r *http.Request) ([]byte, error) {
	if r.ContentLength <= node.ValueBytesMax {
		data, err := io.ReadAll(io.LimitReader(r.Body, node.ValueBytesMax+1))
		if err != nil {
			return nil, node.ErrBadRequest.With("The body ended early: %v", err)
		}
		if len(data) <= node.ValueBytesMax {
			return data, nil
		}
	}
	io.CopyN(io.Discard, r.Body, drainMax)
	return nil, tooLarge("The value", node.ValueBytesMax)
}

// conditions turns If-Match and If-None-Match into options of a write.
func conditions(r *http.Request, sp *node.Space, path string) ([]node.WriteOption, error) {
	var opts []node.WriteOption
	if none := r.Header.Values("If-None-Match"); len(none) > 0 {
		if strings.TrimSpace(strings.Join(none, ",")) != "*" {
			return nil, node.ErrBadRequest.With("A write takes If-None-Match only as *.").
				Next("Use If-Match with the version that you read.")
		}
		opts = append(opts, node.IfAbsent())
	}
	match := r.Header.Values("If-Match")
	if len(match) == 0 {
		return opts, nil
	}
	tags, any := parseTags(strings.Join(match, ","))
	if slices.Contains(tags, "") { // to the node, no version is no condition
		return nil, node.ErrBadRequest.With("If-Match names an empty version.").
			Next("Give the ETag of a read, or leave the header out to write without a condition.")
	}
	if len(tags) == 1 && !any {
		return append(opts, node.IfVersion(tags[0])), nil
	}
	have, err := sp.Get(r.Context(), path)
	if err != nil && node.ProblemOf(err).Code != node.ErrNotFound.Code {
		return nil, err
	}
	if err != nil || !any && !slices.Contains(tags, have.Version) {
		p := node.ErrVersionMismatch.With("The version of %s is none of those in If-Match.", path).On(path)
		p.Version = string(have.Version)
		return nil, p
	}
	return append(opts, node.IfVersion(have.Version)), nil
}

// parseTags reads a list of entity tags. Weak ones never match and are kept so, as versions that no entry has.
func parseTags(list string) (tags []node.Version, any bool) {
	for tag := range strings.SplitSeq(list, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" {
			return nil, true
		}
		tags = append(tags, node.Version(strings.Trim(tag, `"`)))
	}
	return tags, false
}

func etag(v node.Version) string { return `"` + string(v) + `"` }

// prefers reports whether the client asked for a preference of RFC 7240.
func prefers(r *http.Request, want string) bool {
	for _, line := range r.Header.Values("Prefer") {
		for p := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(p), want) {
				return true
			}
		}
	}
	return false
}
