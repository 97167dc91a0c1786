package api

import (
	"net/http"
	"strings"

	"syncline/node"
	"syncline/node/api/wire"
)

// ndjson is the media type of streams: one document a line.
const ndjson = "application/x-ndjson"

// getEntry answers with an entry and all its values.
func (s *Server) getEntry(w http.ResponseWriter, r *http.Request) error {
	sp, path, err := s.target(r)
	if err != nil {
		return err
	}
	e, err := sp.Get(r.Context(), path)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", etag(e.Version))
	if notModified(r, e.Version) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return answer(w, http.StatusOK, wire.EntryOf(e).WithSchema(wire.SchemaEntry))
}

// notModified reports whether the client holds the version already.
func notModified(r *http.Request, have node.Version) bool {
	list := r.Header.Get("If-None-Match")
	if list == "" {
		return false
	}
	tags, any := parseTags(list)
	for _, tag := range tags {
		any = any || tag == have || tag == node.Version("W/\""+string(have))
	}
	return any
}

// listing is what a client asked of a list of entries.
type listing struct {
	prefix string
	values bool
	opts   node.ListOptions
}

func parseListing(r *http.Request) (l listing, err error) {
	q := r.URL.Query()
	if l.prefix, err = cleanPrefix(q.Get("prefix")); err != nil {
		return l, err
	}
	if l.opts.After, err = cleanPrefix(q.Get("after")); err != nil {
		return l, err
	}
	if l.opts.Limit, err = number(r, "limit"); err != nil {
		return l, err
	}
	l.values, err = flag(r, "values")
	return l, err
}

// listEntries lists entries in the order of paths: as one document, or as one line each.
func (s *Server) listEntries(w http.ResponseWriter, r *http.Request) error {
	l, err := parseListing(r)
	if err != nil {
		return err
	}
	sp, err := s.space(r)
	if err != nil {
		return err
	}
	document := wire.SummaryOf
	if l.values {
		document = wire.EntryOf
	}
	lines := accepts(r, ndjson)
	out := newList(w, lines, wire.SchemaEntries, "entries")
	out.filling(sp.Filling(l.prefix))
	last, more := "", false
	ask := l.opts
	if ask.Limit > 0 {
		ask.Limit++ // one more tells whether a next page exists
	}
	n := 0
	for e, err := range sp.List(r.Context(), l.prefix, ask) {
		if err != nil {
			if err := out.lose(err); err != nil {
				return err
			}
			s.log.Warn("an entry is damaged and was left out", "path", e.Path, "err", err)
			continue
		}
		if n++; l.opts.Limit > 0 && n > l.opts.Limit {
			more = true
			break
		}
		last = e.Path
		doc := document(e)
		if lines {
			doc = doc.WithSchema(wire.SchemaEntry)
		}
		if err := out.add(doc); err != nil {
			return err
		}
	}
	if !more {
		last = ""
	}
	return out.end(last)
}

// deletePrefix deletes every entry whose path begins with ?prefix=, or with ?dry_run=1 tells which it would.
func (s *Server) deletePrefix(w http.ResponseWriter, r *http.Request) error {
	prefix, err := cleanPrefix(r.URL.Query().Get("prefix"))
	if err != nil {
		return err
	}
	if prefix == "" {
		return node.ErrBadRequest.With("Deleting by prefix needs a prefix; it does not delete everything.").Next("Name what to delete: ?prefix=notes/")
	}
	dry, err := flag(r, "dry_run")
	if err != nil {
		return err
	}
	sp, err := s.space(r)
	if err != nil {
		return err
	}
	doc := wire.Del{Schema: wire.SchemaDel, Prefix: prefix, DryRun: dry}
	if !dry {
		deleted, err := sp.DeletePrefix(r.Context(), prefix)
		if err != nil {
			return err
		}
		doc.Deleted, doc.Unkept = deleted.Entries, deleted.Unkept
		return answer(w, http.StatusOK, doc)
	}
	for e, err := range sp.List(r.Context(), prefix, node.ListOptions{}) {
		if err != nil {
			return err
		}
		doc.Deleted++
		doc.Paths = append(doc.Paths, e.Path)
	}
	return answer(w, http.StatusOK, doc)
}

// accepts reports whether the client asked for a media type by name.
func accepts(r *http.Request, media string) bool {
	for _, line := range r.Header.Values("Accept") {
		for a := range strings.SplitSeq(line, ",") {
			a, _, _ = strings.Cut(a, ";")
			if strings.EqualFold(strings.TrimSpace(a), media) {
				return true
			}
		}
	}
	return false
}
