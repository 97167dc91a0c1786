package api

import (
	"net/http"

	"syncline/node"
	"syncline/node/api/wire"
)

// listConflicts lists what is open, in the order of paths.
func (s *Server) listConflicts(w http.ResponseWriter, r *http.Request) error {
	prefix, err := cleanPrefix(r.URL.Query().Get("prefix"))
	if err != nil {
		return err
	}
	sp, err := s.space(r)
	if err != nil {
		return err
	}
	lines := accepts(r, ndjson)
	out := newList(w, lines, wire.SchemaConflicts, "conflicts")
	out.filling(sp.Filling(prefix))
	for c, err := range sp.Conflicts(r.Context(), prefix) {
		if err != nil {
			if err := out.lose(err); err != nil {
				return err
			}
			s.log.Warn("an entry is damaged and was left out", "path", c.Path, "err", err)
			continue
		}
		doc := wire.ConflictOf(c)
		if lines {
			doc.Schema = wire.SchemaConflict
		}
		if err := out.add(doc); err != nil {
			return err
		}
	}
	return out.end("")
}

// getConflict answers with one Conflict.
func (s *Server) getConflict(w http.ResponseWriter, r *http.Request) error {
	sp, path, err := s.target(r)
	if err != nil {
		return err
	}
	c, err := sp.Conflict(r.Context(), path)
	if err != nil {
		return err
	}
	doc := wire.ConflictOf(c)
	doc.Schema = wire.SchemaConflict
	w.Header().Set("ETag", etag(c.Version))
	return answer(w, http.StatusOK, doc)
}

// resolve closes a Conflict, or tells what would.
func (s *Server) resolve(w http.ResponseWriter, r *http.Request) error {
	var ask wire.Resolve
	if err := question(r, &ask); err != nil {
		return err
	}
	path, err := cleanPath(ask.Path)
	if err != nil {
		return err
	}
	how, err := ask.Resolution()
	if err != nil {
		return err
	}
	if how.Value != nil && len(how.Value.Data) > node.ValueBytesMax {
		return tooLarge("The value", node.ValueBytesMax)
	}
	sp, err := s.space(r)
	if err != nil {
		return err
	}
	if ask.DryRun {
		preview, err := sp.PreviewResolve(r.Context(), path, how)
		if err != nil {
			return err
		}
		return answer(w, http.StatusOK, wire.PreviewOf(path, preview))
	}
	e, err := sp.Resolve(r.Context(), path, how)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", etag(e.Version))
	doc := wire.Resolved{Entry: wire.EntryOf(e.Entry).WithSchema(wire.SchemaResolve), Undo: e.Undo, Copies: e.Copies}
	return answer(w, http.StatusOK, doc)
}

// undo takes back a resolution that was made here: the one that is named, or the last.
func (s *Server) undo(w http.ResponseWriter, r *http.Request) error {
	if err := question(r, &struct{}{}); err != nil { // a body that names another one must not take back the last
		return err
	}
	sp, err := s.space(r)
	if err != nil {
		return err
	}
	e, err := sp.Undo(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	w.Header().Set("ETag", etag(e.Version))
	return answer(w, http.StatusOK, wire.EntryOf(e).WithSchema(wire.SchemaUndo))
}
