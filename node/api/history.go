package api

import (
	"bytes"
	"cmp"
	"errors"
	"net/http"
	"time"

	"syncline/node"
	"syncline/node/api/wire"
)

// getHistory answers with the versions of a path, or with ?version= with the bytes of one.
func (s *Server) getHistory(w http.ResponseWriter, r *http.Request) error {
	sp, path, err := s.target(r)
	if err != nil {
		return err
	}
	if r.URL.Query().Has("version") {
		return pastValue(w, r, sp, path)
	}
	limit, err := number(r, "limit")
	if err != nil {
		return err
	}
	doc := wire.History{Schema: wire.SchemaHistory, Path: path, Versions: []wire.Revision{}}
	for v, err := range sp.History(r.Context(), path, node.HistoryOptions{Limit: limit}) {
		if errors.Is(err, node.ErrStore) && node.ProblemOf(err).Path != "" {
			s.log.Warn("a past value is damaged and was left out", "path", path, "err", err)
			doc.Damaged++
			continue
		}
		if err != nil {
			return err
		}
		doc.Versions = append(doc.Versions, wire.RevisionOf(v))
	}
	return answer(w, http.StatusOK, doc)
}

func pastValue(w http.ResponseWriter, r *http.Request, sp *node.Space, path string) error {
	v, err := sp.Revision(r.Context(), path, r.URL.Query().Get("version"))
	if err != nil {
		return err
	}
	if v.Deleted {
		return node.ErrNotFound.With("%s is a delete of %s, it has no value.", v.ID, path).On(path).
			Next("peer history PATH lists the versions.")
	}
	h := w.Header()
	if v.ID != "" { // else a policy made it of several values
		h.Set("ETag", `"`+v.ID+`"`)
	}
	h.Set("Content-Type", cmp.Or(v.Type, node.MediaTypeBytes))
	h.Set("Peer-Type", v.Kind.String())
	h.Set("Peer-Time", v.Time.UTC().Format(time.RFC3339Nano))
	if !v.Device.ID.IsZero() {
		h.Set("Peer-Device", v.Device.ID.String())
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(v.Data))
	return nil
}

// restore writes a past value again.
func (s *Server) restore(w http.ResponseWriter, r *http.Request) error {
	var ask wire.Restore
	if err := question(r, &ask); err != nil {
		return err
	}
	path, err := cleanPath(ask.Path)
	if err != nil {
		return err
	}
	sp, err := s.space(r)
	if err != nil {
		return err
	}
	v, err := sp.Revision(r.Context(), path, ask.Version)
	if err != nil {
		return err
	}
	restored := cmp.Or(v.ID, ask.Version) // what a policy makes of several values has no id
	res, err := sp.Restore(r.Context(), path, restored)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", etag(res.Version))
	return answer(w, http.StatusOK, wire.Restored{Restored: restored, Put: wire.Put{
		Schema: wire.SchemaRestore, Path: path, Version: string(res.Version), Created: res.Created, Remaining: res.Remaining,
	}})
}
